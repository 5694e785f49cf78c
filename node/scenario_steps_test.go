package node

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"herd/bus"
	"herd/node/line"
)

// scenario runs a herd, step by step. Each step is a line of words.
type scenario struct {
	*testing.T
	dialer  func(name string) bus.Dialer
	server  *bus.Server // nil on a memory bus
	network *network
	names   []line.NodeName          // as they were given
	links   [][2]line.NodeName       // of the nodes that have no topology of their own
	nodes   map[string]*scenarioNode // by label
	labels  []string                 // in the order they came
}

const startPause = 37 * time.Millisecond // between two nodes that start, so that their heartbeats do not meet

// scenarioNode is one node of a scenario. Its label is its name, unless another node has the same name.
type scenarioNode struct {
	*testNode // nil if it does not run
	label     string
	name      line.NodeName
	topology  *topology.Topology // nil: that of the scenario
	started   time.Time
	logged    int // entries of its log that were printed or skipped
}

// steps are what can be done, with the words that follow.
var steps = map[string]func(s *scenario, words []string) string{
	"nodes":      (*scenario).addNodes,    // NAME …
	"link":       (*scenario).addLinks,    // A-B …
	"campus":     (*scenario).addCampus,   // five nodes, six links
	"start":      (*scenario).start,       // NODE … or all [catchup=5s] [retention=1h] [queue=100]
	"samename":   (*scenario).addSameName, // NODE LABEL: starts another node with that name
	"stop":       (*scenario).stop,        // NODE …: it drains
	"kill":       (*scenario).kill,        // NODE …: it does not
	"relink":     (*scenario).relink,      // NODE A-B …: it has this topology, now or when it starts
	"cut":        (*scenario).cut,         // DIRECTION …: A-B in both directions, A>B in one
	"heal":       (*scenario).heal,        // DIRECTION …
	"delay":      (*scenario).delay,       // DIRECTION TIME: more than it takes anyway
	"rate":       (*scenario).rate,        // DIRECTION BYTES: a second; 0: no limit
	"drop":       (*scenario).drop,        // DIRECTION KIND NUMBER: of the next ones; or all, or 0
	"duplicate":  (*scenario).duplicate,   // DIRECTION KIND
	"hold":       (*scenario).hold,        // DIRECTION …
	"release":    (*scenario).release,     // DIRECTION …
	"stall":      (*scenario).stall,       // DIRECTION …: publishing on it does not return
	"resume":     (*scenario).resume,      // DIRECTION …
	"replace":    (*scenario).replace,     // DIRECTION OLD NEW: in heartbeats
	"append":     (*scenario).append,      // DIRECTION TEXT …: to heartbeats
	"disconnect": (*scenario).disconnect,  // NODE …
	"reconnect":  (*scenario).reconnect,   // NODE …
	"iamat":      (*scenario).iamat,       // NODE CLIENT TIME [POSITION]; CLIENT*N is CLIENT1 to CLIENTN
	"stream":     (*scenario).stream,      // NODE CLIENT NUMBER EVERY: as many reports, with times from 1001 on
	"whatsat":    (*scenario).whatsat,     // NODE CLIENT: prints the AT line
	"wait":       (*scenario).wait,        // TIME, or until equal|ready|up TIME [NODE …]
	"expect":     (*scenario).show,        // see outputs
}

func (s *scenario) step(words []string) string {
	do := steps[words[0]]
	if do == nil {
		s.Fatalf("no step is called %q", words[0])
	}
	return do(s, words[1:])
}

func (s *scenario) addNodes(names []string) string {
	for _, n := range names {
		for _, other := range s.names {
			s.network.addDirection(n, string(other))
			s.network.addDirection(string(other), n)
		}
		s.names = append(s.names, line.NodeName(n))
		s.add(&scenarioNode{label: n, name: line.NodeName(n)})
	}
	return ""
}

func (s *scenario) add(a *scenarioNode) {
	s.nodes[a.label] = a
	s.labels = append(s.labels, a.label)
}

func (s *scenario) addLinks(words []string) string {
	s.links = append(s.links, s.pairs(words)...)
	return ""
}

func (s *scenario) addCampus([]string) string {
	s.addNodes([]string{"Goloman", "Hands", "Holiday", "Welsh", "Wilkes"})
	return s.addLinks(strings.Fields("Goloman-Hands Goloman-Holiday Goloman-Wilkes Hands-Wilkes Holiday-Welsh Holiday-Wilkes"))
}

// pairs understands A-B.
func (s *scenario) pairs(words []string) (links [][2]line.NodeName) {
	for _, w := range words {
		a, b, ok := strings.Cut(w, "-")
		if !ok {
			s.Fatalf("%q is not a link", w)
		}
		links = append(links, [2]line.NodeName{line.NodeName(a), line.NodeName(b)})
	}
	return links
}

// topology returns the graph of some links.
func (s *scenario) topology(links [][2]line.NodeName) *topology.Topology {
	if len(links) == 0 {
		topo, err := topology.New(s.names[:1], nil)
		if err != nil {
			s.Fatal(err)
		}
		return topo
	}
	return newTopology(s.T, links...)
}

// nodesOf returns nodes by label, or all.
func (s *scenario) nodesOf(labels []string) (nodes []*scenarioNode) {
	if len(labels) == 0 || labels[0] == "all" {
		labels = s.labels
	}
	for _, l := range labels {
		if s.nodes[l] == nil {
			s.Fatalf("no node is called %q", l)
		}
		nodes = append(nodes, s.nodes[l])
	}
	return nodes
}

// running returns those nodes that run.
func (s *scenario) running(labels []string) []*scenarioNode {
	return slices.DeleteFunc(s.nodesOf(labels), func(a *scenarioNode) bool { return a.testNode == nil })
}

func (s *scenario) start(words []string) string {
	isOption := func(w string) bool { return strings.Contains(w, "=") }
	labels := slices.DeleteFunc(slices.Clone(words), isOption)
	for i, a := range s.nodesOf(labels) {
		if i > 0 {
			time.Sleep(startPause)
		}
		topo := a.topology
		if topo == nil {
			topo = s.topology(s.links)
		}
		c := Config{
			Name: a.name, Topology: topo, Bus: networkDialer{s.dialer(string(a.name)), s.network, string(a.name), a.label},
			Places: newBlockingFinder(), Limits: defaultLimits, CatchUp: time.Minute,
		}
		for _, w := range words {
			switch key, value, _ := strings.Cut(w, "="); {
			case !isOption(w):
			case key == "catchup":
				c.CatchUp = s.duration(value)
			case key == "retention":
				c.Retention = s.duration(value)
			default:
				s.Fatalf("%q is not an option of a node", w)
			}
		}
		s.network.plugIn(a.label)
		a.started, a.logged, a.testNode = time.Now(), 0, runNode(s.T, c)
		synctest.Wait()
	}
	return ""
}

func (s *scenario) addSameName(words []string) string {
	s.add(&scenarioNode{label: words[1], name: s.nodes[words[0]].name})
	return s.start(words[1:])
}

func (s *scenario) stop(labels []string) string {
	for _, a := range s.nodesOf(labels) {
		a.testNode.stop()
		a.testNode = nil
	}
	return ""
}

func (s *scenario) kill(labels []string) string { return s.disconnect(labels) + s.stop(labels) }

func (s *scenario) relink(words []string) string {
	a := s.nodesOf(words[:1])[0]
	a.topology = s.topology(s.pairs(words[1:]))
	if a.testNode != nil {
		a.Relink(a.topology)
	}
	return ""
}

func (s *scenario) disconnect(labels []string) string {
	for _, a := range s.nodesOf(labels) {
		s.network.unplug(a.label)
	}
	synctest.Wait()
	return ""
}

func (s *scenario) reconnect(labels []string) string {
	for _, a := range s.nodesOf(labels) {
		s.network.plugIn(a.label)
		synctest.Wait()
	}
	return ""
}

// on changes directions of links: A>B is one, A-B is two.
func (s *scenario) on(words []string, change func(*direction)) string {
	for _, w := range words {
		from, to, one := strings.Cut(w, ">")
		if !one {
			from, to, _ = strings.Cut(w, "-")
		}
		if !s.network.on(from, to, change) || !one && !s.network.on(to, from, change) {
			s.Fatalf("%q is not a direction", w)
		}
	}
	return ""
}

func (s *scenario) cut(directions []string) string {
	return s.on(directions, func(w *direction) { w.cut = true })
}

func (s *scenario) heal(directions []string) string {
	return s.on(directions, func(w *direction) { w.cut = false })
}

func (s *scenario) hold(directions []string) string {
	return s.on(directions, func(w *direction) { w.hold = true })
}

func (s *scenario) release(directions []string) string {
	return s.on(directions, (*direction).release)
}

func (s *scenario) delay(words []string) string {
	more := s.duration(words[1])
	return s.on(words[:1], func(w *direction) { w.latency = w.minLatency + more })
}

func (s *scenario) rate(words []string) string {
	bytes := s.number(words[1])
	return s.on(words[:1], func(w *direction) { w.rate = bytes })
}

func (s *scenario) drop(words []string) string {
	number := -1
	if words[2] != "all" {
		number = s.number(words[2])
	}
	return s.on(words[:1], func(w *direction) { w.drops[subject.Kind(words[1])] = number })
}

func (s *scenario) duplicate(words []string) string {
	return s.on(words[:1], func(w *direction) { w.duplicated[subject.Kind(words[1])] = true })
}

func (s *scenario) stall(directions []string) string {
	return s.on(directions, func(w *direction) { w.stall = make(chan struct{}) })
}

func (s *scenario) resume(directions []string) string {
	return s.on(directions, func(w *direction) {
		close(w.stall)
		w.stall = nil
	})
}

func (s *scenario) replace(words []string) string {
	return s.on(words[:1], func(w *direction) { w.edit = strings.NewReplacer(words[1], words[2]) })
}

func (s *scenario) append(words []string) string {
	return s.on(words[:1], func(w *direction) { w.more = " " + strings.Join(words[1:], " ") })
}

// iamat prints the replies that refuse a line.
func (s *scenario) iamat(words []string) string {
	a, at := s.nodesOf(words[:1])[0], place
	if len(words) > 3 {
		at = words[3]
	}
	var lines, refused strings.Builder
	clients := []string{words[1]}
	if name, count, many := strings.Cut(words[1], "*"); many {
		clients = nil
		for i := range s.number(count) {
			clients = append(clients, name+strconv.Itoa(i+1))
		}
	}
	operands := make([]string, len(clients))
	for i, c := range clients {
		operands[i] = c + " " + at + " " + words[2]
		fmt.Fprintf(&lines, "IAMAT %s\n", operands[i])
	}
	p := a.listener.Dial(s.T)
	defer p.Close()
	go p.Send(lines.String())
	for _, o := range operands {
		reply := p.Line()
		if strings.HasPrefix(reply, "AT "+string(a.name)+" ") && strings.HasSuffix(reply, " "+o+"\n") {
			p.Line()
			continue
		}
		refused.WriteString(reply)
	}
	synctest.Wait() // until it is sent
	return refused.String()
}

func (s *scenario) stream(words []string) string {
	every, out := s.duration(words[3]), ""
	for i := range s.number(words[2]) {
		out += s.iamat([]string{words[0], words[1], strconv.Itoa(1001 + i)})
		time.Sleep(every)
	}
	return out
}

func (s *scenario) whatsat(words []string) string {
	p := s.nodesOf(words[:1])[0].listener.Dial(s.T)
	defer p.Close()
	go p.Send("WHATSAT " + words[1] + " 0 0\n")
	return p.Line()
}

func (s *scenario) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.Fatal(err)
	}
	return d
}

func (s *scenario) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

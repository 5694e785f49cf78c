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

// scene is a herd whose steps are words.
type scene struct {
	*testing.T
	dialer func(name string) bus.Dialer
	server *bus.Server // nil on a memory bus
	wires  *wires
	names  []line.NodeName    // as they were given
	links  [][2]line.NodeName // of those that have no topology of their own
	actors map[string]*actor  // by label
	labels []string           // in the order they came
}

const apart = 37 * time.Millisecond // between two nodes that start, so that their heartbeats do not meet

// actor is one node of a scene: its label is its name, but for a twin.
type actor struct {
	*fake    // nil if it does not run
	label    string
	name     line.NodeName
	topology *topology.Topology // nil: that of the scene
	began    time.Time
	logged   int // entries that were printed or passed over
}

// steps are what can be done, with the words that follow.
var steps = map[string]func(s *scene, words []string) string{
	"nodes":      (*scene).addNodes,   // NAME …
	"link":       (*scene).addLinks,   // A-B …
	"campus":     (*scene).addCampus,  // five nodes, six links
	"start":      (*scene).start,      // NODE … or all [catchup=5s] [retention=1h] [queue=100]
	"twin":       (*scene).addTwin,    // NODE LABEL: another node under that name, started
	"stop":       (*scene).stop,       // NODE …: it drains
	"kill":       (*scene).kill,       // NODE …: it does not
	"relink":     (*scene).relink,     // NODE A-B …: it has this topology, now or when it starts
	"cut":        (*scene).cut,        // WAY …: A-B both ways, A>B one
	"heal":       (*scene).heal,       // WAY …
	"delay":      (*scene).delay,      // WAY TIME: more than it takes anyway
	"drop":       (*scene).drop,       // WAY KIND NUMBER: of the next ones; or all, or 0
	"duplicate":  (*scene).duplicate,  // WAY KIND
	"hold":       (*scene).hold,       // WAY …
	"release":    (*scene).release,    // WAY …
	"stall":      (*scene).stall,      // WAY …: publishing on it does not return
	"resume":     (*scene).resume,     // WAY …
	"replace":    (*scene).replace,    // WAY OLD NEW: in heartbeats
	"append":     (*scene).append,     // WAY TEXT …: to heartbeats
	"disconnect": (*scene).disconnect, // NODE …
	"reconnect":  (*scene).reconnect,  // NODE …
	"iamat":      (*scene).iamat,      // NODE CLIENT TIME [POSITION]; CLIENT*N is CLIENT1 to CLIENTN
	"stream":     (*scene).stream,     // NODE CLIENT NUMBER EVERY: as many reports, with times from 1001 on
	"whatsat":    (*scene).whatsat,    // NODE CLIENT: prints the AT line
	"settle":     (*scene).settle,     // TIME, or until equal|ready|up TIME [NODE …]
	"expect":     (*scene).expect,     // see showing
}

func (s *scene) step(words []string) string {
	do := steps[words[0]]
	if do == nil {
		s.Fatalf("no step is called %q", words[0])
	}
	return do(s, words[1:])
}

func (s *scene) addNodes(names []string) string {
	for _, n := range names {
		for _, other := range s.names {
			s.wires.lay(n, string(other))
			s.wires.lay(string(other), n)
		}
		s.names = append(s.names, line.NodeName(n))
		s.add(&actor{label: n, name: line.NodeName(n)})
	}
	return ""
}

func (s *scene) add(a *actor) {
	s.actors[a.label] = a
	s.labels = append(s.labels, a.label)
}

func (s *scene) addLinks(words []string) string {
	s.links = append(s.links, s.pairs(words)...)
	return ""
}

func (s *scene) addCampus([]string) string {
	s.addNodes([]string{"Goloman", "Hands", "Holiday", "Welsh", "Wilkes"})
	return s.addLinks(strings.Fields("Goloman-Hands Goloman-Holiday Goloman-Wilkes Hands-Wilkes Holiday-Welsh Holiday-Wilkes"))
}

// pairs understands A-B.
func (s *scene) pairs(words []string) (links [][2]line.NodeName) {
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
func (s *scene) topology(links [][2]line.NodeName) *topology.Topology {
	if len(links) == 0 {
		topo, err := topology.New(s.names[:1], nil)
		if err != nil {
			s.Fatal(err)
		}
		return topo
	}
	return newTopology(s.T, links...)
}

// cast returns actors by label, or all.
func (s *scene) cast(labels []string) (actors []*actor) {
	if len(labels) == 0 || labels[0] == "all" {
		labels = s.labels
	}
	for _, l := range labels {
		if s.actors[l] == nil {
			s.Fatalf("no node is called %q", l)
		}
		actors = append(actors, s.actors[l])
	}
	return actors
}

// running returns those actors that run.
func (s *scene) running(labels []string) []*actor {
	return slices.DeleteFunc(s.cast(labels), func(a *actor) bool { return a.fake == nil })
}

func (s *scene) start(words []string) string {
	isOption := func(w string) bool { return strings.Contains(w, "=") }
	labels := slices.DeleteFunc(slices.Clone(words), isOption)
	for i, a := range s.cast(labels) {
		if i > 0 {
			time.Sleep(apart)
		}
		topo := a.topology
		if topo == nil {
			topo = s.topology(s.links)
		}
		c := Config{
			Name: a.name, Topology: topo, Bus: wired{s.dialer(string(a.name)), s.wires, string(a.name), a.label},
			Places: newBlockingFinder(), Limits: defaultLimits, CatchUp: time.Minute,
		}
		for _, w := range words {
			switch key, value, _ := strings.Cut(w, "="); {
			case !isOption(w):
			case key == "catchup":
				c.CatchUp = s.duration(value)
			case key == "retention":
				c.Retention = s.duration(value)
			case key == "queue":
				c.Limits.Queue = s.number(value)
			default:
				s.Fatalf("%q is not an option of a node", w)
			}
		}
		s.wires.plugIn(a.label)
		a.began, a.logged, a.fake = time.Now(), 0, runFake(s.T, c)
		synctest.Wait()
	}
	return ""
}

func (s *scene) addTwin(words []string) string {
	s.add(&actor{label: words[1], name: s.actors[words[0]].name})
	return s.start(words[1:])
}

func (s *scene) stop(labels []string) string {
	for _, a := range s.cast(labels) {
		a.fake.stop()
		a.fake = nil
	}
	return ""
}

func (s *scene) kill(labels []string) string { return s.disconnect(labels) + s.stop(labels) }

func (s *scene) relink(words []string) string {
	a := s.cast(words[:1])[0]
	a.topology = s.topology(s.pairs(words[1:]))
	if a.fake != nil {
		a.Relink(a.topology)
	}
	return ""
}

func (s *scene) disconnect(labels []string) string {
	for _, a := range s.cast(labels) {
		s.wires.unplug(a.label)
	}
	synctest.Wait()
	return ""
}

func (s *scene) reconnect(labels []string) string {
	for _, a := range s.cast(labels) {
		s.wires.plugIn(a.label)
		synctest.Wait()
	}
	return ""
}

// on changes ways: A>B is one, A-B is two.
func (s *scene) on(words []string, change func(*lane)) string {
	for _, w := range words {
		from, to, one := strings.Cut(w, ">")
		if !one {
			from, to, _ = strings.Cut(w, "-")
		}
		if !s.wires.on(from, to, change) || !one && !s.wires.on(to, from, change) {
			s.Fatalf("%q is not a way", w)
		}
	}
	return ""
}

func (s *scene) cut(ways []string) string  { return s.on(ways, func(w *lane) { w.cut = true }) }
func (s *scene) heal(ways []string) string { return s.on(ways, func(w *lane) { w.cut = false }) }
func (s *scene) hold(ways []string) string { return s.on(ways, func(w *lane) { w.hold = true }) }
func (s *scene) release(ways []string) string {
	return s.on(ways, (*lane).release)
}

func (s *scene) delay(words []string) string {
	more := s.duration(words[1])
	return s.on(words[:1], func(w *lane) { w.takes = w.least + more })
}

func (s *scene) drop(words []string) string {
	number := -1
	if words[2] != "all" {
		number = s.number(words[2])
	}
	return s.on(words[:1], func(w *lane) { w.lose[subject.Kind(words[1])] = number })
}

func (s *scene) duplicate(words []string) string {
	return s.on(words[:1], func(w *lane) { w.twice[subject.Kind(words[1])] = true })
}

func (s *scene) stall(ways []string) string {
	return s.on(ways, func(w *lane) { w.stall = make(chan struct{}) })
}

func (s *scene) resume(ways []string) string {
	return s.on(ways, func(w *lane) {
		close(w.stall)
		w.stall = nil
	})
}

func (s *scene) replace(words []string) string {
	return s.on(words[:1], func(w *lane) { w.edit = strings.NewReplacer(words[1], words[2]) })
}

func (s *scene) append(words []string) string {
	return s.on(words[:1], func(w *lane) { w.more = " " + strings.Join(words[1:], " ") })
}

// iamat prints the replies that are not what a client wants to hear.
func (s *scene) iamat(words []string) string {
	a, at := s.cast(words[:1])[0], place
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
	synctest.Wait() // until it is told
	return refused.String()
}

func (s *scene) stream(words []string) string {
	every, out := s.duration(words[3]), ""
	for i := range s.number(words[2]) {
		out += s.iamat([]string{words[0], words[1], strconv.Itoa(1001 + i)})
		time.Sleep(every)
	}
	return out
}

func (s *scene) whatsat(words []string) string {
	p := s.cast(words[:1])[0].listener.Dial(s.T)
	defer p.Close()
	go p.Send("WHATSAT " + words[1] + " 0 0\n")
	return p.Line()
}

func (s *scene) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.Fatal(err)
	}
	return d
}

func (s *scene) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

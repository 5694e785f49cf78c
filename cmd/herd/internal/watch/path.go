package watch

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
	"herd/node/topology"
)

const (
	quiet       = time.Second // without a message, after which a flood is over
	maxFloods   = 256         // floods that are followed at a time; one more finishes the oldest
	maxMessages = 4096        // messages of a flood, if the topology does not say how many
)

// follower shows the flood of each report of one client as a tree when it is over: when all its messages were observed, or none for a
// quiet moment. Times are when this program observed a message, which is not when its receiver did.
type follower struct {
	topology *topology.Topology
	ink      terminal.Ink
	print    func(text []byte)
	messages chan message
	done     chan struct{} // closed when run has ended

	floods []*observedFlood // that are not over, by their first message; only run uses it
}

// message is the sending of a report from one node to another.
type message struct {
	at       time.Time
	from, to string
	report   line.Report
}

// observedFlood is what was observed of the flood of one report.
type observedFlood struct {
	report   line.Report
	messages []message          // in the order in which they were observed
	topology *topology.Topology // nil: a node of the flood is missing in that of the configuration
}

func newFollower(t *topology.Topology, i terminal.Ink, print func(text []byte)) *follower {
	return &follower{topology: t, ink: i, print: print, messages: make(chan message), done: make(chan struct{})}
}

// add hands a message to run.
func (f *follower) add(m message) {
	select {
	case f.messages <- m:
	case <-f.done:
	}
}

// run follows floods until ctx ends, and then shows those that are not over.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case m := <-f.messages:
			f.apply(m)
		case <-timer.C:
		case <-ctx.Done():
			for len(f.floods) > 0 {
				f.finish(0)
			}
			return
		}
		timer.Reset(f.sweep(time.Now()))
	}
}

// apply adds a message to the flood of its report, and finishes the flood if it is complete.
func (f *follower) apply(m message) {
	at := slices.IndexFunc(f.floods, func(o *observedFlood) bool { return o.report.Compare(m.report) == 0 })
	if at < 0 {
		if len(f.floods) == maxFloods {
			f.finish(0)
		}
		at = len(f.floods)
		f.floods = append(f.floods, &observedFlood{report: m.report, topology: f.topology})
	}
	s := f.floods[at]
	s.messages = append(s.messages, m)
	if s.topology != nil && !(s.topology.Has(line.NodeName(m.from)) && s.topology.Has(line.NodeName(m.to))) {
		s.topology = nil
	}
	if len(s.messages) >= s.most() {
		f.finish(at)
	}
}

// most returns the number of messages after which the flood is over.
func (s *observedFlood) most() int {
	if s.topology == nil {
		return maxMessages
	}
	return max(1, s.topology.FloodCost())
}

// finish shows a flood and removes it.
func (f *follower) finish(at int) {
	s := f.floods[at]
	f.floods = slices.Delete(f.floods, at, at+1)
	var text bytes.Buffer
	s.show(&text, f.ink)
	f.print(text.Bytes())
}

// sweep finishes the floods that have been quiet, and returns the time until the next one may be.
func (f *follower) sweep(now time.Time) time.Duration {
	next := quiet
	for i := 0; i < len(f.floods); {
		s := f.floods[i]
		if left := s.messages[len(s.messages)-1].at.Add(quiet).Sub(now); left > 0 {
			next = min(next, left)
			i++
			continue
		}
		f.finish(i)
	}
	return next
}

// firsts returns for each node the index of the message by which it first received the report. A node that has received a new report sends it
// to every neighbour but the one it came from. So the message was observed before any that the node sent, and its sender is the one to whom
// the node did not send; of several such messages it is the first. Along these messages time grows, so they form trees: that of the origin, and one
// for each node that received the report by sync, or in a message that was not observed.
func (s *observedFlood) firsts() map[string]int {
	sending := make(map[string]int) // the first message that each node sent
	sent := make(map[[2]string]bool)
	for i, m := range s.messages {
		if _, known := sending[m.from]; !known {
			sending[m.from] = i
		}
		sent[[2]string{m.from, m.to}] = true
	}
	firsts := make(map[string]int)
	for i, m := range s.messages {
		if first, sends := sending[m.to]; m.to == string(s.report.Origin()) || sends && i > first {
			continue
		}
		if by, known := firsts[m.to]; !known || sent[[2]string{m.to, s.messages[by].from}] && !sent[[2]string{m.to, m.from}] {
			firsts[m.to] = i
		}
	}
	return firsts
}

// branch is a line of a tree.
type branch struct {
	lead      string // strokes
	name      string // of the receiver or, of a root, of the node and how it received the report
	first     string // time since the first message of the flood
	sender    string // time since the message by which the sender received the report
	duplicate bool   // the receiver had the report already, so the branch ends here
	root      bool
}

// tree is a flood as lines.
type tree struct {
	*observedFlood
	firsts map[string]int
	lines  []branch
	depth  int // links from a root to the farthest node
	width  int // of names with their strokes
}

func (s *observedFlood) tree() *tree {
	t := &tree{observedFlood: s, firsts: s.firsts()}
	planted := make(map[string]bool)
	plant := func(server, remark string) {
		if _, grown := t.firsts[server]; !grown && !planted[server] {
			planted[server] = true
			t.add(branch{name: terminal.Legible(server) + remark, root: true})
			t.grow(server, "", 1, nil)
		}
	}
	origin := string(s.report.Origin())
	if slices.ContainsFunc(s.messages, func(m message) bool { return m.from == origin }) {
		plant(origin, " "+s.report.Skew())
	}
	for _, m := range s.messages {
		plant(m.from, ", received otherwise")
	}
	return t
}

func (t *tree) add(b branch) {
	t.lines = append(t.lines, b)
	t.width = max(t.width, utf8.RuneCountInString(b.lead+b.name))
}

// grow adds the messages that a node sent and, below those by which a node first received the report, the messages that it sent in turn. before is
// the message by which the node received the report; nil: it was not observed.
func (t *tree) grow(server, lead string, depth int, before *message) {
	var messages []int
	for i, m := range t.messages {
		if m.from == server {
			messages = append(messages, i)
		}
	}
	for n, i := range messages {
		m := &t.messages[i]
		stroke, under := "├─ ", "│  "
		if n == len(messages)-1 {
			stroke, under = "└─ ", "   "
		}
		b := branch{lead: lead + stroke, name: terminal.Legible(m.to), first: milliseconds(m.at.Sub(t.messages[0].at)), sender: "–"}
		if before != nil {
			b.sender = milliseconds(m.at.Sub(before.at))
		}
		by, received := t.firsts[m.to]
		b.duplicate = !received || by != i
		t.add(b)
		if !b.duplicate {
			t.depth = max(t.depth, depth)
			t.grow(m.to, lead+under, depth+1, m)
		}
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

// show writes a flood as a tree with its summary.
func (s *observedFlood) show(text *bytes.Buffer, i terminal.Ink) {
	t := s.tree()
	fmt.Fprintf(text, "%s  %s  %s  %s\n", i.Paint(terminal.Dim, s.messages[0].at.Format(timeOfDay)), i.Paint(terminal.Bold, terminal.Legible(string(s.report.Client()))),
		s.report.Position(), s.report.Time())
	for n, b := range t.lines {
		gap := strings.Repeat(" ", t.width-utf8.RuneCountInString(b.lead+b.name))
		switch times := fmt.Sprintf("  %13s  %13s", b.first, b.sender); {
		case b.root && n == 0:
			server, skew, _ := strings.Cut(b.name, " ")
			fmt.Fprintf(text, "%s%s\n", i.Paint(i.Of(server), server)+i.Paint(terminal.Dim, " "+skew)+gap, i.Paint(terminal.Dim, fmt.Sprintf("  %13s  %13s", "since first", "since sender")))
		case b.root:
			fmt.Fprintf(text, "%s\n", b.name)
		case b.duplicate:
			fmt.Fprintf(text, "%s\n", i.Paint(terminal.Dim, b.lead+b.name+gap+times+"  duplicate"))
		default:
			fmt.Fprintf(text, "%s%s%s%s\n", i.Paint(terminal.Dim, b.lead), i.Paint(i.Of(b.name), b.name), gap, i.Paint(terminal.Dim, times))
		}
	}
	fmt.Fprintf(text, "%s\n\n", t.summary())
}

// summary returns how many messages the flood took, and which nodes it was not observed to reach.
func (t *tree) summary() string {
	messages := terminal.Plural(len(t.messages), "message")
	if t.topology != nil && len(t.messages) < t.most() {
		messages = fmt.Sprintf("%d of %s", len(t.messages), terminal.Plural(t.most(), "message"))
	}
	text := fmt.Sprintf("%s to %s over %s", messages, terminal.Plural(len(t.firsts), "server"), terminal.Plural(t.depth, "link"))
	if last := t.last(); last != nil {
		text += fmt.Sprintf("; the last, %s, received it %s after the first", terminal.Legible(last.to), milliseconds(last.at.Sub(t.messages[0].at)))
	}
	if missing := t.missing(); len(missing) > 0 {
		text += "; not observed: " + strings.Join(missing, ", ")
	}
	return text
}

// last returns the last message by which a node first received the report, or nil.
func (t *tree) last() (last *message) {
	for _, i := range t.firsts {
		if m := &t.messages[i]; last == nil || cmp.Or(m.at.Compare(last.at), cmp.Compare(m.to, last.to)) > 0 {
			last = m
		}
	}
	return last
}

// missing returns the nodes that neither sent nor received the report.
func (t *tree) missing() (missing []string) {
	if t.topology == nil {
		return nil
	}
	for _, n := range t.topology.Nodes() {
		if !slices.ContainsFunc(t.messages, func(m message) bool { return m.from == string(n) || m.to == string(n) }) {
			missing = append(missing, string(n))
		}
	}
	return missing
}

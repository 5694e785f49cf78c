package watch

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"herd/cmd/herd/internal/terminal"
)

// firsts returns for each node the index of the hop by which it first received the report. A node that has received a new report sends it
// to every neighbour but the one it came from. So the hop was observed before any that the node sent, and its sender is the one to whom
// the node did not send; of several such hops it is the first. Along these hops time grows, so they form trees: that of the origin, and one
// for each node that received the report by sync, or in a message that was not observed.
func (s *observedFlood) firsts() map[string]int {
	sending := make(map[string]int) // the first hop that each node sent
	sent := make(map[[2]string]bool)
	for i, h := range s.hops {
		if _, known := sending[h.from]; !known {
			sending[h.from] = i
		}
		sent[[2]string{h.from, h.to}] = true
	}
	firsts := make(map[string]int)
	for i, h := range s.hops {
		if first, sends := sending[h.to]; h.to == string(s.report.Origin()) || sends && i > first {
			continue
		}
		if by, known := firsts[h.to]; !known || sent[[2]string{h.to, s.hops[by].from}] && !sent[[2]string{h.to, h.from}] {
			firsts[h.to] = i
		}
	}
	return firsts
}

// branch is a line of a tree.
type branch struct {
	lead      string // strokes
	name      string // of the receiver or, of a root, of the node and how it received the report
	first     string // time since the first hop of the flood
	hop       string // time since the hop by which the sender received the report
	duplicate bool   // the receiver had the report already, so the branch ends here
	root      bool
}

// tree is a flood as lines.
type tree struct {
	*observedFlood
	firsts map[string]int
	lines  []branch
	depth  int // hops from a root to the farthest node
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
	if slices.ContainsFunc(s.hops, func(h hop) bool { return h.from == origin }) {
		plant(origin, " "+s.report.Skew())
	}
	for _, h := range s.hops {
		plant(h.from, ", received otherwise")
	}
	return t
}

func (t *tree) add(b branch) {
	t.lines = append(t.lines, b)
	t.width = max(t.width, utf8.RuneCountInString(b.lead+b.name))
}

// grow adds the hops that a node sent and, below those by which a node first received the report, the hops that it sent in turn. before is
// the hop by which the node received the report; nil: it was not observed.
func (t *tree) grow(server, lead string, depth int, before *hop) {
	var hops []int
	for i, h := range t.hops {
		if h.from == server {
			hops = append(hops, i)
		}
	}
	for n, i := range hops {
		h := &t.hops[i]
		stroke, under := "├─ ", "│  "
		if n == len(hops)-1 {
			stroke, under = "└─ ", "   "
		}
		b := branch{lead: lead + stroke, name: terminal.Legible(h.to), first: milliseconds(h.at.Sub(t.hops[0].at)), hop: "–"}
		if before != nil {
			b.hop = milliseconds(h.at.Sub(before.at))
		}
		by, received := t.firsts[h.to]
		b.duplicate = !received || by != i
		t.add(b)
		if !b.duplicate {
			t.depth = max(t.depth, depth)
			t.grow(h.to, lead+under, depth+1, h)
		}
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

// show writes a flood as a tree with its summary.
func (s *observedFlood) show(text *bytes.Buffer, i terminal.Ink) {
	t := s.tree()
	fmt.Fprintf(text, "%s  %s  %s  %s\n", i.Paint(terminal.Dim, s.hops[0].at.Format(timeOfDay)), i.Paint(terminal.Bold, terminal.Legible(string(s.report.Client()))),
		s.report.Position(), s.report.Time())
	heads := [2]string{"since first", "since hop"}
	for n, b := range t.lines {
		gap := strings.Repeat(" ", t.width-utf8.RuneCountInString(b.lead+b.name))
		switch times := fmt.Sprintf("  %13s  %13s", b.first, b.hop); {
		case b.root && n == 0:
			server, rest, _ := strings.Cut(b.name, " ")
			fmt.Fprintf(text, "%s%s\n", i.Paint(i.Of(server), server)+i.Paint(terminal.Dim, " "+rest)+gap, i.Paint(terminal.Dim, fmt.Sprintf("  %13s  %13s", heads[0], heads[1])))
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
	messages := terminal.Plural(len(t.hops), "message")
	if t.topology != nil && len(t.hops) < t.most() {
		messages = fmt.Sprintf("%d of %s", len(t.hops), terminal.Plural(t.most(), "message"))
	}
	text := fmt.Sprintf("%s to %s over %s", messages, terminal.Plural(len(t.firsts), "server"), terminal.Plural(t.depth, "hop"))
	if last := t.last(); last != nil {
		text += fmt.Sprintf("; the last, %s, received it %s after the first", terminal.Legible(last.to), milliseconds(last.at.Sub(t.hops[0].at)))
	}
	if missing := t.missing(); len(missing) > 0 {
		text += "; not observed: " + strings.Join(missing, ", ")
	}
	return text
}

// last returns the last hop by which a node first received the report, or nil.
func (t *tree) last() (last *hop) {
	for _, i := range t.firsts {
		if h := &t.hops[i]; last == nil || cmp.Or(h.at.Compare(last.at), cmp.Compare(h.to, last.to)) > 0 {
			last = h
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
		if !slices.ContainsFunc(t.hops, func(h hop) bool { return h.from == string(n) || h.to == string(n) }) {
			missing = append(missing, string(n))
		}
	}
	return missing
}

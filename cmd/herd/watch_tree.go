package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"herd/node/line"
)

// learned returns by which hop each server learned of the report, by index. A server tells it, once it knows, to every neighbour but
// the one who told it. So it learned from a message that was seen before any of its own, and of these from the sender whom it did
// not tell; where several are left, from the first. Along these hops time grows, so they make trees: that of the origin, and one of each
// server that learned otherwise, by repair, or from a message that was not seen.
func (s *spread) learned() map[string]int {
	spoke := make(map[string]int) // first
	told := make(map[[2]string]bool)
	for i, h := range s.hops {
		if _, before := spoke[h.from]; !before {
			spoke[h.from] = i
		}
		told[[2]string{h.from, h.to}] = true
	}
	learned := make(map[string]int)
	for i, h := range s.hops {
		if first, spoke := spoke[h.to]; h.to == string(s.report.Origin()) || spoke && i > first {
			continue
		}
		if by, known := learned[h.to]; !known || told[[2]string{h.to, s.hops[by].from}] && !told[[2]string{h.to, h.from}] {
			learned[h.to] = i
		}
	}
	return learned
}

// branch is a line of a tree.
type branch struct {
	lead  string // strokes
	name  string
	first string // time since the flood was first seen
	hop   string // and since the hop before
	knew  bool   // already: it ends here
	root  bool
}

// tree is a flood in lines.
type tree struct {
	*spread
	learned map[string]int
	lines   []branch
	depth   int
	width   int // of names with their strokes
}

func (s *spread) tree() *tree {
	t := &tree{spread: s, learned: s.learned()}
	planted := make(map[string]bool)
	plant := func(server, remark string) {
		if _, grown := t.learned[server]; !grown && !planted[server] {
			planted[server] = true
			t.add(branch{name: legible(server) + remark, root: true})
			t.grow(server, "", 1, nil)
		}
	}
	origin := string(s.report.Origin())
	if slices.ContainsFunc(s.hops, func(h hop) bool { return h.from == origin }) {
		plant(origin, " "+s.report.Skew())
	}
	for _, h := range s.hops {
		plant(h.from, ", who learned otherwise")
	}
	return t
}

func (t *tree) add(b branch) {
	t.lines = append(t.lines, b)
	t.width = max(t.width, utf8.RuneCountInString(b.lead+b.name))
}

// grow adds whom a server told, and whom those told that had not known. It learned by the hop before; nil: that was not seen.
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
		b := branch{lead: lead + stroke, name: legible(h.to), first: milliseconds(h.at.Sub(t.hops[0].at)), hop: "–"}
		if before != nil {
			b.hop = milliseconds(h.at.Sub(before.at))
		}
		by, told := t.learned[h.to]
		b.knew = !told || by != i
		t.add(b)
		if !b.knew {
			t.depth = max(t.depth, depth)
			t.grow(h.to, lead+under, depth+1, h)
		}
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

// show writes a flood as a tree, and what became of it.
func (s *spread) show(text *bytes.Buffer, i ink) {
	t := s.tree()
	fmt.Fprintf(text, "%s  %s  %s  %s\n", i.paint(dim, s.hops[0].at.Format(timeOfDay)), i.paint(bold, legible(string(s.report.Client()))),
		s.report.Position(), s.report.Time())
	heads := [2]string{"since first", "since hop"}
	for n, b := range t.lines {
		gap := strings.Repeat(" ", t.width-utf8.RuneCountInString(b.lead+b.name))
		switch times := fmt.Sprintf("  %13s  %13s", b.first, b.hop); {
		case b.root && n == 0:
			server, rest, _ := strings.Cut(b.name, " ")
			fmt.Fprintf(text, "%s%s\n", i.paint(i.of(server), server)+i.paint(dim, " "+rest)+gap, i.paint(dim, fmt.Sprintf("  %13s  %13s", heads[0], heads[1])))
		case b.root:
			fmt.Fprintf(text, "%s\n", b.name)
		case b.knew:
			fmt.Fprintf(text, "%s\n", i.paint(dim, b.lead+b.name+gap+times+"  knew it"))
		default:
			fmt.Fprintf(text, "%s%s%s%s\n", i.paint(dim, b.lead), i.paint(i.of(b.name), b.name), gap, i.paint(dim, times))
		}
	}
	fmt.Fprintf(text, "%s\n\n", t.summary())
}

// summary says what the flood took, and whom it was not seen to reach.
func (t *tree) summary() string {
	messages := plural(len(t.hops), "message")
	if t.topology != nil && len(t.hops) < t.most() {
		messages = fmt.Sprintf("%d of %s", len(t.hops), plural(t.most(), "message"))
	}
	text := fmt.Sprintf("%s to %s over %s", messages, plural(len(t.learned), "server"), plural(t.depth, "hop"))
	if last := t.last(); last != nil {
		text += fmt.Sprintf("; the last, %s, was told %s after the first", legible(last.to), milliseconds(last.at.Sub(t.hops[0].at)))
	}
	if missing := t.missing(); len(missing) > 0 {
		text += "; not seen: " + names(missing)
	}
	return text
}

// last returns the last hop by which a server learned.
func (t *tree) last() (last *hop) {
	for _, i := range t.learned {
		if h := &t.hops[i]; last == nil || cmp.Or(h.at.Compare(last.at), cmp.Compare(h.to, last.to)) > 0 {
			last = h
		}
	}
	return last
}

// missing returns the servers that neither told nor were told.
func (t *tree) missing() (missing []line.NodeName) {
	if t.topology == nil {
		return nil
	}
	for _, n := range t.topology.Nodes() {
		if !slices.ContainsFunc(t.hops, func(h hop) bool { return h.from == string(n) || h.to == string(n) }) {
			missing = append(missing, n)
		}
	}
	return missing
}

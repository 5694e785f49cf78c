package simulate

import (
	"slices"
	"testing"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

// Two nodes with one name do not stop the others: what is reported at any of the others reaches everybody at once, what is reported at one of the
// duplicates everybody else, and the other duplicate by a sync. Both duplicates and all their neighbours notice within 35 s, log it every minute, and
// sync no more than every 30 s from then on. A minute after one of them has gone everything is as ever.
func TestDuplicateNames(t *testing.T) {
	skipRacing(t)
	type sign struct {
		node int
		peer line.NodeName
		what flood.NoticeKind
	}
	times := make(map[sign][]time.Duration)
	var h *herd
	notice := func(n *node, what flood.Notice) {
		where := sign{n.index, what.Peer, what.Kind}
		times[where] = append(times[where], h.now)
	}
	const first, second = 1, 5 // both are Hands, between Goloman, 0, and Wilkes, 4
	h = newHerd(3, settings{
		topology: campus(t), duplicates: []line.NodeName{"Hands"}, delay: 5 * time.Millisecond, onNotice: notice,
	})
	const minutes = 5
	const alone = 20 * time.Second
	for i, n := range h.nodes {
		if i != second {
			n.start()
		}
	}
	h.in(alone, h.nodes[second].start)
	speak := func(until time.Duration, duplicates bool) {
		for h.now < until {
			h.run(h.now + 20*time.Millisecond)
			if n := h.nodes[h.rng.IntN(len(h.nodes))]; n.engine != nil && (duplicates || n.name != "Hands") {
				n.move(t, h.rng.IntN(100))
			}
		}
	}
	speak(alone+minutes*time.Minute, true)
	// What is reported at a duplicate reaches the other by a sync only, so they are equal only for moments.
	h.run(h.now + 100*time.Second)
	if !h.equal() {
		t.Error("the duplicates did not stop, and not all are equal")
	}
	speak(h.now+time.Minute, false)
	if took, equal := h.converge(5*time.Millisecond, time.Second); !equal || took > 50*time.Millisecond {
		t.Errorf("what is reported at others: equal %v after %s", equal, took)
	}
	for _, where := range []sign{
		{first, "Goloman", flood.DuplicateName},
		{second, "Goloman", flood.DuplicateName},
		{first, "Wilkes", flood.DuplicateName},
		{second, "Wilkes", flood.DuplicateName},
		{0, "Hands", flood.DuplicateNeighbourName},
		{4, "Hands", flood.DuplicateNeighbourName},
	} {
		at := times[where]
		if len(at) < minutes || at[0] > alone+35*time.Second {
			t.Errorf("%+v at %v: not told every minute, or late", where, at)
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < time.Minute {
				t.Errorf("%+v at %v: noticed more often than every minute", where, at)
			}
		}
	}
	syncs := 0
	for where, at := range times {
		if duplicate := where.what == flood.DuplicateName || where.what == flood.DuplicateNeighbourName; duplicate && (where.node == 2 || where.node == 3) {
			t.Errorf("%+v at %v: a false alarm", where, at)
		}
		if near := where.peer == "Hands" || where.node == first || where.node == second; where.what != flood.Synced || !near {
			continue
		}
		at = slices.DeleteFunc(slices.Clone(at), func(t time.Duration) bool { return t <= alone+35*time.Second })
		syncs += len(at)
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < 29*time.Second {
				t.Errorf("syncs at %d over the link to %s, %s and %s", where.node, where.peer, at[i-1], at[i])
			}
		}
	}
	if syncs == 0 {
		t.Error("no syncs")
	}
	h.nodes[second].crash()
	h.nodes = h.nodes[:second]
	h.run(h.now + 70*time.Second)
	clear(times)
	speak(h.now+time.Minute, true)
	if took, equal := h.converge(5*time.Millisecond, time.Second); !equal || took > 50*time.Millisecond || len(times) > 0 {
		t.Errorf("alone again: equal %v after %s; %v", equal, took, times)
	}
}

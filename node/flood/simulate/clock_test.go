package simulate

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

// A clock that was ahead of the retention for some seconds, and is right again, keeps nothing out: neither new reports nor
// those that were forgotten meanwhile and that a neighbour still holds.
func TestClockSetBack(t *testing.T) {
	const retention, ahead, wrong = time.Hour, 2 * time.Hour, 5 * time.Second
	for _, tt := range []struct {
		name     string
		topology *topology.Topology
		wrong    []int
		back     int // cut-offs that move back
		lost     bool
	}{
		{"one of five", campus(t), []int{1}, 0, false}, // its judged clock is right
		{"one of two", hub(t, 1), []int{1}, 1, false},
		{"all", campus(t), []int{0, 1, 2, 3, 4}, 5, true}, // nobody holds what all have forgotten
	} {
		h := newHerd(1, settings{topology: tt.topology, delay: 5 * time.Millisecond, retention: retention})
		back := 0
		h.onNotice = func(_ *node, what flood.Notice) {
			if what.Kind == flood.CutoffBack {
				back++
			}
		}
		h.start()
		h.run(3 * time.Second)
		const early = 50
		for i := range early {
			h.nodes[i%len(h.nodes)].move(t, i)
		}
		h.run(h.now + time.Second)
		for _, i := range tt.wrong {
			h.nodes[i].clock += ahead
		}
		h.run(h.now + wrong)
		for _, i := range tt.wrong {
			h.nodes[i].clock -= ahead
		}
		const late = 1000
		for i := range late { // so many that digests are never compared meanwhile
			h.run(h.now + 4*time.Millisecond)
			h.nodes[i%len(h.nodes)].move(t, early+i)
		}
		h.run(h.now + 20*time.Millisecond) // for three hops
		want := early + late
		if tt.lost {
			want = late
		}
		for _, n := range h.nodes {
			if _, clients := n.engine.Registry().Digest(); clients != want {
				t.Errorf("%s: %s holds %d clients instead of %d", tt.name, n.name, clients, want)
			}
		}
		if back != tt.back {
			t.Errorf("%s: %d cut-offs moved back", tt.name, back)
		}
	}
}

const day = 24 * time.Hour

// since1970 is a clock that was never set.
var since1970 = -time.Duration(epoch.UnixNano())

// hub returns the topology of node 0 and its neighbours.
func hub(t testing.TB, neighbours int) *topology.Topology {
	t.Helper()
	var links [][2]int
	for i := range neighbours {
		links = append(links, [2]int{0, i + 1})
	}
	topo, err := named(1+neighbours, links)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// The judged clock is right wherever most of the clocks that count are, and a right clock follows no wrong one.
func TestJudgedClock(t *testing.T) {
	for _, tt := range []struct {
		name     string
		topology *topology.Topology
		clocks   map[int]time.Duration // of nodes, the others are right
		judged   map[int]time.Duration // where it is not right
	}{
		{"all right", campus(t), nil, nil},
		{"within an hour", campus(t), map[int]time.Duration{0: 59 * time.Minute}, map[int]time.Duration{0: 59 * time.Minute}},
		{"one behind", campus(t), map[int]time.Duration{0: -10 * day}, nil},
		{"one ahead", campus(t), map[int]time.Duration{4: 10 * day}, nil},
		{"never set", campus(t), map[int]time.Duration{2: since1970}, nil},
		{"two never set", campus(t), map[int]time.Duration{2: since1970, 3: since1970 + day}, map[int]time.Duration{3: since1970 + day}},
		{"a leaf is wrong", hub(t, 3), map[int]time.Duration{1: -3 * day}, nil},
		{"the hub is wrong", hub(t, 3), map[int]time.Duration{0: -3 * day}, nil},
		{"one of two never set", hub(t, 1), map[int]time.Duration{0: since1970}, nil},
		{"one of two wrong", hub(t, 1), map[int]time.Duration{0: 3 * day}, map[int]time.Duration{0: 3 * day}},
	} {
		h := newHerd(1, settings{topology: tt.topology, delay: 300 * time.Millisecond})
		for i, clock := range tt.clocks {
			h.nodes[i].clock = clock
		}
		h.start()
		check := func(when string, judged map[int]time.Duration) {
			t.Helper()
			for i, n := range h.nodes {
				if off := n.engine.Judged(n.time()).Sub(epoch.Add(h.now)) - judged[i]; off.Abs() > time.Second {
					t.Errorf("%s: %s: the judged clock of %s is off by %s", tt.name, when, n.name, off)
				}
				if got := n.engine.ClockCorrection(n.time()) != 0; got != (tt.clocks[i] != judged[i]) {
					t.Errorf("%s: %s: %s corrects its clock: %v", tt.name, when, n.name, got)
				}
			}
		}
		h.run(4 * time.Second)
		check("connected", tt.judged)
		for _, w := range h.directions {
			w.cut = true
		}
		h.run(h.now + 10*time.Second)
		check("cut off", tt.judged)
		for i := range tt.clocks {
			h.nodes[i].clock, tt.clocks[i] = 0, 0
		}
		h.run(h.now + 1500*time.Millisecond)
		check("set right", nil)
	}
}

// A server whose clock was never set takes its neighbours' for its own: what it receives is ordered, and forgotten, as if the
// clock were right.
func TestServerNeverSet(t *testing.T) {
	const retention = time.Hour
	h := newHerd(1, settings{topology: campus(t), delay: 5 * time.Millisecond, retention: retention})
	var notices []string
	h.onNotice = func(n *node, what flood.Notice) {
		switch what.Kind {
		case flood.ClockBehind, flood.ClockAgrees:
			notices = append(notices, fmt.Sprint(n.index, what.Kind == flood.ClockBehind))
		}
	}
	unset := h.nodes[3]
	unset.clock = since1970
	h.start()
	h.run(3 * time.Second)
	ahead := line.Parse(fmt.Appendf(nil, "IAMAT kiwi +1-1 %d", epoch.Add(100*day).Unix()))
	if r, admitted := unset.report(&ahead); !admitted || time.Duration(r.Received()-epoch.UnixNano()).Round(time.Second) != h.now {
		t.Errorf("%q is admitted: %v", r, admitted)
	}
	h.run(h.now + time.Second)
	right := line.Parse(fmt.Appendf(nil, "IAMAT kiwi +2-2 %d", epoch.Add(h.now).Unix()))
	r, admitted := h.nodes[0].report(&right)
	if !admitted {
		t.Errorf("%q is kept out", r)
	}
	h.run(h.now + time.Second)
	for _, n := range h.nodes {
		if held, _ := n.engine.Registry().Get("kiwi"); held != r {
			t.Errorf("%s holds %q", n.name, held)
		}
	}
	unset.clock = 0
	h.run(h.now + 2*time.Second)
	slices.Sort(notices)
	if want := []string{"2 false", "3 false", "3 true"}; !slices.Equal(notices, want) {
		t.Errorf("notices %q, want %q", notices, want)
	}
}

// A receipt that is more than a day ahead of the judged clock is refused, and forgotten by who held it before it could tell;
// when the clock turns out to have been behind, it is fetched.
func TestReceiptsAhead(t *testing.T) {
	h := newHerd(1, settings{topology: hub(t, 2), delay: 5 * time.Millisecond})
	refused := make(map[string]int)
	h.onNotice = func(n *node, what flood.Notice) {
		if what.Kind == flood.ReceiptsAhead {
			refused[fmt.Sprint(n.index, " ", what.Detail)]++
		}
	}
	h.start()
	report := func(n *node, client string, after time.Duration) line.Report {
		at := epoch.Add(h.now + after)
		c := line.Parse(fmt.Appendf(nil, "IAMAT %s +1-1 %d", client, at.Unix()))
		r := line.NewReport("Elsewhere", at.UnixNano(), &c)
		n.engine.Apply(r, flood.Local)
		n.pumpWoken()
		return r
	}
	held := func() (clients []string) {
		for _, n := range h.nodes {
			for r := range n.engine.Registry().All() {
				if r.Origin() == "Elsewhere" {
					clients = append(clients, fmt.Sprint(n.index, " ", r.Client()))
				}
			}
		}
		slices.Sort(clients)
		return clients
	}
	report(h.nodes[1], "early", 2*day)
	h.run(3 * time.Second)
	if got := held(); len(got) > 0 {
		t.Errorf("when clocks are known, %q is held", got)
	}
	clear(refused)
	report(h.nodes[1], "possible", day-time.Minute)
	report(h.nodes[1], "later", day+time.Hour)
	h.run(h.now + 3*time.Second)
	want := []string{"0 possible", "1 later", "1 possible", "2 possible"}
	if got := held(); !slices.Equal(got, want) {
		t.Errorf("%q is held, want %q", got, want)
	}
	if !maps.Equal(refused, map[string]int{"0 Elsewhere": refused["0 Elsewhere"]}) || refused["0 Elsewhere"] == 0 {
		t.Errorf("refused %v", refused)
	}
	for _, n := range h.nodes {
		n.clock += 2 * day
	}
	for i := range 700 { // so many that digests are never compared meanwhile
		h.run(h.now + 4*time.Millisecond)
		h.nodes[i%3].move(t, i)
	}
	want = []string{"0 later", "0 possible", "1 later", "1 possible", "2 later", "2 possible"}
	if got := held(); !slices.Equal(got, want) {
		t.Errorf("when clocks were set forward, %q is held, want %q", got, want)
	}
}

// An offset beyond 10 s is noticed at both ends, once, and so is its end; but not what may be the delay of heartbeats.
func TestClockNotices(t *testing.T) {
	for _, tt := range []struct {
		offset, there, back time.Duration
		noticed             bool
	}{
		{9900 * time.Millisecond, time.Millisecond, time.Millisecond, false},
		{10100 * time.Millisecond, time.Millisecond, time.Millisecond, true},
		{-10100 * time.Millisecond, time.Millisecond, time.Millisecond, true},
		{10100 * time.Millisecond, time.Second, time.Second, false},
		{11100 * time.Millisecond, time.Second, time.Second, true},
		{9 * time.Second, 2 * time.Second, 100 * time.Millisecond, false},
		{-9 * time.Second, 2 * time.Second, 100 * time.Millisecond, false},
		{0, 3 * time.Second, 3 * time.Second, false},
	} {
		h := newHerd(1, settings{topology: hub(t, 1)})
		h.direction(0, 1).delay, h.direction(1, 0).delay = tt.there, tt.back
		var notices []string
		h.onNotice = func(n *node, what flood.Notice) {
			switch what.Kind {
			case flood.ClockDiffers:
				notices = append(notices, fmt.Sprint(n.index, " differs from ", what.Peer, " by ", what.Duration.Round(time.Second)))
			case flood.ClockAgrees:
				notices = append(notices, fmt.Sprint(n.index, " agrees with ", what.Peer))
			}
		}
		h.nodes[1].clock = tt.offset
		h.start()
		h.run(20 * time.Second)
		h.nodes[1].clock = 0
		h.run(h.now + 10*time.Second)
		var want []string
		if tt.noticed {
			names := [2]line.NodeName{h.nodes[0].name, h.nodes[1].name}
			by := tt.offset.Round(time.Second)
			want = []string{
				fmt.Sprint("0 agrees with ", names[1]), fmt.Sprint("0 differs from ", names[1], " by ", by),
				fmt.Sprint("1 agrees with ", names[0]), fmt.Sprint("1 differs from ", names[0], " by ", -by),
			}
		}
		slices.Sort(notices)
		if !slices.Equal(notices, want) {
			t.Errorf("%+v: notices %q, want %q", tt, notices, want)
		}
	}
}

// A clock that has just been set does not count before it is judged: alone, a node follows it a second later, and among others
// it does not.
func TestClockJustSet(t *testing.T) {
	for neighbours, want := range []time.Duration{10 * day, 10 * day, 0} {
		h := newHerd(1, settings{topology: hub(t, neighbours), delay: 5 * time.Millisecond})
		h.start()
		h.run(3 * time.Second)
		n := h.nodes[0]
		for _, step := range []time.Duration{10 * day, -10 * day} {
			before := n.engine.Judged(n.time())
			n.clock += step
			if got := n.engine.Judged(n.time()); !got.Equal(before) {
				t.Errorf("%d neighbours: the clock is set by %s, and the judged one from %s to %s", neighbours, step, before, got)
			}
			h.run(h.now + 1500*time.Millisecond)
			if got := n.engine.Judged(n.time()).Sub(epoch.Add(h.now)).Round(time.Second); step > 0 && got != want || step < 0 && got != 0 {
				t.Errorf("%d neighbours: a second after the clock was set by %s, the judged one is off by %s", neighbours, step, got)
			}
		}
	}
}

package simulate

import (
	"fmt"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"herd/node/flood"
	"herd/node/line"
)

const (
	recordsTime = 12 * time.Second        // two records, and a heartbeat each: the first may have been too early, if a clock was set back
	hopTime     = 1500 * time.Millisecond // the next heartbeat, and the longest way
)

// known returns what a node knows of another, or nil.
func (n *node) known(of *node) *flood.Record {
	for _, r := range n.engine.Records(n.time()) {
		if r.Name == of.name {
			return &r
		}
	}
	return nil
}

// age returns how old that is.
func (n *node) age(of *node) time.Duration {
	r := n.known(of)
	if r == nil {
		return -1
	}
	return n.time().Sub(r.Created)
}

// recorded returns nil if all nodes know how all are: that all links are up and all registries equal.
func (h *herd) recorded() error {
	for _, n := range h.nodes {
		if got := len(n.engine.Records(n.time())); got != len(h.nodes) {
			return fmt.Errorf("%s knows records of %d nodes", n.name, got)
		}
		for _, of := range h.nodes {
			digest, clients := of.engine.Registry().Digest()
			r := n.known(of)
			if r == nil || r.Incarnation != of.engine.Incarnation() || r.Digest != digest || r.Clients != clients || len(r.Links) != len(of.ports) {
				return fmt.Errorf("%s knows of %s, which holds %016x: %+v", n.name, of.name, digest, r)
			}
			for _, l := range r.Links {
				if l.State != flood.Up {
					return fmt.Errorf("%s knows of %s that its link to %s is %s", n.name, of.name, l.Peer, l.State)
				}
			}
		}
	}
	return nil
}

func recordingCampus(t *testing.T, seed uint64) *herd {
	h := newHerd(seed, settings{topology: campus(t), delay: 10 * time.Millisecond, records: true})
	for i, n := range h.nodes {
		n.clock = time.Duration(i-2) * 20 * time.Minute // which does no harm
		h.at(time.Duration(i)*130*time.Millisecond, nil, call(n.start))
	}
	return h
}

// A node sends its record every 5 s, all others have it a heartbeat a hop later: three hops are the most of the campus. How old that is
// everybody knows to the time that messages are on their way.
func TestRecords(t *testing.T) {
	skipRacing(t)
	h := recordingCampus(t, 1)
	h.run(20 * time.Second)
	last := make(map[[2]line.NodeName]int64)
	made := make(map[line.NodeName]map[int64]bool)
	oldest := time.Duration(0)
	const minute = time.Minute
	for end := h.now + minute; h.now < end; h.run(h.now + 50*time.Millisecond) {
		if err := h.recorded(); err != nil {
			t.Fatal(err)
		}
		for _, n := range h.nodes {
			for _, of := range h.nodes {
				if n == of {
					continue
				}
				r := n.known(of)
				if direction := [2]line.NodeName{n.name, of.name}; r.Time < last[direction] {
					t.Fatalf("%s knew a later record of %s", n.name, of.name)
				} else {
					last[direction] = r.Time
				}
				if made[of.name] == nil {
					made[of.name] = make(map[int64]bool)
				}
				made[of.name][r.Time] = true
				age, real := n.time().Sub(r.Created), of.time().Sub(time.Unix(0, r.Time))
				if off := real - age; off < 0 || off > 3*10*time.Millisecond {
					t.Fatalf("%s takes a record of %s for %s old, it is %s", n.name, of.name, age, real)
				}
				oldest = max(oldest, real)
			}
		}
	}
	if most := 5*time.Second + 3*(time.Second+10*time.Millisecond); oldest > most {
		t.Errorf("a record was %s old, more than %s", oldest, most)
	}
	for name, times := range made {
		if len(times) < 12 || len(times) > 14 {
			t.Errorf("%s made %d records in a minute", name, len(times))
		}
	}
}

// Where a herd is cut in two, records of the other side grow old and are forgotten, those of one's own are renewed; links that were
// cut are down in them. After the heal all are sent again.
func TestRecordsOfACutHerd(t *testing.T) {
	h := recordingCampus(t, 2)
	h.run(20 * time.Second)
	far := func(n *node) bool { return n.name == "Holiday" || n.name == "Welsh" }
	cut := func(is bool) {
		for _, w := range h.directions {
			if far(w.from) != far(w.to) {
				w.cut = is
			}
		}
	}
	cut(true)
	began := h.now
	h.run(began + 30*time.Second)
	each := func(look func(n, of *node, across bool)) {
		for _, n := range h.nodes {
			for _, of := range h.nodes {
				look(n, of, far(n) != far(of))
			}
		}
	}
	each(func(n, of *node, across bool) {
		if age := n.age(of); across && (age < 30*time.Second || age > 39*time.Second) || !across && (age < 0 || age > 9*time.Second) {
			t.Errorf("after 30 s what %s knows of %s is %s old", n.name, of.name, age)
		}
		if n.name != "Goloman" || of.name != "Wilkes" {
			return
		}
		for _, l := range n.known(of).Links {
			if want := map[bool]flood.State{true: flood.Down, false: flood.Up}[l.Peer == "Holiday"]; l.State != want {
				t.Errorf("Wilkes says its link to %s is %s", l.Peer, l.State)
			}
		}
	})
	h.run(began + 10*time.Minute + time.Second)
	each(func(n, of *node, across bool) {
		if r := n.known(of); (r == nil) != across {
			t.Errorf("after 10 minutes %s knows of %s: %+v", n.name, of.name, r)
		}
	})
	cut(false)
	h.run(h.now + recordsTime)
	if err := h.recorded(); err != nil {
		t.Error(err)
	}
}

// A node that starts again is known by its new start within 5 s and a heartbeat a hop, though its clock was set back by an hour; one that does
// not is forgotten after 10 minutes, by all at about one time, and never brought back though links come and go.
func TestRecordsOfARestart(t *testing.T) {
	h := recordingCampus(t, 3)
	h.run(20 * time.Second)
	welsh := h.nodes[3]
	welsh.crash()
	h.run(h.now + 10*time.Second)
	welsh.clock -= time.Hour
	welsh.start()
	h.run(h.now + 5*time.Second + 4*(time.Second+10*time.Millisecond)) // there is a hop more: it has to receive the record of its earlier start
	for _, n := range h.nodes {
		if r := n.known(welsh); r.Incarnation != welsh.engine.Incarnation() {
			t.Errorf("%s knows an earlier start of Welsh: %+v", n.name, r)
		}
	}
	welsh.crash()
	gone := h.now
	rest := []*node{h.nodes[0], h.nodes[1], h.nodes[2], h.nodes[4]}
	for h.now < gone+10*time.Minute-10*time.Second {
		h.run(h.now + 7*time.Second)
		n := rest[h.rng.IntN(len(rest))]
		n.disconnect()
		h.in(time.Second, n.connect)
	}
	for _, n := range rest[:2] {
		if age := n.age(welsh); age < 9*time.Minute {
			t.Errorf("what %s knows of Welsh is %s old", n.name, age)
		}
	}
	h.run(gone + 10*time.Minute + 100*time.Millisecond)
	for _, n := range rest {
		if r := n.known(welsh); r != nil {
			t.Errorf("%s still knows of Welsh: %+v", n.name, r)
		}
	}
}

// Two nodes under one name each send their record every 5 s: they do not answer each other. Elsewhere the one is shown that sent it last,
// and each knows itself.
func TestRecordsOfDuplicates(t *testing.T) {
	h := newHerd(4, settings{
		topology: campus(t), duplicates: []line.NodeName{"Hands"}, delay: 10 * time.Millisecond, records: true,
	})
	for i, n := range h.nodes {
		h.at(time.Duration(i)*500*time.Millisecond, nil, call(n.start))
	}
	h.run(20 * time.Second)
	duplicates := []*node{h.nodes[1], h.nodes[5]}
	seen := make(map[int64]subject.Incarnation)
	for end := h.now + time.Minute; h.now < end; h.run(h.now + 10*time.Millisecond) {
		r := h.nodes[3].known(duplicates[0])
		seen[r.Time] = r.Incarnation
		for _, n := range duplicates {
			if own := n.known(n); own.Incarnation != n.engine.Incarnation() {
				t.Fatalf("a duplicate takes itself for another: %+v", own)
			}
		}
	}
	made := make(map[subject.Incarnation]int)
	for _, i := range seen {
		made[i]++
	}
	for _, n := range duplicates {
		if got := made[n.engine.Incarnation()]; got < 10 || got > 13 {
			t.Errorf("%d records of a duplicate in a minute", got)
		}
	}
}

// What records cost a herd at rest: the bytes of its heartbeats, with and without them.
func TestRecordBytes(t *testing.T) {
	skipRacing(t)
	fifty, err := NewTopology(Regular, 50, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, topo := range []*topology.Topology{campus(t), fifty} {
		var bytes [2]float64 // a second
		for i, records := range []bool{false, true} {
			h := newHerd(5, settings{topology: topo, delay: 10 * time.Millisecond, records: records})
			h.start()
			h.run(time.Minute)
			before := h.counts.heartbeatBytes
			h.run(2 * time.Minute)
			bytes[i] = float64(h.counts.heartbeatBytes-before) / 60
		}
		n, links := float64(len(topo.Nodes())), float64(len(topo.Links()))
		more := bytes[1] - bytes[0]
		t.Logf("%d nodes, %d links: %.0f B/s of heartbeats, of which %.0f are records: %.0f a node, %.0f a way", len(topo.Nodes()), len(topo.Links()), bytes[1], more, more/n, more/links/2)
		// Each record goes over each link at most once each way but for those by which it first came, every 5 s.
		if each := more / n * 5 / (2*links - (n - 1)); each > 200 {
			t.Errorf("%.0f bytes a record and way", each)
		}
	}
}

package flood

import (
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// A node that starts anew, and of which a cut keeps all messages, is not taken for a duplicate though its neighbour knows only its last
// start: else the link would not be repaired for 30 s.
func TestRestartIsNoDuplicate(t *testing.T) {
	n := newNetwork(star(t, "A", "B"))
	n.pass(t, 2*time.Second)
	n.start("B", subject.Incarnation{9})
	n.drop = func(_, to line.NodeName, _ *Message) bool { return to == "A" }
	n.pass(t, 10*time.Second)
	if got := n.count(DuplicateName) + n.count(DuplicateNeighbourName); got != 0 {
		t.Errorf("%d duplicates", got)
	}
	n.engines["A"].Apply(at(t, "k", 1), Local)
	n.heal()
	n.pass(t, 2*time.Second)
	if len(n.equal(t)) != 1 {
		t.Error("lost")
	}
}

// Where a whole herd runs twice under one name, each heartbeat shows one of two nodes another incarnation than its own. If those answered at once, for ever,
// heartbeats would go to and fro as fast as the bus takes them.
func TestDuplicateHerds(t *testing.T) {
	topology := star(t, "A", "B")
	now, notices := time.Unix(1_000_000, 0), 0
	var as, bs []*Link
	for i := range byte(4) {
		name := line.NodeName("A")
		if i >= 2 {
			name = "B"
		}
		e := NewEngine(Config{Name: name, Incarnation: subject.Incarnation{i + 1}, Topology: topology})
		e.Connect(now)
		if i < 2 {
			as = append(as, e.Links()[0])
		} else {
			bs = append(bs, e.Links()[0])
		}
	}
	var m Message
	send := func(from, to []*Link) {
		for _, l := range from {
			for l.Next(now, &m) {
				if m.Kind == subject.Heartbeat {
					notices++
				}
				for _, peer := range to {
					if err := peer.Receive(now, m, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	const seconds = 30
	for end := now.Add(seconds * time.Second); now.Before(end); now = now.Add(time.Millisecond) {
		send(as, bs)
		send(bs, as)
	}
	if most := 4*4*seconds + 20; notices > most {
		t.Errorf("%d heartbeats in %d s of four nodes, want at most %d", notices, seconds, most)
	}
}

// Heartbeats of a killed start that are received among those of the next start, for less than 30 s on a near link, are no duplicate; those of a node
// that goes on are, from then on.
func TestLateHeartbeats(t *testing.T) {
	const lateStart = 30 * time.Second
	for _, tt := range []struct {
		late time.Duration // for which heartbeats of the first start are received among those of the second
		want int           // notices of each kind
	}{{time.Second, 0}, {lateStart - time.Second, 0}, {lateStart + 2*time.Second, 1}} {
		n := newNetwork(star(t, "A", "B"), recording)
		n.pass(t, 5*time.Second)
		killed := n.engines["B"]
		var kept []Message
		for i := range int(tt.late / time.Second) {
			var m Message
			if !linkTo(killed, "A").Next(n.now.Add(time.Duration(i+2)*time.Second), &m) || m.Kind != subject.Heartbeat {
				t.Fatalf("%+v is no heartbeat", m)
			}
			kept = append(kept, m)
		}
		n.start("B", subject.Incarnation{9}, func(c *Config) { c.Version, c.Started = "v1", n.now })
		for _, m := range kept {
			n.pass(t, time.Second)
			if err := n.link("A", "B").Receive(n.now, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		n.engines["A"].Apply(at(t, "k", 1), Local)
		n.pass(t, 2*time.Second)
		if got := n.count(DuplicateNeighbourName); got != tt.want || n.count(DuplicateName) != tt.want || len(n.equal(t)) != 1 {
			t.Errorf("late for %s: %d notices of the neighbour's name, %d of the own", tt.late, got, n.count(DuplicateName))
		}
	}
}

package simulate

import (
	"slices"
	"testing"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

// paced returns the demo herd with links that carry a report of each client at most once in so long: the only one to Welsh both ways, and one
// of three ways between others in one direction.
func paced(t testing.TB, every time.Duration) *topology.Topology {
	t.Helper()
	base := campus(t)
	topo, err := topology.New(base.Nodes(), base.Links(), topology.Pace{From: "Holiday", To: "Welsh", Every: every},
		topology.Pace{From: "Welsh", To: "Holiday", Every: every}, topology.Pace{From: "Goloman", To: "Hands", Every: every})
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// named returns the node of a name.
func (h *herd) named(name line.NodeName) *node {
	return h.nodes[slices.IndexFunc(h.nodes, func(n *node) bool { return n.name == name })]
}

// passed is what was received in each direction.
type passed map[[2]line.NodeName]*directionPassed

type directionPassed struct {
	reports map[line.ClientID]int
	bytes   int
}

func (p passed) received(n, from *node, r line.Report, _ bool) {
	d := [2]line.NodeName{from.name, n.name}
	if p[d] == nil {
		p[d] = &directionPassed{reports: make(map[line.ClientID]int)}
	}
	p[d].reports[r.Client()]++
	p[d].bytes += len(r.String())
}

// Over a link with every, one report of each client passes in each window, whatever else it reports, and the last one always comes: when the
// movement ends all are equal after a window and a way there. Syncs cost next to nothing meanwhile, though digests cannot be compared.
func TestEvery(t *testing.T) {
	skipRacing(t)
	const clients, windows = 500, 30
	for _, every := range []time.Duration{time.Second, 10 * time.Second} {
		long := every > time.Second // so that each client reports in each window
		p := make(passed)
		h := newHerd(1, settings{topology: paced(t, every), delay: 20 * time.Millisecond, received: p.received})
		h.start()
		h.run(5 * time.Second)
		move := func(seconds int) {
			for range seconds * clients {
				h.run(h.now + time.Second/clients)
				h.nodes[h.rng.IntN(len(h.nodes))].move(t, h.rng.IntN(clients))
			}
		}
		move(20) // the windows of links grow
		clear(p)
		silent := line.Parse([]byte("IAMAT silent +34.068930-118.445127 1"))
		h.named("Holiday").engine.Registry().Merge(line.NewReport("Holiday", epoch.UnixNano(), &silent)) // as if it had been lost for good
		before := h.named("Welsh").syncBytes()
		move(windows * int(every/time.Second))
		for _, d := range [][2]line.NodeName{{"Holiday", "Welsh"}, {"Welsh", "Holiday"}, {"Goloman", "Hands"}} {
			total, most := 0, 0
			for _, n := range p[d].reports {
				total, most = total+n, max(most, n)
			}
			if most > windows+1 || long && d[0] == "Holiday" && total < clients*windows*9/10 {
				t.Errorf("every %s: over %v %d reports of %d clients in %d windows, %d of one", every, d, total, clients, windows, most)
			}
		}
		if n := p[[2]line.NodeName{"Hands", "Goloman"}].reports["client0.example"]; long && n < 2*windows {
			t.Errorf("%d reports in the way that has no every", n)
		}
		if _, found := h.named("Welsh").engine.Registry().Get("silent"); !found && long {
			t.Errorf("every %s: no sync has found what was lost", every)
		}
		sync, reports := h.named("Welsh").syncBytes()-before, p[[2]line.NodeName{"Holiday", "Welsh"}].bytes+p[[2]line.NodeName{"Welsh", "Holiday"}].bytes
		t.Logf("every %s: %d bytes of reports, %d of syncs", every, reports, sync)
		if sync*50 > uint64(reports) {
			t.Errorf("every %s: %d bytes of syncs for %d of reports", every, sync, reports)
		}
		if took, equal := h.converge(time.Millisecond, time.Minute); !equal || took > every+40*time.Millisecond {
			t.Errorf("every %s: equal %v, %s after the last report", every, equal, took)
		}
		h.run(h.now + 3*time.Second)
		h.comparedEqual(t)
	}
}

// syncBytes returns how many bytes of syncs a node has sent and received.
func (n *node) syncBytes() (bytes uint64) {
	for _, l := range n.engine.Links() {
		s := l.Status()
		bytes += s.SyncReceivedBytes + s.SyncSentBytes
	}
	return bytes
}

// comparedEqual fails unless nothing is owed or held, and all neighbours have found each other equal in the last two seconds.
func (h *herd) comparedEqual(t testing.TB) {
	t.Helper()
	for _, n := range h.nodes {
		for _, l := range n.engine.Links() {
			s := l.Status()
			if ago := n.time().Sub(s.DigestCompared); l.Owes() || l.Held() > 0 || !s.DigestEqual || ago > 2*time.Second {
				t.Errorf("%s to %s: owes %v, holds %d, equal %v, compared %s ago", n.name, l.Peer, l.Owes(), l.Held(), s.DigestEqual, ago)
			}
		}
	}
}

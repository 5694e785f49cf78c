package node

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus/bustest"
	"herd/node/line"
)

// The log of the original prototype, its figure 1: Goloman receives where kiwi is, sends it to its three neighbours, and receives it
// back from Wilkes, which had it from Hands before Goloman's own message arrived there.

const (
	kiwi       = "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1528158363.1649215"
	kiwiReport = "Goloman +0.657886266 kiwi.cs.ucla.edu +34.068930-118.445127 1528158363.1649215"
)

// startCampus runs the campus in a bubble, 0.657886266 s after kiwi's time.
func startCampus(t *testing.T) (*bustest.Memory, map[line.NodeName]*testNode) {
	<-time.After(time.Until(time.Unix(1528158363, 164921500+657886266)))
	topo := campus(t)
	m, dialer := memory(topo)
	nodes := make(map[line.NodeName]*testNode)
	for _, name := range topo.Nodes() {
		nodes[name] = startNode(t, name, topo.Neighbours(name), dialer(string(name)), newBlockingFinder())
	}
	synctest.Wait()
	return m, nodes
}

func TestReplayPrototype(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, nodes := startCampus(t)
		// At first Wilkes receives it from Hands alone, and Holiday from Goloman.
		late := [][2]string{{"Goloman", "Wilkes"}, {"Holiday", "Wilkes"}, {"Wilkes", "Holiday"}}
		for _, l := range late {
			m.Hold(l[0], l[1])
		}
		c := nodes["Goloman"].listener.Dial(t)
		go c.Send(kiwi + "\n")
		if got := c.Line() + c.Line(); got != "AT "+kiwiReport+"\n\n" {
			t.Errorf("reply %q", got)
		}
		synctest.Wait()
		for _, l := range late {
			m.Release(l[0], l[1])
		}
		synctest.Wait()

		own := "PROPAGATE Goloman " + kiwiReport
		got := nodes["Goloman"].logged("received", "published", "replied", "received stale")
		slices.Sort(got) // links send side by side
		want := []string{
			"published | Hands | " + own,
			"published | Holiday | " + own,
			"published | Wilkes | " + own,
			"received stale | Wilkes | PROPAGATE Wilkes " + kiwiReport,
			"received | pipe | " + kiwi,
			"replied | pipe | AT " + kiwiReport + "\n\n",
		}
		if !slices.Equal(got, want) {
			t.Errorf("Goloman's log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		got = nodes["Wilkes"].logged("received", "received stale", "published")
		slices.Sort(got)
		want = []string{
			"published | Goloman | PROPAGATE Wilkes " + kiwiReport,
			"published | Holiday | PROPAGATE Wilkes " + kiwiReport,
			"received stale | Goloman | " + own,
			"received stale | Holiday | PROPAGATE Holiday " + kiwiReport,
			"received | Hands | PROPAGATE Hands " + kiwiReport,
		}
		if !slices.Equal(got, want) {
			t.Errorf("Wilkes's log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Where all links take the same time, Goloman's neighbours receive it from Goloman first, and none of them sends it back.
func TestReplayWithoutDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, nodes := startCampus(t)
		for _, l := range campus(t).Links() {
			hop := func() time.Duration { return time.Millisecond }
			m.Delay(string(l[0]), string(l[1]), hop)
			m.Delay(string(l[1]), string(l[0]), hop)
		}
		c := nodes["Goloman"].listener.Dial(t)
		go c.Send(kiwi + "\n")
		c.Line()
		<-time.After(time.Second)
		synctest.Wait()
		messages := 0
		for name, n := range nodes {
			received := slices.DeleteFunc(n.logged("received", "received stale"), func(e string) bool { return strings.Contains(e, "| pipe |") })
			messages += len(received)
			want := "received | Goloman | PROPAGATE Goloman " + kiwiReport
			switch name {
			case "Goloman":
				if len(received) > 0 {
					t.Errorf("Goloman receives its own report: %q", received)
				}
			case "Hands", "Holiday", "Wilkes":
				if received[0] != want {
					t.Errorf("%s received %q first, want %q", name, received[0], want)
				}
			default:
				if len(received) != 1 || received[0] != "received | Holiday | PROPAGATE Holiday "+kiwiReport {
					t.Errorf("%s received %q", name, received)
				}
			}
		}
		if messages != 8 {
			t.Errorf("%d messages, want 8", messages)
		}
	})
}

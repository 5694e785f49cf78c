package node

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus/bustest"
	"herd/node/line"
	"herd/node/status"
)

// A node shows its own record, of now, and the latest that its neighbour has sent; and when their digests were compared.
func TestHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bustest.NewMemory()
		a := startNode(t, "A", []line.NodeName{"B"}, memory.Dialer("A"), newBlockingFinder(), func(c *Config) { c.Version = "v1.2.3" })
		time.Sleep(100 * time.Millisecond)
		b := startNode(t, "B", []line.NodeName{"A"}, memory.Dialer("B"), newBlockingFinder())
		time.Sleep(12500 * time.Millisecond)
		synctest.Wait()
		describe := func(f *testNode, version, peer string, self bool, age, uptime float64) status.Node {
			incarnation := f.engine.Incarnation()
			return status.Node{
				Name: string(f.name), Self: self, Version: version, Incarnation: hex.EncodeToString(incarnation[:]),
				AgeSeconds: age, UptimeSeconds: uptime, Digest: fmt.Sprintf("%016x", 0), Links: []status.LinkState{{Peer: peer, State: "up"}},
			}
		}
		// A made its records after 0, 5 and 10 s, as it did heartbeats.
		for _, each := range []struct {
			at   *testNode
			want []status.Node
		}{
			{a, []status.Node{describe(a, "v1.2.3", "B", true, 0, 12), describe(b, "-", "A", false, 2.5, 10)}},
			{b, []status.Node{describe(a, "v1.2.3", "B", false, 2.5, 10), describe(b, "-", "A", true, 0, 12)}},
		} {
			if got := each.at.Herd(); !reflect.DeepEqual(got, each.want) {
				t.Errorf("%s says\n%+v, want\n%+v", each.at.name, got, each.want)
			}
		}
		if l := a.Health().Links[0]; l.DigestComparedSeconds == nil || *l.DigestComparedSeconds >= 1 || !*l.DigestEqual {
			t.Errorf("compared %v, equal %v", l.DigestComparedSeconds, l.DigestEqual)
		}
	})
}

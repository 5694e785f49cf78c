package admit

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func discard(string, Reason, int, Detail) {}

func TestAddress(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"192.0.2.1:7", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:7", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:7", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff::]:7", "2001:db8:1:2::/64"},
		{"[2001:db8:1:3::1]:7", "2001:db8:1:3::/64"},
		{"[fe80::1%eth0]:7", "fe80::/64"},
	} {
		a := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(tt.address))
		if got := Address(a); got != tt.want {
			t.Errorf("%s is of %s, want %s", tt.address, got, tt.want)
		}
		if got := ParseAddress(tt.address); got != tt.want {
			t.Errorf("as text, %s is of %s, want %s", tt.address, got, tt.want)
		}
	}
	if got := ParseAddress("pipe"); got != "pipe" {
		t.Errorf("what is no address becomes %q", got)
	}
}

// Connections are limited in all and per address, and an address without any takes no memory.
func TestConnections(t *testing.T) {
	c := New(Limits{Connections: 3, PerAddress: 2}, discard)
	for i, step := range []struct {
		address string
		want    bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"c", false}} {
		if got := c.Connect(step.address); got != step.want {
			t.Errorf("connection %d, of %s: %t, want %t", i, step.address, got, step.want)
		}
	}
	if got := c.Counts(); got["too many connections"] != 1 || got["too many connections from one address"] != 1 {
		t.Errorf("counted %v", got)
	}
	c.SetLimits(Limits{})
	for i := range 1000 {
		if !c.Connect(fmt.Sprint(i)) {
			t.Fatalf("without limits connection %d is refused", i)
		}
	}
	for i := range 1000 {
		c.Disconnect(fmt.Sprint(i))
	}
	for _, address := range []string{"a", "b", "a"} {
		c.Disconnect(address)
	}
	if open, accepted := c.Connections(); open != 0 || accepted != 1003 {
		t.Errorf("%d open, %d accepted", open, accepted)
	}
	if len(c.byAddress) != 0 {
		t.Errorf("%d addresses without connections are remembered", len(c.byAddress))
	}
}

// A quota remembers no more addresses than it has room for; those beyond share what one has.
func TestQuotaRemembersFewAddresses(t *testing.T) {
	q, now := new(quota), time.Now()
	for i := range 2 * maxAddresses {
		if got, want := q.use(fmt.Sprint(i), 2, now), i < maxAddresses+2; got != want {
			t.Fatalf("address %d: %t, want %t", i, got, want)
		}
	}
	if !q.use("0", 2, now) || q.use("0", 2, now) || len(q.used) != maxAddresses+1 {
		t.Errorf("%d addresses, and the first is no longer told apart", len(q.used))
	}
}

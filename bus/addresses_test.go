package bus_test

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
)

// cluster is a server with several addresses in fake time. A frozen address accepts connections and says nothing, nor do those that were made.
type cluster struct {
	*bus.Server
	mu     sync.Mutex
	frozen map[string]*atomic.Bool // by address
	latest string                  // that was dialled
}

// addresses are those of the name of a cluster.
var addresses = []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}

func startCluster(t *testing.T, frozen ...string) (*cluster, *bus.NATS) {
	c := &cluster{Server: startServer(t, ""), frozen: make(map[string]*atomic.Bool)}
	for _, a := range addresses {
		c.freeze(a, slices.Contains(frozen, a))
	}
	d := c.Dialer("Hands")
	d.Over("nats://nats:4222", c.dial, addresses...)
	return c, d
}

func (c *cluster) freeze(address string, frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was := c.frozen[address]; was != nil && frozen {
		was.Store(true)
		return
	}
	c.frozen[address] = new(atomic.Bool) // what was made before stays dead
	c.frozen[address].Store(frozen)
}

func (c *cluster) dial(_ context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = host
	if c.frozen[host].Load() {
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		return &frozenAt{here, host}, nil
	}
	return muting{c.Inner(), c.frozen[host]}.InProcessConn()
}

// frozenAt is a connection to an address.
type frozenAt struct {
	net.Conn
	host string
}

func (f *frozenAt) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.host), Port: 4222} }

// Of the addresses of a name one is taken that answers, after those which do not were waited for, for a second each, in whatever order. If none
// does, that is an error when each has had 2.75 s.
func TestFrozenAddresses(t *testing.T) {
	for frozen, want := range []time.Duration{0, time.Second, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			longest := longestDial(t, 50, func() bus.Dialer {
				_, d := startCluster(t, addresses[:frozen]...)
				return d
			})
			if longest != want {
				t.Errorf("with %d frozen addresses of 3, the longest of 50 dials took %s, want %s", frozen, longest, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, d := startCluster(t, addresses...)
		began := time.Now()
		_, err := d.Dial(t.Context(), bustest.NewInbox())
		const want = "bus: connect to nats://nats:4222: nothing came from it in 2.75s"
		if took := time.Since(began); took != 4750*time.Millisecond || err == nil || err.Error() != want {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

// A node whose server freezes is on another one as soon as the silence is noticed: it does not dial the address again that fell silent.
func TestFrozenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := startCluster(t)
		ctx, cancel := context.WithCancel(t.Context())
		conns, ended := make(chan bus.Conn), make(chan struct{})
		go func() {
			defer close(ended)
			bus.Run(ctx, bustest.OnCampus(d, "Hands"), bustest.NewInbox(), func(serving context.Context, c bus.Conn) error {
				conns <- c
				<-serving.Done()
				return nil
			}, func(error) {})
		}()
		c := <-conns
		for range 100 {
			<-time.After(1234 * time.Millisecond)
			frozen := s.latest
			s.freeze(frozen, true)
			last := bus.LastRead(c)
			c = <-conns
			if took := time.Since(last); took != bus.Silence || s.latest == frozen {
				t.Fatalf("back %s after the last byte, at %s after %s", took, s.latest, frozen)
			}
			s.freeze(frozen, false)
		}
		cancel()
		<-ended
	})
}

package bus_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/keys"
	"herd/bus/subject"

	"github.com/nats-io/nats.go"
)

// cable is the way to a server in fake time. While it is cut, what is on it and what is begun is lost for good.
type cable struct {
	server nats.InProcessConnProvider
	mu     sync.Mutex
	cut    *atomic.Bool // of the connections since the last heal
}

func (c *cable) now() *atomic.Bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

func (c *cable) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = new(atomic.Bool)
}

// answers is how long a server takes to answer over a cable.
const answers = 100 * time.Millisecond

func (c *cable) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	cut := c.now()
	var answer <-chan time.Time
	if !cut.Load() {
		answer = time.After(answers)
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-answer:
		return muting{c.server, cut}.InProcessConn()
	}
}

// However long a node was cut off, it is back 0.75 s after the heal and the time that the server takes to answer: an attempt is begun
// every 0.75 s, without a pause between two dials.
func TestPromptReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, "")
		c := &cable{server: s.Inner(), cut: new(atomic.Bool)}
		d := s.Dialer("Goloman")
		d.Over("nats://192.0.2.1:4222", c.connect)
		ctx, cancel := context.WithCancel(t.Context())
		back := make(chan time.Time)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			bus.Run(ctx, bustest.OnCampus(d, "Goloman"), bustest.NewInbox(), func(serving context.Context, _ bus.Conn) error {
				back <- time.Now()
				<-serving.Done()
				return nil
			}, func(error) {})
		}()
		<-back
		dice := rand.New(rand.NewPCG(4, 4))
		var longest time.Duration
		for range 400 {
			<-time.After(time.Duration(dice.Int64N(int64(10 * time.Second))))
			c.now().Store(true)
			<-time.After(bus.Silence + time.Duration(dice.Int64N(int64(10*time.Second))))
			c.heal()
			healed := time.Now()
			longest = max(longest, (<-back).Sub(healed))
		}
		const most = bus.SynTime + answers
		if longest > most || longest < most-bus.SynTime/10 {
			t.Errorf("in 400 cuts the longest return took %s, want little less than %s", longest, most)
		}
		cancel()
		<-ended
	})
}

// proxy stands between a node and a server on real sockets. While it is cut it neither reads nor writes and closes nothing; what was
// connected or is begun then is dead for good.
type proxy struct {
	net.Listener
	server string
	takes  int // bytes that the system takes for a proxy that does not read; 0: megabytes, with time
	mu     sync.Mutex
	cut    chan struct{} // closed when it is
	begun  chan struct{} // receives one value for each connection that is begun in a cut
	tasks  sync.WaitGroup
	conns  []net.Conn
}

func startProxy(t *testing.T, server string, takes int) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: server, takes: takes, cut: make(chan struct{}), begun: make(chan struct{}, 1000)}
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.tasks.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.keep(c)
		select {
		case <-p.cut:
			p.begun <- struct{}{}
		default:
			if s, err := net.Dial("tcp", p.server); err == nil {
				p.keep(s)
				cut := p.cut
				p.tasks.Go(func() { forward(c, s, cut) })
				p.tasks.Go(func() { forward(s, c, cut) })
			}
		}
		p.mu.Unlock()
	}
}

// keep limits what the system takes for a connection, and notes it.
func (p *proxy) keep(c net.Conn) {
	if p.takes > 0 {
		_ = c.(*net.TCPConn).SetReadBuffer(p.takes) // it fails only if the connection has ended
	}
	p.conns = append(p.conns, c)
}

// forward passes on what it reads until the cut. What it is reading then is lost.
func forward(to, from net.Conn, cut <-chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-cut:
			return
		default:
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			to.Close()
			return
		}
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = make(chan struct{})
}

// A silent cut on real sockets is noticed, idle and while four goroutines publish as fast as they can, also over TLS; and so is a frozen
// server, whose system takes and acknowledges what is slowly published. After the heal the node is back, though an attempt begun before it is
// lost and the server still holds the old connection. By design this takes about 4 s and 1.3 s, to which TestSilentCut, TestAcknowledgements
// and TestPromptReturn hold it exactly, in fake time; the rest of the limits is for a busy machine.
func TestSilentCutOnSockets(t *testing.T) {
	const noticed, returned = 10 * time.Second, 5 * time.Second
	const little = 64 << 10 // as behind a cut, where nothing is acknowledged
	for name, test := range map[string]struct {
		publishers int
		pause      time.Duration // after each message
		takes      int
		adjust     func(*keys.Plan)
	}{
		"idle":      {0, 0, little, bustest.Private},
		"load":      {4, 0, little, bustest.Private},
		"load, TLS": {4, 0, little, bustest.Mutual},
		"frozen":    {1, 20 * time.Millisecond, 0, bustest.Private},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := bustest.MakeKeys(t, bustest.Plan(test.adjust))
			s := startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf"))
			node := func(name, url string) bus.Dialer {
				c, err := k.Node(name)
				if err != nil {
					t.Fatal(err)
				}
				d := &bus.NATS{URL: url, Herd: "herd", Node: name}
				d.Identify(c)
				return bustest.OnCampus(d, name)
			}
			var received atomic.Int64
			bustest.Dial(t, node("Hands", s.ClientURL()), bustest.Receiver(func(bus.Message) { received.Add(1) }))
			p := startProxy(t, s.Addr().String(), test.takes)

			ctx, cancel := context.WithCancel(t.Context())
			conns, silent, ended := make(chan bus.Conn), make(chan error, 100), make(chan struct{})
			go func() {
				defer close(ended)
				bus.Run(ctx, node("Goloman", "nats://"+p.Addr().String()), bustest.NewInbox(), func(serving context.Context, c bus.Conn) error {
					select {
					case conns <- c:
					case <-serving.Done(): // after the test failed, or lost at once
					}
					var publishing sync.WaitGroup
					for range test.publishers {
						publishing.Go(func() {
							payload := make([]byte, 120)
							for serving.Err() == nil && c.Publish("Hands", bus.Message{Kind: subject.Propagate, Stamp: bustest.SampleStamp, Payload: payload}) == nil {
								<-time.After(test.pause)
							}
						})
					}
					<-serving.Done()
					publishing.Wait()
					return nil
				}, func(err error) { silent <- err })
			}()
			defer func() {
				cancel()
				<-ended
			}()
			c := <-conns
			if test.publishers > 0 {
				eventually(t, "the load is full", func() bool { return received.Load() > 10_000 || test.pause > 0 })
			}
			if err := c.Err(); err != nil {
				t.Fatalf("lost before the cut: %v", err)
			}
			close(p.cut)
			cut := time.Now()
			why := <-silent
			took, first := time.Since(cut), c
			<-p.begun
			p.heal()
			healed := time.Now()
			c = <-conns
			back := time.Since(healed)
			t.Logf("noticed after %s (%v), back after %s", took.Round(time.Millisecond), why, back.Round(time.Millisecond))
			if took > noticed || back > returned || !errors.Is(why, bus.ErrSilent) || first.Err() == nil {
				t.Errorf("noticed after %s for %v and back after %s, want at most %s and %s; the first connection has %v", took, why, back, noticed, returned, first.Err())
			}
			second := bustest.NewInbox()
			bustest.Dial(t, node("Hands", s.ClientURL()), second)
			bustest.Publish(t, c, subject.Propagate, "Hands", "back")
			<-second.Messages
		})
	}
}

package bus

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

// A name is asked for anew by every attempt: no answer that was lost in a cut keeps those after it waiting.
func TestLookupAgain(t *testing.T) {
	if _, err := (&net.Resolver{PreferGo: true}).LookupHost(t.Context(), "localhost"); err != nil { // reads the configuration, outside the bubble
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		common := net.DefaultResolver
		defer func() { net.DefaultResolver = common }()
		back := errors.New("back")
		var healed atomic.Bool
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			if healed.Load() {
				return nil, back
			}
			here, _ := net.Pipe() // where nobody reads
			return here, nil
		}}
		for _, heal := range []bool{false, true} {
			began := time.Now()
			healed.Store(heal)
			_, err := connect(overNetwork).again(t.Context(), "tcp", "nats.example:4222")
			took := time.Since(began)
			if failed, ok := errors.AsType[*net.DNSError](err); !ok || failed.IsTimeout == heal || took != map[bool]time.Duration{false: dialTime, true: 0}[heal] {
				t.Errorf("healed %v: %v after %s", heal, err, took)
			}
		}
		time.Sleep(5 * time.Second) // which is when the lookups end that were given up
	})
}

// However long a node was cut off, it is back 0.75 s after the heal and the time that the server takes to answer. The worst: the last
// attempt of a dial is lost just before the heal, 250 ms later the dial is over, and 500 ms of pause come before the next.
func TestPromptReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, "")
		c := &cable{server: s.nats, cut: new(atomic.Bool)}
		d := s.Dialer("Goloman")
		d.server, d.URL, d.connect = nil, "nats://192.0.2.1:4222", c.connect
		ctx, cancel := context.WithCancel(t.Context())
		back := make(chan time.Time)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Run(ctx, hearing{d, campus["Goloman"]}, newInbox(), func(serving context.Context, _ Conn) error {
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
			<-time.After(silence + time.Duration(dice.Int64N(int64(10*time.Second))))
			c.heal()
			healed := time.Now()
			longest = max(longest, (<-back).Sub(healed))
		}
		const most = synTime + maxBackoff + answers
		if longest > most || longest < most-synTime {
			t.Errorf("in 400 cuts the longest return took %s, want little less than %s", longest, most)
		}
		cancel()
		<-ended
	})
}

// Someone who does not answer is dialled four times within a second; a refusal ends that at once, and so does an answer: one connection
// counts, the others are closed.
func TestDialAgain(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		at            time.Duration // when all attempts so far are answered
		with          error
		begun, closed int64
	}{
		"nobody":  {dialTime, context.DeadlineExceeded, 4, 0},
		"refused": {time.Millisecond, refused, 1, 0},
		"near":    {time.Millisecond, nil, 1, 0},
		"far":     {600 * time.Millisecond, nil, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var begun, closed atomic.Int64
				start := time.Now()
				c, err := connect(func(ctx context.Context, _, _ string) (net.Conn, error) {
					begun.Add(1)
					if errors.Is(test.with, context.DeadlineExceeded) {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					<-time.After(time.Until(start.Add(test.at)))
					return &counted{closed: &closed}, test.with
				}).again(t.Context(), "tcp", "192.0.2.1:4222")
				if took := time.Since(start); took != test.at || !errors.Is(err, test.with) || err == nil && c == nil {
					t.Errorf("after %s: %v, %v, want %v after %s", took, c, err, test.with, test.at)
				}
				if begun.Load() != test.begun || closed.Load() != test.closed {
					t.Errorf("begun %d times, closed %d, want %d and %d", begun.Load(), closed.Load(), test.begun, test.closed)
				}
			})
		})
	}
}

// counted is a connection that counts how many are closed.
type counted struct {
	net.Conn
	closed *atomic.Int64
}

func (c *counted) Close() error {
	c.closed.Add(1)
	return nil
}

// proxy stands between a node and a server on real sockets. While it is cut it neither reads nor writes and closes nothing; what was
// connected or is begun then is dead for good.
type proxy struct {
	net.Listener
	server string
	mu     sync.Mutex
	cut    chan struct{} // closed when it is
	begun  chan struct{} // told of each connection that is begun in a cut
	tasks  sync.WaitGroup
	conns  []net.Conn
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: server, cut: make(chan struct{}), begun: make(chan struct{}, 1000)}
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
		p.conns = append(p.conns, c)
		select {
		case <-p.cut:
			p.begun <- struct{}{}
		default:
			if s, err := net.Dial("tcp", p.server); err == nil {
				p.conns = append(p.conns, s)
				cut := p.cut
				p.tasks.Go(func() { forward(c, s, cut) })
				p.tasks.Go(func() { forward(s, c, cut) })
			}
		}
		p.mu.Unlock()
	}
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

// A silent cut on real sockets is noticed within 4 s, idle and while four goroutines publish as fast as they can, also over TLS; and
// after the heal the node is back within 2 s, though an attempt begun before it is lost and the server still holds the old connection.
func TestSilentCutOnSockets(t *testing.T) {
	const noticed, returned = 4 * time.Second, 2 * time.Second
	for name, test := range map[string]struct {
		publishers int
		adjust     func(*Plan)
	}{
		"idle":      {0, private},
		"load":      {4, private},
		"load, TLS": {4, mutual},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := makeKeys(t, plan(test.adjust))
			s := startFrom(t, filepath.Join(k.server("nats"), serverConfig))
			node := func(name, url string) Dialer {
				c, err := k.Node(name)
				if err != nil {
					t.Fatal(err)
				}
				d := &NATS{URL: url, Herd: "herd", Node: name}
				d.Identify(c)
				return hearing{d, campus[name]}
			}
			var heard atomic.Int64
			dial(t, node("Hands", s.ClientURL()), recorder(func(Message) { heard.Add(1) }))
			p := startProxy(t, s.Addr().String())

			ctx, cancel := context.WithCancel(t.Context())
			conns, ended := make(chan Conn), make(chan struct{})
			go func() {
				defer close(ended)
				Run(ctx, node("Goloman", "nats://"+p.Addr().String()), newInbox(), func(serving context.Context, c Conn) error {
					conns <- c
					var publishing sync.WaitGroup
					for range test.publishers {
						publishing.Go(func() {
							payload := make([]byte, 120)
							for serving.Err() == nil && c.Publish("Hands", Message{Kind: subject.Propagate, Stamp: sample, Payload: payload}) == nil {
							}
						})
					}
					<-serving.Done()
					publishing.Wait()
					return nil
				}, func(error) {})
			}()
			defer func() {
				cancel()
				<-ended
			}()
			c := <-conns
			if test.publishers > 0 {
				eventually(t, "the load is full", func() bool { return heard.Load() > 100_000 })
			}
			if err := c.Err(); err != nil {
				t.Fatalf("lost before the cut: %v", err)
			}
			close(p.cut)
			cut := time.Now()
			<-c.Done()
			took, why := time.Since(cut), c.Err()
			<-p.begun
			p.heal()
			healed := time.Now()
			c = <-conns
			back := time.Since(healed)
			t.Logf("noticed after %s (%v), back after %s", took.Round(time.Millisecond), why, back.Round(time.Millisecond))
			if took > noticed || back > returned {
				t.Errorf("noticed after %s and back after %s, want at most %s and %s", took, back, noticed, returned)
			}
			second := newInbox()
			dial(t, node("Hands", s.ClientURL()), second)
			publish(t, c, subject.Propagate, "Hands", "back")
			<-second.messages
		})
	}
}

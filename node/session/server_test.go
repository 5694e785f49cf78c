package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session/sessiontest"
	"herd/node/topology"
	"herd/places"
	"herd/places/gazetteer"
)

// world is the gazetteer that all tests share, loaded.
var world = sync.OnceValue(func() *gazetteer.Gazetteer {
	g := gazetteer.Open()
	if err := g.Wait(context.Background()); err != nil {
		panic(err)
	}
	return g
})

var defaultLimits = admit.Limits{Idle: time.Hour, Line: 30 * time.Second, Write: 30 * time.Second, Places: 2 * time.Second}

// config is what a test may change of a server before it starts.
type config struct {
	Config
	TLS    *TLS
	Limits admit.Limits
	Places places.Finder
}

// testServer is a server that runs, and a registry that it applies reports to.
type testServer struct {
	*Server
	engine   *flood.Engine
	listener *sessiontest.Listener // nil: it listens on TCP
	address  string                // on TCP
	trust    *tls.Config           // of clients that speak TLS with it
	logs     *observer.ObservedLogs
	stop     func()
}

// newServer returns a server and its registry, which do not run.
func newServer(t testing.TB, l net.Listener, adjust ...func(*config)) *testServer {
	t.Helper()
	topo, err := topology.New([]line.NodeName{"Goloman"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	s := &testServer{logs: logs, engine: flood.NewEngine(flood.Config{Name: "Goloman", Topology: topo})}
	c := config{Limits: defaultLimits, Config: Config{
		Node: "Goloman", Listener: l, Log: zap.New(core), Lookup: s.engine.Registry().Get, ObserveLag: func(float64) {},
		Apply: func(reports []line.Report, _ time.Time, applied func(line.Report, bool)) {
			s.engine.ApplyBatch(reports, flood.Local, applied)
		},
	}}
	for _, a := range adjust {
		a(&c)
	}
	if c.Nearby == nil {
		c.Nearby = func(ctx context.Context, q places.Query) ([]byte, string, int) {
			return places.Nearby(ctx, c.Places, q)
		}
	}
	c.Admit = admit.New(c.Limits, func(peer string, why admit.Reason, times int, detail admit.Detail) {
		fields := []zap.Field{zap.String("peer", peer), zap.String("reason", why.String())}
		if detail != nil {
			fields = append(fields, zap.Any(detail()))
		}
		c.Log.Warn("refused", fields...)
	})
	s.Server = New(c.Config, c.TLS)
	return s
}

// run serves until stop is called, or the test ends.
func (s *testServer) run(t testing.TB) *testServer {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		var logging sync.WaitGroup
		logging.Go(func() { s.config.Admit.Run(ctx) })
		err := s.Serve(ctx)
		logging.Wait()
		ended <- err
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// startServer runs a server on a listener in memory.
func startServer(t testing.TB, finder places.Finder, adjust ...func(*config)) *testServer {
	t.Helper()
	l := sessiontest.NewListener()
	s := newServer(t, l, append([]func(*config){func(c *config) { c.Places = finder }}, adjust...)...).run(t)
	s.listener = l
	return s
}

// startTCP runs a server on TCP with the gazetteer.
func startTCP(t testing.TB, adjust ...func(*config)) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, l, append([]func(*config){func(c *config) { c.Places, c.Log = world(), zap.NewNop() }}, adjust...)...).run(t)
	s.address = l.Addr().String()
	return s
}

// dial connects over TCP, or TLS if the server speaks that.
func (s *testServer) dial(t testing.TB) *sessiontest.Client {
	t.Helper()
	if s.trust == nil {
		return sessiontest.Dial(t, s.address)
	}
	c, err := sessiontest.DialTLS(t, s.address, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// iamat reports over TCP, and returns the report as the server applied it.
func (s *testServer) iamat(t testing.TB, operands string) string {
	t.Helper()
	c := s.dial(t)
	defer func() { _ = c.Close() }()
	c.Send("IAMAT " + operands + "\n")
	reply := c.Paragraph()
	text, ok := strings.CutPrefix(strings.TrimSuffix(reply, "\n\n"), "AT ")
	if !ok {
		t.Fatalf("reply %q", reply)
	}
	return text
}

// Registry returns what was applied.
func (s *testServer) Registry() *flood.Registry { return s.engine.Registry() }

// state is how a server is.
type state struct {
	Refused           map[string]uint64
	Sessions, Clients int
}

func (s *testServer) state() state {
	open, _ := s.config.Admit.Connections()
	return state{s.config.Admit.Counts(), open, s.Registry().Len()}
}

// about returns the log entries with one of these messages, each as its message and the values of its fields.
func (s *testServer) about(messages ...string) []string {
	var some []string
	for _, message := range messages {
		for _, e := range s.logs.FilterMessage(message).All() {
			var text strings.Builder
			text.WriteString(e.Message)
			for _, f := range e.Context {
				text.WriteString(" | " + f.String)
			}
			some = append(some, text.String())
		}
	}
	return some
}

// serverTLS returns TLS with a certificate of a CA, which requires clients' certificates of another, or none.
func serverTLS(t testing.TB, server, clients *sessiontest.CA) *TLS {
	t.Helper()
	loaded, err := LoadTLS(tlsFiles(t, server, clients))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func tlsFiles(t testing.TB, server, clients *sessiontest.CA) TLSFiles {
	t.Helper()
	var cas []*sessiontest.CA
	if clients != nil {
		cas = append(cas, clients)
	}
	var f TLSFiles
	f.Cert, f.Key, f.CA = server.Files(t, cas...)
	return f
}

// blockingFinder is a Finder that answers when answer is closed.
type blockingFinder struct {
	queries chan places.Query
	answer  chan struct{} // one value lets one answer out; closing it lets out all
}

func newBlockingFinder() *blockingFinder {
	return &blockingFinder{queries: make(chan places.Query, 100), answer: make(chan struct{})}
}

func (f *blockingFinder) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	f.queries <- q
	select {
	case <-f.answer:
		return places.Answer{Results: []places.Place{{Name: "here", Geometry: places.Geometry{Location: q.At}}}}, nil
	case <-ctx.Done():
		return places.Answer{}, ctx.Err()
	}
}

// A server whose listener fails ends with that error, and its clients with it.
func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		memory := sessiontest.NewListener()
		s := newServer(t, &failingListener{Listener: memory, lives: 3, err: broken})
		ended := make(chan error)
		started := time.Now()
		go func() { ended <- s.Serve(t.Context()) }()
		memory.Dial(t)
		memory.Dial(t)
		if err := <-ended; !errors.Is(err, broken) || time.Since(started) != 0 {
			t.Errorf("ended after %s with %v", time.Since(started), err)
		}
	})
}

// failingListener fails for good after a few calls, one of which fails for a connection that is gone.
type failingListener struct {
	*sessiontest.Listener
	lives int
	err   error
}

func (f *failingListener) Accept() (net.Conn, error) {
	switch f.lives--; f.lives {
	case 1:
		return nil, &net.OpError{Op: "accept", Err: syscall.ECONNABORTED}
	case -1:
		return nil, f.err
	}
	return f.Listener.Accept()
}

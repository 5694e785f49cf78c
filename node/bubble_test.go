package node

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/topology"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"herd/bus"
	"herd/node/line"
	"herd/places"
)

// pipes is a listener in memory, for tests in fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// phone is a client's end of a connection in memory.
type phone struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (p *pipes) dial(t testing.TB) *phone {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	t.Cleanup(func() { _ = ours.Close() })
	return &phone{t, ours, bufio.NewReaderSize(ours, 1<<16)}
}

func (p *phone) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// line returns the next line with its LF, or the error that came instead.
func (p *phone) line() string {
	l, err := p.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return l
}

// around returns the topology of a node with these neighbours.
func around(t testing.TB, name line.NodeName, peers ...line.NodeName) *topology.Topology {
	t.Helper()
	var links [][2]line.NodeName
	for _, peer := range peers {
		links = append(links, [2]line.NodeName{name, peer})
	}
	topo, err := topology.New(append([]line.NodeName{name}, peers...), links)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// fake is a node in fake time, with what it needs.
type fake struct {
	*Node
	doors *pipes
	logs  *observer.ObservedLogs
	stop  func()
}

// startFake runs a node in memory, which does not wait to catch up before it is ready. It is for within a bubble.
func startFake(t testing.TB, name line.NodeName, peers []line.NodeName, dialer bus.Dialer, finder places.Finder, adjust ...func(*Config)) *fake {
	t.Helper()
	f := runFake(t, Config{Name: name, Topology: around(t, name, peers...), Bus: dialer, Places: finder, Limits: defaultLimits}, adjust...)
	<-f.Ready()
	synctest.Wait() // it is on the bus as well, if there is one
	return f
}

// runFake runs a node with a listener and a log in memory.
func runFake(t testing.TB, c Config, adjust ...func(*Config)) *fake {
	core, logs := observer.New(zapcore.InfoLevel)
	f := &fake{doors: newPipes(), logs: logs}
	c.Listener, c.Log = f.doors, zap.New(core).Named(string(c.Name))
	for _, a := range adjust {
		a(&c)
	}
	f.Node = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s ended with %v", c.Name, err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// lonely runs a node without neighbours.
func lonely(t testing.TB, finder places.Finder, adjust ...func(*Config)) *fake {
	t.Helper()
	return startFake(t, "Goloman", nil, bus.NewMemory().Dialer("Goloman"), finder, adjust...)
}

// entries returns what was logged, each as its event and the values of its fields.
func (f *fake) entries() []string {
	var all []string
	for _, e := range f.logs.All() {
		var text strings.Builder
		text.WriteString(e.Message)
		for _, field := range e.Context {
			switch field.Type {
			case zapcore.StringType:
				text.WriteString(" | " + field.String)
			case zapcore.Int64Type:
				text.WriteString(" | " + time.Duration(field.Integer).String())
			}
		}
		all = append(all, text.String())
	}
	return all
}

// about returns the entries that begin with one of these events.
func (f *fake) about(events ...string) []string {
	var some []string
	for _, e := range f.entries() {
		for _, event := range events {
			if strings.HasPrefix(e, event+" | ") || e == event {
				some = append(some, e)
			}
		}
	}
	return some
}

// oracle is a Finder that answers when it is told to.
type oracle struct {
	asked chan places.Query
	speak chan struct{} // one value or its end lets one or all answers out
}

func newOracle() *oracle {
	return &oracle{asked: make(chan places.Query, 100), speak: make(chan struct{})}
}

func (o *oracle) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	o.asked <- q
	select {
	case <-o.speak:
		return places.Answer{Results: []places.Place{{Name: "here", Geometry: places.Geometry{Location: q.At}}}}, nil
	case <-ctx.Done():
		return places.Answer{}, ctx.Err()
	}
}

// Package process runs the nodes of one process: it opens what they need of the system, connects them to the bus and to the provider of
// places, applies a configuration that has changed, keeps the memory small, and stops them.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"herd/bus"
	"herd/bus/keys"
	"herd/configs"
	"herd/node"
	"herd/node/line"
	"herd/node/status"
	"herd/node/store"
	"herd/node/trace"
	"herd/places"
)

// readyTimeout is how long clients wait for nodes that are not ready: after it the nodes serve them from memory.
const readyTimeout = time.Second

const traceTimeout = time.Second // for the last spans when the process ends

// Config says which nodes a process runs, and how.
type Config struct {
	Config  *configs.Config                 // in force at the start
	Nodes   []configs.Node                  // of Config, those that run here
	Reload  func() (*configs.Config, error) // reads the configuration anew
	Version string                          // of the program
	Stderr  io.Writer                       // gets the log unless it goes to files; nothing is written to it before the process is ready
	Brief   bool                            // the log leaves out what is routine
	Procs   bool                            // the environment decides how many processors the runtime uses
}

// Process is the nodes of this process. Open makes it, Run runs it once, and Close gives back what it has opened.
type Process struct {
	Config
	current *configs.Config // in force now
	logs    *logs
	stderr  *heldWriter    // what logs write to
	bus     *bus.Server    // embedded; nil: the bus is elsewhere
	spans   trace.Exporter // shared by the tracers; nil: nothing is traced
	tracers []*trace.Tracer
	servers []*server
	ready   chan struct{} // closed when clients are served
}

// server is one node of the process, what it needs of the system, and how it connects to the bus.
type server struct {
	configs.Node
	clients *gate
	http    net.Listener  // nil: none
	store   *store.Store  // nil: the node is in memory alone
	status  status.Config // of what http serves
	dialer  *bus.NATS
	node    *node.Node
}

// Open starts the embedded bus, if there is one, and then takes the addresses of all nodes, their log files and their stores. After an
// error nothing is left open. Clients that connect wait until the process runs and is ready.
func Open(ctx context.Context, c Config) (*Process, error) {
	p := &Process{Config: c, current: c.Config, stderr: &heldWriter{to: c.Stderr}, ready: make(chan struct{})}
	if err := p.open(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Process) open(ctx context.Context) error {
	config := p.Config.Config
	secure, err := portTLS(config)
	if err != nil {
		return err
	}
	p.logs, err = openLogs(config.Log, p.stderr, p.Brief)
	if err != nil {
		return err
	}
	if config.Bus.URL == "" {
		if err := p.startBus(); err != nil {
			return err
		}
	}
	for _, n := range p.Nodes {
		s := &server{Node: n}
		p.servers = append(p.servers, s)
		if err := s.open(config, p.ready, p.logs); err != nil {
			return err
		}
	}
	counters, log := new(places.Counters), placesLogger(p.logs.For("places"))
	finder, err := finder(ctx, config, func(e places.Event) {
		counters.Watch(e)
		log(e)
	})
	if err != nil {
		return err
	}
	if config.Trace.Endpoint != "" {
		if p.spans, err = trace.NewExporter(ctx, config.Trace.Endpoint, tracesLogger(p.logs.For("traces"))); err != nil {
			return fmt.Errorf("trace.endpoint: %w", err)
		}
	}
	observer, err := observer(config, p.bus)
	if err != nil {
		return err
	}
	for _, s := range p.servers {
		identity, err := credentials(config, s.Name)
		if err == nil {
			err = checkAuthorities(secure, identity)
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", s.Name, err)
		}
		s.status.Observer = observer
		s.dialer = p.dialer(s.Name, identity)
		p.makeNode(s, node.Config{TLS: secure, Places: finder, Providers: counters})
	}
	return nil
}

// makeNode makes the node of a server that is open, and adds to c what is its own.
func (p *Process) makeNode(s *server, c node.Config) {
	config := p.Config.Config
	c.HerdName, c.Name, c.Topology, c.Version = config.Herd, s.Name, config.Topology(), p.Version
	c.Listener, c.HTTP, c.Status, c.Bus, c.Limits = s.clients, s.http, s.status, s.dialer, limits(config)
	c.Store, c.Always = s.store, config.Store.Mode == "always"
	c.Retention, c.CatchUp = config.Limits.Retention, config.Limits.CatchUp
	c.Log = p.logs.For(string(s.Name))
	if p.spans != nil {
		c.Tracer = trace.NewTracer(p.spans, config.Herd, string(s.Name), p.Version, config.Trace.OneIn)
		p.tracers = append(p.tracers, c.Tracer)
	}
	s.node = node.New(c)
	if config.Bus.Micro {
		s.dialer.Serve(&bus.Service{Version: p.Version, Where: s.node.Where})
	}
}

// open takes the node's addresses and opens its store.
func (s *server) open(config *configs.Config, ready <-chan struct{}, logs *logs) error {
	clients, err := s.listen(s.Listen)
	if err != nil {
		return err
	}
	s.clients = &gate{TCPListener: clients, open: ready, closed: make(chan struct{})}
	if s.HTTP != "" {
		http, err := s.listen(s.HTTP)
		if err != nil {
			return err
		}
		s.http = http
		if s.status, err = httpConfig(config, s.Node, s.http); err != nil {
			return err
		}
	}
	if config.Store.Dir == "" {
		return nil
	}
	s.store, err = OpenStore(config, s.Name, logs.For(string(s.Name)).Sugar())
	if err != nil {
		return fmt.Errorf("node %s: %w", s.Name, err)
	}
	return nil
}

func (s *server) listen(address string) (*net.TCPListener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", s.Name, listenError(err, address, "configure another address"))
	}
	return l.(*net.TCPListener), nil
}

// listenError returns the error of a listener with what to do: end the process that has its address, if one has, or else.
func listenError(err error, address, otherwise string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use, probably by another herd; end that one, or %s", address, otherwise)
	}
	return fmt.Errorf("%w; %s", err, otherwise)
}

// OpenStore opens the store of a node, which is in a directory of its own below store.dir.
func OpenStore(config *configs.Config, name line.NodeName, log store.Logger) (*store.Store, error) {
	return store.Open(store.Config{Dir: filepath.Join(config.Store.Dir, string(name)), Herd: config.Herd, Node: name, Log: log})
}

// Close gives back all that is open. What a node has closed when it ended stays closed.
func (p *Process) Close() {
	for _, s := range p.servers {
		if s.clients != nil {
			_ = s.clients.Close()
		}
		if s.http != nil {
			_ = s.http.Close()
		}
		if s.store != nil {
			_ = s.store.Close()
		}
	}
	if p.spans != nil {
		p.closeTraces()
	}
	if p.bus != nil {
		p.bus.Close()
	}
	p.stderr.release()
}

// closeTraces sends the last spans, if the collector takes them in time.
func (p *Process) closeTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), traceTimeout)
	defer cancel()
	for _, tracer := range p.tracers {
		_ = tracer.Close(ctx) // which the exporter has logged
	}
	_ = p.spans.Shutdown(ctx)
}

// BusURL returns the address of the bus, or "" if it is within the process only.
func (p *Process) BusURL() string {
	if p.bus != nil {
		return p.bus.URL()
	}
	return p.current.Bus.URL
}

// Reached returns the nodes with the addresses at which they are reached, in the order of the configuration.
func (p *Process) Reached() []configs.Node {
	all := make([]configs.Node, len(p.servers))
	for i, s := range p.servers {
		all[i] = configs.Node{Name: s.Name, Listen: s.clients.Addr().String()}
		if s.http != nil {
			all[i].HTTP = s.http.Addr().String()
		}
	}
	return all
}

// Run runs the nodes until ctx ends, or one of them fails and ends the others. It calls ready once, before anything is written to the log:
// when every node is ready, or after a second. From then on clients are served.
func (p *Process) Run(ctx context.Context, ready func()) error {
	if !p.Procs {
		oversubscribe()
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		if p.awaitReady(ctx) {
			ready()
			close(p.ready)
			p.stderr.release()
		}
		return nil
	})
	running.Go(func() error {
		stayLean(ctx)
		return nil
	})
	for _, s := range p.servers {
		running.Go(func() error {
			if err := s.node.Run(ctx); err != nil {
				return fmt.Errorf("node %s: %w", s.Name, err)
			}
			return nil
		})
	}
	return running.Wait()
}

// awaitReady waits until all nodes are ready, or for readyTimeout, and reports false if ctx ends before.
func (p *Process) awaitReady(ctx context.Context) bool {
	timeout := time.After(readyTimeout)
	for _, s := range p.servers {
		select {
		case <-s.node.Ready():
		case <-timeout:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// oversubscribe has the runtime run twice as many threads at a time as there are processors. It polls the network when one of them
// is idle, else only every 10 ms: on two processors a flood of searches delayed others by that long.
var oversubscribe = sync.OnceFunc(func() { runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0)) })

// startBus starts the embedded NATS server.
func (p *Process) startBus() (err error) {
	config := p.current
	p.bus, err = bus.StartServer(bus.ServerConfig{
		Herd: config.Herd, Neighbours: Neighbours(config.Topology()), Keys: keys.Keyring(config.Bus.Keys),
		Listen: config.Bus.Listen, Micro: config.Bus.Micro, Log: newServerLog(p.logs.For("nats.server")),
	})
	if !errors.Is(err, bus.ErrNotStarted) {
		return err
	}
	// The server gives its listener's error as a text alone.
	l, failed := net.Listen("tcp", config.Bus.Listen)
	if failed != nil {
		return fmt.Errorf("bus: %w", listenError(failed, config.Bus.Listen, "give this one another with --bus-listen"))
	}
	_ = l.Close()
	return err
}

// gate is a listener that accepts connections only once a channel is closed. Until then they wait in the system's queue.
type gate struct {
	*net.TCPListener
	open   <-chan struct{}
	closed chan struct{}
	once   sync.Once // closes closed
}

func (g *gate) Accept() (net.Conn, error) {
	select {
	case <-g.open:
		return g.TCPListener.Accept()
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.TCPListener.Close()
}

// heldWriter keeps what is written until it is released.
type heldWriter struct {
	to io.Writer

	mu       sync.Mutex // guards what follows, and orders writes
	held     []byte
	released bool
}

func (w *heldWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.released {
		return w.to.Write(b)
	}
	w.held = append(w.held, b...)
	return len(b), nil
}

func (w *heldWriter) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) > 0 {
		_, _ = w.to.Write(w.held) // an entry of the log that cannot be written is lost
	}
	w.held, w.released = nil, true
}

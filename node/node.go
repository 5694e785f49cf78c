// Package node is one server of a herd. It wires sessions of clients, the replication engine, the links to its neighbours on the bus, the
// store and HTTP together.
//
//	client → session → line.Parse → engine.ApplyBatch → link queues → bus
//	                                 bus → link.Receive → link queues → bus
//
// # Ownership
//
// [Node.Run] owns everything: the listeners, the sessions (package session), one goroutine per link while the bus is connected, one for the
// connection to the bus, one for the engine's clock and one for the log of refusals. When Run returns, all of them have ended. Sessions and
// links share only the engine, which never blocks.
//
// A node with a [store.Store] has two more: one writes to disk what changes the registry, one checks whether it keeps up (store_writer.go).
//
// # Shutdown
//
// When its context ends, a node stops accepting, answers the lines it has read, sends what is queued to its neighbours for at most a second,
// leaves the bus, and writes to disk what waits for that.
package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session"
	"herd/node/status"
	"herd/node/store"
	"herd/node/topology"
	"herd/node/trace"
	"herd/places"
)

const (
	readyTime = 5 * time.Second // without a bus for so long, a node is ready to answer from memory alone
	drainTime = time.Second     // for links to send what is queued when the node stops
)

// Config is what a node is made of. All but HTTP, TLS, Providers, Store, Tracer, Version and Wall is required.
type Config struct {
	HerdName  string // shown over HTTP
	Name      line.NodeName
	Topology  *topology.Topology // at first, see [Node.Relink]
	Listener  net.Listener       // for clients; Run closes it
	HTTP      net.Listener       // for the status page, API, metrics and health, or nil; Run closes it
	Status    status.Config      // of what HTTP serves; New adds what it knows itself
	TLS       *session.TLS       // on Listener, at first, see [Node.SetTLS]; nil: plain TCP
	Bus       bus.Dialer
	Places    places.Finder
	Providers *places.Counters // of the providers behind Places, or nil
	Store     *store.Store     // keeps what the node knows; nil: it is in memory alone; Run closes it
	Always    bool             // clients are answered when their reports are in Store
	Limits    admit.Limits     // at first, see [Node.SetLimits]
	Retention time.Duration    // for which reports are kept, the same at all nodes; 0: for ever
	CatchUp   time.Duration    // after it, the node is ready even if it has not caught up with its neighbours
	Tracer    *trace.Tracer    // or nil
	Log       *zap.Logger
	Version   string                        // of the program, shown at all nodes
	Wall      func(now time.Time) time.Time // what the clock shows at now, see [flood.Config]; nil: now itself
}

// Node is one server. Make it with New and run it once.
type Node struct {
	name      line.NodeName
	started   time.Time // when it was made
	catchUp   time.Duration
	retention time.Duration
	log       *zap.Logger

	engine    *flood.Engine
	writer    *storeWriter // nil: none
	admit     *admit.Controller
	sessions  *session.Server
	listeners []net.Listener // for clients, and for HTTP if there is one
	status    *status.Server // nil: there is no HTTP
	providers *places.Counters
	tracing   *trace.Engine // decorates engine; nil: no report is traced

	ticking  chan struct{} // one slot: the clock ticks at once
	ready    chan struct{} // closed when ready
	becoming sync.Once     // closes it

	dialer bus.Dialer
	links  linkSet
	watch  atomic.Pointer[status.Watch] // is called with what happens; nil: none

	clientLag, neighbourLag status.Histogram // from a client's time to the receipt of its report here, by who sent it to this node
}

// New returns a node that does nothing yet.
func New(c Config) *Node {
	n := &Node{
		name: c.Name, started: time.Now(), catchUp: c.CatchUp, retention: c.Retention, log: c.Log,
		admit: admit.New(c.Limits, logRefusals(c.Log)), listeners: []net.Listener{c.Listener}, providers: c.Providers,
		ticking: make(chan struct{}, 1), ready: make(chan struct{}), dialer: c.Bus, links: linkSet{idle: make(chan struct{}, 1)},
		clientLag: status.NewReportLag(c.Name, "client"), neighbourLag: status.NewReportLag(c.Name, "neighbour"),
	}
	n.links.state.Store("not yet connected")
	n.links.current.Store(new([]*link))
	var incarnation subject.Incarnation
	_, _ = rand.Read(incarnation[:]) // which never fails
	engine := flood.Config{
		Name: c.Name, Incarnation: incarnation, Topology: c.Topology, Retention: c.Retention,
		OnNotice: n.notice, Version: cmp.Or(c.Version, "-"), Started: n.started, Wall: c.Wall,
	}
	sessions := session.Config{
		Node: c.Name, Listener: c.Listener, Admit: n.admit, Log: c.Log,
		Nearby: func(ctx context.Context, q places.Query) ([]byte, string, int) {
			return places.Nearby(ctx, c.Places, q)
		},
	}
	if c.Store != nil {
		changes := newJournal()
		engine.OnChange = changes.push
		n.engine = flood.NewEngine(engine)
		n.writer = newStoreWriter(c.Store, c.Always, c.Log, n.engine, changes)
		if c.Always {
			sessions.WaitForSync = n.writer.waitForSync
		}
	} else {
		n.engine = flood.NewEngine(engine)
	}
	sessions.Apply = func(reports []line.Report, _ time.Time, applied func(r line.Report, changed bool)) {
		n.engine.ApplyBatch(reports, flood.Local, applied)
	}
	if c.Tracer != nil {
		n.tracing = trace.NewEngine(n.engine, c.Tracer)
		sessions.Apply = n.tracing.ApplyBatch
	}
	sessions.Judged, sessions.Lookup, sessions.ObserveLag = n.engine.Judged, n.engine.Registry().Get, n.clientLag.Observe
	n.sessions = session.New(sessions, c.TLS)
	if c.HTTP != nil {
		errors, _ := zap.NewStdLogAt(c.Log, zap.WarnLevel) // which fails for no level that there is
		n.listeners = append(n.listeners, c.HTTP)
		s := c.Status
		s.Source, s.Herd, s.Node, s.Version, s.Admit, s.Log = n, c.HerdName, string(c.Name), c.Version, n.admit, errors
		n.status = status.New(s)
	}
	n.Relink(c.Topology)
	return n
}

// logRefusals has what package admit logs written to log.
func logRefusals(log *zap.Logger) admit.Log {
	return func(peer string, why admit.Reason, times int, detail admit.Detail) {
		fields := []zap.Field{zap.String("peer", peer), zap.String("reason", why.String())}
		if times > 0 {
			fields = append(fields, zap.Int("times", times))
		}
		if detail != nil {
			fields = append(fields, zap.Any(detail()))
		}
		log.Warn("refused", fields...)
	}
}

// SetLimits has these limits hold from now on: for clients that are connected from their next line on, and no connection is closed
// because there may be fewer.
func (n *Node) SetLimits(limits admit.Limits) {
	n.admit.SetLimits(limits)
}

// SetTLS has new connections use t, see [session.Server.SetTLS].
func (n *Node) SetTLS(t *session.TLS) error { return n.sessions.SetTLS(t) }

// Name returns the node's name.
func (n *Node) Name() line.NodeName { return n.name }

// Ready is closed when the node has caught up with every neighbour that it can reach, has tried that for as long as it may, or has
// found no bus for 5 s. It stays so.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Registry returns what the node knows.
func (n *Node) Registry() *flood.Registry { return n.engine.Registry() }

// Where returns the AT line of a client without its LF, and whether it is known, for [bus.Service].
func (n *Node) Where(client string) (at []byte, known bool) {
	r, known := n.engine.Registry().Get(line.ClientID(client))
	if !known {
		return nil, false
	}
	at = r.AppendAt(nil)
	return at[:len(at)-1], true
}

// Run serves until ctx ends, or a listener or a disk that clients wait for fails; only then, and when what is known cannot be
// loaded or is not on disk in the end, it returns an error.
func (n *Node) Run(ctx context.Context) error {
	if n.writer == nil {
		return n.run(ctx)
	}
	if err := n.writer.load(ctx); err != nil {
		for _, l := range n.listeners { // no client was served
			_ = l.Close()
		}
		return errors.Join(err, n.writer.store.Close())
	}
	within, fail := context.WithCancel(ctx)
	defer fail()
	rest, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives all that is pushed
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if n.writer.run(rest) != nil {
			fail()
		}
	})
	tasks.Go(func() { n.writer.watch(rest) })
	err := n.run(within)
	stop()
	tasks.Wait()
	if err == nil {
		err = n.writer.fatal // also if it failed when the node was ending anyhow
	}
	return errors.Join(err, n.writer.finish())
}

// run serves until ctx ends or a listener fails; only then it returns an error.
func (n *Node) run(ctx context.Context) error {
	// What must outlive the sessions, so that what they have applied is still sent.
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		bus.Run(rest, n.dialer, n, func(ctx context.Context, c bus.Conn) error { return runBusSession(ctx, n, c) }, n.lost)
	})
	tasks.Go(func() { n.admit.Run(rest) })
	tasks.Go(func() { n.clock(rest) })

	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var http sync.WaitGroup // through which reports may come as well
	if n.status != nil {
		http.Go(func() { fail(n.status.Serve(failed, n.listeners[1])) })
	}
	n.log.Info("listening", session.Routine, zap.String("address", n.listeners[0].Addr().String()))
	err := n.sessions.Serve(failed)
	if err == nil && ctx.Err() == nil {
		err = context.Cause(failed)
	}
	fail(nil)
	http.Wait()
	n.drain()
	stop()
	tasks.Wait()
	n.log.Info("stopped")
	return err
}

// tick has the clock tick at once.
func (n *Node) tick() { signal(n.ticking) }

// clock does what is due, until ctx ends, and notices when the node is ready.
func (n *Node) clock(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for started := time.Now(); ; { // after a disk was read, which may have taken longer than anything here
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-n.ticking:
		}
		now := time.Now()
		timer.Reset(n.engine.Tick(now).Sub(now))
		switch waited := now.Sub(started); {
		case n.links.state.Load() == connected && len(n.engine.Behind(now)) == 0:
			n.becomeReady("caught up")
		case n.links.state.Load() != connected && waited >= readyTime:
			n.becomeReady("without a bus")
		case waited >= n.catchUp:
			n.becomeReady("not caught up in time")
		}
	}
}

func (n *Node) becomeReady(why string) {
	n.becoming.Do(func() {
		n.log.Info("ready", zap.String("why", why))
		close(n.ready)
	})
}

// starting returns a field that marks an entry of the log as routine until the node is ready.
func (n *Node) starting() zap.Field {
	select {
	case <-n.ready:
		return zap.Skip()
	default:
		return session.Routine
	}
}

// drain waits until what is owed has been sent, whatever every says, if there is a connection to the bus.
func (n *Node) drain() {
	if n.links.state.Load() != connected {
		return
	}
	n.engine.Hasten()
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	for slices.ContainsFunc(n.links.all(), (*link).pending) {
		select {
		case <-n.links.idle:
		case <-timer.C:
			n.log.Warn("stopping with reports not sent")
			return
		}
	}
}

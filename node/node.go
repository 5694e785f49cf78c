package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
	"herd/node/store"
	"herd/places"
)

const (
	readyTime = 5 * time.Second // without a bus for so long, a node is ready to answer from memory alone
	drainTime = time.Second     // for sessions to finish, and again for links

	lingerTime  = 250 * time.Millisecond // for a client to take the last replies of a connection that the node ends
	lingerBytes = 32 << 10               // of what it still sends, thrown away before each pause
	lingerPause = 20 * time.Millisecond
)

// Config is what a node is made of. All but HTTP, TLS, Providers, Store, Tracer and Version is required.
type Config struct {
	HerdName  string // for those who look at the node
	Name      line.NodeName
	Topology  *topology.Topology // at first, see [Node.Relink]
	Listener  net.Listener       // for clients; Run closes it
	HTTP      net.Listener       // for the status page, API, metrics and health, or nil; Run closes it
	Status    status.Options     // of what HTTP serves
	TLS       *TLS               // on Listener, or nil: plain TCP; at first, see [Node.SetTLS]
	Bus       bus.Dialer
	Places    places.Finder
	Providers *places.Counters // of what Places asks, or nil
	Store     *store.Store     // keeps what the node knows, or nil: it is in memory alone; Run closes it
	Always    bool             // clients are answered when what they are told is there
	Limits    Limits           // at first, see [Node.Limit]
	Retention time.Duration    // how long reports are kept, the same at all nodes; 0: for ever
	CatchUp   time.Duration    // after it, the node is ready even if it has not caught up with its neighbours
	Tracer    *status.Tracer   // or nil
	Log       *zap.Logger
	Version   string // of the program, for [Node.Herd] at all nodes
}

// Limits bound what clients, providers and neighbours can cost. A zero means no limit, but for Queue and Places.
type Limits struct {
	Future      time.Duration // of a client's time, ahead of the clock
	Idle        time.Duration // without a line begun
	Line        time.Duration // for a line to be completed
	Write       time.Duration // for a client to take its replies
	Connections int           // in all
	PerAddress  int           // connections from one IP address
	Rate        int           // lines a second from one connection
	NewClients  int           // client IDs never heard of, from one IP address in a minute
	Queue       int           // clients whose reports wait on a link
	Places      time.Duration // for a provider to answer
}

// Node is one server. Make it with New and run it once.
type Node struct {
	Config
	began    time.Time
	limits   atomic.Pointer[Limits]
	engine   *flood.Engine
	disk     *disk // nil: none
	door     *door
	quota    *quota
	tries    *quota // to log in
	refusals *refusals
	tally    *tally
	tracing  sync.Mutex          // held while the engine hears reports that are traced
	tls      atomic.Pointer[TLS] // for new connections

	looking  chan struct{} // one slot: the clock looks again
	ready    chan struct{} // closed when ready
	becoming sync.Once     // closes it

	linked     atomic.Pointer[[]*link] // to each neighbour, as in engine
	relinking  sync.Mutex              // held while that or busSession changes
	busSession *busSession             // nil: there is no connection
	topology   atomic.Pointer[topology.Topology]
	watched    atomic.Pointer[status.Watch] // who is told what happens; nil: nobody

	busState   atomic.Value  // string: "connected", or why not
	complained time.Time     // of the bus being away; only the goroutine that runs the bus uses it
	idle       chan struct{} // one slot: a link has told all it had

	nearby func(context.Context, places.Finder, places.Query) (body []byte, status string, results int) // places.Nearby
}

// New returns a node that does nothing yet.
func New(c Config) *Node {
	n := &Node{
		Config:   c,
		began:    time.Now(),
		door:     newDoor(),
		quota:    new(quota),
		tries:    new(quota),
		refusals: newRefusals(c.Log),
		tally:    newTally(),
		looking:  make(chan struct{}, 1),
		ready:    make(chan struct{}),
		idle:     make(chan struct{}, 1),
		nearby:   places.Nearby,
	}
	n.tls.Store(c.TLS)
	n.busState.Store("not yet connected")
	n.limits.Store(&c.Limits)
	n.linked.Store(new([]*link))
	var incarnation subject.Incarnation
	_, _ = rand.Read(incarnation[:]) // which never fails
	engine := flood.Config{
		Name: c.Name, Incarnation: incarnation, Topology: c.Topology, QueueLimit: c.Limits.Queue, Retention: c.Retention,
		OnNotice: n.notice, Version: cmp.Or(c.Version, "-"), Started: n.began,
	}
	if c.Store != nil {
		changes := newJournal()
		engine.OnChange = changes.push
		n.engine = flood.NewEngine(engine)
		n.disk = newDisk(c.Store, c.Always, c.Log, n.engine, changes)
	} else {
		n.engine = flood.NewEngine(engine)
	}
	n.Relink(c.Topology)
	return n
}

// Limit has these limits hold from now on: for clients that are connected from their next line on, and nobody is turned out
// because there may be fewer.
func (n *Node) Limit(limits Limits) {
	n.limits.Store(&limits)
	for _, l := range n.links() {
		l.Queue.SetLimit(limits.Queue)
	}
}

// Ready is closed when the node has caught up with every neighbour that it can reach, has tried that for as long as it may, or has
// found no bus for 5 s. It stays so.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Registry returns what the node knows.
func (n *Node) Registry() *flood.Registry { return n.engine.Registry() }

// run serves until ctx ends or a listener fails; only then it returns an error.
func (n *Node) run(ctx context.Context) error {
	// What must outlive the sessions, so that what they took in still gets told.
	rest, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() { bus.Run(rest, n.Bus, n, n.serve, n.lost) })
	tasks.Go(func() { n.refusals.run(rest) })
	tasks.Go(func() { n.clock(rest) })

	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var looking sync.WaitGroup // may report as well
	if n.HTTP != nil {
		looking.Go(func() { fail(n.serveHTTP(failed)) })
	}
	n.Log.Info("listening", zap.String("address", n.Listener.Addr().String()))
	err := n.accept(failed)
	if err == nil && ctx.Err() == nil {
		err = context.Cause(failed)
	}
	fail(nil)
	looking.Wait()
	n.drain()
	stop()
	tasks.Wait()
	n.Log.Info("stopped")
	return err
}

func (n *Node) becomeReady(why string) {
	n.becoming.Do(func() {
		n.Log.Info("ready", zap.String("why", why))
		close(n.ready)
	})
}

// drain waits until what is queued has been sent, if there is a connection to the bus.
func (n *Node) drain() {
	if n.busState.Load() != connected {
		return
	}
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	for slices.ContainsFunc(n.links(), (*link).pending) {
		select {
		case <-n.idle:
		case <-timer.C:
			n.Log.Warn("stopping with reports not sent")
			return
		}
	}
}

// Health returns how the node is now.
func (n *Node) Health() status.Health {
	digest, clients := n.engine.Registry().Digest()
	h := status.Health{
		Node:          string(n.Name),
		Bus:           n.busState.Load().(string),
		UptimeSeconds: time.Since(n.began).Seconds(),
		Clients:       clients,
		Digest:        fmt.Sprintf("%016x", digest),
		Sessions:      n.door.inside(),
		Links:         []status.Link{},
		Refused:       n.refusals.counts(),
	}
	select {
	case <-n.ready:
		h.Ready = true
	default:
		h.Missing = n.missing(time.Now())
	}
	if n.Providers != nil {
		h.Places = providers(n.Providers.Counts())
	}
	if n.disk != nil {
		h.Store = n.disk.health()
	}
	for _, l := range n.links() {
		h.Links = append(h.Links, l.health(n.began, time.Now()))
	}
	return h
}

package status

import (
	"context"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

const (
	tick       = 250 * time.Millisecond
	slowTicks  = 4       // from one health to the next
	maxChunks  = 16      // ticks that wait for a viewer; further ones are left out
	maxChanged = 1 << 17 // clients whose change is kept until the next tick
	maxClients = 500     // in the event of a tick
)

// Watch is called with what happens at a node. Its functions never block, and must not call the node.
type Watch struct {
	Transfer func(from, to line.NodeName, reports []line.Report) // reports were sent or received on a link of the node
	Notice   func(flood.Notice)
}

// viewer is the reader of a stream.
type viewer struct {
	client  line.ClientID // whose path it follows; "": none
	chunks  chan [][]byte // the events of a tick each; several viewers share their bytes
	leftOut leftOut       // since the last chunk; of the hub's goroutine
}

func newViewer(client line.ClientID) *viewer {
	return &viewer{client: client, chunks: make(chan [][]byte, maxChunks)}
}

// leftOut counts what a viewer did not get because it was slow, or too much happened to the client that it follows.
type leftOut struct {
	Clients int `json:"clients"`
	Reports int `json:"reports"` // in messages
	Notices int `json:"notices"`
	Path    int `json:"path"` // events of the client that it follows
	ticks   int
}

func (l *leftOut) add(o leftOut) {
	l.Clients += o.Clients
	l.Reports += o.Reports
	l.Notices += o.Notices
	l.Path += o.Path
	l.ticks++
}

// hub sends what happens at a node to all viewers. It has a goroutine, and watches the node, only while there are viewers.
type hub struct {
	server *Server

	gate      sync.Mutex // held while a viewer joins or leaves
	stop      func()     // and wait; guarded by gate
	transfers *transfers // of the broadcaster that runs; guarded by gate

	mu      sync.Mutex
	viewers map[*viewer]struct{}
}

// join sends a viewer what happens from now on, until it leaves. There are no more viewers than streams.
func (h *hub) join(v *viewer) {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.mu.Lock()
	h.viewers[v] = struct{}{}
	n := len(h.viewers)
	h.mu.Unlock()
	if n == 1 {
		h.start()
	}
	h.transfers.follow(v.client)
}

func (h *hub) leave(v *viewer) {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.mu.Lock()
	delete(h.viewers, v)
	n := len(h.viewers)
	h.mu.Unlock()
	h.transfers.unfollow(v.client)
	if n == 0 {
		h.stop()
	}
}

func (h *hub) all() []*viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.viewers))
}

// start watches the node and runs a broadcaster until stop is called.
func (h *hub) start() {
	source, observer := h.server.config.Source, h.server.config.Observer
	h.transfers = newTransfers()
	b := &broadcaster{hub: h, transfers: h.transfers, notices: new(notices)}
	b.updateHello()
	changed, unsubscribe := source.Subscribe(maxChanged)
	b.changed = changed
	unwatch := source.Watch(Watch{
		Transfer: func(from, to line.NodeName, reports []line.Report) {
			if !observer.observing.Load() {
				b.transfers.add(from, to, reports)
			}
		},
		Notice: b.notices.add,
	})
	unobserve := observer.watch(b)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.run(ctx) })
	h.stop = func() {
		cancel()
		unobserve()
		unwatch()
		unsubscribe()
		running.Wait()
	}
}

func (h *hub) hello() Hello {
	c := &h.server.config
	observing, why := c.Observer.state()
	return Hello{c.Node, c.Herd, c.Version, observing, why, h.server.graph.of(c.Source.Topology(), c.Node)}
}

// snapshot returns the events that a viewer needs first.
func (h *hub) snapshot() []byte {
	source := h.server.config.Source
	text := appendEvent(nil, "hello", h.hello())
	text = appendEvent(text, "health", source.Health())
	return appendEvent(text, "nodes", source.Herd())
}

// broadcaster is a hub while there are viewers. Its fields belong to the goroutine that runs it.
type broadcaster struct {
	*hub
	changed   *flood.Queue // what changed in the registry since the last tick
	dropped   uint64       // of that, so far
	transfers *transfers
	notices   *notices

	ticks    int
	greeting Hello              // as last sent
	topology *topology.Topology // of greeting
	nodes    []Node             // as last sent
	buffer   []line.Report      // for the next swap of changed
}

func (b *broadcaster) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.broadcast()
		}
	}
}

// broadcast sends all viewers what happened since the last tick. Events for all are encoded once.
func (b *broadcaster) broadcast() {
	var text []byte
	var counts leftOut // of the events, for viewers that have no room for them
	if b.updateHello() {
		text = appendEvent(text, "hello", b.greeting)
	}
	text, counts.Notices = b.notices.append(text)
	text, counts.Clients = b.appendClients(text)
	text, counts.Reports = b.transfers.append(text)
	if b.ticks++; b.ticks%slowTicks == 0 {
		source := b.server.config.Source
		text = appendEvent(text, "health", source.Health())
		if nodes := source.Herd(); !sameNodes(nodes, b.nodes) {
			b.nodes = nodes
			text = appendEvent(text, "nodes", nodes)
		}
	}
	paths := b.transfers.paths()
	for _, v := range b.all() {
		v.send(text, paths[v.client], counts, b.snapshot)
	}
}

// updateHello reports whether the greeting has changed.
func (b *broadcaster) updateHello() bool {
	topology := b.server.config.Source.Topology()
	observing, why := b.server.config.Observer.state()
	if b.topology == topology && b.greeting.Observing == observing && b.greeting.Why == why {
		return false
	}
	b.topology, b.greeting = topology, b.hello()
	b.transfers.setLinks(topology.Links())
	return true
}

// appendClients appends the event of what changed in the registry since the last tick, if anything did: each client once, and of too
// many a fair sample.
func (b *broadcaster) appendClients(dst []byte) (text []byte, clients int) {
	changed := b.changed.Swap(b.buffer)
	b.buffer = changed
	dropped := b.changed.Dropped()
	clients = len(changed) + int(dropped-b.dropped)
	b.dropped = dropped
	if clients == 0 {
		return dst, 0
	}
	var list list
	now := time.Now()
	for i := range min(len(changed), maxClients) {
		if len(changed) > maxClients {
			j := i + rand.IntN(len(changed)-i)
			changed[i], changed[j] = changed[j], changed[i]
		}
		list.add(clientOf(changed[i], now))
	}
	return appendRaw(dst, "clients", []byte(`{"left_out":`), strconv.AppendInt(nil, int64(clients-list.n), 10),
		[]byte(`,"total":`), strconv.AppendInt(nil, int64(b.server.config.Source.Registry().Len()), 10),
		[]byte(`,"clients":[`), list.text, []byte(`]}`)), clients
}

// sameNodes reports whether two lists differ in nothing but times that pass.
func sameNodes(a, b []Node) bool {
	timeless := func(list []Node) []Node {
		list = slices.Clone(list)
		for i := range list {
			list[i].AgeSeconds = 0
			if list[i].Self {
				list[i].UptimeSeconds = 0
			}
		}
		return list
	}
	return reflect.DeepEqual(timeless(a), timeless(b))
}

// send gives a viewer the events of a tick if it has room for them. After ticks without room it first gets what was left out, and a
// snapshot.
func (v *viewer) send(text []byte, p path, counts leftOut, snapshot func() []byte) {
	var parts [][]byte
	for _, part := range [][]byte{text, p.text} {
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	if len(v.chunks) == cap(v.chunks) { // only its reader changes that meanwhile, to less
		if len(parts) > 0 {
			counts.Path = p.events + p.leftOut
			v.leftOut.add(counts)
		}
		return
	}
	v.leftOut.Path += p.leftOut
	if v.leftOut != (leftOut{}) {
		before := appendEvent(nil, "left_out", v.leftOut)
		if v.leftOut.ticks > 0 {
			before = append(before, snapshot()...)
		}
		parts = slices.Insert(parts, 0, before)
		v.leftOut = leftOut{}
	}
	if len(parts) > 0 {
		v.chunks <- parts
	}
}

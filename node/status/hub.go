package status

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"herd/node/topology"

	"herd/node/flood"
	"herd/node/line"
)

const (
	tick      = 250 * time.Millisecond
	slowTicks = 4  // from one health to the next
	buffered  = 16 // ticks that wait for a viewer: beyond that, what comes is left out
)

// Watch is who is told what happens at a node. Its functions never wait for anybody, and must not call the node.
type Watch struct {
	Hop    func(from, to line.NodeName, reports []line.Report) // on a link of the node: told or heard
	Notice func(flood.Notice)
}

// viewer is who reads a stream.
type viewer struct {
	client line.ClientID // whose hops it wants all of; "": nobody's
	chunks chan [][]byte // whole events; several viewers share their bytes
	lost   leftOut       // since it took something; of the hub's goroutine
}

func newViewer(client line.ClientID) *viewer {
	return &viewer{client: client, chunks: make(chan [][]byte, buffered)}
}

// leftOut is what a viewer was not told because it was slow, or too much happened to the client it follows.
type leftOut struct {
	Clients int `json:"clients"`
	Hops    int `json:"hops"`
	Notices int `json:"notices"`
	Path    int `json:"path"` // hops of the client that it follows
	ticks   int
}

func (l *leftOut) add(o leftOut) {
	l.Clients += o.Clients
	l.Hops += o.Hops
	l.Notices += o.Notices
	l.Path += o.Path
	l.ticks++
}

// hub tells all viewers of a node what happens. It has a goroutine, and hears the node, only while there are viewers.
type hub struct {
	server *Server

	gate sync.Mutex // held while one comes or goes
	stop func()     // and wait; guarded by gate
	hops *hops      // likewise

	mu      sync.Mutex
	viewers map[*viewer]struct{}
}

// join has a viewer told what happens from now on, until it leaves. There are no more viewers than streams.
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
	h.hops.follow(v.client)
}

func (h *hub) leave(v *viewer) {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.mu.Lock()
	delete(h.viewers, v)
	n := len(h.viewers)
	h.mu.Unlock()
	h.hops.unfollow(v.client)
	if n == 0 {
		h.stop()
	}
}

// all returns the viewers.
func (h *hub) all() []*viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.viewers))
}

// start begins to hear the node, and to tell, until stop is called.
func (h *hub) start() {
	source, observer := h.server.Source, h.server.Observer
	h.hops = newHops()
	t := &teller{hub: h, hops: h.hops, notices: new(notices)}
	t.look()
	changed, unfollow := source.Subscribe(maxChanged)
	t.changed = changed
	unwatch := source.Watch(Watch{
		Hop: func(from, to line.NodeName, reports []line.Report) {
			if !observer.observing.Load() {
				t.hops.add(from, to, reports)
			}
		},
		Notice: t.notices.take,
	})
	unobserve := observer.watch(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { t.run(ctx) })
	h.stop = func() {
		cancel()
		unobserve()
		unwatch()
		unfollow()
		running.Wait()
	}
}

func (h *hub) hello() Hello {
	s := h.server
	observing, why := s.Observer.state()
	return Hello{s.Node, s.Herd, s.Version, observing, why, graph(s.Source.Topology(), s.Node)}
}

// picture is what a viewer has to know first.
func (h *hub) picture() []byte {
	text := appendEvent(nil, "hello", h.hello())
	text = appendEvent(text, "health", h.server.Source.Health())
	return appendEvent(text, "nodes", h.server.Source.Herd())
}

// teller is a hub while somebody watches. Its fields belong to the goroutine that runs it.
type teller struct {
	*hub
	changed *flood.Queue // what changed the registry
	emptied uint64       // of that, thrown away because it was too much, so far
	hops    *hops
	notices *notices

	ticks    int
	greeting Hello
	topology *topology.Topology // of greeting
	nodes    []Node             // as told last
	spare    []line.Report
}

func (t *teller) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.tell()
		}
	}
}

// tell tells all viewers what happened since the last time. What they all see is encoded once.
func (t *teller) tell() {
	var text []byte
	var in leftOut // for who does not take it
	if t.look() {
		text = appendEvent(text, "hello", t.greeting)
	}
	text, in.Notices = t.notices.append(text)
	text, in.Clients = t.appendClients(text)
	text, in.Hops = t.hops.append(text)
	if t.ticks++; t.ticks%slowTicks == 0 {
		text = appendEvent(text, "health", t.server.Source.Health())
		if nodes := t.server.Source.Herd(); !same(nodes, t.nodes) {
			t.nodes = nodes
			text = appendEvent(text, "nodes", nodes)
		}
	}
	paths := t.hops.paths()
	for _, v := range t.all() {
		v.tell(text, paths[v.client], in, t.picture)
	}
}

// look looks whether what viewers are told first has changed.
func (t *teller) look() bool {
	topology := t.server.Source.Topology()
	observing, why := t.server.Observer.state()
	if t.topology == topology && t.greeting.Observing == observing && t.greeting.Why == why {
		return false
	}
	t.topology, t.greeting = topology, t.hello()
	t.hops.know(topology)
	return true
}

// same reports whether two lists tell the same but for the time.
func same(a, b []Node) bool {
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

// tell gives a viewer its events, if it has room for them. Who had none is told so when it has, and how everything is then.
func (v *viewer) tell(text []byte, p path, in leftOut, picture func() []byte) {
	var parts [][]byte
	for _, part := range [][]byte{text, p.text} {
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	if len(v.chunks) == cap(v.chunks) { // only its reader changes that meanwhile, to less
		if len(parts) > 0 {
			in.Path = p.told + p.leftOut
			v.lost.add(in)
		}
		return
	}
	v.lost.Path += p.leftOut
	if v.lost != (leftOut{}) {
		before := appendEvent(nil, "left_out", v.lost)
		if v.lost.ticks > 0 {
			before = append(before, picture()...)
		}
		parts = slices.Insert(parts, 0, before)
		v.lost = leftOut{}
	}
	if len(parts) > 0 {
		v.chunks <- parts
	}
}

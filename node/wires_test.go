package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"herd/bus"
)

// wires is what lies between nodes and a bus of any kind: each way from one node to another takes its time, and can be cut, held,
// stalled, and made to lose, double or change messages; nodes can be unplugged. So the same faults happen on every bus.
type wires struct {
	mu      sync.Mutex
	lanes   map[[2]string]*lane
	sockets map[string]*socket // by label of a node: two nodes may have one name
}

// lane is one way. The bus gets its messages in the order in which they were published.
type lane struct {
	mu    sync.Mutex
	takes time.Duration // to get through
	cut   bool
	hold  bool
	lose  map[bus.Kind]int // of the next ones; -1 is all
	twice map[bus.Kind]bool
	edit  *strings.Replacer // of heartbeats, or nil
	more  string            // that is appended to heartbeats
	under []flying          // way, in order
	stall chan struct{}     // nil, or closed when publishing goes on
	count map[bus.Kind]int  // published
}

// flying is a message under way.
type flying struct {
	conn      bus.Conn
	kind      bus.Kind
	to, stamp string
	payload   []byte
	held      bool
}

// socket is how one node is connected.
type socket struct {
	out  chan struct{} // nil, or closed when it is plugged in again
	conn bus.Conn
}

func newWires() *wires {
	return &wires{lanes: make(map[[2]string]*lane), sockets: make(map[string]*socket)}
}

// lay makes a way.
func (w *wires) lay(from, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// No two ways take the same time, so that nothing happens at the same moment by chance.
	takes := time.Millisecond + time.Duration(len(w.lanes))*17*time.Microsecond
	w.lanes[[2]string{from, to}] = &lane{
		takes: takes, lose: make(map[bus.Kind]int), twice: make(map[bus.Kind]bool), count: make(map[bus.Kind]int),
	}
}

// on changes a way.
func (w *wires) on(from, to string, change func(*lane)) bool {
	w.mu.Lock()
	one := w.lanes[[2]string{from, to}]
	w.mu.Unlock()
	if one == nil {
		return false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	change(one)
	return true
}

func (w *wires) socket(label string) *socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sockets[label] == nil {
		w.sockets[label] = new(socket)
	}
	return w.sockets[label]
}

// unplug ends a node's connection. The next one waits until it is plugged in.
func (w *wires) unplug(label string) {
	p := w.socket(label)
	w.mu.Lock()
	if p.out == nil {
		p.out = make(chan struct{})
	}
	conn := p.conn
	w.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (w *wires) plugIn(label string) {
	p := w.socket(label)
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.out != nil {
		close(p.out)
		p.out = nil
	}
}

// wired is the Dialer of one node.
type wired struct {
	bus.Dialer
	wires       *wires
	name, label string
}

type wiredConn struct {
	bus.Conn
	wired
}

func (d wired) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	p := d.wires.socket(d.label)
	d.wires.mu.Lock()
	out := p.out
	d.wires.mu.Unlock()
	if out != nil {
		select {
		case <-out:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c, err := d.Dialer.Dial(ctx, h)
	if err != nil {
		return nil, err
	}
	d.wires.mu.Lock()
	p.conn = c
	d.wires.mu.Unlock()
	return wiredConn{c, d}, nil
}

func (c wiredConn) Publish(kind bus.Kind, to, stamp string, payload []byte) error {
	c.wires.mu.Lock()
	w := c.wires.lanes[[2]string{c.name, to}]
	c.wires.mu.Unlock()
	if w == nil {
		return errors.New("no way to " + to)
	}
	w.mu.Lock()
	stall := w.stall
	w.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-c.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count[kind]++
	if w.lose[kind] != 0 {
		w.lose[kind]-- // all: it goes on being less than 0
		return nil
	}
	if w.cut {
		return nil
	}
	w.take(flying{c.Conn, kind, to, stamp, w.changed(kind, payload), w.hold})
	if w.twice[kind] {
		w.take(flying{c.Conn, kind, to, stamp, slices.Clone(payload), w.hold})
	}
	return nil
}

// changed returns a copy of a payload, as it is to arrive.
func (w *lane) changed(kind bus.Kind, payload []byte) []byte {
	text := string(payload)
	if kind == bus.Digest && w.edit != nil {
		text = w.edit.Replace(text)
	}
	if kind == bus.Digest {
		text += w.more
	}
	return []byte(text)
}

func (w *lane) take(f flying) {
	w.under = append(w.under, f)
	if !f.held {
		time.AfterFunc(w.takes, w.arrive)
	}
}

// arrive hands the first message to the bus.
func (w *lane) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.under[0]
	w.under = w.under[1:]
	_ = f.conn.Publish(f.kind, f.to, f.stamp, f.payload) // if it fails, the sender has gone
}

// release lets go of what was held.
func (w *lane) release() {
	w.hold = false
	for i := range w.under {
		if w.under[i].held {
			w.under[i].held = false
			time.AfterFunc(w.takes, w.arrive)
		}
	}
}

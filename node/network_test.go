package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"herd/bus"
	"herd/bus/subject"
)

// wires is what lies between nodes and a bus of any kind: each way from one node to another takes its time, and can be cut, held,
// stalled, and made to lose, double or change messages; nodes can be unplugged. So the same faults happen on every bus.
type wires struct {
	mu      sync.Mutex
	lanes   map[[2]string]*lane
	sockets map[string]*socket // by label of a node: two nodes may have one name

	began time.Time // of the record
	said  []said    // all that was published
}

// lane is one way. The bus gets its messages in the order in which they were published.
type lane struct {
	mu    sync.Mutex
	least time.Duration // that it takes to get through: another one for each way, so that little happens at the same moment
	takes time.Duration

	passed int // messages: each takes another microsecond, so that none comes just when an answer to one before it is due
	cut    bool
	hold   bool
	lose   map[subject.Kind]int // of the next ones; -1 is all
	twice  map[subject.Kind]bool
	edit   *strings.Replacer    // of heartbeats, or nil
	more   string               // that is appended to heartbeats
	under  []flying             // way, in order
	stall  chan struct{}        // nil, or closed when publishing goes on
	count  map[subject.Kind]int // published
}

// flying is a message under way to a connection.
type flying struct {
	bus.Message
	to   wiredHandler
	held bool
}

// socket is how one node is connected.
type socket struct {
	out  chan struct{} // nil, or closed when it is plugged in again
	conn bus.Conn
}

func newWires() *wires {
	return &wires{began: time.Now(), lanes: make(map[[2]string]*lane), sockets: make(map[string]*socket)}
}

// record keeps what is published, now.
func (w *wires) record(m said) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.at = time.Since(w.began)
	w.said = append(w.said, m)
}

// recorded returns what was published.
func (w *wires) recorded() []said {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

// lay makes a way.
func (w *wires) lay(from, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	least := time.Millisecond + time.Duration(len(w.lanes))*17*time.Microsecond
	w.lanes[[2]string{from, to}] = &lane{
		least: least, takes: least, lose: make(map[subject.Kind]int), twice: make(map[subject.Kind]bool), count: make(map[subject.Kind]int),
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
	taking := wiredHandler{h, d, make(chan struct{})}
	c, err := d.Dialer.Dial(ctx, taking)
	if err != nil {
		return nil, err
	}
	d.wires.mu.Lock()
	p.conn = c
	d.wires.mu.Unlock()
	return wiredConn{c, taking}, nil
}

// wiredHandler takes what the bus brings for one connection, and hands it over when it has been on its way for long enough.
type wiredHandler struct {
	bus.Handler
	wired
	closed chan struct{}
}

type wiredConn struct {
	bus.Conn
	wiredHandler
}

// Close has nothing arrive any more.
func (c wiredConn) Close() {
	c.Conn.Close()
	close(c.closed)
}

func (h wiredHandler) Receive(m bus.Message) {
	h.wires.on(m.From, h.name, func(w *lane) {
		w.under = append(w.under, flying{m, h, w.hold})
		w.passed++
		if !w.hold {
			time.AfterFunc(w.takes+time.Duration(w.passed%101)*time.Microsecond, w.arrive)
		}
	})
}

func (c wiredConn) Publish(to string, m bus.Message) error {
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
	c.wires.record(said{from: c.name, to: to, kind: m.Kind, stamp: m.Stamp, payload: string(m.Payload)})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count[m.Kind]++
	if w.lose[m.Kind] != 0 {
		w.lose[m.Kind]-- // all: it goes on being less than 0
		return nil
	}
	if w.cut {
		return nil
	}
	if m.Kind == subject.Digest {
		m.Payload = w.changed(m.Payload)
	}
	err := c.Conn.Publish(to, m)
	if err == nil && w.twice[m.Kind] {
		err = c.Conn.Publish(to, m)
	}
	return err
}

// changed returns a heartbeat as it is to arrive.
func (w *lane) changed(payload []byte) []byte {
	text := string(payload)
	if w.edit != nil {
		text = w.edit.Replace(text)
	}
	return []byte(text + w.more)
}

// arrive hands the first message over, unless its receiver has gone.
func (w *lane) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.under[0]
	w.under = w.under[1:]
	select {
	case <-f.to.closed:
	default:
		f.to.Handler.Receive(f.Message)
	}
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

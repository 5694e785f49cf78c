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

// network lies between nodes and a bus of any kind: each direction from one node to another has a latency, and can be cut, held,
// stalled, and made to drop, duplicate or change messages; nodes can be disconnected. So the same faults happen on every bus.
type network struct {
	mu         sync.Mutex
	directions map[[2]string]*direction
	sockets    map[string]*socket // by label of a node, since two nodes may have one name

	started time.Time     // when the record of what is sent starts
	sent    []sentMessage // all that was published
}

// direction is one direction of a link. The bus gets its messages in the order in which they were published.
type direction struct {
	mu         sync.Mutex
	minLatency time.Duration // different for each direction, so that little happens at the same instant
	latency    time.Duration // of now

	passed     int       // messages so far: each takes another microsecond, so that none arrives just when an answer to one before it is due
	rate       int       // bytes a second that pass, one message behind the other; 0: no limit
	free       time.Time // when all has passed that was published
	cut        bool
	hold       bool
	drops      map[subject.Kind]int // how many of the next ones; -1 is all
	duplicated map[subject.Kind]bool
	edit       *strings.Replacer    // of heartbeats, or nil
	more       string               // that is appended to heartbeats
	inFlight   []inFlightMessage    // in the order in which they were published
	stall      chan struct{}        // nil, or closed when publishing goes on
	count      map[subject.Kind]int // published
}

// inFlightMessage is a message on its way to a connection.
type inFlightMessage struct {
	bus.Message
	to   networkHandler
	held bool
}

// socket is how one node is connected.
type socket struct {
	out  chan struct{} // nil, or closed when it is plugged in again
	conn bus.Conn
}

func newNetwork() *network {
	return &network{started: time.Now(), directions: make(map[[2]string]*direction), sockets: make(map[string]*socket)}
}

// record keeps what is published, now.
func (n *network) record(m sentMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m.at = time.Since(n.started)
	n.sent = append(n.sent, m)
}

// recorded returns what was published.
func (n *network) recorded() []sentMessage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// addDirection adds a direction.
func (n *network) addDirection(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	minLatency := time.Millisecond + time.Duration(len(n.directions))*17*time.Microsecond
	n.directions[[2]string{from, to}] = &direction{
		minLatency: minLatency, latency: minLatency, drops: make(map[subject.Kind]int), duplicated: make(map[subject.Kind]bool), count: make(map[subject.Kind]int),
	}
}

// on changes a direction, and reports whether there is one.
func (n *network) on(from, to string, change func(*direction)) bool {
	n.mu.Lock()
	one := n.directions[[2]string{from, to}]
	n.mu.Unlock()
	if one == nil {
		return false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	change(one)
	return true
}

func (n *network) socket(label string) *socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[label] == nil {
		n.sockets[label] = new(socket)
	}
	return n.sockets[label]
}

// unplug closes a node's connection. The next one waits until the node is plugged in.
func (n *network) unplug(label string) {
	p := n.socket(label)
	n.mu.Lock()
	if p.out == nil {
		p.out = make(chan struct{})
	}
	conn := p.conn
	n.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (n *network) plugIn(label string) {
	p := n.socket(label)
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.out != nil {
		close(p.out)
		p.out = nil
	}
}

// networkDialer is the Dialer of one node.
type networkDialer struct {
	bus.Dialer
	network     *network
	name, label string
}

func (d networkDialer) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	p := d.network.socket(d.label)
	d.network.mu.Lock()
	out := p.out
	d.network.mu.Unlock()
	if out != nil {
		select {
		case <-out:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	handler := networkHandler{h, d, make(chan struct{})}
	c, err := d.Dialer.Dial(ctx, handler)
	if err != nil {
		return nil, err
	}
	d.network.mu.Lock()
	p.conn = c
	d.network.mu.Unlock()
	return networkConn{c, handler}, nil
}

// networkHandler receives the messages for one connection, and delivers each when the latency of its direction has passed.
type networkHandler struct {
	bus.Handler
	networkDialer
	closed chan struct{}
}

type networkConn struct {
	bus.Conn
	networkHandler
}

// Close closes the connection. Nothing arrives on it any more.
func (c networkConn) Close() {
	c.Conn.Close()
	close(c.closed)
}

func (h networkHandler) Receive(m bus.Message) {
	h.network.on(m.From, h.name, func(r *direction) {
		r.inFlight = append(r.inFlight, inFlightMessage{m, h, r.hold})
		r.passed++
		if !r.hold {
			time.AfterFunc(r.latency+r.pass(len(m.Payload))+time.Duration(r.passed%101)*time.Microsecond, r.arrive)
		}
	})
}

const (
	lineBytes  = 60       // of NATS's line before a payload, or some more
	socketRoom = 16 << 10 // bytes that may be on their way before publishing waits
)

// pass returns when a payload has passed, after all before it, at the rate of the direction.
func (r *direction) pass(payload int) time.Duration {
	if r.rate == 0 {
		return 0
	}
	if now := time.Now(); r.free.Before(now) {
		r.free = now
	}
	r.free = r.free.Add(time.Duration(lineBytes+payload) * time.Second / time.Duration(r.rate))
	return time.Until(r.free)
}

// room returns how long it takes until there is room for another message.
func (r *direction) room() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rate == 0 {
		return 0
	}
	return max(0, time.Until(r.free)) - socketRoom*time.Second/time.Duration(r.rate)
}

func (c networkConn) Publish(to string, m bus.Message) error {
	c.network.mu.Lock()
	w := c.network.directions[[2]string{c.name, to}]
	c.network.mu.Unlock()
	if w == nil {
		return errors.New("no link to " + to)
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
	select {
	case <-time.After(w.room()):
	case <-c.Done():
	}
	c.network.record(sentMessage{from: c.name, to: to, kind: m.Kind, stamp: m.Stamp, payload: string(m.Payload)})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count[m.Kind]++
	if w.drops[m.Kind] != 0 {
		w.drops[m.Kind]-- // -1 stays below 0
		return nil
	}
	if w.cut {
		return nil
	}
	if m.Kind == subject.Heartbeat {
		m.Payload = w.changed(m.Payload)
	}
	err := c.Conn.Publish(to, m)
	if err == nil && w.duplicated[m.Kind] {
		err = c.Conn.Publish(to, m)
	}
	return err
}

// changed returns a heartbeat as it is to arrive.
func (r *direction) changed(payload []byte) []byte {
	text := string(payload)
	if r.edit != nil {
		text = r.edit.Replace(text)
	}
	return []byte(text + r.more)
}

// arrive delivers the first message, unless its connection was closed.
func (r *direction) arrive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.inFlight[0]
	r.inFlight = r.inFlight[1:]
	select {
	case <-f.to.closed:
	default:
		f.to.Handler.Receive(f.Message)
	}
}

// release delivers what was held.
func (r *direction) release() {
	r.hold = false
	for i := range r.inFlight {
		if r.inFlight[i].held {
			r.inFlight[i].held = false
			time.AfterFunc(r.latency, r.arrive)
		}
	}
}

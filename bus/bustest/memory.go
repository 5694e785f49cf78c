package bustest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"herd/bus"
)

// Memory is a bus within a process. It behaves as [bus.NATS] does on a [bus.Server]; besides, each direction of a link can be cut,
// held, delayed and made to lose or double messages, and nodes can be disconnected.
//
// The faults of a direction depend on nothing but the messages sent on it and the functions set for it, which are called in the order
// of messages, with the bus locked. So a test whose functions draw from seeds, one for each direction, has the same faults each time.
type Memory struct {
	mu           sync.Mutex
	conns        map[string][]*memoryConn // by node, the oldest first; of two nodes with one name both receive everything
	disconnected map[string]bool          // nodes that may not connect
	directions   map[direction]*fault
}

// direction is one of the two of a link.
type direction struct{ from, to string }

// fault is what is wrong with one direction. The zero fault is none.
type fault struct {
	cut   bool
	hold  bool
	held  []bus.Message
	delay func() time.Duration
	drop  func(bus.Message) bool
	twice func(bus.Message) bool
}

// NewMemory returns a bus without faults.
func NewMemory() *Memory {
	return &Memory{conns: make(map[string][]*memoryConn), disconnected: make(map[string]bool), directions: make(map[direction]*fault)}
}

// Dialer returns how a node connects. It may publish to the neighbours that it is subscribed to.
func (m *Memory) Dialer(node string) bus.Dialer { return &memoryDialer{m, node} }

type memoryDialer struct {
	bus  *Memory
	node string
}

func (d *memoryDialer) Dial(_ context.Context, h bus.Handler) (bus.Conn, error) {
	m := d.bus
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disconnected[d.node] {
		return nil, fmt.Errorf("bus: connect %s: disconnected", d.node)
	}
	c := &memoryConn{memoryDialer: d, handler: h, done: make(chan struct{}), subscriptions: make(map[string]*subscription)}
	m.conns[d.node] = append(m.conns[d.node], c)
	return c, nil
}

// delivery is a message that does not arrive before due.
type delivery struct {
	bus.Message
	due time.Time
}

type memoryConn struct {
	*memoryDialer
	handler       bus.Handler
	subscriptions map[string]*subscription // by neighbour; guarded by the lock of the bus
	tasks         sync.WaitGroup

	done chan struct{}
	once sync.Once
	err  error // set before done is closed
}

// subscription holds messages of one neighbour until the handler receives them.
type subscription struct {
	messages chan delivery
	ended    chan struct{} // closed when the node unsubscribes
}

func (c *memoryConn) Subscribe(_ context.Context, neighbours []string) error {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if err := c.Err(); err != nil {
		return fmt.Errorf("bus: subscribe: %w", err)
	}
	for peer, s := range c.subscriptions {
		if !slices.Contains(neighbours, peer) {
			close(s.ended)
			delete(c.subscriptions, peer)
		}
	}
	for _, peer := range neighbours {
		if c.subscriptions[peer] == nil {
			s := &subscription{make(chan delivery, bus.MaxPending), make(chan struct{})}
			c.subscriptions[peer] = s
			c.tasks.Go(func() { c.deliver(s) })
		}
	}
	return nil
}

// deliver calls the handler with one neighbour's messages, in order.
func (c *memoryConn) deliver(s *subscription) {
	for {
		var m delivery
		select {
		case <-c.done:
			return
		case <-s.ended:
			return
		case m = <-s.messages:
		}
		if wait := time.Until(m.due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-c.done:
				timer.Stop()
				return
			case <-timer.C:
			}
		}
		select {
		case <-c.done:
			return
		case <-s.ended:
			return
		default:
			c.handler.Receive(m.Message)
		}
	}
}

func (c *memoryConn) Publish(to string, msg bus.Message) error {
	m := c.bus
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := c.Err(); err != nil {
		return fmt.Errorf("bus: publish to %s: %w", to, err)
	}
	if c.subscriptions[to] == nil {
		c.tasks.Go(func() {
			c.handler.Fault(fmt.Errorf("%w: publish from %s to %s", bus.ErrRefused, c.node, to))
		})
		return nil
	}
	d := direction{c.node, to}
	msg.From = c.node
	f := m.directions[d]
	switch {
	case f == nil:
		m.send(d, msg, time.Time{})
	case f.cut || f.drop != nil && f.drop(msg):
	default:
		m.pass(d, f, msg)
		if f.twice != nil && f.twice(msg) {
			m.pass(d, f, msg)
		}
	}
	return nil
}

// pass sends a message that is not lost, now or later. It needs the lock.
func (m *Memory) pass(d direction, f *fault, msg bus.Message) {
	switch {
	case f.hold:
		msg.Payload = slices.Clone(msg.Payload)
		f.held = append(f.held, msg)
	case f.delay != nil:
		m.send(d, msg, time.Now().Add(f.delay()))
	default:
		m.send(d, msg, time.Time{})
	}
}

// send puts a copy of a message into each subscription at the other end that has room. It needs the lock.
func (m *Memory) send(d direction, msg bus.Message, due time.Time) {
	for _, c := range m.conns[d.to] {
		s := c.subscriptions[d.from]
		if s == nil {
			continue
		}
		msg.Payload = slices.Clone(msg.Payload)
		select {
		case s.messages <- delivery{msg, due}:
		default:
			c.tasks.Go(func() { c.handler.Fault(fmt.Errorf("%w: from %s", bus.ErrOverrun, d.from)) })
		}
	}
}

// maxPayload is the default of NATS servers.
const maxPayload = 1 << 20

func (c *memoryConn) Writable(context.Context) error { return c.Err() }

func (c *memoryConn) MaxPayload() int { return maxPayload }

// Silence yields nothing: a node that is cut off is disconnected.
func (c *memoryConn) Silence() <-chan bool { return nil }

func (c *memoryConn) Flush(context.Context) error { return c.Err() }

func (c *memoryConn) Done() <-chan struct{} { return c.done }

func (c *memoryConn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

func (c *memoryConn) Close() {
	c.bus.mu.Lock()
	c.end(bus.ErrClosed)
	c.bus.mu.Unlock()
	c.tasks.Wait()
}

// end takes the connection off the bus. It needs the bus's lock.
func (c *memoryConn) end(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.done)
		c.bus.conns[c.node] = slices.DeleteFunc(c.bus.conns[c.node], func(other *memoryConn) bool { return other == c })
	})
}

// on changes the fault of one direction.
func (m *Memory) on(from, to string, change func(d direction, f *fault)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := direction{from, to}
	if m.directions[d] == nil {
		m.directions[d] = new(fault)
	}
	change(d, m.directions[d])
}

// Cut makes everything vanish that one node sends to another; neither notices.
func (m *Memory) Cut(from, to string) { m.on(from, to, func(_ direction, f *fault) { f.cut = true }) }

// Heal undoes Cut. What has vanished does not come back.
func (m *Memory) Heal(from, to string) { m.on(from, to, func(_ direction, f *fault) { f.cut = false }) }

// Drop makes the messages vanish for which drop returns true; nil ends that.
func (m *Memory) Drop(from, to string, drop func(bus.Message) bool) {
	m.on(from, to, func(_ direction, f *fault) { f.drop = drop })
}

// Duplicate makes the messages arrive twice for which twice returns true, the copy right behind the message; nil ends that. It is not
// called for messages that vanish.
func (m *Memory) Duplicate(from, to string, twice func(bus.Message) bool) {
	m.on(from, to, func(_ direction, f *fault) { f.twice = twice })
}

// Delay makes each message arrive later by what delay returns, but in the order of the direction; nil ends that. Messages overtake those
// of other directions. A message and its copy are delayed each by itself.
func (m *Memory) Delay(from, to string, delay func() time.Duration) {
	m.on(from, to, func(_ direction, f *fault) { f.delay = delay })
}

// Hold keeps messages back until Release.
func (m *Memory) Hold(from, to string) { m.on(from, to, func(_ direction, f *fault) { f.hold = true }) }

// Release sends what was kept back, and ends Hold.
func (m *Memory) Release(from, to string) {
	m.on(from, to, func(d direction, f *fault) {
		for _, msg := range f.held {
			m.send(d, msg, time.Time{})
		}
		f.hold, f.held = false, nil
	})
}

// Disconnect ends the connections of a node, which cannot connect again before Reconnect.
func (m *Memory) Disconnect(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disconnected[node] = true
	for _, c := range slices.Clone(m.conns[node]) {
		c.end(bus.ErrClosed)
	}
}

// Reconnect lets a node connect again.
func (m *Memory) Reconnect(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.disconnected, node)
}

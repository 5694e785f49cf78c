package bus

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Memory is a bus within a process, for tests and simulations. It behaves as [NATS] does on a [Server]; on top of that, each way
// from one node to another can be cut, held, delayed and made to lose or double messages, and nodes can be disconnected.
//
// What happens on a way follows from the messages sent on it and from the functions set for it, which are asked in the order of
// messages, with the bus locked. So a test whose functions draw from a seed, each way's from one of its own, has the same faults each
// time.
type Memory struct {
	mu       sync.Mutex
	attached map[string][]*memoryConn // by node, in the order they came: two nodes of one name both hear
	away     map[string]bool          // disconnected nodes
	ways     map[way]*fault
}

type way struct{ from, to string }

// fault is what is wrong with one way. Its zero value is nothing.
type fault struct {
	cut   bool
	hold  bool
	held  []Message
	delay func() time.Duration
	drop  func(Message) bool
	twice func(Message) bool
}

// NewMemory returns a bus on which nothing is wrong.
func NewMemory() *Memory {
	return &Memory{attached: make(map[string][]*memoryConn), away: make(map[string]bool), ways: make(map[way]*fault)}
}

// Dialer returns how a node connects. It may publish to the neighbours that it hears.
func (m *Memory) Dialer(node string) Dialer { return &memoryDialer{m, node} }

type memoryDialer struct {
	bus  *Memory
	node string
}

func (d *memoryDialer) Dial(_ context.Context, h Handler) (Conn, error) {
	m := d.bus
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away[d.node] {
		return nil, fmt.Errorf("bus: connect %s: disconnected", d.node)
	}
	c := &memoryConn{memoryDialer: d, handler: h, done: make(chan struct{}), inboxes: make(map[string]*mailbox)}
	m.attached[d.node] = append(m.attached[d.node], c)
	return c, nil
}

// timed is a message that is not to arrive before due.
type timed struct {
	Message
	due time.Time
}

type memoryConn struct {
	*memoryDialer
	handler Handler
	inboxes map[string]*mailbox // by neighbour; guarded by the bus's lock
	tasks   sync.WaitGroup

	done chan struct{}
	once sync.Once
	err  error // set before done is closed
}

// mailbox holds what one neighbour sent.
type mailbox struct {
	messages chan timed
	closed   chan struct{} // the neighbour is heard no more
}

func (c *memoryConn) Subscribe(_ context.Context, neighbours []string) error {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if err := c.Err(); err != nil {
		return fmt.Errorf("bus: subscribe: %w", err)
	}
	for peer, in := range c.inboxes {
		if !slices.Contains(neighbours, peer) {
			close(in.closed)
			delete(c.inboxes, peer)
		}
	}
	for _, peer := range neighbours {
		if c.inboxes[peer] == nil {
			in := &mailbox{make(chan timed, pendingMessages), make(chan struct{})}
			c.inboxes[peer] = in
			c.tasks.Go(func() { c.deliver(in) })
		}
	}
	return nil
}

// deliver hands one neighbour's messages to the handler, in order.
func (c *memoryConn) deliver(in *mailbox) {
	for {
		var m timed
		select {
		case <-c.done:
			return
		case <-in.closed:
			return
		case m = <-in.messages:
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
		case <-in.closed:
			return
		default:
			c.handler.Receive(m.Message)
		}
	}
}

func (c *memoryConn) Publish(to string, msg Message) error {
	m := c.bus
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := c.Err(); err != nil {
		return fmt.Errorf("bus: publish to %s: %w", to, err)
	}
	if c.inboxes[to] == nil {
		c.tasks.Go(func() {
			c.handler.Fault(fmt.Errorf("%w: publish from %s to %s", ErrRefused, c.node, to))
		})
		return nil
	}
	w := way{c.node, to}
	msg.From = c.node
	f := m.ways[w]
	switch {
	case f == nil:
		m.send(w, msg, time.Time{})
	case f.cut || f.drop != nil && f.drop(msg):
	default:
		m.pass(w, f, msg)
		if f.twice != nil && f.twice(msg) {
			m.pass(w, f, msg)
		}
	}
	return nil
}

// pass sends a message that is not lost, now or later. It needs the lock.
func (m *Memory) pass(w way, f *fault, msg Message) {
	switch {
	case f.hold:
		msg.Payload = slices.Clone(msg.Payload)
		f.held = append(f.held, msg)
	case f.delay != nil:
		m.send(w, msg, time.Now().Add(f.delay()))
	default:
		m.send(w, msg, time.Time{})
	}
}

// send puts a copy of a message into each inbox at the other end of a way that has room. It needs the lock.
func (m *Memory) send(w way, msg Message, due time.Time) {
	for _, c := range m.attached[w.to] {
		in := c.inboxes[w.from]
		if in == nil {
			continue
		}
		msg.Payload = slices.Clone(msg.Payload)
		select {
		case in.messages <- timed{msg, due}:
		default:
			c.tasks.Go(func() { c.handler.Fault(fmt.Errorf("%w: from %s", ErrOverrun, w.from)) })
		}
	}
}

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
	c.end(ErrClosed)
	c.bus.mu.Unlock()
	c.tasks.Wait()
}

// end takes the connection off the bus. It needs the bus's lock.
func (c *memoryConn) end(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.done)
		c.bus.attached[c.node] = slices.DeleteFunc(c.bus.attached[c.node], func(other *memoryConn) bool { return other == c })
	})
}

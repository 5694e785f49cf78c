package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"herd/bus/subject"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session"
)

const subscribeTime = 5 * time.Second // between two attempts to subscribe to neighbours that the bus does not permit

// busSession sends to the neighbours over one connection to the bus, and is subscribed to them.
type busSession struct {
	node *Node
	conn bus.Conn
	ctx  context.Context         // ends with the connection
	fail context.CancelCauseFunc // ends the connection

	// By link, what stops sending to the neighbour and waits until that has stopped. Guarded by linkSet.mu.
	stops map[*link]func()
}

// runBusSession sends and receives over a connection until ctx ends with the connection. The error is that of a bus that does not permit it.
func runBusSession(ctx context.Context, n *Node, c bus.Conn) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	b := &busSession{n, c, ctx, fail, make(map[*link]func())}
	if err := b.start(); err != nil {
		return err
	}
	n.log.Info("bus connected", n.starting())
	for again := time.NewTicker(subscribeTime); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			again.Stop()
		case <-again.C:
			b.subscribeAgain()
		}
	}
	b.finish()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (b *busSession) start() error {
	n := b.node
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	if err := b.subscribe(n.links.all()); err != nil {
		return err
	}
	n.engine.LimitMessages(b.conn.MaxPayload())
	n.engine.Connect(time.Now())
	b.sendTo(n.links.all())
	n.links.session = b
	n.links.state.Store(connected)
	n.tick()
	return nil
}

func (b *busSession) finish() {
	n := b.node
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	n.links.session = nil
	for _, stop := range b.stops {
		stop()
	}
	n.engine.Disconnect(time.Now())
	n.links.state.Store(disconnected)
}

// subscribeAgain tries the neighbours that the bus did not permit: it may have read the topology later than this node.
func (b *busSession) subscribeAgain() {
	n := b.node
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	if err := b.subscribe(n.links.all()); err != nil {
		b.fail(err)
	}
}

// subscribe subscribes to these neighbours and no others.
func (b *busSession) subscribe(links []*link) error {
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = string(l.Peer)
	}
	return b.conn.Subscribe(b.ctx, names)
}

// sendTo starts sending to those of these neighbours that nothing is sent to yet, and stops sending to all others.
func (b *busSession) sendTo(links []*link) {
	for _, l := range slices.Collect(maps.Keys(b.stops)) {
		if !slices.Contains(links, l) {
			b.stops[l]()
			delete(b.stops, l)
		}
	}
	for _, l := range links {
		if b.stops[l] != nil {
			continue
		}
		ctx, stop := context.WithCancel(b.ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			b.send(ctx, l)
		}()
		b.stops[l] = func() {
			stop()
			<-stopped
		}
	}
}

// send sends to one neighbour what its link has, as soon as it has something: a report alone when none waited before it, several in one
// message when they come faster than they are sent. It returns when ctx ends or the connection fails.
func (b *busSession) send(ctx context.Context, l *link) {
	n := b.node
	due := time.NewTimer(0)
	defer due.Stop()
	var m flood.Message
	var payload []byte
	for b.conn.Writable(ctx) == nil && ctx.Err() == nil { // what waits in the link meanwhile can still be replaced by something newer
		l.sending.Store(true)
		if !l.Next(time.Now(), &m) {
			l.sending.Store(false)
			signal(n.links.idle)
			due.Reset(time.Until(l.Due()))
			select {
			case <-l.Wake():
			case <-due.C:
			case <-ctx.Done():
			}
			continue
		}
		message := bus.Message{Kind: m.Kind, Payload: m.Payload}
		message.Stamp = m.Stamp
		if m.Kind == subject.Propagate {
			payload = appendReports(payload[:0], n.name, m.Reports)
			message.Payload = payload
		}
		if err := b.publish(l, &m, message); err != nil {
			l.sending.Store(false)
			if ctx.Err() == nil {
				n.log.Warn("not published", zap.String("to", string(l.Peer)), zap.Error(err))
			}
			b.fail(nil)
			return
		}
		b.published(l, &m, message.Payload)
	}
	l.sending.Store(false)
}

func (b *busSession) publish(l *link, m *flood.Message, message bus.Message) error {
	if len(m.Traced) > 0 {
		return b.node.tracing.Publish(l.Peer, m.Traced, func(header string) error {
			message.Trace = header
			return b.conn.Publish(string(l.Peer), message)
		})
	}
	return b.conn.Publish(string(l.Peer), message)
}

// appendReports appends PROPAGATE lines, with an LF between two.
func appendReports(dst []byte, from line.NodeName, reports []line.Report) []byte {
	for i, r := range reports {
		if i > 0 {
			dst = append(dst, '\n')
		}
		dst = line.AppendPropagate(dst, from, r)
	}
	return dst
}

// published counts and logs what was sent.
func (b *busSession) published(l *link, m *flood.Message, payload []byte) {
	n := b.node
	switch m.Kind {
	case subject.Propagate:
		l.reportsSent.Add(uint64(len(m.Reports)))
		l.messagesSent.Add(1)
		n.observe(n.name, l.Peer, m.Reports)
		if n.log.Core().Enabled(zap.InfoLevel) {
			for _, r := range m.Reports {
				text := string(line.AppendPropagate(nil, n.name, r))
				n.log.Info("published", session.Routine, zap.String("to", string(l.Peer)), zap.String("line", line.Printable(text)))
			}
		}
	case subject.Heartbeat:
		if n.log.Core().Enabled(zap.DebugLevel) {
			n.log.Debug("published", zap.String("to", string(l.Peer)), zap.String("line", string(payload)))
		}
	}
}

package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
)

const (
	subscribeTime = 5 * time.Second // between two attempts to subscribe to neighbours that the bus does not permit

	connected    = "connected"
	disconnected = "disconnected"
)

// busSession sends to the neighbours over one connection to the bus, and is subscribed to them.
type busSession struct {
	node *Node
	conn bus.Conn
	ctx  context.Context         // ends with the connection
	fail context.CancelCauseFunc // ends the connection

	// By link, what stops sending to the neighbour and waits until that has stopped. Guarded by Node.relinking.
	stops map[*link]func()
}

// serve runs a bus session over a new connection until ctx ends with it. The error is that of a bus that does not permit it.
func (n *Node) serve(ctx context.Context, c bus.Conn) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	b := &busSession{n, c, ctx, fail, make(map[*link]func())}
	if err := n.startBusSession(b); err != nil {
		return err
	}
	n.log.Info("bus connected")
	for again := time.NewTicker(subscribeTime); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			again.Stop()
		case <-again.C:
			n.subscribeAgain(b)
		}
	}
	n.finishBusSession(b)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (n *Node) startBusSession(b *busSession) error {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	if err := b.subscribe(n.links()); err != nil {
		return err
	}
	n.engine.Connect(time.Now())
	b.sendTo(n.links())
	n.busSession = b
	n.busState.Store(connected)
	n.look()
	return nil
}

func (n *Node) finishBusSession(b *busSession) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	n.busSession = nil
	for _, stop := range b.stops {
		stop()
	}
	n.engine.Disconnect(time.Now())
	n.busState.Store(disconnected)
}

// subscribeAgain tries the neighbours that the bus did not permit: it may have read the topology later than this node.
func (n *Node) subscribeAgain(b *busSession) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	if err := b.subscribe(n.links()); err != nil {
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

// links returns the links to the neighbours.
func (n *Node) links() []*link { return *n.linked.Load() }

// Relink gives the node the neighbours of a topology instead of those it has. Links that stay go on without a gap; what is queued for a
// neighbour that is none any more is dropped.
func (n *Node) Relink(topology *topology.Topology) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	before := n.links()
	n.engine.Relink(time.Now(), topology, n.admit.Limits().Queue)
	n.topology.Store(topology)
	after := make([]*link, 0, len(before))
	for _, l := range n.engine.Links() {
		i := slices.IndexFunc(before, func(old *link) bool { return old.Link == l })
		if i < 0 {
			after = append(after, &link{Link: l, lag: status.NewLags()})
		} else {
			after = append(after, before[i])
		}
	}
	// While the subscriptions change, messages may arrive from a neighbour of before or of after.
	both := slices.Concat(after, slices.DeleteFunc(slices.Clone(before), func(l *link) bool { return slices.Contains(after, l) }))
	n.linked.Store(&both)
	defer n.linked.Store(&after)
	if n.busSession == nil {
		return
	}
	if err := n.busSession.subscribe(after); err != nil {
		n.busSession.fail(err)
		return
	}
	n.busSession.sendTo(after)
}

// send sends to one neighbour what its link has, as soon as it has something: a report alone when none waited before it, several in one
// message when they come faster than they are sent. It returns when ctx ends or the connection fails.
func (b *busSession) send(ctx context.Context, l *link) {
	n := b.node
	due := time.NewTimer(0)
	defer due.Stop()
	var m flood.Message
	var payload []byte
	for ctx.Err() == nil {
		l.sending.Store(true)
		if !l.Next(time.Now(), &m) {
			l.sending.Store(false)
			select {
			case n.idle <- struct{}{}:
			default:
			}
			due.Reset(time.Until(l.Due()))
			select {
			case <-l.Queue.Wake():
			case <-due.C:
			case <-ctx.Done():
			}
			continue
		}
		message := bus.Message{Kind: m.Kind, Payload: m.Payload}
		if m.Kind == subject.Propagate {
			payload = appendReports(payload[:0], n.name, m.Reports)
			message.Stamp, message.Payload = m.Stamp, payload
		}
		if err := b.publish(l, &m, message); err != nil {
			l.sending.Store(false)
			if ctx.Err() == nil {
				n.log.Warn("not published", zap.String("to", string(l.Peer)), zap.Error(err))
			}
			b.fail(nil)
			return
		}
		n.published(l, &m, message.Payload)
	}
	l.sending.Store(false)
}

func (b *busSession) publish(l *link, m *flood.Message, message bus.Message) error {
	if len(m.Traced) > 0 {
		return b.publishTraced(l, m, message)
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
func (n *Node) published(l *link, m *flood.Message, payload []byte) {
	switch m.Kind {
	case subject.Propagate:
		l.reportsSent.Add(uint64(len(m.Reports)))
		l.messagesSent.Add(1)
		n.hop(n.name, l.Peer, m.Reports)
		if n.log.Core().Enabled(zap.InfoLevel) {
			for sent := range strings.SplitSeq(string(payload), "\n") {
				n.log.Info("published", zap.String("to", string(l.Peer)), zap.String("line", line.Printable(sent)))
			}
		}
	case subject.Digest:
		if n.log.Core().Enabled(zap.DebugLevel) {
			n.log.Debug("published", zap.String("to", string(l.Peer)), zap.String("line", string(payload)))
		}
	}
}

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
	hearTime = 5 * time.Second // between two attempts to hear neighbours that the bus does not permit

	connected    = "connected"
	disconnected = "disconnected"
)

// talk is what goes on with the neighbours over one connection to the bus.
type talk struct {
	node *Node
	conn bus.Conn
	ctx  context.Context         // ends with the connection
	fail context.CancelCauseFunc // ends it
	ends map[*link]func()        // stop telling a neighbour, and wait for that
}

// serve talks with the neighbours over a new connection until ctx ends with it. The error is that of a bus that does not
// permit it.
func (n *Node) serve(ctx context.Context, c bus.Conn) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	t := &talk{n, c, ctx, fail, make(map[*link]func())}
	if err := n.begin(t); err != nil {
		return err
	}
	n.Log.Info("bus connected")
	for again := time.NewTicker(hearTime); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			again.Stop()
		case <-again.C:
			n.hearAgain(t)
		}
	}
	n.end(t)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (n *Node) begin(t *talk) error {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	if err := t.hear(n.links()); err != nil {
		return err
	}
	n.engine.Connect(time.Now())
	t.tellAll(n.links())
	n.talk = t
	n.busState.Store(connected)
	n.look()
	return nil
}

func (n *Node) end(t *talk) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	n.talk = nil
	for _, end := range t.ends {
		end()
	}
	n.engine.Disconnect(time.Now())
	n.busState.Store(disconnected)
}

// hearAgain asks for the neighbours whom the bus did not permit: it may have read the topology later than this node.
func (n *Node) hearAgain(t *talk) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	if err := t.hear(n.links()); err != nil {
		t.fail(err)
	}
}

// hear has the node hear these neighbours and no others.
func (t *talk) hear(links []*link) error {
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = string(l.Peer)
	}
	return t.conn.Subscribe(t.ctx, names)
}

// tellAll has the node tell these neighbours and no others.
func (t *talk) tellAll(links []*link) {
	for _, l := range slices.Collect(maps.Keys(t.ends)) {
		if !slices.Contains(links, l) {
			t.ends[l]()
			delete(t.ends, l)
		}
	}
	for _, l := range links {
		if t.ends[l] != nil {
			continue
		}
		ctx, stop := context.WithCancel(t.ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			t.tell(ctx, l)
		}()
		t.ends[l] = func() {
			stop()
			<-stopped
		}
	}
}

// links returns the ways to the neighbours.
func (n *Node) links() []*link { return *n.linked.Load() }

// Relink has the node talk with the neighbours that a topology gives it and no others, from now on and without a gap for those
// that stay. What waited for a neighbour that is none any more is thrown away.
func (n *Node) Relink(topology *topology.Topology) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	before := n.links()
	n.engine.Relink(time.Now(), topology, n.limits.Load().Queue)
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
	// Until the bus has followed, a neighbour of before or after may still, or already, be heard.
	both := slices.Concat(after, slices.DeleteFunc(slices.Clone(before), func(l *link) bool { return slices.Contains(after, l) }))
	n.linked.Store(&both)
	defer n.linked.Store(&after)
	if n.talk == nil {
		return
	}
	if err := n.talk.hear(after); err != nil {
		n.talk.fail(err)
		return
	}
	n.talk.tellAll(after)
}

// tell sends what there is to be said to one neighbour, as soon as there is: a report alone when none waited before it, together with
// others when they come faster than they are sent. It returns when ctx ends, or the connection fails.
func (t *talk) tell(ctx context.Context, l *link) {
	n := t.node
	due := time.NewTimer(0)
	defer due.Stop()
	var m flood.Message
	var payload []byte
	for ctx.Err() == nil {
		l.telling.Store(true)
		if !l.Next(time.Now(), &m) {
			l.telling.Store(false)
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
			payload = appendReports(payload[:0], n.Name, m.Reports)
			message.Stamp, message.Payload = m.Stamp, payload
		}
		if err := t.publish(l, &m, message); err != nil {
			l.telling.Store(false)
			if ctx.Err() == nil {
				n.Log.Warn("not published", zap.String("to", string(l.Peer)), zap.Error(err))
			}
			t.fail(nil)
			return
		}
		n.published(l, &m, message.Payload)
	}
	l.telling.Store(false)
}

func (t *talk) publish(l *link, m *flood.Message, message bus.Message) error {
	if len(m.Traced) > 0 {
		return t.publishTraced(l, m, message)
	}
	return t.conn.Publish(string(l.Peer), message)
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
		l.told.Add(uint64(len(m.Reports)))
		l.messages.Add(1)
		n.hop(n.Name, l.Peer, m.Reports)
		if n.Log.Core().Enabled(zap.InfoLevel) {
			for told := range strings.SplitSeq(string(payload), "\n") {
				n.Log.Info("published", zap.String("to", string(l.Peer)), zap.String("line", quoted(told)))
			}
		}
	case subject.Digest:
		if n.Log.Core().Enabled(zap.DebugLevel) {
			n.Log.Debug("published", zap.String("to", string(l.Peer)), zap.String("line", string(payload)))
		}
	}
}

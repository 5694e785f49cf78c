package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/line"
)

const (
	maxBatch   = 256      // reports in a message
	maxPayload = 32 << 10 // bytes in a message, unless one report alone has more
	maxMessage = 64 << 10 // bytes in a neighbour's message: more than a sound one sends

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
	n.becomeReady()
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
	if err := t.with(n.links()); err != nil {
		return err
	}
	n.talk = t
	n.busState.Store(connected)
	return nil
}

func (n *Node) end(t *talk) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	n.talk = nil
	for _, end := range t.ends {
		end()
	}
	n.busState.Store(disconnected)
}

// hearAgain asks for the neighbours whom the bus did not permit: it may have read the topology later than this node.
func (n *Node) hearAgain(t *talk) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	if err := t.with(n.links()); err != nil {
		t.fail(err)
	}
}

// with has the talk be with these neighbours and no others.
func (t *talk) with(links []*link) error {
	for _, l := range slices.Collect(maps.Keys(t.ends)) {
		if !slices.Contains(links, l) {
			t.ends[l]()
			delete(t.ends, l)
		}
	}
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = string(l.Peer)
	}
	if err := t.conn.Hear(t.ctx, names); err != nil {
		return err
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
	return nil
}

// links returns the ways to the neighbours.
func (n *Node) links() []*link { return *n.linked.Load() }

// Relink has the node talk with these neighbours and no others, from now on and without a gap for those that stay. What waited for
// a neighbour that is none any more is thrown away.
func (n *Node) Relink(neighbours []line.NodeName) {
	n.relinking.Lock()
	defer n.relinking.Unlock()
	before := n.links()
	n.engine.Relink(neighbours, n.limits.Load().Queue)
	after := make([]*link, 0, len(neighbours))
	for _, l := range n.engine.Links() {
		i := slices.IndexFunc(before, func(old *link) bool { return old.Link == l })
		if i < 0 {
			after = append(after, &link{Link: l})
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
	if err := n.talk.with(after); err != nil {
		n.talk.fail(err)
	}
}

// tell sends what is queued for one neighbour, as soon as it is: alone when the queue was empty, together with
// others when it grows faster than it is sent. It returns when ctx ends, or the connection fails.
func (t *talk) tell(ctx context.Context, l *link) {
	n := t.node
	overhead := len(line.AppendPropagate(nil, n.Name, line.Report{})) + len("\n")
	var batch []line.Report
	var payload []byte
	for {
		l.telling.Store(true)
		batch = l.Queue.Pop(batch[:0], maxBatch, maxPayload-maxBatch*overhead)
		if len(batch) == 0 {
			l.telling.Store(false)
			select {
			case n.idle <- struct{}{}:
			default:
			}
			select {
			case <-l.Queue.Wake():
				continue
			case <-ctx.Done():
				return
			}
		}
		payload = payload[:0]
		for i, r := range batch {
			if i > 0 {
				payload = append(payload, '\n')
			}
			payload = line.AppendPropagate(payload, n.Name, r)
		}
		if err := t.conn.Publish(bus.Propagate, string(l.Peer), "", payload); err != nil {
			l.Queue.Restore(batch) // for the next connection
			l.telling.Store(false)
			if ctx.Err() == nil {
				n.Log.Warn("not published", zap.String("to", string(l.Peer)), zap.Error(err))
			}
			t.fail(nil)
			return
		}
		l.told.Add(uint64(len(batch)))
		l.messages.Add(1)
		if n.Log.Core().Enabled(zap.InfoLevel) {
			for told := range strings.SplitSeq(string(payload), "\n") {
				n.Log.Info("published", zap.String("to", string(l.Peer)), zap.String("line", quoted(told)))
			}
		}
	}
}

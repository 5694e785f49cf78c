package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
)

const (
	maxBatch   = 256      // reports in a message
	maxPayload = 32 << 10 // bytes in a message, unless one report alone has more

	connected    = "connected"
	disconnected = "disconnected"
)

// link is the way to one neighbour, with what was told and heard on it.
type link struct {
	*flood.Link
	told, messages, heard, old atomic.Uint64

	telling atomic.Bool // something was popped that is not published yet
}

// behind reports whether there is something to tell.
func (l *link) behind() bool { return l.telling.Load() || l.Queue.Len() > 0 }

func (l *link) health() status.Link {
	counts := l.Queue.Counts()
	return status.Link{
		Peer: string(l.Peer), Queued: l.Queue.Len(),
		Told: l.told.Load(), Messages: l.messages.Load(), Heard: l.heard.Load(), Old: l.old.Load(),
		Conflated: counts.Conflated, Emptied: counts.Emptied,
	}
}

// serve tells the neighbours over a new connection what is queued for them, until ctx ends with the connection.
func (n *Node) serve(ctx context.Context, c bus.Conn) {
	n.busState.Store(connected)
	n.Log.Info("bus connected")
	n.becomeReady()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var links sync.WaitGroup
	for _, l := range n.links {
		links.Go(func() {
			if !n.tell(ctx, c, l) {
				stop()
			}
		})
	}
	links.Wait()
	<-ctx.Done()
	n.busState.Store(disconnected)
}

// lost notes why there is no connection to the bus: at once when there was one, else when the reason is another than before, but
// not every moment.
func (n *Node) lost(err error) {
	why := strings.TrimPrefix(err.Error(), "bus: ")
	before := n.busState.Swap(why)
	if before == disconnected || before != why && time.Since(n.complained) >= time.Minute {
		n.complained = time.Now()
		n.Log.Warn("bus away", zap.Error(err))
	}
}

// tell sends what is queued for one neighbour, as soon as it is: alone when the queue was empty, together with
// others when it grows faster than it is sent. It returns false when the connection failed.
func (n *Node) tell(ctx context.Context, c bus.Conn, l *link) bool {
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
				return true
			}
		}
		payload = payload[:0]
		for i, r := range batch {
			if i > 0 {
				payload = append(payload, '\n')
			}
			payload = line.AppendPropagate(payload, n.Name, r)
		}
		if err := c.Publish(bus.Propagate, string(l.Peer), payload); err != nil {
			l.Queue.Restore(batch) // for the next connection
			l.telling.Store(false)
			if ctx.Err() == nil {
				n.Log.Warn("not published", zap.String("to", string(l.Peer)), zap.Error(err))
			}
			return false
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

// Message takes what a neighbour tells, for [bus.Handler].
func (n *Node) Message(m bus.Message) {
	var l *link
	for _, each := range n.links {
		if string(each.Peer) == m.From {
			l = each
		}
	}
	switch {
	case l == nil:
		n.refusals.note(wrongSender, m.From)
		return
	case m.Kind != bus.Propagate:
		n.refusals.note(unknownKind, m.From, func() zap.Field { return zap.String("kind", quoted(string(m.Kind))) })
		return
	}
	logged := n.Log.Core().Enabled(zap.InfoLevel)
	for told := range strings.SplitSeq(strings.TrimSuffix(string(m.Payload), "\n"), "\n") {
		from, r, err := line.ParsePropagate(told)
		if why := malformed; err != nil || from != l.Peer {
			if err == nil {
				why = wrongSender
			}
			n.refusals.note(why, m.From, func() zap.Field {
				return zap.String("line", quoted(told[:min(len(told), line.MaxPropagate)]))
			})
			continue
		}
		l.heard.Add(1)
		what := "heard"
		if !n.engine.Hear(r, l.Peer) {
			l.old.Add(1)
			what = "heard old"
		}
		if logged {
			n.Log.Info(what, zap.String("from", m.From), zap.String("line", quoted(told)))
		}
	}
}

// Trouble hears what the bus denied or lost, for [bus.Handler].
func (n *Node) Trouble(err error) {
	why := overrun
	if errors.Is(err, bus.ErrRefused) {
		why = notPermitted
	}
	n.refusals.note(why, "bus", func() zap.Field { return zap.Error(err) })
}

package node

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
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

// Message takes what a neighbour tells, for [bus.Handler].
func (n *Node) Message(m bus.Message) {
	var l *link
	for _, each := range n.links() {
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
	case len(m.Payload) > maxMessage:
		n.refusals.note(oversized, m.From, func() zap.Field { return zap.Int("bytes", len(m.Payload)) })
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

package node

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
)

const maxMessage = 64 << 10 // bytes in a neighbour's message: more than a sound one sends

// link is the way to one neighbour, with what was told and heard on it.
type link struct {
	*flood.Link
	told, messages, heard, old atomic.Uint64
	lag                        *status.Histogram // since the receipt at the origin

	telling atomic.Bool // something was popped that is not published yet
}

// behind reports whether there is something to tell.
func (l *link) behind() bool { return l.telling.Load() || l.Queue.Len() > 0 }

func (l *link) health(began, now time.Time) status.Link {
	counts, s := l.Queue.Counts(), l.Status()
	if s.SilentSince.Before(began) {
		s.SilentSince = began // there was no connection yet
	}
	h := status.Link{
		Peer: string(l.Peer), State: s.State.String(), Silent: now.Sub(s.SilentSince).Seconds(), Unheard: s.NeverReceived, Twin: now.Sub(s.DuplicateName) < time.Minute, Queued: l.Queue.Len(),
		Told: l.told.Load(), Messages: l.messages.Load(), Heard: l.heard.Load(), Old: l.old.Load(), Duplicates: s.ReportsDuplicate,
		Conflated: counts.Conflated, Emptied: counts.Dropped,
		Gaps: s.MessagesMissing, Repeated: s.MessagesRepeated, Walks: s.Syncs, GivenUp: s.SyncsAbandoned, Pulled: s.SyncReports, PulledNew: s.SyncReportsNew,
		RepairIn: s.SyncReceivedBytes, RepairOut: s.SyncSentBytes, Unread: s.SyncRequestsDropped, Twins: s.DuplicateNameSigns,
	}
	if !s.DigestCompared.IsZero() {
		h.Compared, h.Equal = new(now.Sub(s.DigestCompared).Seconds()), &s.DigestEqual
	}
	for _, peer := range s.Lacking {
		h.Lacking = append(h.Lacking, string(peer))
	}
	if !s.SameTopology {
		h.Topology = "differs"
		if s.Differences != "" {
			h.Topology += ": " + s.Differences
		}
	}
	return h
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

// Receive takes what a neighbour sends, for [bus.Handler].
func (n *Node) Receive(m bus.Message) {
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
	case len(m.Payload) > maxMessage:
		n.refusals.note(oversized, m.From, func() zap.Field { return zap.Int("bytes", len(m.Payload)) })
		return
	}
	var err error
	switch m.Kind {
	case subject.Propagate:
		n.reports(l, m)
	case subject.Digest:
		if n.Log.Core().Enabled(zap.DebugLevel) {
			n.Log.Debug("heard", zap.String("from", m.From), zap.String("line", quoted(m.Payload)))
		}
		err = l.Receive(time.Now(), flood.Message{Kind: m.Kind, Payload: m.Payload}, nil)
	case subject.Repair:
		err = l.Receive(time.Now(), flood.Message{Kind: m.Kind, Payload: m.Payload}, nil)
	default:
		n.refusals.note(unknownKind, m.From, func() zap.Field { return zap.String("kind", quoted(string(m.Kind))) })
	}
	if err != nil {
		why := malformedMessage
		switch {
		case errors.Is(err, flood.ErrVersion):
			why = unknownVersion
		case errors.Is(err, flood.ErrRecord):
			why = refusedRecord
		}
		n.refusals.note(why, m.From, func() zap.Field { return zap.Error(err) })
	}
}

// reports takes PROPAGATE lines.
func (n *Node) reports(l *link, m bus.Message) {
	message := flood.Message{Kind: m.Kind, Stamp: m.Stamp}
	payload := strings.TrimSuffix(string(m.Payload), "\n")
	lines := strings.Count(payload, "\n") + 1
	message.Reports = make([]line.Report, 0, min(lines, flood.MaxReports))
	for told := range strings.SplitSeq(payload, "\n") {
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
		message.Reports = append(message.Reports, r)
	}
	n.hop(l.Peer, n.Name, message.Reports)
	logged := n.Log.Core().Enabled(zap.InfoLevel)
	now, old, first := time.Now(), 0, line.Report{}
	take := func(r line.Report, news bool) {
		what := "heard"
		if !news {
			old++
			what = "heard old"
		} else if first.IsZero() {
			first = r
		}
		if logged {
			told := string(line.AppendPropagate(nil, l.Peer, r))
			n.Log.Info(what, zap.String("from", m.From), zap.String("line", quoted(told)))
		}
	}
	if m.Trace != "" && n.Tracer != nil {
		n.takeTraced(l, now, m.Trace, lines, message, take)
	} else {
		_ = l.Receive(now, message, take) // which cannot fail
	}
	l.heard.Add(uint64(len(message.Reports)))
	l.old.Add(uint64(old))
	if !first.IsZero() {
		l.lag.Observe(secondsBetween(first.Received(), now))
		n.tally.neighbourLag.Observe(secondsBetween(first.Nanos(), now))
	}
}

// secondsBetween returns how long after a time in nanoseconds since 1970, which may be any, now is.
func secondsBetween(nanos int64, now time.Time) float64 {
	return (float64(now.UnixNano()) - float64(nanos)) / 1e9
}

// Fault counts what the bus denied, lost or could not read, for [bus.Handler].
func (n *Node) Fault(err error) {
	if stamp, ok := errors.AsType[*bus.StampError](err); ok {
		n.refusals.note(malformedMessage, stamp.From, func() zap.Field { return zap.String("stamp", quoted(stamp.Text)) })
		return
	}
	why := overrun
	if errors.Is(err, bus.ErrRefused) {
		why = notPermitted
	}
	n.refusals.note(why, "bus", func() zap.Field { return zap.Error(err) })
}

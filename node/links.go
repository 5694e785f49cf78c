package node

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session"
	"herd/node/status"
	"herd/node/topology"
)

const maxMessage = 64 << 10 // bytes in a neighbour's message: more than a sound one sends

// link is the link to one neighbour, with counts of what was sent and received on it.
type link struct {
	*flood.Link
	reportsSent, messagesSent, reportsReceived, reportsStale atomic.Uint64
	lag                                                      status.Histogram // of new reports, since their receipt at the origin

	sending atomic.Bool // a message was taken from the link that is not published yet
}

// pending reports whether there is something that has not been sent.
func (l *link) pending() bool { return l.sending.Load() || l.Owes() }

func (l *link) health(started, now time.Time) status.Link {
	s := l.Status()
	owed, conflated := l.Owed()
	if s.SilentSince.Before(started) {
		s.SilentSince = started // there was no connection yet
	}
	h := status.Link{
		Peer: string(l.Peer), State: s.State.String(), Syncing: s.Syncing, SilentSeconds: now.Sub(s.SilentSince).Seconds(), NeverReceived: s.NeverReceived, DuplicateName: now.Sub(s.DuplicateName) < time.Minute, ReportsOwed: owed, InFlightBytes: s.InFlight, WindowBytes: s.Window,
		ReportsSent: l.reportsSent.Load(), MessagesSent: l.messagesSent.Load(), ReportsReceived: l.reportsReceived.Load(), ReportsStale: l.reportsStale.Load(), ReportsDuplicate: s.ReportsDuplicate,
		ReportsHeld: l.Held(), EverySeconds: s.Every.Seconds(), ReportsConflated: conflated, ReportsRetransmitted: s.Retransmitted,
		MessagesMissing: s.MessagesMissing, MessagesRepeated: s.MessagesRepeated, Syncs: s.Syncs, SyncsAbandoned: s.SyncsAbandoned, SyncReports: s.SyncReports, SyncReportsNew: s.SyncReportsNew,
		SyncReceivedBytes: s.SyncReceivedBytes, SyncSentBytes: s.SyncSentBytes, SyncRequestsDropped: s.SyncRequestsDropped, DuplicateNameSigns: s.DuplicateNameSigns,
	}
	if s.ClockKnown {
		h.ClockOffsetSeconds = new(s.ClockOffset.Seconds())
	}
	if s.RoundTrip > 0 {
		h.RoundTripSeconds = new(s.RoundTrip.Seconds())
	}
	if s.Drain > 0 {
		h.DrainBytesPerSecond = &s.Drain
	}
	if !s.DigestCompared.IsZero() {
		h.DigestComparedSeconds, h.DigestEqual = new(now.Sub(s.DigestCompared).Seconds()), &s.DigestEqual
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

// linkSet is a node's links to its neighbours, and their connection to the bus.
type linkSet struct {
	current  atomic.Pointer[[]*link]           // one for each neighbour, as in the engine
	topology atomic.Pointer[topology.Topology] // which gives the node these neighbours
	idle     chan struct{}                     // one slot: a link has sent all it had

	mu      sync.Mutex  // held while current or session changes
	session *busSession // nil: there is no connection

	state  atomic.Value // string: connected, or why not
	logged time.Time    // when the log last said why not; only the goroutine that runs the bus uses it
}

// State of a connection to the bus; another one says why there is none.
const (
	connected    = "connected"
	silent       = "silent"       // there is one without a sign of life, and another one is being dialled
	disconnected = "disconnected" // there was one
)

// all returns the links.
func (s *linkSet) all() []*link { return *s.current.Load() }

// Relink gives the node the neighbours of a topology instead of those it has. Links that stay go on without a gap.
func (n *Node) Relink(topology *topology.Topology) {
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	before := n.links.all()
	n.engine.Relink(time.Now(), topology)
	n.links.topology.Store(topology)
	after := make([]*link, 0, len(before))
	for _, l := range n.engine.Links() {
		i := slices.IndexFunc(before, func(old *link) bool { return old.Link == l })
		if i < 0 {
			after = append(after, &link{Link: l, lag: status.NewLinkLag(n.name, l.Peer)})
		} else {
			after = append(after, before[i])
		}
	}
	// While the subscriptions change, messages may arrive from a neighbour of before or of after.
	both := slices.Concat(after, slices.DeleteFunc(slices.Clone(before), func(l *link) bool { return slices.Contains(after, l) }))
	n.links.current.Store(&both)
	defer n.links.current.Store(&after)
	if n.links.session == nil {
		return
	}
	if err := n.links.session.subscribe(after); err != nil {
		n.links.session.fail(err)
		return
	}
	n.links.session.sendTo(after)
}

// lost keeps and logs why there is no connection to the bus: at once when there was one, else when the reason has changed, at most once
// a minute. What the server told is counted as well. Without an error the connection is no longer silent.
func (n *Node) lost(err error) {
	if err == nil {
		if n.links.state.CompareAndSwap(silent, connected) {
			n.log.Info("bus no longer silent")
		}
		return
	}
	if errors.Is(err, bus.ErrRefused) || errors.Is(err, bus.ErrServer) {
		n.Fault(err)
	}
	if errors.Is(err, bus.ErrSilent) {
		if n.links.state.CompareAndSwap(connected, silent) {
			n.log.Warn("bus silent, dialling another connection")
		}
		return
	}
	why := strings.TrimPrefix(err.Error(), "bus: ")
	before := n.links.state.Swap(why)
	if before == disconnected || before != why && time.Since(n.links.logged) >= time.Minute {
		n.links.logged = time.Now()
		n.log.Warn("bus away", zap.Error(err))
	}
}

// Receive receives a message of a neighbour, for [bus.Handler].
func (n *Node) Receive(m bus.Message) {
	links := n.links.all()
	i := slices.IndexFunc(links, func(l *link) bool { return string(l.Peer) == m.From })
	switch {
	case i < 0:
		n.admit.Refuse(admit.WrongSender, m.From)
		return
	case len(m.Payload) > maxMessage:
		n.admit.Refuse(admit.MessageTooLarge, m.From, func() (string, any) { return "bytes", len(m.Payload) })
		return
	}
	var err error
	switch l := links[i]; m.Kind {
	case subject.Propagate:
		n.reports(l, m)
	case subject.Heartbeat, subject.Sync:
		if m.Kind == subject.Heartbeat && n.log.Core().Enabled(zap.DebugLevel) {
			n.log.Debug("received", zap.String("from", m.From), zap.String("line", line.Printable(m.Payload)))
		}
		err = l.Receive(time.Now(), flood.Message{Kind: m.Kind, Stamp: m.Stamp, Payload: m.Payload}, nil)
	default:
		n.admit.Refuse(admit.UnknownKind, m.From, func() (string, any) { return "kind", line.Printable(string(m.Kind)) })
	}
	if err != nil {
		why := admit.MalformedMessage
		switch {
		case errors.Is(err, flood.ErrVersion):
			why = admit.UnknownVersion
		case errors.Is(err, flood.ErrRecord):
			why = admit.RefusedRecord
		}
		n.admit.Refuse(why, m.From, func() (string, any) { return "error", err })
	}
}

// reports receives PROPAGATE lines.
func (n *Node) reports(l *link, m bus.Message) {
	message := flood.Message{Kind: m.Kind, Stamp: m.Stamp}
	message.Reports = make([]line.Report, 0, min(bytes.Count(m.Payload, []byte{'\n'})+1, flood.MaxReports))
	lines := 0
	for p := range line.Propagations(m.Payload) {
		lines++
		if why := admit.MalformedReport; p.Err != nil || p.From != l.Peer {
			if p.Err == nil {
				why = admit.WrongSender
			}
			n.admit.Refuse(why, m.From, func() (string, any) {
				return "line", line.Printable(p.Text[:min(len(p.Text), line.MaxPropagate)])
			})
			continue
		}
		message.Reports = append(message.Reports, p.Report)
	}
	n.observe(l.Peer, n.name, message.Reports)
	logged := n.log.Core().Enabled(zap.InfoLevel)
	now, stale, first := time.Now(), 0, line.Report{}
	applied := func(r line.Report, isNew bool) {
		event := "received"
		if !isNew {
			stale++
			event = "received stale"
		} else if first.IsZero() {
			first = r
		}
		if logged {
			text := string(line.AppendPropagate(nil, l.Peer, r))
			n.log.Info(event, session.Routine, zap.String("from", m.From), zap.String("line", line.Printable(text)))
		}
	}
	if m.Trace != "" && n.tracing != nil {
		if n.tracing.Receive(l.Link, now, message, m.Trace, lines, applied) != nil {
			n.admit.Refuse(admit.MalformedMessage, m.From, func() (string, any) { return "trace", line.Printable(m.Trace[:min(len(m.Trace), 512)]) })
		}
	} else {
		_ = l.Receive(now, message, applied) // which cannot fail
	}
	l.reportsReceived.Add(uint64(len(message.Reports)))
	l.reportsStale.Add(uint64(stale))
	if !first.IsZero() {
		l.lag.Observe(secondsBetween(first.Received(), now))
		n.neighbourLag.Observe(secondsBetween(first.Nanos(), now))
	}
}

// secondsBetween returns how long after a time in nanoseconds since 1970, which may be any, now is.
func secondsBetween(nanos int64, now time.Time) float64 {
	return (float64(now.UnixNano()) - float64(nanos)) / 1e9
}

// Fault counts what the bus denied, lost or could not read, for [bus.Handler].
func (n *Node) Fault(err error) {
	if stamp, ok := errors.AsType[*bus.StampError](err); ok {
		n.admit.Refuse(admit.MalformedMessage, stamp.From, func() (string, any) { return "stamp", line.Printable(stamp.Text) })
		return
	}
	if old, ok := errors.AsType[*bus.VersionError](err); ok {
		n.log.Warn("NATS server is older than herd supports", zap.String("version", line.Printable(old.Version)), zap.String("oldest", bus.OldestServer))
		return
	}
	why := admit.Overrun
	switch {
	case errors.Is(err, bus.ErrRefused):
		why = admit.NotPermitted
	case errors.Is(err, bus.ErrServer):
		why = admit.BusError
	}
	n.admit.Refuse(why, "bus", func() (string, any) { return "error", err })
}

// notice logs what happens at the engine, and counts what was lost.
func (n *Node) notice(e flood.Notice) {
	if w := n.watch.Load(); w != nil {
		w.Notice(e)
	}
	peer := zap.String("peer", string(e.Peer))
	switch e.Kind {
	case flood.LinkUp:
		n.log.Info("link returned", session.Routine, peer)
	case flood.LinkDown:
		level, routine := zap.WarnLevel, zap.Skip()
		if e.Detail != flood.Silent {
			level, routine = zap.InfoLevel, session.Routine // of all links at once, and the reason is logged
		}
		n.log.Log(level, "link down", routine, peer, zap.String("why", e.Detail))
	case flood.NeverReceived:
		n.log.Warn("nothing received from neighbour: is it running, and does its topology have this link?", peer)
	case flood.CaughtUp:
		n.log.Info("link up", n.starting(), peer)
	case flood.MessagesMissing:
		n.admit.Refuse(admit.MessagesMissing, string(e.Peer), func() (string, any) { return "messages", e.Reports })
	case flood.Synced:
		fields := []zap.Field{
			peer, zap.String("why", e.Detail), zap.Int("reports", e.Reports), zap.Int("new", e.New), zap.Int("bytes", e.Bytes),
			zap.Duration("took", e.Duration),
		}
		if e.New > 0 {
			n.log.Info("synced", fields...)
		} else {
			n.log.Debug("nothing to sync", fields...)
		}
	case flood.SyncAbandoned:
		n.log.Info("sync abandoned", peer, zap.String("why", e.Detail), zap.Duration("took", e.Duration))
	case flood.Expired:
		n.log.Info("forgotten", zap.Int("reports", e.Reports))
		if n.writer != nil {
			n.writer.expired.Store(true)
		}
	case flood.DuplicateNeighbourName:
		n.log.Error("two nodes have the name of this neighbour", peer)
	case flood.DuplicateName:
		n.log.Error("another node has the name of this one", zap.String("reported by", string(e.Peer)))
	case flood.OtherTopology:
		differences := "not known"
		if e.Detail != "" {
			differences = line.Printable(e.Detail)
		}
		n.log.Warn("neighbour has another topology", peer, zap.String("differences", differences))
	case flood.SameTopology:
		n.log.Info("neighbour has the same topology", peer)
	case flood.OtherRetention:
		n.log.Error("neighbour keeps reports for another time", peer, zap.String("it", keeps(e.Duration)), zap.String("this node", keeps(n.retention)))
	case flood.ClockDiffers:
		n.log.Error("clock of neighbour differs from that of this node: set both, by NTP for example", peer, zap.String("node", string(n.name)), zap.Duration("ahead", e.Duration))
	case flood.ClockAgrees:
		n.log.Info("clock of neighbour is that of this node again", peer)
	case flood.ClockBehind:
		n.log.Error("the clock of this node is behind those of its neighbours, or was never set: set it, by NTP for example", zap.Duration("behind", e.Duration))
	case flood.DigestsDiffer:
		n.log.Error("neighbour does not hold the same, and syncs do not mend it", peer, zap.Duration("for", e.Duration))
	case flood.DigestsAgree:
		n.log.Info("neighbour holds the same again", peer, zap.Duration("after", e.Duration))
	case flood.ReceiptsAhead:
		n.admit.Refuse(admit.ReceiptAhead, e.Detail)
	case flood.CutoffBack:
		n.log.Warn("clock was set back: neighbours send what was forgotten too early", zap.Duration("cut-off back by", e.Duration))
	case flood.CutoffAhead:
		n.admit.Refuse(admit.CutoffAhead, string(e.Peer), func() (string, any) { return "ahead", e.Duration })
	case flood.OneSided:
		n.log.Warn("this node's topology lacks a link that another node has to it", peer)
	}
	n.tick()
}

// keeps says for how long reports are kept.
func keeps(retention time.Duration) string {
	if retention == 0 {
		return "for ever"
	}
	return retention.String()
}

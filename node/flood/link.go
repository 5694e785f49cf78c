package flood

import (
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/line"
	"herd/node/topology"
)

const (
	heartbeatInterval = time.Second             // the least time between two heartbeats that are not called for
	silenceTimeout    = 3500 * time.Millisecond // a link is down after so long without a sign of life, unless the neighbour asks for more patience
	reminderInterval  = time.Minute             // between two notices of one difference; also how long a sign of a duplicate name counts

	maxText      = 32 << 10 // bytes of a message of reports, unless the bus takes less; a single report may have more
	expectedLine = maxText / MaxReports
)

// MaxReports is the most reports in a message.
const MaxReports = 256

// State says whether a link works.
type State uint8

// The states of a link.
const (
	Down       State = iota // the neighbour is silent
	CatchingUp              // the neighbour is back, and what it holds more than this node has not all been received yet
	Up
)

func (s State) String() string { return [...]string{"down", "catching up", "up"}[s] }

// Message is what one neighbour sends another.
type Message struct {
	Kind    subject.Kind
	Stamp   subject.Stamp // of reports, requests or replies
	Reports []line.Report // of reports
	Traced  []Traced      // those of Reports that are traced
	Payload []byte        // of a heartbeat, of requests or replies
}

// Link is the way to one neighbour. Next is for one goroutine at a time, Receive for another one.
type Link struct {
	Peer        line.NodeName
	engine      *Engine
	incarnation subject.Incarnation // of the node, with a mark of its own for a link that was removed and added again
	ledger      ledger
	traces      traces

	syncFirst        bool           // whether Next prefers messages of syncs to reports, in turn; owned by Next
	known            uint64         // reports of the message being received that equal those held; owned by Receive
	reportsDuplicate *atomic.Uint64 // see [LinkStatus]

	// What follows is guarded by engine.mu.

	live        liveness
	progress    []progress // at most maxIncarnations, the one received from last at the end
	names       duplicateNames
	sync        syncSchedule
	run         *syncRun       // the sync that finds what the neighbour holds more, or nil
	requests    []requestBatch // of the neighbour, waiting for replies: at most maxOpenRequests
	rounds      []round        // of the neighbour, waiting for their end: at most maxOpenRequests
	config      comparison
	clock       neighbourClock
	recordsOwed []line.NodeName // nodes whose records are to be sent, the one that waits longest first
	counts      LinkCounts
}

// liveness is when messages of the neighbour were received, and when it is sent heartbeats.
type liveness struct {
	incarnation   subject.Incarnation // of the neighbour's last heartbeat
	newest        subject.Incarnation // of the neighbour, of which something was first received last
	lastSign      time.Time           // when the last message of that incarnation was received, or the start of the connection
	patience      time.Duration       // for how long the neighbour asks to be waited for
	alive         bool                // a heartbeat was received, and no silence since was longer than the neighbour's patience
	received      bool                // a heartbeat was received on this connection to the bus
	neverReceived bool                // none was for so long that a notice said so
	interval      time.Duration       // of the heartbeats that are sent
	heartbeatSent time.Time           // when the last one was sent
	heartbeatDue  time.Time           // when the next one is
	shortDue      time.Time           // when the next one is due that has only what was received
}

// syncSchedule is when reports are next to be fetched from the neighbour, and how the last comparisons with it ended.
type syncSchedule struct {
	scheduled   bool      // a sync starts as soon as the link is up, notBefore has come and no other sync runs
	reason      string    // why it was scheduled
	scheduledAt time.Time // the sync that was scheduled first starts first
	notBefore   time.Time
	after       bool          // the neighbour has started anew and syncs first, which may leave nothing to do
	interval    time.Duration // after so long without a comparison one is scheduled
	budget      int           // bytes of replies after which the sync ends, or unlimited
	failing     bool          // a sync was abandoned, and none has finished since
	caughtUp    bool          // since the link came up, what the neighbour owed then was received, or digests were equal

	lastCompared   time.Time // when digests could last be compared, a sync finished, or the link came up
	digestCompared time.Time // when digests were last compared
	digestEqual    bool      // what came of it
	differSince    time.Time // when they were first found to differ; zero: they were equal, or never compared
	differSyncs    int       // syncs that have finished since
	differNoticed  bool      // a notice said so
}

// comparison is how the neighbour's configuration differs from this node's.
type comparison struct {
	topologyDiffers    bool
	topologyText       string    // the neighbour's topology if it differs, as far as it was received
	topologyNoticed    bool      // a notice said that the topologies differ
	noticedPrints      [2]uint64 // fingerprints of this node's and the neighbour's topology at that notice
	topologyNoticedAt  time.Time
	retention          time.Duration // the neighbour's, if it is this node's or there was a notice of it; −1: not known
	retentionNoticedAt time.Time
}

// LinkCounts counts what happened on a link since it was made.
type LinkCounts struct {
	MessagesMissing     uint64 // messages of reports that were lost on their way to this node
	MessagesRepeated    uint64 // messages of reports that were received more than once
	Syncs               uint64 // finished
	SyncsAbandoned      uint64
	SyncReports         uint64 // reports that syncs brought
	SyncReportsNew      uint64 // of these, reports that changed the registry
	SyncReceivedBytes   uint64 // of requests and replies
	SyncSentBytes       uint64 // of requests and replies
	SyncRequestsDropped uint64 // request messages that were dropped because too many waited
	DuplicateNameSigns  uint64 // signs that two nodes have one name
	RecordsRefused      uint64 // records of nodes, see [ErrRecord]
}

// LinkStatus is how a link is now.
type LinkStatus struct {
	State          State
	SilentSince    time.Time       // the last sign of life, or the start of the connection
	NeverReceived  bool            // no heartbeat was received on this connection, though it is time
	Syncing        bool            // a sync is to start or runs, with requests of this node or of the neighbour
	SameTopology   bool            // the neighbour is configured with this node's topology
	Differences    string          // between the topologies, as far as they are known
	Lacking        []line.NodeName // neighbours whose topology lacks this link, the peer included
	InFlight       int             // bytes sent and not acknowledged
	Window         int             // bytes that may be in flight
	RoundTrip      time.Duration   // the last one measured; 0: none on this connection
	Drain          int             // bytes a second that the link carries, as last measured while much was owed; 0: not known
	Every          time.Duration   // a report of each client is sent at most once in so long; 0: each at once
	Retransmitted  uint64          // reports that were owed again, for their message was lost
	DuplicateName  time.Time       // the last sign that two nodes have one name, the neighbour's or this one's; or zero
	DigestCompared time.Time       // when digests were last compared, or zero: they can be compared only at some heartbeats
	DigestEqual    bool            // whether they were equal then
	ClockKnown     bool            // the neighbour said what its clock shows
	ClockOffset    time.Duration   // by how much it was ahead of this node's when it last did
	// ReportsDuplicate counts reports in messages of reports that equal what was held.
	ReportsDuplicate uint64
	LinkCounts
}

func newLink(e *Engine, peer line.NodeName, now time.Time) *Link {
	l := &Link{Peer: peer, engine: e, incarnation: e.config.Incarnation, reportsDuplicate: new(atomic.Uint64)}
	for i := range 4 {
		l.incarnation[i] ^= byte(e.relinks >> (8 * (3 - i)))
	}
	l.ledger.wake = make(chan struct{}, 1)
	l.ledger.window.size = firstWindow
	l.config.retention, l.names.began = -1, later(e.config.Started, now)
	l.live.lastSign = now
	return l
}

// reset starts anew with a new connection to the bus.
func (l *Link) reset(now time.Time) {
	l.ledger.window.restart(now)
	l.live.lastSign, l.live.heartbeatDue, l.live.patience, l.live.interval = now, now, 0, heartbeatInterval
	l.live.alive, l.live.received, l.live.neverReceived, l.sync.caughtUp = false, false, false, false
}

// patience returns for how long the neighbour may be silent before the link is down.
func (l *Link) patience() time.Duration { return max(silenceTimeout, l.live.patience) }

func (l *Link) state() State {
	switch {
	case !l.live.alive:
		return Down
	case !l.sync.caughtUp:
		return CatchingUp
	default:
		return Up
	}
}

// Status returns how the link is.
func (l *Link) Status() LinkStatus {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	every := time.Duration(0)
	if p := l.ledger.pace.Load(); p != nil {
		every = p.every
	}
	return LinkStatus{
		Every: every, Syncing: l.sync.scheduled || l.run != nil || len(l.requests) > 0 || len(l.rounds) > 0,
		State: l.state(), SilentSince: l.live.lastSign, NeverReceived: l.live.neverReceived,
		SameTopology: !l.config.topologyDiffers, Differences: topology.Differences(e.topologyText, l.config.topologyText), Lacking: e.lacking(l),
		ClockKnown: !l.clock.received.IsZero(), ClockOffset: time.Duration(l.clock.offset+l.clock.roundTrip/2) * time.Millisecond,
		DuplicateName: l.names.lastSign, DigestCompared: l.sync.digestCompared, DigestEqual: l.sync.digestEqual,
		InFlight: l.ledger.window.inFlight, Window: l.ledger.window.size, RoundTrip: l.ledger.window.roundTrip, Drain: l.ledger.window.drain,
		Retransmitted: l.ledger.retransmitted, ReportsDuplicate: l.reportsDuplicate.Load(), LinkCounts: l.counts,
	}
}

// checkSilence declares the link down, or notes that nothing was ever received, once the neighbour has been silent for long enough. It
// returns when that will be, or zero.
func (l *Link) checkSilence(now time.Time) (next time.Time) {
	switch silent := l.live.lastSign.Add(l.patience()); {
	case now.Before(silent):
		return silent
	case l.live.alive:
		l.engine.linkDown(l, Silent)
	case !l.live.received && !l.live.neverReceived:
		l.live.neverReceived = true
		l.engine.notify(Notice{Peer: l.Peer, Kind: NeverReceived})
	}
	return time.Time{}
}

// linkDown notes that a neighbour has fallen silent. As much as the window allows is still sent to it: the way there may be open.
func (e *Engine) linkDown(l *Link, reason string) {
	if !l.live.alive {
		return
	}
	l.live.alive, l.sync.caughtUp = false, false
	e.notify(Notice{Peer: l.Peer, Kind: LinkDown, Detail: reason})
}

// Due returns when Next will have a heartbeat, or replies that had to wait.
func (l *Link) Due() time.Time {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	due := earlier(l.live.heartbeatDue, l.live.shortDue)
	b := &l.ledger
	if b.window.room() == 0 {
		return due
	}
	if b.owes() {
		due = earlier(due, b.reportsPause.until)
	}
	due = earlier(due, b.pace.Load().due())
	if l.hasSync() {
		due = earlier(due, later(b.syncPause.until, e.repliesPaidUntil.Add(-replyBurst)))
	}
	return due
}

// hasSync reports whether there is a request or a reply to be sent.
func (l *Link) hasSync() bool { return len(l.requests) > 0 || l.run != nil && l.run.maySend() }

// Next makes the next message to the neighbour, in m, whose memory it reuses. It returns false when there is none before Due, or before
// [Link.Wake] yields.
func (l *Link) Next(now time.Time, m *Message) bool {
	m.Stamp, m.Reports, m.Traced, m.Payload = subject.Stamp{}, m.Reports[:0], m.Traced[:0], m.Payload[:0]
	if l.nextHeartbeat(now, m) {
		return true
	}
	room := l.room(now)
	if room == 0 {
		return false
	}
	if l.syncFirst = !l.syncFirst; l.syncFirst {
		return l.nextSync(now, m, room) || l.nextReports(now, m, room)
	}
	return l.nextReports(now, m, room) || l.nextSync(now, m, room)
}

// room returns how many bytes the next message may have, or 0 if none is waiting or the window is closed.
func (l *Link) room(now time.Time) int {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	b := &l.ledger
	l.release(now)
	owes := b.owes()
	if !owes {
		l.endRounds()
	}
	waits := owes && !now.Before(b.reportsPause.until) || l.hasSync() && !now.Before(b.syncPause.until)
	room := min(b.window.room(), l.engine.messageLimit())
	if !waits || room == 0 {
		b.behind.Store(owes || b.holds())
		b.window.wait(now, waits)
		return 0
	}
	return room
}

// Receive takes in a message of the neighbour. One that was not sent by a node as it makes them may have a zero stamp: then it has no
// number. Receive calls applied, unless it is nil, with each report of a message of reports and whether it changed the registry.
func (l *Link) Receive(now time.Time, m Message, applied func(r line.Report, changed bool)) (err error) {
	switch m.Kind {
	case subject.Propagate:
		l.receiveReports(now, &m, applied)
	case subject.Heartbeat:
		return l.receiveHeartbeat(now, m.Payload)
	default:
		err = l.receiveSync(now, m.Payload)
	}
	if m.Stamp.Number > 0 {
		l.noteReceived(now, m.Stamp) // only now: the comparison of digests relies on all reports being applied
	}
	return err
}

func (l *Link) receiveReports(now time.Time, m *Message, applied func(r line.Report, changed bool)) {
	e := l.engine
	e.mu.Lock()
	present := m.Stamp.Number > 0 && m.Stamp.Incarnation == l.live.newest && !l.duplicateSuspected(now)
	e.mu.Unlock()
	l.known = 0
	changes := 0
	e.applyBatch(m.Reports, source{l, present}, func(r line.Report, changed bool) {
		if changed {
			changes++
		}
		if applied != nil {
			applied(r, changed)
		}
	})
	l.reportsDuplicate.Add(l.known)
	e.mu.Lock()
	defer e.mu.Unlock()
	if run := l.run; run != nil && run.comparing {
		run.reports += len(m.Reports)
		run.newReports += changes
	}
}

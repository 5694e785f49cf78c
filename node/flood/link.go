package flood

import (
	"slices"
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/line"
	"herd/node/topology"
)

const (
	heartbeatInterval = time.Second
	echoTimeout       = 3 * heartbeatInterval / 2 // a neighbour's incarnation is echoed for so long after its last sign of life
	silenceTimeout    = 3500 * time.Millisecond   // a link is down after so long without a sign of life
	lateHeartbeat     = 30 * time.Second          // reports are signs of life for so long after the last heartbeat
	reminderInterval  = time.Minute               // between two notices of one difference; also how long a sign of a duplicate name counts

	maxText      = 32 << 10 // bytes of a message, line overhead included, unless the bus takes less; a single report may have more
	expectedLine = maxText / MaxReports
	lineOverhead = len("PROPAGATE ") + line.MaxName + len(" \n")

	maxIncarnations = 4 // of a neighbour that are remembered
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
	Stamp   subject.Stamp // of reports
	Reports []line.Report // of reports
	Traced  []Traced      // those of Reports that are traced
	Payload []byte        // of a heartbeat, of requests or replies
}

// Link is the way to one neighbour. Next is for one goroutine at a time, Receive for another one.
type Link struct {
	Peer   line.NodeName
	Queue  *Queue // reports that wait to be sent
	engine *Engine

	syncFirst        bool           // whether Next prefers messages of syncs to reports, in turn; owned by Next
	known            uint64         // reports of the message being received that equal those held; owned by Receive
	reportsDuplicate *atomic.Uint64 // see [LinkStatus]

	// What follows is guarded by engine.mu.

	live        liveness
	progress    []progress // at most maxIncarnations, the one received from last at the end
	flow        flow
	names       duplicateNames
	sync        syncSchedule
	requests    []requestBatch // of the neighbour, waiting for replies: at most maxOpenRequests
	config      comparison
	clock       neighbourClock
	recordsOwed []line.NodeName // nodes whose records are to be sent, the one that waits longest first
	counts      LinkCounts
}

// liveness is when messages of the neighbour were received, and when it is sent heartbeats.
type liveness struct {
	incarnation   subject.Incarnation // of the neighbour's last heartbeat
	lastHeartbeat time.Time           // when the last heartbeat was received
	lastSign      time.Time           // the last heartbeat, message of reports while alive, or start of the connection
	alive         bool                // a heartbeat was received, and no silence since was longer than silenceTimeout
	received      bool                // a heartbeat was received on this connection to the bus
	neverReceived bool                // none was for so long that a notice said so
	heartbeatSent time.Time           // when the last heartbeat was sent
	heartbeatDue  time.Time           // when the next one is
}

// syncSchedule is when reports are next to be fetched from the neighbour, and how the last comparisons with it ended.
type syncSchedule struct {
	scheduled   bool      // a sync starts as soon as the link is up, notBefore has come and no other sync runs
	reason      string    // why it was scheduled
	scheduledAt time.Time // the sync that was scheduled first starts first
	notBefore   time.Time
	budget      int  // bytes of replies after which the sync ends, or unlimited
	failing     bool // a sync was abandoned, and none has finished since
	caughtUp    bool // since the link came up, a sync finished or digests were equal

	lastCompared   time.Time // when digests could last be compared, a sync finished, or the link came up
	digestCompared time.Time // when digests were last compared
	digestEqual    bool      // what came of it
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
	SameTopology   bool            // the neighbour is configured with this node's topology
	Differences    string          // between the topologies, as far as they are known
	Lacking        []line.NodeName // neighbours whose topology lacks this link, the peer included
	DuplicateName  time.Time       // the last sign that two nodes have one name, the neighbour's or this one's; or zero
	DigestCompared time.Time       // when digests were last compared, or zero: they can be compared only at some heartbeats
	DigestEqual    bool            // whether they were equal then
	ClockKnown     bool            // the neighbour said what its clock shows
	ClockOffset    time.Duration   // by how much it was ahead of this node's when it last did
	// ReportsDuplicate counts reports in messages of reports that equal what was held.
	ReportsDuplicate uint64
	LinkCounts
}

func newLink(e *Engine, peer line.NodeName, now time.Time, queueLimit int) *Link {
	l := &Link{Peer: peer, Queue: NewQueue(queueLimit), engine: e, reportsDuplicate: new(atomic.Uint64)}
	l.config.retention = -1
	l.live.lastSign = now
	l.Queue.setOpen(e.connected)
	return l
}

// reset starts anew with a new connection to the bus.
func (l *Link) reset(now time.Time) {
	l.flow = flow{}
	l.live.lastSign, l.live.heartbeatDue = now, now
	l.live.alive, l.live.received, l.live.neverReceived, l.sync.caughtUp = false, false, false, false
}

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
	return LinkStatus{
		State: l.state(), SilentSince: l.live.lastSign, NeverReceived: l.live.neverReceived,
		SameTopology: !l.config.topologyDiffers, Differences: topology.Differences(e.topologyText, l.config.topologyText), Lacking: e.lacking(l),
		ClockKnown: !l.clock.received.IsZero(), ClockOffset: time.Duration(l.clock.offset+l.clock.roundTrip/2) * time.Millisecond,
		DuplicateName: l.names.lastSign, DigestCompared: l.sync.digestCompared, DigestEqual: l.sync.digestEqual,
		ReportsDuplicate: l.reportsDuplicate.Load(), LinkCounts: l.counts,
	}
}

// checkSilence declares the link down, or notes that nothing was ever received, once the neighbour has been silent for long enough. It
// returns when that will be, or zero.
func (l *Link) checkSilence(now time.Time) (next time.Time) {
	switch silent := l.live.lastSign.Add(silenceTimeout); {
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

// linkDown notes that a neighbour has fallen silent. Reports are still sent to it: the way there may be open.
func (e *Engine) linkDown(l *Link, reason string) {
	if !l.live.alive {
		return
	}
	l.live.alive, l.sync.caughtUp, l.sync.scheduled = false, false, false
	if e.sync != nil && e.sync.link == l {
		e.sync = nil
	}
	e.notify(Notice{Peer: l.Peer, Kind: LinkDown, Detail: reason})
}

// Due returns when Next will have a heartbeat, or replies that had to wait.
func (l *Link) Due() time.Time {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.requests) > 0 {
		return earlier(l.live.heartbeatDue, e.repliesPaidUntil.Add(-replyBurst))
	}
	return l.live.heartbeatDue
}

// Next makes the next message to the neighbour, in m, whose memory it reuses. It returns false when there is none before Due, or before
// [Queue.Wake] yields.
func (l *Link) Next(now time.Time, m *Message) bool {
	m.Reports, m.Traced, m.Payload = m.Reports[:0], m.Traced[:0], m.Payload[:0]
	if l.nextHeartbeat(now, m) {
		return true
	}
	if l.syncFirst = !l.syncFirst; l.syncFirst {
		return l.nextSync(now, m) || l.nextReports(m)
	}
	return l.nextReports(m) || l.nextSync(now, m)
}

func (l *Link) nextReports(m *Message) bool {
	if !l.maySend() {
		return false
	}
	m.Kind = subject.Propagate
	limit := l.engine.messageLimit()
	most := min(MaxReports, limit/expectedLine)
	m.Reports, m.Stamp.Number = l.Queue.pop(m.Reports, most, limit-most*lineOverhead)
	m.Stamp.Incarnation = l.engine.config.Incarnation
	if len(m.Reports) == 0 {
		return false
	}
	m.Traced = l.Queue.tracedOf(m.Reports, m.Traced)
	l.noteSent(m.Stamp.Number, len(m.Reports))
	return true
}

// Receive takes in a message of the neighbour, of which a message of reports may have a zero stamp: then it has no number. Receive calls
// applied, unless it is nil, with each report of a message of reports and whether it changed the registry.
func (l *Link) Receive(now time.Time, m Message, applied func(r line.Report, changed bool)) error {
	switch m.Kind {
	case subject.Propagate:
		l.known = 0
		l.engine.ApplyBatch(m.Reports, l.Peer, applied)
		l.reportsDuplicate.Add(l.known)
		if m.Stamp.Number > 0 {
			l.noteReceived(now, m.Stamp, len(m.Reports)) // only now: the comparison of digests relies on all reports being applied
		}
		return nil
	case subject.Heartbeat:
		return l.receiveHeartbeat(now, m.Payload)
	default:
		return l.receiveSync(now, m.Payload)
	}
}

// progress is which messages of reports were received from one incarnation of the neighbour.
type progress struct {
	incarnation subject.Incarnation
	lastNumber  uint64 // of the last message that was received, or found to be missing
	heartbeat   bool   // heartbeats were received, too
}

// noteReceived notes that all reports of a message were applied.
func (l *Link) noteReceived(now time.Time, s subject.Stamp, reports int) {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.flow.unreported += reports; l.flow.unreported >= acknowledgeEvery {
		l.heartbeatSoon(now)
	}
	if l.live.alive && s.Incarnation == l.live.incarnation && now.Sub(l.live.lastHeartbeat) < lateHeartbeat {
		l.live.lastSign = now // as good as a heartbeat, which may have to wait behind thousands of reports
	}
	p := l.progressOf(now, s.Incarnation, s.Number-1)
	if s.Number <= p.lastNumber {
		l.counts.MessagesRepeated++
		return
	}
	if missing := s.Number - p.lastNumber - 1; missing > 0 {
		l.noteMissing(now, missing)
	}
	p.lastNumber = s.Number
}

// progressOf returns the progress of an incarnation of the neighbour, and makes it the last. For a new incarnation it schedules a sync;
// its messages are expected after number.
func (l *Link) progressOf(now time.Time, i subject.Incarnation, number uint64) *progress {
	at := slices.IndexFunc(l.progress, func(p progress) bool { return p.incarnation == i })
	if at < 0 {
		if len(l.progress) == maxIncarnations {
			l.progress = slices.Delete(l.progress, 0, 1)
		}
		l.progress = append(l.progress, progress{incarnation: i, lastNumber: number})
		l.engine.scheduleSync(l, now, "new incarnation")
	} else if last := len(l.progress) - 1; at != last {
		p := l.progress[at]
		l.progress = append(slices.Delete(l.progress, at, at+1), p)
	}
	return &l.progress[len(l.progress)-1]
}

// noteMissing schedules a sync for messages of reports that were lost.
func (l *Link) noteMissing(now time.Time, messages uint64) {
	l.counts.MessagesMissing += messages
	l.engine.scheduleSync(l, now, "messages missing")
	l.engine.notify(Notice{Peer: l.Peer, Kind: MessagesMissing, Reports: int(messages)})
	l.engine.startSync(now)
}

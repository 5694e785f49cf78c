package flood

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"herd/node/line"
)

const (
	beat      = time.Second             // between two heartbeats
	echoTime  = 3 * beat / 2            // after a sign of life, its sender is echoed so long
	silence   = 3500 * time.Millisecond // without a sign of life, a link is down
	lateBeat  = 30 * time.Second        // after a heartbeat, reports are signs of life so long
	idleTime  = 30 * time.Second        // without a comparison, a walk runs anyway
	idleBytes = 32 << 10                // of answers to that
	retryTime = time.Second             // after a walk that was given up
	twinPause = beat / 4                // between two heartbeats to a neighbour that has a twin
	twinTime  = 30 * time.Second        // between two walks while the neighbour has a twin
	twinShows = time.Minute             // after the last sign of a twin; and between two notices of one difference

	maxText    = 32 << 10 // bytes of reports in a message, with what stands around them; one report may have more
	aroundText = len("PROPAGATE ") + line.MaxName + len(" \n")

	incarnations = 4 // of a neighbour that are remembered
)

// MaxReports is the most reports in a message.
const MaxReports = 256

// State says how a link is.
type State uint8

// The states of a link.
const (
	Down       State = iota // nothing is heard
	CatchingUp              // heard again, and what was missed meanwhile is being pulled
	Up
)

func (s State) String() string { return [...]string{"down", "catching up", "up"}[s] }

// Message is what goes over a link.
type Message struct {
	Kind    subject.Kind
	Stamp   subject.Stamp // of Reports
	Reports []line.Report // of Reports
	Traced  []Traced      // of these, those that are followed
	Payload []byte        // of the others
}

// Link is the way to one neighbour. Next is for one goroutine at a time, Take for another one.
type Link struct {
	Peer   line.NodeName
	Queue  *Queue // what waits to be told
	engine *Engine
	turn   bool // of repair, before reports; for Next only

	again      uint64         // reports of the message being taken that were known to the letter; for Take only
	duplicates *atomic.Uint64 // see [LinkStatus]

	// The rest is guarded by engine.mu.
	heard     time.Time // the last heartbeat or, if alive, message of reports; or the beginning of the connection
	beaten    time.Time // the last heartbeat
	said      time.Time // when the last heartbeat was sent
	due       time.Time // when the next is to be
	alive     bool      // a heartbeat has come, and signs of life since
	met       bool      // one has come since the beginning of the connection
	missed    bool      // none has for so long that it was noted
	caughtUp  bool      // since then
	peers     []hearing // incarnations of the neighbour, the one heard last at the end
	current   subject.Incarnation
	flow      flow      // of reports
	foreign   int       // heartbeats that echoed an incarnation of this node's name that is not this one's
	strange   time.Time // when the first of them came
	twin      time.Time // last sign that two nodes have one name
	doubled   time.Time // the same, of the neighbour's name
	complaint time.Time // about twins

	wanted    bool      // a walk is
	why       string    // it is
	since     time.Time // it is
	resume    time.Time // not before
	budget    int       // of that walk
	stuck     bool      // a walk was given up, and none has ended since
	agreed    time.Time // when digests could be compared, a walk ended, or the link came up
	questions []asking  // to be answered

	differs   bool            // the neighbour's topology
	links     string          // of it, if it told them
	named     bool            // that was noticed
	prints    [2]uint64       // of this node's and of the neighbour's, then
	shown     time.Time       // when that was
	retention time.Duration   // the neighbour's, as this node's or as noticed
	warned    time.Time       // when it was noticed
	compared  time.Time       // digests, last
	equal     bool            // they were
	owed      []line.NodeName // whose records are to be told, in turn
	counts    LinkCounts
}

// LinkCounts says what happened on a link.
type LinkCounts struct {
	MessagesMissing     uint64 // messages that were missing
	MessagesRepeated    uint64 // messages that were heard again
	Syncs               uint64 // ended
	SyncsAbandoned      uint64 // walks
	SyncReports         uint64 // reports that walks brought
	SyncReportsNew      uint64 // of these, news
	SyncReceivedBytes   uint64 // bytes of repair heard
	SyncSentBytes       uint64 // bytes of repair sent
	SyncRequestsDropped uint64 // questions thrown away because too many waited
	DuplicateNameSigns  uint64 // signs that two nodes have one name
	RecordsRefused      uint64 // records of nodes, see [ErrRecord]
}

// hearing is how far one incarnation of the neighbour has been heard.
type hearing struct {
	incarnation subject.Incarnation
	last        uint64 // message that was taken, or gap that was noticed
	beaten      bool   // heartbeats came of it
}

// reset begins with a new connection.
func (l *Link) reset(now time.Time) {
	l.flow = flow{}
	l.heard, l.due = now, now
	l.alive, l.caughtUp, l.met, l.missed = false, false, false, false
}

// LinkStatus is how a link is now.
type LinkStatus struct {
	State            State
	SilentSince      time.Time       // of the last sign of life, or of the beginning of the connection
	NeverReceived    bool            // no heartbeat has come since the beginning of the connection, though it is time
	SameTopology     bool            // the neighbour's is the same
	Differences      string          // else: what is known of them
	Lacking          []line.NodeName // other neighbours whose topology has no such link
	DuplicateName    time.Time       // of the last sign that two nodes have one name, the neighbour's or this one's
	DigestCompared   time.Time       // when digests were compared last, or zero: only at some heartbeats they can be
	DigestEqual      bool            // they were, then
	ReportsDuplicate uint64          // reports in messages of reports that were known to the letter
	LinkCounts
}

// Status returns how the link is.
func (l *Link) Status() LinkStatus {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	return LinkStatus{
		State: e.state(l), SilentSince: l.heard, NeverReceived: l.missed,
		SameTopology: !l.differs, Differences: topology.Differences(e.text, l.links), Lacking: e.lacking(l), DuplicateName: l.twin,
		DigestCompared: l.compared, DigestEqual: l.equal, ReportsDuplicate: l.duplicates.Load(), LinkCounts: l.counts,
	}
}

// lacking returns the neighbours that are known to have a topology without this link.
func (e *Engine) lacking(l *Link) (names []line.NodeName) {
	this := topology.LinkText(e.Name, l.Peer)
	for _, other := range e.Links() {
		if other != l && other.differs && other.links != "" && !slices.Contains(strings.Split(other.links, ","), this) {
			names = append(names, other.Peer)
		}
	}
	return names
}

// Due returns when Next will have a heartbeat, or an answer that had to wait.
func (l *Link) Due() time.Time {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.questions) > 0 {
		return earlier(l.due, e.paid.Add(-answerBurst))
	}
	return l.due
}

// Next makes the next message to the neighbour, in m, whose memory it uses again. It returns false when there is none before
// Due, or before something comes to wake who waits for [Queue.Wake].
func (l *Link) Next(now time.Time, m *Message) bool {
	m.Reports, m.Traced, m.Payload = m.Reports[:0], m.Traced[:0], m.Payload[:0]
	if l.nextHeartbeat(now, m) {
		return true
	}
	if l.turn = !l.turn; l.turn {
		return l.nextRepair(now, m) || l.nextReports(m)
	}
	return l.nextReports(m) || l.nextRepair(now, m)
}

func (l *Link) nextReports(m *Message) bool {
	if !l.mayTell() {
		return false
	}
	m.Kind = subject.Propagate
	m.Reports, m.Stamp.Number = l.Queue.pop(m.Reports, MaxReports, maxText-MaxReports*aroundText)
	m.Stamp.Incarnation = l.engine.Incarnation
	if len(m.Reports) == 0 {
		return false
	}
	m.Traced = l.Queue.tracedOf(m.Reports, m.Traced)
	l.told(m.Stamp.Number, len(m.Reports))
	return true
}

func (l *Link) nextRepair(now time.Time, m *Message) bool {
	e := l.engine
	m.Kind = subject.Repair
	e.mu.Lock()
	if w := e.walk; w != nil && w.link == l && w.due() {
		defer e.mu.Unlock()
		m.Payload = w.ask(m.Payload)
		e.asked = w.id
		l.counts.SyncSentBytes += uint64(len(m.Payload))
		return true
	}
	if len(l.questions) == 0 || now.Before(e.paid.Add(-answerBurst)) {
		e.mu.Unlock()
		return false
	}
	q := l.questions[0]
	l.questions = slices.Delete(l.questions, 0, 1)
	e.mu.Unlock()

	m.Payload = e.registry.answer(m.Payload, &q) // which takes long, compared with all else
	e.mu.Lock()
	defer e.mu.Unlock()
	l.counts.SyncSentBytes += uint64(len(m.Payload))
	e.paid = later(e.paid, now).Add(time.Duration(len(m.Payload)) * time.Second / answerRate)
	return true
}

// Take takes a message of the neighbour. A message of reports without a stamp is one that nobody numbers. Take calls heard, unless that is nil, with each report of a message of reports and
// whether it was news.
func (l *Link) Receive(now time.Time, m Message, heard func(r line.Report, news bool)) error {
	switch m.Kind {
	case subject.Propagate:
		l.again = 0
		l.engine.ApplyBatch(m.Reports, l.Peer, heard)
		l.duplicates.Add(l.again)
		if m.Stamp.Number > 0 {
			l.processed(now, m.Stamp, len(m.Reports)) // only now: who compares digests relies on it
		}
		return nil
	case subject.Digest:
		return l.receiveHeartbeat(now, m.Payload)
	default:
		return l.receiveSync(now, m.Payload)
	}
}

// processed notes that a message of reports was taken.
func (l *Link) processed(now time.Time, s subject.Stamp, reports int) {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.flow.silent += reports; l.flow.silent >= tellTaken {
		l.beatSoon(now)
	}
	if l.alive && s.Incarnation == l.current && now.Sub(l.beaten) < lateBeat {
		l.heard = now // as good as a heartbeat, which may have to wait behind thousands of reports
	}
	h := l.hearing(now, s.Incarnation, s.Number-1)
	if s.Number <= h.last {
		l.counts.MessagesRepeated++
		return
	}
	if missing := s.Number - h.last - 1; missing > 0 {
		l.gap(now, missing)
	}
	h.last = s.Number
}

// hearing returns how far an incarnation of the neighbour has been heard. A new one asks for a walk, and begins at number.
func (l *Link) hearing(now time.Time, i subject.Incarnation, number uint64) *hearing {
	at := slices.IndexFunc(l.peers, func(h hearing) bool { return h.incarnation == i })
	if at < 0 {
		if len(l.peers) == incarnations {
			l.peers = slices.Delete(l.peers, 0, 1)
		}
		l.peers = append(l.peers, hearing{incarnation: i, last: number})
		l.engine.want(l, now, "new incarnation")
	} else if last := len(l.peers) - 1; at != last {
		h := l.peers[at]
		l.peers = append(slices.Delete(l.peers, at, at+1), h)
	}
	return &l.peers[len(l.peers)-1]
}

func (l *Link) gap(now time.Time, missing uint64) {
	l.counts.MessagesMissing += missing
	l.engine.want(l, now, "gap")
	l.engine.notice(Notice{Peer: l.Peer, Kind: MessagesMissing, Reports: int(missing)})
	l.engine.begin(now)
}

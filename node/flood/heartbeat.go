package flood

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"herd/bus/subject"
	"herd/node/topology"
)

const (
	duplicatePause     = heartbeatInterval / 4 // between two heartbeats to a neighbour whose name is used twice
	duplicateSyncDelay = 30 * time.Second      // between two syncs while a name is used twice
)

// nextHeartbeat makes a heartbeat if one is due. It needs registry, queue and what was received at one moment, and no message of reports
// in between: its caller sends each message before it requests the next.
func (l *Link) nextHeartbeat(now time.Time, m *Message) bool {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Before(l.live.heartbeatDue) || !e.connected {
		return false
	}
	l.live.heartbeatSent, l.live.heartbeatDue, l.flow.unreported = now, now.Add(heartbeatInterval), 0
	b := heartbeat{incarnation: e.config.Incarnation, retention: e.config.Retention, cutoff: e.cutoff, topologyPrint: e.topologyPrint, clock: l.readClock(now)}
	if n := len(l.progress); n > 0 && l.live.alive && now.Sub(l.live.lastSign) < echoTimeout { // an older echo would make the neighbour send a heartbeat at once
		p := l.progress[n-1]
		b.echo, b.acknowledged = p.incarnation, p.lastNumber
	}
	if l.config.topologyDiffers && len(e.topologyText) <= e.messageLimit()/2 { // records may take a fourth
		b.topologyText = e.topologyText
	}
	s := e.snapshot(l)
	b.lastNumber, b.digest, b.clients = s.number, s.digest, s.clients
	b.comparable = s.empty && e.cutoff == e.registry.cutoff.Load()
	e.makeRecord(now, &s)
	b.records = l.nextRecords(now)
	m.Kind, m.Payload = subject.Heartbeat, b.append(m.Payload)
	return true
}

// snapshot is what an engine and one of its links hold at one moment.
type snapshot struct {
	digest  digest // of the registry
	clients int    // in the registry
	number  uint64 // of the last message of reports, or of the gap after it
	empty   bool   // no report waits on the link
}

// snapshot locks the whole registry, so that no report is in it and not yet in the queue.
func (e *Engine) snapshot(l *Link) (s snapshot) {
	for i := range e.registry.shards {
		e.registry.shards[i].mu.Lock()
	}
	s.number, s.empty = l.Queue.lastMessage()
	for i := range e.registry.shards {
		shard := &e.registry.shards[i]
		s.digest += shard.sum
		s.clients += len(shard.reports)
		shard.mu.Unlock()
	}
	return s
}

// receiveHeartbeat takes in what a neighbour says of itself. An ErrRecord says that all but some of its records was taken in.
func (l *Link) receiveHeartbeat(now time.Time, payload []byte) error {
	b, err := parseHeartbeat(string(payload))
	if err != nil {
		return err
	}
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.connected {
		return nil
	}
	l.live.lastSign, l.live.lastHeartbeat = now, now
	l.detectDuplicate(now, &b)
	p := l.progressOf(now, b.incarnation, b.lastNumber)
	first := !p.heartbeat
	p.heartbeat = true
	returned := !l.live.alive
	if returned {
		l.live.alive, l.live.received, l.live.neverReceived, l.sync.lastCompared = true, true, false, now
		e.notify(Notice{Peer: l.Peer, Kind: LinkUp})
		e.scheduleSync(l, now, "link returned")
	}
	missing := p.lastNumber != b.lastNumber
	if missing {
		// The neighbour sent more than was received; or it has started to count anew, because it was no neighbour for a while.
		l.noteMissing(now, max(b.lastNumber, p.lastNumber)-min(b.lastNumber, p.lastNumber))
		p.lastNumber = b.lastNumber
	}
	if returned {
		l.live.heartbeatDue = now
		l.Queue.signal()
	} else if b.echo != e.config.Incarnation { // the neighbour does not know this start of the node yet
		l.heartbeatSoon(now)
	}
	l.acknowledge(&b)
	e.compareConfiguration(l, now, &b)
	if !missing {
		l.compareDigests(now, &b)
	}
	e.startSync(now)
	if returned || first || b.echo != e.config.Incarnation { // the neighbour may lack records that were sent to it
		l.oweAllRecords()
	}
	return l.receiveRecords(now, b.records)
}

// compareDigests compares the neighbour's digest with this node's when they must be equal unless something was lost: each has received
// the other's last message, neither has anything left to send, and both have removed what is older than the same cut-off.
func (l *Link) compareDigests(now time.Time, b *heartbeat) {
	e := l.engine
	if !b.comparable || b.echo != e.config.Incarnation || b.cutoff != e.cutoff || e.cutoff != e.registry.cutoff.Load() {
		return
	}
	own := e.snapshot(l)
	if !own.empty || b.acknowledged != own.number {
		return
	}
	l.sync.lastCompared, l.sync.digestCompared, l.sync.digestEqual = now, now, b.digest == own.digest
	if l.sync.digestEqual {
		l.sync.scheduled = false
		e.noteCaughtUp(l)
	} else if e.sync == nil || e.sync.link != l { // during a sync with this neighbour they differ as a matter of course
		e.scheduleSync(l, now, "digests differ")
	}
}

// heartbeatSoon makes a heartbeat due now. It is due a little later if the neighbour's name is used twice: where both names of a link
// are, each heartbeat calls for the next one.
func (l *Link) heartbeatSoon(now time.Time) {
	due := now
	if now.Sub(l.names.neighbourSign) < reminderInterval {
		due = earlier(l.live.heartbeatDue, later(now, l.live.heartbeatSent.Add(duplicatePause)))
	}
	l.live.heartbeatDue = due
	l.Queue.signal()
}

// compareConfiguration compares how two neighbours are configured, and takes over the later cut-off.
func (e *Engine) compareConfiguration(l *Link, now time.Time, b *heartbeat) {
	e.compareTopology(l, now, b)
	e.compareClocks(l, now, b.clock)
	switch {
	case b.retention == e.config.Retention:
		l.config.retention = b.retention
	case l.config.retention != b.retention && now.Sub(l.config.retentionNoticedAt) >= reminderInterval: // two nodes of one name may differ, too
		l.config.retention, l.config.retentionNoticedAt = b.retention, now
		e.notify(Notice{Peer: l.Peer, Kind: OtherRetention, Duration: b.retention})
	}
	if b.cutoff == keepAll || b.cutoff <= e.registry.cutoff.Load() {
		return
	}
	if e.config.Retention > 0 && b.cutoff <= e.ownCutoff(now)+e.cutoffTolerance() {
		e.raiseCutoff(b.cutoff)
	} else if e.config.Retention == b.retention { // with another retention, OtherRetention says why
		e.notify(Notice{Peer: l.Peer, Kind: CutoffAhead, Duration: time.Duration(b.cutoff - e.ownCutoff(now))})
	}
}

// compareTopology notices when the topologies of two neighbours differ, and when the difference changes, but at most once a
// reminderInterval: where two nodes have the neighbour's name, it may change with each heartbeat.
func (e *Engine) compareTopology(l *Link, now time.Time, b *heartbeat) {
	c := &l.config
	differs := b.topologyPrint != e.topologyPrint
	switch prints := [2]uint64{e.topologyPrint, b.topologyPrint}; {
	case !differs && c.topologyNoticed:
		e.notify(Notice{Peer: l.Peer, Kind: SameTopology})
		c.topologyNoticed = false
	case !differs:
	case !c.topologyDiffers && b.topologyText == "": // the neighbour sends its topology once it knows that they differ
	case (!c.topologyNoticed || c.noticedPrints != prints || c.topologyText != b.topologyText) && now.Sub(c.topologyNoticedAt) >= reminderInterval:
		c.topologyNoticedAt = now
		e.notify(Notice{Peer: l.Peer, Kind: OtherTopology, Detail: topology.Differences(e.topologyText, b.topologyText)})
		c.topologyNoticed, c.noticedPrints = true, prints
	}
	c.topologyDiffers, c.topologyText = differs, b.topologyText
}

// heartbeat is what a node says of itself and of one link every second, and earlier when it receives many reports. Its text is
//
//	HEARTBEAT/1 <incarnation> <last> <echo> <acknowledged> <digest> <clients> <retention> <cut-off> <topology> [<key>=<value> …]
//
// with single blanks between, and '-' for what is not there. 1 is the version of all that goes over the bus. Receivers ignore further
// fields that they do not know, so that a later form of the same version can have more.
type heartbeat struct {
	incarnation   subject.Incarnation
	lastNumber    uint64              // of the last message of reports on this link, or of a gap after it
	echo          subject.Incarnation // the neighbour's, if something of it was received not long ago
	acknowledged  uint64              // number of the last message received from that incarnation
	comparable    bool                // nothing is left to send: the digest is that of what the neighbour should hold
	digest        digest              // of the registry, 16 hexadecimal digits; only if comparable
	clients       int                 // in the registry
	retention     time.Duration
	cutoff        int64        // reports received before it are removed: nanoseconds since 1970, or keepAll
	topologyPrint uint64       // fingerprint of the configured topology, 16 hexadecimal digits
	topologyText  string       // links=…: the links of that topology, for a neighbour that has another
	clock         clockReading // clock=…
	records       []string     // record=…, each: how a node is, see [Record]
}

const wireVersion = "1"

const heartbeatWord = "HEARTBEAT/"

func (b *heartbeat) append(dst []byte) []byte {
	echo, digest, cutoff := "-", "-", "-"
	if b.echo != (subject.Incarnation{}) {
		echo = b.echo.String()
	}
	if b.comparable {
		digest = fmt.Sprintf("%016x", b.digest)
	}
	if b.cutoff != keepAll {
		cutoff = strconv.FormatInt(b.cutoff, 10)
	}
	dst = fmt.Appendf(dst, "%s%s %s %d %s %d %s %d %d %s %016x", heartbeatWord, wireVersion, b.incarnation, b.lastNumber, echo,
		b.acknowledged, digest, b.clients, b.retention, cutoff, b.topologyPrint)
	if b.topologyText != "" {
		dst = append(append(dst, " links="...), b.topologyText...)
	}
	if b.clock.shows > 0 {
		dst = b.clock.append(append(dst, " clock="...))
	}
	for _, r := range b.records {
		dst = append(append(dst, " record="...), r...)
	}
	return dst
}

// The faults of a message of a neighbour.
var (
	ErrMalformed = errors.New("flood: malformed message")
	ErrVersion   = errors.New("flood: unknown version")
)

func parseHeartbeat(text string) (b heartbeat, err error) {
	text, ok := strings.CutPrefix(text, heartbeatWord)
	if !ok {
		return b, fmt.Errorf("%w: no heartbeat", ErrMalformed)
	}
	version, rest, _ := strings.Cut(text, " ")
	if version != wireVersion {
		return b, fmt.Errorf("%w %.20q: this node speaks %s", ErrVersion, version, wireVersion)
	}
	f := strings.SplitN(rest, " ", 10)
	if len(f) < 9 {
		return b, fmt.Errorf("%w: a heartbeat of %d fields", ErrMalformed, len(f))
	}
	var faults [9]error
	b.incarnation, faults[0] = subject.ParseIncarnation(f[0])
	b.lastNumber, faults[1] = parseNumber(f[1])
	if f[2] != "-" {
		b.echo, faults[2] = subject.ParseIncarnation(f[2])
	}
	b.acknowledged, faults[3] = parseNumber(f[3])
	if b.comparable = f[4] != "-"; b.comparable {
		b.digest, faults[4] = parseHex(f[4])
	}
	b.clients, faults[5] = strconv.Atoi(f[5])
	var retention int64
	retention, faults[6] = strconv.ParseInt(f[6], 10, 64)
	b.retention, b.cutoff = time.Duration(retention), keepAll
	if f[7] != "-" {
		b.cutoff, faults[7] = strconv.ParseInt(f[7], 10, 64)
	}
	b.topologyPrint, faults[8] = parseHex(f[8])
	for i, fault := range faults {
		if fault != nil {
			return heartbeat{}, fmt.Errorf("%w: field %d of a heartbeat is %.40q", ErrMalformed, i+1, f[i])
		}
	}
	for more := range strings.SplitSeq(strings.Join(f[9:], ""), " ") {
		if links, ok := strings.CutPrefix(more, "links="); ok && len(links) <= maxText {
			b.topologyText = links
		} else if clock, ok := strings.CutPrefix(more, "clock="); ok {
			if b.clock, err = parseClock(clock); err != nil {
				return heartbeat{}, err
			}
		} else if record, ok := strings.CutPrefix(more, "record="); ok {
			b.records = append(b.records, record)
		}
	}
	return b, nil
}

// parseHex parses 16 hexadecimal digits.
func parseHex(s string) (uint64, error) {
	if len(s) != 16 {
		return 0, errNumber
	}
	return strconv.ParseUint(s, 16, 64)
}

var errNumber = errors.New("flood: not a number")

// parseNumber parses what strconv.FormatUint makes, and nothing else.
func parseNumber(s string) (uint64, error) {
	if s == "" || s[0] == '+' || s[0] == '0' && s != "0" {
		return 0, errNumber
	}
	return strconv.ParseUint(s, 10, 64)
}

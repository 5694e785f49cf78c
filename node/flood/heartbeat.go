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

// nextHeartbeat makes a heartbeat if one is due, or a short one, which has only what was received and sent. A heartbeat needs registry, ledger
// and what was received at one moment, and no message of reports in between: its caller sends each message before it requests the next.
func (l *Link) nextHeartbeat(now time.Time, m *Message) bool {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	short := now.Before(l.live.heartbeatDue)
	if short && now.Before(l.live.shortDue) || !e.connected {
		return false
	}
	b := heartbeat{incarnation: l.incarnation, lastNumber: l.ledger.lastNumber, floor: l.ledger.floor(), received: l.acknowledgement(now), short: short}
	if !short {
		b.retention, b.cutoff, b.topologyPrint, b.patience = e.config.Retention, e.cutoff, e.topologyPrint, l.ledger.window.patience(l.live.interval)
		if l.config.topologyDiffers && len(e.topologyText) <= e.messageLimit()/2 { // records may take a fourth
			b.topologyText = e.topologyText
		}
		s := e.snapshot(l)
		b.digest, b.clients = s.digest, s.clients
		b.comparable = s.empty && e.cutoff == e.registry.cutoff.Load()
		e.makeRecord(now, &s)
		b.clock, b.records = l.readClock(now), l.nextRecords(now)
	}
	m.Kind, m.Payload = subject.Heartbeat, b.append(m.Payload)
	if !short {
		l.live.interval = l.ledger.window.heartbeatInterval(len(m.Payload), time.Duration(l.clock.roundTrip)*time.Millisecond)
		l.live.heartbeatSent, l.live.heartbeatDue = now, now.Add(l.live.interval)
	}
	l.live.shortDue = l.live.heartbeatDue
	return true
}

// snapshot is what an engine and one of its links hold at one moment.
type snapshot struct {
	digest  digest // of the registry
	clients int    // in the registry
	empty   bool   // nothing is owed on the link, or held
}

// snapshot locks the whole registry, so that no report is in it and not yet owed.
func (e *Engine) snapshot(l *Link) (s snapshot) {
	for i := range e.registry.shards {
		e.registry.shards[i].mu.Lock()
	}
	s.empty = !l.Owes()
	for i := range e.registry.shards {
		shard := &e.registry.shards[i]
		s.digest += shard.sum
		s.clients += shard.clients()
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
	l.live.lastSign = now
	l.detectDuplicate(now, &b)
	p := l.progressOf(now, b.incarnation, b.lastNumber)
	first := !p.heartbeat
	p.heartbeat = true
	returned := !l.live.alive
	if returned {
		l.live.alive, l.live.received, l.live.neverReceived, l.sync.lastCompared = true, true, false, now
		e.notify(Notice{Peer: l.Peer, Kind: LinkUp})
		l.ledger.window.restart(now)
		l.releaseAll(l.ledger.pace.Load())
		l.startRound(now, "link returned")
		l.live.heartbeatDue = now
		l.ledger.signal()
	}
	l.noteMissing(now, p.expect(b.lastNumber))
	p.forget(b.floor)
	l.acknowledge(now, &b.received)
	l.resumeRound()
	unknown := b.received.of != l.incarnation // the neighbour does not know this start of the node yet
	if unknown && !returned {
		l.heartbeatSoon(now)
	}
	if returned || first || unknown { // the neighbour may lack records that were sent to it
		l.oweAllRecords()
	}
	if b.short {
		return nil
	}
	l.live.patience = min(b.patience, mostPatience)
	e.compareConfiguration(l, now, &b)
	l.compareDigests(now, &b)
	e.startSync(now)
	return l.receiveRecords(now, b.records)
}

// compareDigests compares the neighbour's digest with this node's when they must be equal unless something was lost: each has received
// everything that the other has sent, neither owes anything, and both have removed what is older than the same cut-off.
func (l *Link) compareDigests(now time.Time, b *heartbeat) {
	e := l.engine
	if !b.comparable || b.cutoff != e.cutoff || e.cutoff != e.registry.cutoff.Load() || !l.complete() ||
		b.received.of != l.incarnation || b.received.last < l.ledger.lastReports {
		return
	}
	own := e.snapshot(l)
	if !own.empty {
		return
	}
	l.sync.lastCompared, l.sync.digestCompared, l.sync.digestEqual = now, now, b.digest == own.digest
	l.noteDifference(now)
	if l.sync.digestEqual {
		l.sync.scheduled = false
		e.noteCaughtUp(l)
	} else if l.run == nil { // during a sync they differ as a matter of course
		e.scheduleSync(l, now, "digests differ")
	}
}

// noteDifference notices when digests go on to differ though two syncs have finished since, and when they are equal again.
func (l *Link) noteDifference(now time.Time) {
	s := &l.sync
	switch {
	case s.digestEqual:
		if s.differNoticed {
			l.engine.notify(Notice{Peer: l.Peer, Kind: DigestsAgree, Duration: now.Sub(s.differSince)})
		}
		s.differSince, s.differSyncs, s.differNoticed = time.Time{}, 0, false
	case s.differSince.IsZero():
		s.differSince, s.differSyncs = now, 0
	case !s.differNoticed && s.differSyncs >= 2 && now.Sub(s.differSince) >= idleSyncInterval: // the neighbour's syncs had time, too
		s.differNoticed = true
		l.engine.notify(Notice{Peer: l.Peer, Kind: DigestsDiffer, Duration: now.Sub(s.differSince)})
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
	l.ledger.signal()
}

// acknowledgeSoon makes a short heartbeat due now.
func (l *Link) acknowledgeSoon(now time.Time) {
	l.live.shortDue = now
	l.ledger.signal()
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

// heartbeat is what a node says of itself and of one link every second, or less often where that would take much of what the link carries.
// Its text is
//
//	HEARTBEAT/1 <incarnation> <last> <floor> <received> <digest> <clients> <retention> <cut-off> <topology> [<key>=<value> …]
//
// with single blanks between, and '-' for what is not there. In a short one <received>, see [acknowledgement], is the last of the
// fields without a key; it is sent as soon as
// something is to be acknowledged. 1 is the version of all that goes over the bus. Receivers ignore further fields that they do not know,
// so that a later form of the same version can have more.
type heartbeat struct {
	incarnation   subject.Incarnation // of the link, see [Link]
	lastNumber    uint64              // of the last message of reports or of a sync on this link
	floor         uint64              // the neighbour need not tell any more what it lacks of the messages before
	received      acknowledgement     // of the neighbour's messages
	short         bool                // there is nothing more
	comparable    bool                // nothing is owed: the digest is that of what the neighbour should hold
	digest        digest              // of the registry, 16 hexadecimal digits; only if comparable
	clients       int                 // in the registry
	retention     time.Duration
	cutoff        int64         // reports received before it are removed: nanoseconds since 1970, or keepAll
	topologyPrint uint64        // fingerprint of the configured topology, 16 hexadecimal digits
	patience      time.Duration // silence=…, in milliseconds: for how long the neighbour is to wait for a sign of life
	topologyText  string        // links=…: the links of that topology, for a neighbour that has another
	clock         clockReading  // clock=…
	records       []string      // record=…, each: how a node is, see [Record]
}

const wireVersion = "1"

const heartbeatWord = "HEARTBEAT/"

func (b *heartbeat) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "%s%s %s %d %d ", heartbeatWord, wireVersion, b.incarnation, b.lastNumber, b.floor)
	dst = b.received.append(dst)
	if b.short {
		return dst
	}
	digest, cutoff := "-", "-"
	if b.comparable {
		digest = fmt.Sprintf("%016x", b.digest)
	}
	if b.cutoff != keepAll {
		cutoff = strconv.FormatInt(b.cutoff, 10)
	}
	dst = fmt.Appendf(dst, " %s %d %d %s %016x", digest, b.clients, b.retention, cutoff, b.topologyPrint)
	if b.patience > silenceTimeout {
		dst = fmt.Appendf(dst, " silence=%d", b.patience.Milliseconds())
	}
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
	b.short = len(f) == 4 || len(f) > 4 && strings.Contains(f[4], "=")
	if len(f) < 4 || !b.short && len(f) < 9 {
		return b, fmt.Errorf("%w: a heartbeat of %d fields", ErrMalformed, len(f))
	}
	var faults [9]error
	b.incarnation, faults[0] = subject.ParseIncarnation(f[0])
	b.lastNumber, faults[1] = parseNumber(f[1])
	b.floor, faults[2] = parseNumber(f[2])
	b.received, faults[3] = parseAcknowledgement(f[3])
	b.cutoff = keepAll
	if !b.short {
		b.parseRest(f[4:9], faults[4:])
	}
	for i, fault := range faults {
		if fault != nil {
			return heartbeat{}, fmt.Errorf("%w: field %d of a heartbeat is %.40q", ErrMalformed, i+1, f[i])
		}
	}
	if !b.short {
		if err := b.parseMore(strings.Join(f[9:], "")); err != nil {
			return heartbeat{}, err
		}
	}
	return b, nil
}

// parseRest parses the fields after those of a short heartbeat.
func (b *heartbeat) parseRest(f []string, faults []error) {
	if b.comparable = f[0] != "-"; b.comparable {
		b.digest, faults[0] = parseHex(f[0])
	}
	b.clients, faults[1] = strconv.Atoi(f[1])
	var retention int64
	retention, faults[2] = strconv.ParseInt(f[2], 10, 64)
	b.retention = time.Duration(retention)
	if f[3] != "-" {
		b.cutoff, faults[3] = strconv.ParseInt(f[3], 10, 64)
	}
	b.topologyPrint, faults[4] = parseHex(f[4])
}

// parseMore parses the fields that have a key, as far as they are known.
func (b *heartbeat) parseMore(fields string) (err error) {
	for field := range strings.SplitSeq(fields, " ") {
		switch key, value, _ := strings.Cut(field, "="); {
		case key == "silence":
			if ms, err := parseNumber(value); err == nil && ms <= uint64(mostPatience/time.Millisecond) && ms > uint64(silenceTimeout/time.Millisecond) {
				b.patience = time.Duration(ms) * time.Millisecond
			}
		case key == "links" && len(value) <= maxText:
			b.topologyText = value
		case key == "clock":
			if b.clock, err = parseClock(value); err != nil {
				return err
			}
		case key == "record":
			b.records = append(b.records, value)
		}
	}
	return nil
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

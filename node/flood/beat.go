package flood

import (
	"time"

	"herd/bus/subject"
	"herd/node/topology"
)

// nextHeartbeat makes a heartbeat if one is due. It sees registry, queue and what was heard of the neighbour at one moment, and nothing
// popped is still to be sent, since who calls it sends.
func (l *Link) nextHeartbeat(now time.Time, m *Message) bool {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Before(l.due) || !e.connected {
		return false
	}
	l.said, l.due, l.flow.silent = now, now.Add(beat), 0
	b := heartbeat{incarnation: e.Incarnation, retention: e.retention, cutoff: e.oldest, topology: e.print}
	if n := len(l.peers); n > 0 && l.alive && now.Sub(l.heard) < echoTime { // else it is to answer at once
		h := l.peers[n-1]
		b.echo, b.processed = h.incarnation, h.last
	}
	if l.differs && len(e.text) <= maxText {
		b.links = e.text
	}
	s := e.see(l)
	b.last, b.digest, b.clients = s.number, s.digest, s.clients
	b.settled = s.empty && e.oldest == e.registry.oldest.Load()
	e.record(now, &s)
	b.records = l.nextRecords(now)
	m.Kind, m.Payload = subject.Digest, b.append(m.Payload)
	return true
}

// sight is what can be seen of an engine and one of its links at one moment.
type sight struct {
	digest  digest
	clients int
	number  uint64
	empty   bool
}

func (e *Engine) see(l *Link) (s sight) {
	for i := range e.registry.shards {
		e.registry.shards[i].mu.Lock()
	}
	s.number, s.empty = l.Queue.last()
	for i := range e.registry.shards {
		shard := &e.registry.shards[i]
		s.digest += shard.sum
		s.clients += len(shard.reports)
		shard.mu.Unlock()
	}
	return s
}

// takeHeartbeat follows what a neighbour says of itself. Digests are compared only when they must be equal unless something was
// lost: I have taken the neighbour's last message, it has taken mine, neither has anything left to send, and both have
// forgotten as much. An ErrRecord says that all but some records was taken.
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
	l.heard, l.beaten = now, now
	l.follow(now, &b)
	h := l.hearing(now, b.incarnation, b.last)
	anew := !h.beaten
	h.beaten = true
	returned := !l.alive
	if returned {
		l.alive, l.met, l.missed, l.agreed = true, true, false, now
		e.notice(Notice{Peer: l.Peer, Kind: LinkUp})
		e.want(l, now, "link returned")
	}
	lost := h.last != b.last
	if lost {
		// What is missing is after what was taken; or the neighbour counts anew, after it was no neighbour for a while.
		l.gap(now, max(b.last, h.last)-min(b.last, h.last))
		h.last = b.last
	}
	if returned {
		l.due = now
		l.Queue.signal()
	} else if b.echo != e.Incarnation { // it should hear this one now
		l.beatSoon(now)
	}
	l.hasTaken(&b)
	e.agree(l, now, &b)
	if !lost && b.settled && b.echo == e.Incarnation && b.cutoff == e.oldest && e.oldest == e.registry.oldest.Load() {
		if mine := e.see(l); mine.empty && b.processed == mine.number {
			l.agreed, l.compared, l.equal = now, now, b.digest == mine.digest
			if l.equal {
				l.wanted = false
				e.caughtUp(l)
			} else if e.walk == nil || e.walk.link != l { // else they are to differ
				e.want(l, now, "digests differ")
			}
		}
	}
	e.begin(now)
	if returned || anew || b.echo != e.Incarnation { // it lacks what it was told, or may
		l.oweAll()
	}
	return l.receiveRecords(now, b.records)
}

// beatSoon has the neighbour hear a heartbeat now, but not all the time if it has a twin: if there are two of each, an answer calls for
// the next.
func (l *Link) beatSoon(now time.Time) {
	due := now
	if now.Sub(l.doubled) < twinShows {
		due = earlier(l.due, later(now, l.said.Add(twinPause)))
	}
	l.due = due
	l.Queue.signal()
}

// follow notices when the neighbour's name, or this node's, belongs to two nodes: an incarnation is heard again after another, or three
// heartbeats over some time echo one that is not this node's.
func (l *Link) follow(now time.Time, b *heartbeat) {
	e := l.engine
	before := l.current
	l.current = b.incarnation
	if before != b.incarnation {
		for i := range l.peers {
			if h := &l.peers[i]; h.incarnation == b.incarnation && h.beaten {
				l.complain(now, DuplicateNeighbourName)
				l.doubled = now
			}
		}
	}
	if b.echo == (subject.Incarnation{}) || b.echo == e.Incarnation {
		return
	}
	if now.Sub(l.strange) > twinShows {
		l.foreign, l.strange = 0, now
	}
	if l.foreign++; l.foreign >= 3 && now.Sub(l.strange) > silence { // longer than its last start may be echoed by who still takes its reports
		l.complain(now, DuplicateName)
	}
}

// complain notes that two nodes have one name.
func (l *Link) complain(now time.Time, what NoticeKind) {
	l.counts.DuplicateNameSigns++
	l.twin = now
	if l.complaint.IsZero() || now.Sub(l.complaint) >= twinShows {
		l.complaint = now
		l.engine.notice(Notice{Peer: l.Peer, Kind: what})
	}
}

// twinned reports whether there was a sign of a twin not long ago.
func (l *Link) twinned(now time.Time) bool { return !l.twin.IsZero() && now.Sub(l.twin) < twinShows }

// agreeOnTopology compares the topologies of two neighbours. What differs is noticed when it is known, and when it changes, but not all the
// time: of twins it changes with each heartbeat.
func (e *Engine) agreeOnTopology(l *Link, now time.Time, b *heartbeat) {
	differs := b.topology != e.print
	switch prints := [2]uint64{e.print, b.topology}; {
	case !differs && l.named:
		e.notice(Notice{Peer: l.Peer, Kind: SameTopology})
		l.named = false
	case !differs:
	case !l.differs && b.links == "": // it is about to see that they differ, and to tell its own
	case (!l.named || l.prints != prints || l.links != b.links) && now.Sub(l.shown) >= twinShows:
		l.shown = now
		e.notice(Notice{Peer: l.Peer, Kind: OtherTopology, Detail: topology.Differences(e.text, b.links)})
		l.named, l.prints = true, prints
	}
	l.differs, l.links = differs, b.links
}

// agree compares how two neighbours are configured, and takes over the later cut-off.
func (e *Engine) agree(l *Link, now time.Time, b *heartbeat) {
	e.agreeOnTopology(l, now, b)
	switch {
	case b.retention == e.retention:
		l.retention = b.retention
	case l.retention != b.retention && now.Sub(l.warned) >= twinShows: // likewise
		l.retention, l.warned = b.retention, now
		e.notice(Notice{Peer: l.Peer, Kind: OtherRetention, Duration: b.retention})
	}
	if b.cutoff == keepAll || b.cutoff <= e.registry.oldest.Load() {
		return
	}
	if e.retention > 0 && b.cutoff <= cutoff(now, e.retention)+2*int64(step(e.retention)) {
		e.raise(b.cutoff)
	} else if e.retention == b.retention { // else that is what is reported
		e.notice(Notice{Peer: l.Peer, Kind: CutoffAhead, Duration: time.Duration(b.cutoff - cutoff(now, e.retention))})
	}
}

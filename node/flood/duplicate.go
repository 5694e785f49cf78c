package flood

import (
	"slices"
	"time"

	"herd/bus/subject"
)

// duplicateNames is what hints that two nodes have one name: the neighbour's or this one's. A node that was killed and started
// again is none, though what its last start sent may be received among the messages of the next one, since it waited in sockets
// and modems.
type duplicateNames struct {
	began         time.Time // when this incarnation did
	otherEchoes   int       // heartbeats that echo an incarnation which is not this node's, since otherSince
	otherSince    time.Time // when the first of them was received
	newestSince   time.Time // when a heartbeat of the neighbour's newest incarnation was first received
	lastSign      time.Time // when a sign was last seen, of either name
	neighbourSign time.Time // when an earlier incarnation of the neighbour was last received from again, late or as a duplicate
	noticed       time.Time // when a notice last said so
	turn          bool      // the neighbour's incarnation received from before the last one is acknowledged
}

// lateStart returns for how long after the first message of a node's start those of an earlier start may still be received: what waits in
// sockets and modems, on a thin link for longer.
func (l *Link) lateStart() time.Duration {
	return 23*time.Second + l.patience() + l.ledger.window.patience(l.live.interval)
}

// detectDuplicate notices when the neighbour's name, or this node's, belongs to two nodes: heartbeats of an earlier incarnation
// are received among those of the newest, or three heartbeats echo an incarnation that is not this node's. Neither counts before
// messages of an earlier start can no longer be late.
func (l *Link) detectDuplicate(now time.Time, b *heartbeat) {
	n := &l.names
	before := l.live.incarnation
	l.live.incarnation = b.incarnation
	if before != b.incarnation {
		if !l.receivedFrom(b.incarnation) {
			n.newestSince = now
		} else {
			n.neighbourSign = now
			if now.Sub(n.newestSince) >= l.lateStart() {
				l.noteDuplicate(now, DuplicateNeighbourName)
			}
		}
	}
	if b.received.of == (subject.Incarnation{}) || b.received.of == l.incarnation {
		return
	}
	if now.Sub(n.otherSince) > reminderInterval {
		n.otherEchoes, n.otherSince = 0, now
	}
	n.otherEchoes++
	if n.otherEchoes >= 3 && now.Sub(n.otherSince) > silenceTimeout && now.Sub(n.began) >= l.lateStart() {
		l.noteDuplicate(now, DuplicateName)
	}
}

// receivedFrom reports whether a heartbeat of an incarnation was received before.
func (l *Link) receivedFrom(i subject.Incarnation) bool {
	return slices.ContainsFunc(l.progress, func(p progress) bool { return p.incarnation == i && p.heartbeat })
}

// noteDuplicate notes a sign that two nodes have one name.
func (l *Link) noteDuplicate(now time.Time, kind NoticeKind) {
	l.counts.DuplicateNameSigns++
	l.names.lastSign = now
	if l.names.noticed.IsZero() || now.Sub(l.names.noticed) >= reminderInterval {
		l.names.noticed = now
		l.engine.notify(Notice{Peer: l.Peer, Kind: kind})
	}
}

// duplicateSuspected reports whether there was a sign of a duplicate name not long ago.
func (l *Link) duplicateSuspected(now time.Time) bool {
	return !l.names.lastSign.IsZero() && now.Sub(l.names.lastSign) < reminderInterval
}

package flood

import "slices"

// flow keeps reports in the queue, where newer ones can replace them, rather than in flight to a neighbour that is busy.
//
// What NATS holds for a slow receiver is stale when it arrives, and beyond some megabytes it is dropped: then heartbeats are late, and a
// sync has to bring what was lost. So at most maxInFlight reports are in flight on a link, as far as the neighbour's heartbeats
// acknowledge them; a neighbour that receives many sends heartbeats early. A neighbour that is down is sent reports as fast as the bus
// takes them: it may receive them although nothing of it is received.
type flow struct {
	sent         uint64         // reports sent
	acknowledged uint64         // of these, received by the neighbour, or sent while it was down; at most sent
	marks        []inFlightMark // the messages that acknowledge more, in the order of their numbers
	unreported   int            // reports received since the last heartbeat to the neighbour
}

// inFlightMark says how many reports were sent up to a message and with it.
type inFlightMark struct{ number, sent uint64 }

const (
	maxInFlight      = 32 << 10             // reports sent and not acknowledged
	acknowledgeEvery = maxInFlight / 4      // reports received after which a heartbeat is sent early
	markEvery        = acknowledgeEvery / 8 // reports from one mark to the next
)

// maySend reports whether reports may be sent now.
func (l *Link) maySend() bool {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	return !l.live.alive || l.flow.sent-l.flow.acknowledged < maxInFlight
}

// noteSent notes that a message of reports was sent.
func (l *Link) noteSent(number uint64, reports int) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	f := &l.flow
	f.sent += uint64(reports)
	if !l.live.alive {
		f.acknowledged, f.marks = f.sent, f.marks[:0]
		return
	}
	if n := len(f.marks); n == 0 || f.sent-f.marks[n-1].sent >= markEvery {
		f.marks = append(f.marks, inFlightMark{number, f.sent})
	}
}

// acknowledge notes what a heartbeat acknowledges. While the neighbour does not know this start of the node, nothing is waited for.
func (l *Link) acknowledge(b *heartbeat) {
	f := &l.flow
	if b.echo != l.engine.config.Incarnation {
		f.acknowledged, f.marks = f.sent, f.marks[:0]
		l.Queue.signal()
		return
	}
	for len(f.marks) > 0 && b.acknowledged >= f.marks[0].number {
		f.acknowledged = f.marks[0].sent
		f.marks = slices.Delete(f.marks, 0, 1)
		l.Queue.signal()
	}
}

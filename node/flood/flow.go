package flood

import "slices"

// flow keeps reports in the queue, where they can be replaced by newer ones, rather than on their way to a neighbour that is busy.
//
// What NATS holds for a receiver that lags is old when it comes, and beyond some megabytes it is lost: then heartbeats are late, and what was lost
// has to be pulled. So a node has at most maxUnderWay reports under way on a link, as far as the neighbour's heartbeats say what
// it has taken, and those come early when it takes many. A neighbour that is down is told as fast as the bus takes it: it may hear, and
// only not be heard.
type flow struct {
	sent   uint64      // reports
	taken  uint64      // of these, as far as is known
	marks  []milestone // of messages not known to be taken
	silent int         // reports of the neighbour that were taken since it was told so
}

// milestone says how many reports were sent up to a message.
type milestone struct{ number, sent uint64 }

const (
	maxUnderWay = 32 << 10        // reports sent and not known to be taken
	tellTaken   = maxUnderWay / 4 // reports taken, after which a heartbeat says so
	markTaken   = tellTaken / 8   // reports from one milestone to the next
)

// mayTell reports whether the neighbour has taken enough of what it was told.
func (l *Link) mayTell() bool {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	return !l.alive || l.flow.sent-l.flow.taken < maxUnderWay
}

// told notes that a message of reports was sent.
func (l *Link) told(number uint64, reports int) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	f := &l.flow
	f.sent += uint64(reports)
	if !l.alive {
		f.taken, f.marks = f.sent, f.marks[:0]
		return
	}
	if n := len(f.marks); n == 0 || f.sent-f.marks[n-1].sent >= markTaken {
		f.marks = append(f.marks, milestone{number, f.sent})
	}
}

// hasTaken follows what a heartbeat says of what the neighbour has taken. One that has not heard of this node's start is not waited for.
func (l *Link) hasTaken(b *heartbeat) {
	f := &l.flow
	if b.echo != l.engine.Incarnation {
		f.taken, f.marks = f.sent, f.marks[:0]
		l.Queue.signal()
		return
	}
	for len(f.marks) > 0 && b.processed >= f.marks[0].number {
		f.taken = f.marks[0].sent
		f.marks = slices.Delete(f.marks, 0, 1)
		l.Queue.signal()
	}
}

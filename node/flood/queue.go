package flood

import (
	"slices"
	"sync"

	"herd/node/line"
)

// Queue holds the reports that wait to be sent to one neighbour: at most one report per client, the greatest, in the order in which the
// clients came. Pushing never waits; a queue that is full drops everything.
//
// A queue numbers the messages that are made of it and leaves out a number where reports were dropped, so that the receiver notices.
type Queue struct {
	wake chan struct{} // holds a value when there may be something to pop

	mu         sync.Mutex
	limit      int           // clients
	waiting    []line.Report // waiting[head:], in the order of their clients' arrival
	hashes     []uint64      // of the clients of waiting
	head       int           // what is before it was popped
	index      index         // of waiting[head:]
	counts     QueueCounts
	closed     bool   // reports are dropped at once, for there is no connection
	lastNumber uint64 // of the last message, or of the gap after it
	gapOpen    bool   // lastNumber was skipped for dropped reports and is not announced yet; later drops share it
	traced     []traced
}

// QueueCounts counts the reports that were pushed and not popped.
type QueueCounts struct {
	Conflated uint64 // replaced by, or dropped in favour of, a greater report of the same client
	Dropped   uint64 // because more clients than the limit were waiting, or there was no connection
}

// An empty queue keeps the memory of so many clients: minKept if it is popped from, maxKept if it is swapped, which has a burst each time.
const (
	minKept = 1 << 12
	maxKept = 1 << 16
)

// NewQueue returns an empty queue for at most limit clients, at least 1.
func NewQueue(limit int) *Queue {
	return &Queue{limit: max(limit, 1), wake: make(chan struct{}, 1)}
}

// SetLimit changes the limit to at most limit clients, at least 1, from the next Push on.
func (q *Queue) SetLimit(limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = max(limit, 1)
}

// Push adds r, or replaces the smaller report of the same client, which keeps its place. If that makes more clients than the limit, the
// others are dropped and counted.
func (q *Queue) Push(r line.Report) { q.push(hash(r.Client()), r) }

func (q *Queue) push(h uint64, r line.Report) {
	if q.put(h, r) { // if it was not empty, a signal has been sent already
		q.signal()
	}
}

// put reports whether the queue was empty.
func (q *Queue) put(h uint64, r line.Report) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.drop(1)
		return false
	}
	if q.conflate(h, r) {
		return false
	}
	if q.index.used >= q.limit {
		q.dropAll()
	}
	q.append(h, r)
	return q.index.used == 1
}

// conflate keeps the greater of r and the report of the same client that waits, and reports whether there is one.
func (q *Queue) conflate(h uint64, r line.Report) bool {
	place := q.index.find(h, r.Client(), q.waiting)
	if place < 0 {
		return false
	}
	q.counts.Conflated++
	if r.Compare(q.waiting[place]) > 0 {
		q.waiting[place] = r
	}
	return true
}

func (q *Queue) append(h uint64, r line.Report) {
	q.index.add(h, len(q.waiting))
	q.waiting, q.hashes = append(q.waiting, r), append(q.hashes, h)
}

// drop counts reports that will not be sent, and leaves a gap in the numbers for them.
func (q *Queue) drop(reports int) {
	q.counts.Dropped += uint64(reports)
	if !q.gapOpen {
		q.lastNumber++
		q.gapOpen = true
	}
}

func (q *Queue) dropAll() {
	if q.index.used > 0 {
		q.drop(q.index.used)
		q.reset()
	}
}

// setOpen opens the queue, or closes it and drops what waits.
func (q *Queue) setOpen(open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = !open
	if q.closed {
		q.dropAll()
	}
}

// lastMessage returns the number of the last message or gap, and whether nothing waits. The caller sends that number to the neighbour;
// reports that are dropped later need another gap.
func (q *Queue) lastMessage() (number uint64, empty bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gapOpen = false
	return q.lastNumber, q.index.used == 0
}

// signal wakes the receiver of Wake.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Wake returns a channel that yields after a Push to an empty queue. Its receiver then pops until nothing is left.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// pop removes the oldest reports of the queue and appends them to dst, which is empty: at most count, and at most size bytes of text but
// always one report. It returns the number of the message that is made of them as well.
func (q *Queue) pop(dst []line.Report, count, size int) ([]line.Report, uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head < len(q.waiting) {
		q.lastNumber++
		q.gapOpen = false
	}
	for range count {
		if q.head == len(q.waiting) {
			break
		}
		r := q.waiting[q.head]
		if size -= len(r.String()); size < 0 && len(dst) > 0 {
			break
		}
		dst = append(dst, r)
		q.index.remove(q.hashes[q.head], q.head)
		q.waiting[q.head] = line.Report{}
		q.head++
	}
	switch {
	case q.head == len(q.waiting):
		q.reset()
	case q.head > len(q.waiting)/2:
		q.compact()
	}
	return dst, q.lastNumber
}

// Swap removes all reports and returns them, oldest first. It takes over spare, which its owner does not use any more, as memory for the
// queue, unless that is too much. It makes no message. It takes as long for thousands of reports as for one, so that no Push waits.
func (q *Queue) Swap(spare []line.Report) (all []line.Report) {
	clear(spare)
	q.mu.Lock()
	defer q.mu.Unlock()
	all = q.waiting[q.head:]
	if max(cap(spare), cap(q.hashes)) > maxKept {
		spare, q.hashes = nil, nil
	}
	q.waiting, q.hashes, q.head = spare[:0], q.hashes[:0], 0
	q.index.clear(maxKept)
	return all
}

// compact moves what waits to the beginning of the slice. It moves fewer reports than were popped since it was last called.
func (q *Queue) compact() {
	rest := copy(q.waiting, q.waiting[q.head:])
	copy(q.hashes, q.hashes[q.head:])
	clear(q.waiting[rest:])
	q.waiting, q.hashes = q.waiting[:rest], q.hashes[:rest]
	if len(q.index.slots) > 8*max(rest, minSlots) {
		q.index.rebuild(q.hashes) // which costs less than to go through all slots
	} else {
		q.index.shift(q.head)
	}
	q.head = 0
}

// reset empties the queue, and releases the memory that a burst needed.
func (q *Queue) reset() {
	clear(q.waiting[q.head:])
	if cap(q.waiting) > minKept {
		q.waiting, q.hashes = nil, nil
	}
	q.waiting, q.hashes, q.head = q.waiting[:0], q.hashes[:0], 0
	q.index.clear(minKept)
}

// Len returns the number of clients waiting.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.used
}

// Counts returns the counts so far.
func (q *Queue) Counts() QueueCounts {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counts
}

// maxTraced is how many traced reports may wait on a link; a further one takes the place of the oldest.
const maxTraced = 16

// Traced is a report of a message that is traced. What the trace is, the engine does not know.
type Traced struct {
	Line  int // index of the report in the message
	Trace any
}

// traced is a traced report that may be waiting in a queue.
type traced struct {
	line.Report
	trace any
}

// Trace attaches a trace to r, which is to be given to [Engine.Apply] next: [Message.Traced] names it in the messages in which r leaves.
// On a link where a newer report replaces r, the trace ends. The returned function is to be called after Apply, with what Apply returned,
// and before Trace is called again; otherwise, if two neighbours send the same report, the wrong one of them could be traced.
func (e *Engine) Trace(r line.Report, from line.NodeName, trace any) (applied func(changed bool)) {
	for _, l := range e.Links() {
		if l.Peer != from {
			l.Queue.trace(r, trace)
		}
	}
	return func(changed bool) {
		for _, l := range e.Links() {
			if !changed && l.Peer != from {
				l.Queue.removeTraceOf(trace)
			}
		}
	}
}

func (q *Queue) trace(r line.Report, trace any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.traced) == maxTraced {
		q.traced = slices.Delete(q.traced, 0, 1)
	}
	q.traced = append(q.traced, traced{r, trace})
}

func (q *Queue) removeTraceOf(trace any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.removeTrace(func(t traced) bool { return t.trace == trace })
}

// removeTrace removes the first traced report that matches, and returns its trace, or nil. The queue is locked by the caller.
func (q *Queue) removeTrace(match func(traced) bool) any {
	i := slices.IndexFunc(q.traced, match)
	if i < 0 {
		return nil
	}
	t := q.traced[i]
	q.traced = slices.Delete(q.traced, i, i+1)
	return t.trace
}

// tracedOf removes the traced reports that a message contains, and appends them to dst.
func (q *Queue) tracedOf(reports []line.Report, dst []Traced) []Traced {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := 0; i < len(reports) && len(q.traced) > 0; i++ {
		if trace := q.removeTrace(func(t traced) bool { return t.Report == reports[i] }); trace != nil {
			dst = append(dst, Traced{i, trace})
		}
	}
	return dst
}

package flood

import (
	"sync"

	"herd/node/line"
)

// Queue is what waits to be told to one neighbour: at most one report per client, the greatest, in the order in
// which the clients came. Pushing never waits; a queue that is full is emptied.
//
// It numbers the messages that are made of it, and skips a number where reports are missing, so that who hears them notices.
type Queue struct {
	wake chan struct{} // one slot: there is something to pop

	mu      sync.Mutex
	limit   int
	waiting []line.Report // waiting[head:], oldest first
	hashes  []uint64      // of their clients
	head    int           // what is before it has been popped
	index   index         // of waiting[head:]
	counts  QueueCounts
	shut    bool   // nothing is taken: there is nobody to tell
	number  uint64 // of the last message, or of the gap after it
	gap     bool   // number is that of a gap which nobody was told of
	traced  []traced
}

// QueueCounts says what became of reports that were pushed and not popped.
type QueueCounts struct {
	Conflated uint64 // replaced by, or dropped in favour of, a greater report of the same client
	Dropped   uint64 // thrown away because more clients than the limit were waiting, or there was no connection
}

// What an empty queue keeps the memory of, in clients: one that is popped from, and one that is swapped, which has a burst each time.
const (
	minKept = 1 << 12
	maxKept = 1 << 16
)

// NewQueue returns an empty queue for at most limit clients, at least 1.
func NewQueue(limit int) *Queue {
	return &Queue{limit: max(limit, 1), wake: make(chan struct{}, 1)}
}

// Limit has the queue hold at most so many clients from the next Push on, at least 1.
func (q *Queue) SetLimit(limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = max(limit, 1)
}

// Push adds r, or replaces the smaller report of the same client, which keeps its place. If that makes more clients than the
// limit, the others are thrown away and counted.
func (q *Queue) Push(r line.Report) { q.push(hash(r.Client()), r) }

func (q *Queue) push(h uint64, r line.Report) {
	if q.put(h, r) { // else whoever pops was woken, and has not yet
		q.signal()
	}
}

// put returns whether the queue was empty.
func (q *Queue) put(h uint64, r line.Report) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		q.lose(1)
		return false
	}
	if q.conflate(h, r) {
		return false
	}
	if q.index.used >= q.limit {
		q.empty()
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

// lose counts reports that will not be told, and leaves a gap in the numbers for them.
func (q *Queue) lose(reports int) {
	q.counts.Dropped += uint64(reports)
	if !q.gap {
		q.number++
		q.gap = true
	}
}

func (q *Queue) empty() {
	if q.index.used > 0 {
		q.lose(q.index.used)
		q.reset()
	}
}

// open has the queue take what is pushed, or throw it away together with what waits.
func (q *Queue) open(open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = !open
	if q.shut {
		q.empty()
	}
}

// last returns the number of the last message or gap, and whether there is nothing for a next one. What is lost after that, when the
// neighbour may have been told, is another gap.
func (q *Queue) last() (number uint64, empty bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gap = false
	return q.number, q.index.used == 0
}

// signal wakes whoever pops.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Wake returns a channel that yields after a Push to an empty queue. Who is woken pops until nothing is left.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Pop appends to dst, which is empty, the oldest reports of the queue and removes them: at most count, and at most size bytes of
// text but always one.
func (q *Queue) Pop(dst []line.Report, count, size int) []line.Report {
	dst, _ = q.pop(dst, count, size)
	return dst
}

// pop does what Pop does, and returns the number of the message that is made of the reports.
func (q *Queue) pop(dst []line.Report, count, size int) ([]line.Report, uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head < len(q.waiting) {
		q.number++
		q.gap = false
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
	return dst, q.number
}

// Swap removes all reports and returns them, oldest first. The queue goes on in the memory of spare, which nobody uses any more, if
// that is not too much. It makes no message. Thousands of reports are removed as quickly as one, so that nobody who pushes waits.
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

// compact moves what waits to the beginning. That is less than has been popped since the last time.
func (q *Queue) compact() {
	rest := copy(q.waiting, q.waiting[q.head:])
	copy(q.hashes, q.hashes[q.head:])
	clear(q.waiting[rest:])
	q.waiting, q.hashes = q.waiting[:rest], q.hashes[:rest]
	if len(q.index.slots) > 8*max(rest, minSlots) {
		q.index.rebuild(q.hashes) // to look through its slots would cost more
	} else {
		q.index.shift(q.head)
	}
	q.head = 0
}

// reset empties the queue. What a burst left behind is given back to the collector.
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

// Counts returns what became of reports so far.
func (q *Queue) Counts() QueueCounts {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counts
}

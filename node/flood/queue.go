package flood

import (
	"sync"

	"herd/node/line"
)

// Queue holds changed reports until a subscriber swaps them out: at most one report per client, the greatest, in the order in which the
// clients came. Pushing never waits; a queue that is full drops everything.
type Queue struct {
	wake chan struct{} // holds a value when there may be something to swap

	mu      sync.Mutex
	limit   int           // clients
	waiting []line.Report // in the order of their clients' arrival
	index   index         // of waiting
	dropped uint64        // reports, because more clients than the limit were waiting
}

// maxKept is of how many clients an empty queue keeps the memory.
const maxKept = 1 << 16

// NewQueue returns an empty queue for at most limit clients, at least 1.
func NewQueue(limit int) *Queue {
	return &Queue{limit: max(limit, 1), wake: make(chan struct{}, 1)}
}

// Push adds r, or replaces the smaller report of the same client, which keeps its place. If that makes more clients than the limit, the
// others are dropped and counted.
func (q *Queue) Push(r line.Report) { q.push(hash(r.Client()), r) }

func (q *Queue) push(h uint64, r line.Report) {
	if q.put(h, r) { // if it was not empty, a signal has been sent already
		wake(q.wake)
	}
}

// put reports whether the queue was empty.
func (q *Queue) put(h uint64, r line.Report) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if place := q.index.find(h, r.Client(), q.waiting); place >= 0 {
		if r.Compare(q.waiting[place]) > 0 {
			q.waiting[place] = r
		}
		return false
	}
	if q.index.used >= q.limit {
		q.dropped += uint64(q.index.used)
		clear(q.waiting)
		q.waiting = q.waiting[:0]
		q.index.clear(maxKept)
	}
	q.index.add(h, len(q.waiting))
	q.waiting = append(q.waiting, r)
	return q.index.used == 1
}

// wake has the receiver of a channel that holds one value look again, without waiting for it.
func wake(receiver chan<- struct{}) {
	select {
	case receiver <- struct{}{}:
	default:
	}
}

// Wake returns a channel that yields after a Push to an empty queue. Its receiver then calls Swap.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Swap removes all reports and returns them, oldest first. It takes over spare, which its owner does not use any more, as memory for the
// queue, unless that is too much. It takes as long for thousands of reports as for one, so that no Push waits.
func (q *Queue) Swap(spare []line.Report) (all []line.Report) {
	clear(spare)
	q.mu.Lock()
	defer q.mu.Unlock()
	all = q.waiting
	if cap(spare) > maxKept {
		spare = nil
	}
	q.waiting = spare[:0]
	q.index.clear(maxKept)
	return all
}

// Len returns the number of clients waiting.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.index.used
}

// Dropped returns how many reports were dropped so far.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

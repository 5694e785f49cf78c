package node

import (
	"sync"
	"time"

	"herd/node/line"
)

// Sizes of a journal, in bytes.
const (
	maxJournal = 32 << 20  // at most: a third of a second at a million reports a second
	largeBatch = 256 << 10 // is appended to the store at once, while it is still in the processor's cache
)

// journal holds what waits for the store writer: the texts of reports in the order in which they changed the registry, each with an LF
// after it. It searches and replaces nothing, since a shard of the registry is locked while a report is pushed. A journal that is full
// drops everything; then the whole registry has to be written instead.
type journal struct {
	wake chan struct{} // holds a value when there may be something to write
	full chan struct{} // holds a value when there may be a largeBatch

	mu sync.Mutex
	batch
}

// batch is what is written together.
type batch struct {
	text    []byte
	reports int       // that were pushed
	since   time.Time // when the first of them was pushed
	lost    bool      // text was dropped
}

func newJournal() *journal {
	return &journal{wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// push adds a report. It never waits.
func (j *journal) push(r line.Report) {
	first, full := j.put(r)
	if first { // if it was not empty, a signal has been sent already
		signal(j.wake)
	}
	if full {
		signal(j.full)
	}
}

// signal puts a value into a channel with one slot, unless there is one already.
func signal(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// put reports whether the journal was empty, and whether this report made it a largeBatch.
func (j *journal) put(r line.Report) (first, full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.reports++; j.reports == 1 {
		j.since = time.Now()
	}
	before := len(j.text)
	switch {
	case j.lost:
	case before+len(r.String()) >= maxJournal:
		j.text, j.lost = nil, true
	default:
		j.text = append(append(j.text, r.String()...), '\n')
	}
	return j.reports == 1, before < largeBatch && len(j.text) >= largeBatch
}

// swap removes and returns what waits. It takes over spare, which its owner does not use any more, as memory for the journal, unless that is
// too much.
func (j *journal) swap(spare []byte) batch {
	if cap(spare) > 4*largeBatch {
		spare = nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.batch
	j.batch = batch{text: spare[:0]}
	return b
}

// waiting returns how many reports wait, and since when.
func (j *journal) waiting() (reports int, since time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.reports, j.since
}

// empty reports whether nothing waits, and if so releases the journal's memory.
func (j *journal) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.reports == 0 {
		j.text = nil
	}
	return j.reports == 0
}

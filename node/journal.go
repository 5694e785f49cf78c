package node

import (
	"sync"

	"herd/node/line"
)

// Sizes of a journal, in bytes.
const (
	maxJournal = 32 << 20  // at most: a third of a second at a million reports a second
	plenty     = 256 << 10 // to be taken at once: what is read again soon is still in the processor's cache
)

// journal is what waits for the disk: the texts of reports in the order in which they changed the registry, each with an LF behind. It
// looks for nothing and replaces nothing, since who pushes has the registry locked. One that is full is emptied, and all that is known has
// to be written instead.
type journal struct {
	wake chan struct{} // one slot: there is something to take, or
	full chan struct{} // one slot: there is plenty

	mu      sync.Mutex
	text    []byte
	reports int  // in it, or lost
	lost    bool // it was full
}

func newJournal() *journal {
	return &journal{wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// push adds a report. It never waits.
func (j *journal) push(r line.Report) {
	first, full := j.put(r)
	if first { // else whoever takes was woken, and has not yet
		signal(j.wake)
	}
	if full {
		signal(j.full)
	}
}

func signal(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// put returns whether the journal was empty, and whether there is plenty now, but was not before.
func (j *journal) put(r line.Report) (first, full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reports++
	before := len(j.text)
	switch {
	case j.lost:
	case before+len(r.String()) >= maxJournal:
		j.text, j.lost = nil, true
	default:
		j.text = append(append(j.text, r.String()...), '\n')
	}
	return j.reports == 1, before < plenty && len(j.text) >= plenty
}

// take returns what waits and how many reports that is, or was before it was lost. The journal goes on in the memory of spare, which
// nobody uses any more, if that is not too much.
func (j *journal) take(spare []byte) (text []byte, reports int, lost bool) {
	if cap(spare) > 4*plenty {
		spare = nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	text, reports, lost = j.text, j.reports, j.lost
	j.text, j.reports, j.lost = spare[:0], 0, false
	return text, reports, lost
}

// waiting returns how many reports wait.
func (j *journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.reports
}

// rest reports whether nothing waits. Then the journal keeps no memory.
func (j *journal) rest() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.reports == 0 {
		j.text = nil
	}
	return j.reports == 0
}

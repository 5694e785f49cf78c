package node

import (
	"sync"

	"herd/node/line"
)

// What a journal may hold, and what memory it goes on in when that was taken.
const (
	maxJournal  = 32 << 20 // bytes: a third of a second at a million reports a second
	keptJournal = 8 << 20
)

// journal is what waits for the disk: the texts of reports in the order in which they changed the registry, each with an LF behind. It
// looks for nothing and replaces nothing, since who pushes has the registry locked. One that is full is emptied, and all that is known has
// to be written instead.
type journal struct {
	wake chan struct{} // one slot: there is something to take

	mu      sync.Mutex
	text    []byte
	reports int  // in it, or lost
	lost    bool // it was full
}

func newJournal() *journal { return &journal{wake: make(chan struct{}, 1)} }

// push adds a report. It never waits.
func (j *journal) push(r line.Report) {
	if j.put(r) { // else whoever takes was woken, and has not yet
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
}

// put returns whether the journal was empty.
func (j *journal) put(r line.Report) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reports++
	if !j.lost && len(j.text)+len(r.String()) >= maxJournal {
		j.text, j.lost = nil, true
	}
	if !j.lost {
		j.text = append(append(j.text, r.String()...), '\n')
	}
	return j.reports == 1
}

// take returns what waits and how many reports that is, or was before it was lost. The journal goes on in the memory of spare, which
// nobody uses any more, if that is not too much.
func (j *journal) take(spare []byte) (text []byte, reports int, lost bool) {
	if cap(spare) > keptJournal {
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

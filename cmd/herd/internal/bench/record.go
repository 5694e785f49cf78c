package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Kinds of errors that end a connection.
const (
	ErrWrite    = "write"    // a request could not be sent
	ErrClosed   = "closed"   // the server hung up
	ErrSilent   = "silent"   // no reply in [Config.Timeout]
	ErrProtocol = "protocol" // what the server sent is no reply
)

// record is what all connections have measured. Times count from when the clients had all reported once.
type record struct {
	warmup time.Duration

	mu        sync.Mutex // guards what follows
	kinds     [2]Latency // of reports, and of questions
	last      time.Duration
	refused   int
	wrong     int
	unsent    int
	errors    map[string]int
	first     error
	second    *hdrhistogram.Histogram // of both kinds, since seconds was extended
	seconds   []Second
	refusedIn int // the second
}

func newRecord(warmup time.Duration) *record {
	r := &record{warmup: warmup, errors: make(map[string]int), second: newHistogram()}
	for i := range r.kinds {
		r.kinds[i].histogram = newHistogram()
	}
	return r
}

// newHistogram returns one from 64 ns to 1,000 s, with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(100, maxLatency, 3) }

const (
	unit       = 64 // ns: shorter times are as good as none
	maxLatency = int64(1000 * time.Second)
)

// tally is requests with the same fate.
type tally struct {
	ask     bool
	outcome Outcome
	due     time.Duration
	n       int
}

// note counts requests whose replies came now.
func (r *record) note(t tally, now time.Duration) {
	if t.n == 0 || t.due < r.warmup {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(now)
	r.last = max(r.last, now)
	switch t.outcome {
	case Refused:
		r.refused += t.n
		r.refusedIn += t.n
		return
	case Wrong:
		r.wrong += t.n
		return
	}
	kind := 0
	if t.ask {
		kind = 1
	}
	took := min(int64(max(0, now-t.due)), maxLatency)
	_ = r.kinds[kind].histogram.RecordValues(took, int64(t.n)) // it is within the bounds
	_ = r.second.RecordValues(took, int64(t.n))
}

// roll begins another second if this one is over.
func (r *record) roll(now time.Duration) {
	for now >= r.warmup+time.Duration(len(r.seconds)+1)*time.Second {
		r.seconds = append(r.seconds, r.thisSecond())
		r.second.Reset()
		r.refusedIn = 0
	}
}

func (r *record) thisSecond() Second {
	return Second{
		Replies: int(r.second.TotalCount()), Refused: r.refusedIn,
		P50: seconds(r.second.ValueAtQuantile(50)), P99: seconds(r.second.ValueAtQuantile(99)), Max: seconds(r.second.Max()),
	}
}

// fail counts what ended a connection.
func (r *record) fail(err *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[err.Kind]++
	if r.first == nil {
		r.first = err
	}
}

func (r *record) late(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsent += n
}

// Error is what ended a connection.
type Error struct {
	Kind    string // one of ErrWrite, ErrClosed, ErrSilent, ErrProtocol
	Address string
	Err     error
}

func (e *Error) Error() string { return e.Address + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Second is what one second after the warm-up brought. Latencies are in seconds.
type Second struct {
	Replies int     `json:"replies"` // that were expected
	Refused int     `json:"refused"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
}

// Snapshot is how far a run has come.
type Snapshot struct {
	Elapsed time.Duration // since the warm-up began; 0 while clients report for the first time
	Replies int           // that count: since the warm-up
	Refused int
	Last    Second // the last whole second
}

func (r *record) snapshot(now time.Duration) Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(now)
	s := Snapshot{Elapsed: now, Replies: r.kinds[0].Count() + r.kinds[1].Count(), Refused: r.refused}
	if n := len(r.seconds); n > 0 {
		s.Last = r.seconds[n-1]
	} else {
		s.Last = r.thisSecond()
	}
	return s
}

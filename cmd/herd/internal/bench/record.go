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

	mu        sync.Mutex              // guards what follows
	result    Result                  // so far, without what follows from the rest of it
	last      time.Duration           // when the last reply came
	second    *hdrhistogram.Histogram // of replies to all requests, since the last whole second
	refusedIn int                     // that second
}

func newRecord(warmup time.Duration) *record {
	return &record{
		warmup: warmup, second: newHistogram(),
		result: Result{Errors: make(map[string]int), IAmAt: Latency{newHistogram()}, WhatsAt: Latency{newHistogram()}},
	}
}

// newHistogram returns one from 64 ns to 1,000 s, with three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(100, maxLatency, 3) }

const (
	unit       = 64 // ns: shorter times are as good as none
	maxLatency = int64(1000 * time.Second)
)

// tally is requests with the same outcome.
type tally struct {
	whatsAt bool
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
		r.result.Refused += t.n
		r.refusedIn += t.n
		return
	case Wrong:
		r.result.Wrong += t.n
		return
	}
	latency := r.result.IAmAt
	if t.whatsAt {
		latency = r.result.WhatsAt
	}
	took := min(int64(max(0, now-t.due)), maxLatency)
	_ = latency.histogram.RecordValues(took, int64(t.n)) // it is within the bounds
	_ = r.second.RecordValues(took, int64(t.n))
}

// roll begins another second if this one is over.
func (r *record) roll(now time.Duration) {
	for now >= r.warmup+time.Duration(len(r.result.Seconds)+1)*time.Second {
		r.result.Seconds = append(r.result.Seconds, r.thisSecond())
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

// fail counts an error of some kind that ended a connection.
func (r *record) fail(kind string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Errors[kind]++
	if r.result.First == nil {
		r.result.First = err
	}
}

// abandon counts requests that will not be sent.
func (r *record) abandon(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Unsent += n
}

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
	s := Snapshot{Elapsed: now, Replies: r.result.IAmAt.Count() + r.result.WhatsAt.Count(), Refused: r.result.Refused, Last: r.thisSecond()}
	if n := len(r.result.Seconds); n > 0 {
		s.Last = r.result.Seconds[n-1]
	}
	return s
}

package bench

import (
	"encoding/json"
	"math"
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

// Latency is a distribution of times, exact to three digits. Its zero value has none. It is not safe for concurrent use.
type Latency struct{ histogram *hdrhistogram.Histogram }

// Add adds a time, as 0 if it is negative.
func (l *Latency) Add(d time.Duration) {
	if l.histogram == nil {
		l.histogram = newHistogram()
	}
	_ = l.histogram.RecordValue(min(int64(max(0, d)), maxLatency)) // it is within the bounds
}

// Count returns the number of times.
func (l Latency) Count() int {
	if l.histogram == nil {
		return 0
	}
	return int(l.histogram.TotalCount())
}

// At returns the time that so many per cent do not exceed.
func (l Latency) At(percent float64) time.Duration {
	if l.histogram == nil {
		return 0
	}
	if v := l.histogram.ValueAtQuantile(percent); v >= unit {
		return time.Duration(v)
	}
	return 0
}

// Max returns the longest time.
func (l Latency) Max() time.Duration { return l.At(100) }

// Point is one of a distribution: a share of all, 0 to 1, and the time in seconds that it does not exceed.
type Point struct {
	Share   float64 `json:"share"`
	Seconds float64 `json:"seconds"`
}

// Points returns the distribution, closer together towards its end: ten where the share that is slower falls to a tenth. The last is the
// longest time.
func (l Latency) Points() []Point {
	n := float64(l.Count())
	if n == 0 {
		return nil
	}
	var points []Point
	for i := 0; ; i++ {
		tail := math.Pow(10, -float64(i)/10)
		if tail*n <= 1 {
			return append(points, Point{1, l.Max().Seconds()})
		}
		points = append(points, Point{1 - tail, l.At(100 * (1 - tail)).Seconds()})
	}
}

// MarshalJSON gives the usual percentiles, in seconds, and the distribution.
func (l Latency) MarshalJSON() ([]byte, error) {
	at := func(percent float64) float64 { return l.At(percent).Seconds() }
	mean := 0.0
	if l.histogram != nil {
		mean = l.histogram.Mean() / 1e9
	}
	return json.Marshal(struct {
		Count  int     `json:"count"`
		Mean   float64 `json:"mean"`
		P50    float64 `json:"p50"`
		P90    float64 `json:"p90"`
		P99    float64 `json:"p99"`
		P999   float64 `json:"p99_9"`
		Max    float64 `json:"max"`
		Points []Point `json:"points"`
	}{l.Count(), mean, at(50), at(90), at(99), at(99.9), at(100), l.Points()})
}

func seconds(nanos int64) float64 { return float64(nanos) / 1e9 }

package bench

import (
	"encoding/json"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

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

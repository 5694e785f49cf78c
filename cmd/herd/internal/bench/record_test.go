package bench

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// A distribution is that of sorting all times, to three digits.
func TestLatency(t *testing.T) {
	var l Latency
	if l.Count() != 0 || l.At(50) != 0 || l.Max() != 0 || l.Points() != nil {
		t.Error("nothing has a distribution")
	}
	for i := range 10_000 {
		l.Add(time.Duration(i+1) * time.Microsecond)
	}
	for percent, want := range map[float64]time.Duration{
		50: 5000 * time.Microsecond, 90: 9000 * time.Microsecond, 99: 9900 * time.Microsecond, 99.9: 9990 * time.Microsecond, 100: 10_000 * time.Microsecond,
	} {
		if got := l.At(percent); math.Abs(float64(got-want)) > float64(want)/1000 {
			t.Errorf("p%v is %s", percent, got)
		}
	}
	points := l.Points()
	if len(points) != 41 || points[10].Share != 0.9 || points[40].Share != 1 || points[40].Seconds != l.Max().Seconds() {
		t.Errorf("%v", points)
	}
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Count int
		Mean  float64
		P50   float64
		P999  float64 `json:"p99_9"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 10_000 || math.Abs(got.Mean-0.005) > 1e-5 || got.P50 != l.At(50).Seconds() || got.P999 != l.At(99.9).Seconds() {
		t.Errorf("%s", text)
	}
	l.Add(-time.Second)
	l.Add(10_000 * time.Second)
	if l.Count() != 10_002 || l.At(0) != 0 || math.Abs(l.Max().Seconds()-1000) > 1 {
		t.Errorf("from %s to %s", l.At(0), l.Max())
	}
}

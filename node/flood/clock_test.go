package flood

import (
	"errors"
	"testing"
	"time"
)

// A sync brings what is later by order time, though the report that it replaces has a far later client's time, and nothing the
// other way.
func TestSyncByOrderTime(t *testing.T) {
	ahead := report(t, "A -1800000000.000000000 k +1-1 3600000000") // received at 1800000000
	right := report(t, "B +1.000000000 k +2-2 1800000010")
	p := newNetwork(star(t, "A", "B"))
	p.engines["A"].registry.Merge(ahead)
	p.engines["B"].registry.Merge(right)
	p.pass(t, 5*time.Second)
	if held := p.equal(t); held["k"] != right.String() {
		t.Errorf("%q is held", held)
	}
	for _, n := range p.notices {
		if n.Kind == Synced && n.Reports > 0 && n.Peer != "B" {
			t.Errorf("the older report was fetched: %+v", n)
		}
	}
}

func TestClockReading(t *testing.T) {
	for text, want := range map[string]clockReading{
		"1800000000000,-,0":              {shows: 1_800_000_000_000},
		"1,-86400001,1":                  {shows: 1, offset: -86_400_001, measured: true, agrees: true},
		"4611686018427,0,0":              {shows: mostMilliseconds, measured: true},
		"4611686018427,-4611686018427,1": {shows: mostMilliseconds, offset: -mostMilliseconds, measured: true, agrees: true},
	} {
		if got, err := parseClock(text); got != want || err != nil || string(got.append(nil)) != text {
			t.Errorf("%q is read as %+v, %v, and written as %q", text, got, err, got.append(nil))
		}
	}
	if got, err := parseClock("9223372036854775807,-9223372036854775808,1"); err != nil || got.shows != mostMilliseconds || got.offset != -mostMilliseconds {
		t.Errorf("a clock beyond all bounds is read as %+v, %v", got, err)
	}
	for _, text := range []string{"", "1", "1,2", "1,2,3", "x,-,0", "1,x,0", "1,-,", "1,-,0,0", "18446744073709551616,-,0"} {
		if got, err := parseClock(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
		b := heartbeat{cutoff: keepAll}
		if _, err := parseHeartbeat(string(b.append(nil)) + " clock=" + text); !errors.Is(err, ErrMalformed) {
			t.Errorf("a heartbeat with the clock %q is taken", text)
		}
	}
}

// What a clock shows that is out of any bounds must not upset arithmetic.
func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		votes []vote
		want  int64
	}{
		{nil, 0},
		{[]vote{{5, 1, true}}, 5},
		{[]vote{{0, 1, false}, {5, 1, true}}, 0},
		{[]vote{{-5, 1, true}, {0, 1, false}}, 0},
		{[]vote{{0, 1, false}, {5, 2, true}}, 5},
		{[]vote{{7, 1, true}, {0, 1, false}, {5, 1, true}}, 5},
		{[]vote{{-9, 1, true}, {-7, 1, true}}, -7},
		{[]vote{{mostMilliseconds, 1, true}, {-mostMilliseconds, 1, true}, {0, 2, false}}, 0},
	} {
		if got := median(tt.votes); got != tt.want {
			t.Errorf("the median of %v is %d", tt.votes, got)
		}
	}
}

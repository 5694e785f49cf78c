//go:build lab

package lab

import (
	"testing"
	"time"
)

// narrow is a link without loss.
func narrow(kbit float64, roundTrip time.Duration) conditions {
	return conditions{rate: bits(kbit), queue: time.Second, delay: roundTrip / 2}
}

// What broke the first edition of herd, each with what is due.
func TestUplinkFaults(t *testing.T) {
	program := buildHerd(t)
	var tests []func()
	add := func(name string, test func(t *testing.T)) { tests = append(tests, func() { t.Run(name, test) }) }
	for _, tt := range []struct {
		name    string
		link    conditions
		stale   int
		options wanOptions
	}{
		{"cut of 64 kbit, 500 stale", narrow(64, 40*time.Millisecond), 500, wanOptions{}},
		{"cut of 64 kbit, 500 stale, restart", narrow(64, 40*time.Millisecond), 500, wanOptions{store: true}},
		{"cut of 96 kbit, 2,000 stale", narrow(96, 40*time.Millisecond), 2000, wanOptions{}},
		{"cut of 256 kbit, 300 ms, 10,000 stale", narrow(256, 300*time.Millisecond), 10000, wanOptions{}},
		{"cut of 64 kbit, 2,000 stale, leaf node", narrow(64, 40*time.Millisecond), 2000, wanOptions{leaf: true}},
	} {
		add(tt.name, func(t *testing.T) {
			rate, _ := tcpRate(t, tt.link)
			l := link{tt.link, rate}
			f := measureCut(t, newWAN(t, program, tt.options), l, tt.stale, 20*time.Second)
			t.Log(f)
			complain(t, f.judge(l, tt.options))
		})
	}
	add("overload, then silence", func(t *testing.T) {
		way := narrow(64, 40*time.Millisecond)
		rate, _ := tcpRate(t, way)
		l, o := link{way, rate}, overload{clients: 498, perSecond: 100, length: 40 * time.Second, patience: time.Minute}
		w := newWAN(t, program, wanOptions{})
		startBoth(t, w)
		w.shape(func(now *conditions) { *now = way })
		f := measureLoad(t, w, o)
		t.Logf("%s, goodput %.2f", f, f.goodput(l, o))
		complain(t, f.judge(l, o))
	})
	for _, tt := range []struct {
		name      string
		roundTrip time.Duration
		tls       bool
	}{
		{"join at 600 ms", 600 * time.Millisecond, false},
		{"join at 1,200 ms", 1200 * time.Millisecond, false},
		{"join at 400 ms with TLS", 400 * time.Millisecond, true},
		{"join at 1,200 ms with TLS", 1200 * time.Millisecond, true},
	} {
		add(tt.name, func(t *testing.T) {
			w := newWAN(t, program, wanOptions{tls: tt.tls})
			reportAll(t, w, 10)
			w.shape(func(now *conditions) { now.delay = tt.roundTrip / 2 })
			w.startFar()
			took := w.await("Welsh has joined", 10*time.Second, func() bool { return w.joined() && w.equal() })
			t.Logf("joined after %v", took.Round(10*time.Millisecond))
		})
	}
	atOnce(tests)
}

// complain fails a test with faults.
func complain(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

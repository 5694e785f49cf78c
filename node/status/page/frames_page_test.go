//go:build page

package page_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestFrames measures how fluent the page is with 100,000 clients while 1,000 reports come every second. It asserts little, for it
// measures the machine as well, on which the herd runs and pictures are drawn without help.
func TestFrames(t *testing.T) {
	const all, perSecond = 100_000, 1000
	h := newHerd(t, campus(t))
	d := h.device("Goloman")
	report := func(from, n int) {
		var lines strings.Builder
		for i := range n {
			fmt.Fprintf(&lines, "IAMAT client-%d %+.5f%+.5f %s\n", (from+i)%all, rand.Float64()*140-60, rand.Float64()*360-180, stamp(time.Now()))
		}
		go func() { _, _ = d.Write([]byte(lines.String())) }() // what is lost shows in the count
		for range 2 * n {
			if _, err := d.replies.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := 0; i < all; i += 10_000 {
		report(i, 10_000)
	}
	b := open(t, h.nodes["Goloman"].url, wide)
	b.until(settled)
	b.until(`document.querySelector("#map-note").textContent.startsWith("100,000 on the map")`)
	// frames is the duration of each, and of the page's own work before it.
	value[bool](b, `(window.frames_ = new Promise((done) => {
		const times = [], long = [];
		new PerformanceObserver((l) => { for (const e of l.getEntries()) long.push(e.duration); }).observe({ type: "longtask" });
		let last = performance.now(), began = last;
		const frame = () => {
			const now = performance.now();
			times.push(now - last);
			last = now;
			if (now - began < 12000) return requestAnimationFrame(frame);
			times.sort((a, b) => a - b);
			const at = (p) => times[Math.min(times.length - 1, Math.floor(p * times.length))];
			done({ n: times.length, fps: times.length / ((now - began) / 1000), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1), long: long.length, longest: Math.max(0, ...long) });
		};
		requestAnimationFrame(frame);
	}), true)`)
	began, sent := time.Now(), 0
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for time.Since(began) < 13*time.Second {
		<-ticks.C
		report(sent, perSecond/20)
		sent += perSecond / 20
	}
	f := value[map[string]float64](b, "frames_")
	t.Logf("%d clients, %.0f reports/s: %.0f frames in 12 s, %.1f a second; ms from one to the next: p50 %.1f, p95 %.1f, p99 %.1f, most %.1f; %.0f tasks longer than 50 ms, the longest %.0f ms",
		all, float64(sent)/time.Since(began).Seconds(), f["n"], f["fps"], f["p50"], f["p95"], f["p99"], f["max"], f["long"], f["longest"])
	if f["fps"] < 10 {
		t.Errorf("%.1f frames a second", f["fps"])
	}
}

package flood

import (
	"fmt"
	"testing"
	"time"
)

// pipe is a link of a rate and a round trip, with all the room that a sender could want, of which a window is to use no more than it needs.
type pipe struct {
	now       time.Time
	rate      float64 // bytes a second
	roundTrip time.Duration
	free      time.Time // when the last byte that was sent has passed
	sent      []passing // whose acknowledgements are on their way
}

// passing is a message on its way, or its acknowledgement.
type passing struct {
	bytes        int
	sent, passed time.Time // passed: its last byte
	asks         bool
}

// run has a window send as much as it allows for some time. It returns the bytes that passed, and the longest that one waited in the pipe.
func (p *pipe) run(w *window, d time.Duration) (passed int, longest time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); p.now = p.now.Add(time.Millisecond) {
		bytes, asked := 0, time.Time{}
		for len(p.sent) > 0 && !p.sent[0].passed.Add(p.roundTrip).After(p.now) {
			m := p.sent[0]
			p.sent = p.sent[1:]
			if bytes += m.bytes; m.asks { // others are acknowledged with the next that asks
				asked = m.sent
			}
			if longest = max(longest, m.passed.Sub(m.sent)); asked != (time.Time{}) {
				w.acknowledge(p.now, bytes, bytes, asked, 1)
				passed, bytes, asked = passed+bytes, 0, time.Time{}
			}
		}
		if bytes > 0 {
			w.acknowledge(p.now, bytes, bytes, time.Time{}, 1)
			passed += bytes
		}
		for room := w.room(); room > 0; room = w.room() {
			p.free = later(p.free, p.now).Add(time.Duration(float64(room+messageOverhead) / p.rate * float64(time.Second)))
			p.sent = append(p.sent, passing{room + messageOverhead, p.now, p.free, w.send(p.now, room+messageOverhead)})
		}
		w.wait(p.now, true)
	}
	return passed, longest
}

// A window fills a link of any rate and length within half a minute, and lets no more wait in it than passes in a few seconds, but for
// what the least window has, and what messages have besides reports.
func TestWindow(t *testing.T) {
	for _, rate := range []float64{1200, 8000, 32_000, 1_250_000} {
		for _, roundTrip := range []time.Duration{40 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond} {
			t.Run(fmt.Sprintf("%.0f B per s, %s", rate, roundTrip), func(t *testing.T) {
				p := &pipe{now: time.Unix(1_800_000_000, 0), rate: rate, roundTrip: roundTrip}
				w := &window{size: firstWindow}
				p.run(w, 30*time.Second)
				passed, longest := p.run(w, 30*time.Second)
				if part := float64(passed) / 30 / min(rate, mostWindow/(roundTrip.Seconds()+1)); part < 0.9 {
					t.Errorf("%.2f of what the link carries", part)
				}
				if most := 3*time.Second + time.Duration((leastWindow+messageParts*messageOverhead)/rate*float64(time.Second)); longest > most {
					t.Errorf("a message waited for %s, want at most %s", longest, most)
				}
				if drain := float64(w.drain); drain < 0.9*rate && drain < 0.9*mostWindow/(roundTrip.Seconds()+1) || drain > 1.2*rate { // messages come at once, seconds do not begin with them
					t.Errorf("%.0f bytes a second are said to pass", drain)
				}

				// The link becomes ten times as narrow: the window follows, or nobody would hear anything for half a minute.
				p.rate /= 10
				p.run(w, 4*time.Minute)
				if _, longest := p.run(w, 30*time.Second); longest > 6*time.Second+time.Duration(2*leastWindow/p.rate*float64(time.Second)) {
					t.Errorf("a message waited for %s on a link that has become narrow", longest)
				}
			})
		}
	}
}

// A way that has become longer while nothing waits is not taken for a queue: the least round trip follows. After a time without messages
// nothing is known of the way.
func TestWayChanges(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := &window{size: firstWindow}
	pass := func(roundTrip time.Duration) {
		w.send(now, 100)
		w.acknowledge(now.Add(roundTrip), 100, 100, now, 0)
		now = now.Add(time.Minute)
	}
	pass(10 * time.Millisecond)
	for range 50 {
		pass(1200 * time.Millisecond)
	}
	if w.base < 1190*time.Millisecond || w.base > 1200*time.Millisecond {
		t.Errorf("the least round trip is %s", w.base)
	}
	if pass(20 * time.Millisecond); w.base != 20*time.Millisecond {
		t.Errorf("the least round trip is %s once it is shorter", w.base)
	}
	w.size = mostWindow
	if w.restart(now); w.base != 0 || w.size != firstWindow || w.patience(heartbeatInterval) != firstPatience {
		t.Errorf("after a time without messages: least round trip %s, window %d, patience %s", w.base, w.size, w.patience(heartbeatInterval))
	}
}

// A link that returns begins with a small window, whatever it carried before.
func TestWindowOfReturn(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.pass(t, 5*time.Second)
	l := p.link("A", "B")
	l.ledger.window.size = mostWindow
	p.engines["A"].linkDown(l, Silent)
	p.pass(t, 2*time.Second)
	if !l.live.alive || l.ledger.window.size != firstWindow {
		t.Errorf("alive %v, a window of %d bytes", l.live.alive, l.ledger.window.size)
	}
}

// What was sent before a cut and is acknowledged after it tells nothing of the round trip: the neighbour is not waited for any longer then.
func TestRoundTripOfCut(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	w := &window{size: firstWindow}
	w.send(now, 100)
	w.restart(now.Add(20 * time.Second))
	w.acknowledge(now.Add(21*time.Second), 100, 100, now, 0)
	if w.base != 0 || w.roundTrip != 0 || w.inFlight != 0 {
		t.Errorf("least round trip %s, last one %s, %d bytes in flight", w.base, w.roundTrip, w.inFlight)
	}
	w.estimate(3 * time.Second)
	w.estimate(5 * time.Millisecond)
	w.estimate(0) // a clock was set
	if w.base != 5*time.Millisecond || w.patience(heartbeatInterval) != silenceTimeout {
		t.Errorf("least round trip %s, patience %s", w.base, w.patience(heartbeatInterval))
	}
}

package flood

import (
	"slices"
	"time"
)

// window bounds the bytes in flight on a link, so that what waits stays in the ledger, where a newer report replaces it, and so that
// heartbeats do not wait behind it.
//
// It follows how long acknowledgements take: what they take beyond the least round trip, the bytes have waited somewhere. As long as that is
// less than a second a window that keeps reports waiting grows by what is acknowledged, so that it doubles in a round trip; when it was more
// than two seconds for eight acknowledgements, the window shrinks to what the link carries in a round trip and a second. Where several
// windows of a node are closed, which may share an uplink, each of them makes do with its part of these times. This is the idea of TCP Vegas
// (Brakmo and Peterson, 1995) with bounds that a link of 9.6 kbit/s can keep.
type window struct {
	size       int                          // bytes that may be in flight; a message may exceed it
	inFlight   int                          // bytes
	sinceAsked int                          // bytes sent since an acknowledgement was asked for
	closed     bool                         // something waits for acknowledgements
	limited    bool                         // it was closed since it last grew
	busySince  time.Time                    // since when something has always been waiting; zero: nothing is
	began      time.Time                    // when it last began anew
	base       time.Duration                // the least round trip since; 0: not measured
	roundTrip  time.Duration                // the last one measured; 0: none
	measuredAt time.Time                    // when that was
	queueing   []time.Duration              // what the last round trips took beyond base, at most maxQueueing of them
	reduced    time.Time                    // when the window was last made smaller
	delivered  [deliveredFor]deliveredBytes // by second, modulo deliveredFor
	drain      int                          // bytes a second that the link carries, as measured while the window limited it; 0: not known
	drainAt    time.Time                    // when that was
}

// deliveredBytes is the bytes that were acknowledged in a second since 1970.
type deliveredBytes struct {
	second int64
	bytes  int
}

const (
	firstWindow = 4 << 10
	leastWindow = 2 << 10 // to which it shrinks
	mostWindow  = 1 << 20

	messageParts = 4 // a message has at most such a part of the window
	askParts     = 8 // an acknowledgement is asked for after such a part while something waits

	growBelow   = time.Second     // of queueing
	shrinkAbove = 2 * time.Second // of queueing
	leastShare  = time.Second / 4 // of these, where windows share an uplink
	maxQueueing = 8

	deliveredFor = 20 // seconds of which the delivered bytes are kept
	bestOf       = 4  // seconds over which a rate is measured

	drainFor     = time.Minute     // for which a drain counts while nothing waits: another one may have taken its place
	mostInterval = 8 * time.Second // between two heartbeats

	remeasure = 10 * time.Second // an acknowledgement is asked for if the last round trip was measured so long ago

	messageOverhead = 120 // bytes of a message beyond its payload: subject, stamp and lengths of NATS, and the headers of TCP and IP
)

// restart forgets what the way carries: after a time without messages, or on another connection, it may be another way.
func (w *window) restart(now time.Time) {
	w.began = now
	w.base, w.queueing, w.limited = 0, w.queueing[:0], false
	w.size = min(max(w.size, leastWindow), firstWindow)
}

// estimate takes in a round trip of heartbeats, or 0 if it took less than can be measured.
func (w *window) estimate(roundTrip time.Duration) {
	if w.base == 0 || 0 < roundTrip && roundTrip < w.base {
		w.base = max(roundTrip, 1)
	}
}

// room returns how many bytes the next message may have, or 0 while the window is closed.
func (w *window) room() int {
	left := w.size - w.inFlight
	if left < w.size/askParts {
		return 0
	}
	return min(left, w.size/messageParts)
}

// wait notes whether something waits to be sent, because there is no room for it.
func (w *window) wait(now time.Time, waits bool) {
	w.closed, w.limited = waits, w.limited || waits
	switch {
	case !waits:
		w.busySince = time.Time{}
		if now.Sub(w.drainAt) > drainFor {
			w.drain = 0
		}
	case w.busySince.IsZero():
		w.busySince = now
	}
}

// send notes that a message is in flight, and reports whether it asks for an acknowledgement.
func (w *window) send(now time.Time, bytes int) (asks bool) {
	w.inFlight += bytes
	w.sinceAsked += bytes
	part := w.size / askParts
	if !w.limited {
		part = w.size / 2 // nothing waits: there is nothing to be found out
	}
	if w.sinceAsked < part && w.inFlight < w.size && now.Sub(w.measuredAt) < remeasure {
		return false
	}
	w.sinceAsked = 0
	return true
}

// acknowledge notes that bytes are not in flight any more, of which some were delivered. The last message among them that asked for an
// acknowledgement was sent at asked, or is zero. Of the node's windows, closed are closed.
func (w *window) acknowledge(now time.Time, bytes, delivered int, asked time.Time, closed int) {
	w.inFlight -= bytes
	d := w.deliveredIn(now.Unix())
	if d.second != now.Unix() {
		*d = deliveredBytes{second: now.Unix()}
	}
	d.bytes += delivered
	if asked.IsZero() || asked.Before(w.began) { // it has waited for the way
		w.grow(now, delivered, closed)
		return
	}
	w.roundTrip, w.measuredAt = max(now.Sub(asked), 1), now
	switch {
	case w.base == 0 || w.roundTrip < w.base:
		w.base = w.roundTrip
	case !w.limited: // nothing waits behind anything: the way has become longer
		w.base += (w.roundTrip - w.base) / 8
	}
	if len(w.queueing) == maxQueueing {
		w.queueing = slices.Delete(w.queueing, 0, 1)
	}
	w.queueing = append(w.queueing, w.roundTrip-w.base)
	w.grow(now, delivered, closed)
}

// grow changes the size by what acknowledgements tell.
func (w *window) grow(now time.Time, delivered, closed int) {
	if !w.busySince.IsZero() && now.Sub(w.busySince) >= bestOf*time.Second {
		w.drain, w.drainAt = w.rate(now), now
	}
	if len(w.queueing) == 0 {
		return
	}
	share := func(d time.Duration) time.Duration { return max(d/time.Duration(max(closed, 1)), leastShare) }
	last := w.queueing[len(w.queueing)-1]
	switch {
	case w.limited && last < share(growBelow):
		w.size = min(w.size+delivered, mostWindow)
		w.limited = w.closed
	case len(w.queueing) == maxQueueing && slices.Min(w.queueing) > share(shrinkAbove) && now.Sub(w.reduced) > w.roundTrip:
		span := w.base + share(growBelow)
		byTime := int(float64(w.size) * float64(span) / float64(w.roundTrip))
		byRate := int(float64(w.rate(now)) * span.Seconds())
		w.size, w.reduced = min(w.size, max(leastWindow, byTime, byRate)), now
	}
}

// deliveredIn returns where the bytes of a second are counted.
func (w *window) deliveredIn(second int64) *deliveredBytes {
	return &w.delivered[(second%deliveredFor+deliveredFor)%deliveredFor]
}

// rate returns the most bytes a second that were delivered in any bestOf seconds of the last deliveredFor.
func (w *window) rate(now time.Time) (best int) {
	bytes := func(second int64) int {
		if d := w.deliveredIn(second); d.second == second {
			return d.bytes
		}
		return 0
	}
	for last := now.Unix(); last > now.Unix()-deliveredFor+bestOf; last-- {
		sum := 0
		for i := range int64(bestOf) {
			sum += bytes(last - i)
		}
		best = max(best, sum)
	}
	return best / bestOf
}

// heartbeatInterval returns after how long another heartbeat of so many bytes may follow, which takes so long there and back. There is one
// on its way at a time, or those of many links would wait for each other on a thin uplink. While something else waits, heartbeats take a
// tenth of what the link carries.
func (w *window) heartbeatInterval(bytes int, roundTrip time.Duration) time.Duration {
	interval := max(heartbeatInterval, roundTrip)
	if w.drain > 0 && !w.busySince.IsZero() {
		interval = max(interval, time.Duration(10*(bytes+messageOverhead))*time.Second/time.Duration(w.drain))
	}
	return min(interval, mostInterval)
}

// patience returns for how long the neighbour should wait for a sign of life on this link, which is sent a heartbeat at an interval: on one
// that is thin or long, messages come late without anything being wrong.
func (w *window) patience(interval time.Duration) time.Duration {
	if w.base == 0 {
		return firstPatience
	}
	if interval == heartbeatInterval && w.roundTrip-w.base < time.Second && w.base < 200*time.Millisecond && (w.drain == 0 || w.drain >= 8000) {
		return silenceTimeout
	}
	patience := silenceTimeout + 8*w.base
	if w.drain > 0 {
		patience += time.Duration(float64(w.size) / float64(w.drain) * float64(time.Second))
	}
	return min(max(patience, 4*interval), mostPatience)
}

const (
	firstPatience = 10 * time.Second // as long as no round trip is known
	mostPatience  = time.Minute      // for how long a silent link counts as up at most
)

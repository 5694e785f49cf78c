package line

import (
	"math"
	"strings"
)

// FirstPlausible is the beginning of the year 2025, in nanoseconds since 1970. A clock that shows less has not been set.
const FirstPlausible = 1_735_689_600 * nano

// A client's time may be maxAhead later than the receipt before the receipt counts instead.
const maxAhead = 24 * 60 * 60 * nano

// The reports of a client are ordered by
//
//  1. the order time,
//  2. the client's time,
//  3. the origin,
//  4. the text.
//
// The order time is the client's time, unless that is more than 24 h later than a plausible receipt: then it is the receipt.
// So a client whose clock is years ahead and is then set right is ordered after what it reported before within a day, and a
// server whose clock was never set changes no order. Times are compared as decimal numbers with all their digits. All four are
// in the text, so that every node finds the same order, which is total.

// Compare returns -1, 0 or +1 in that order, and 0 only for equal texts. The greatest report of a client is the one that a
// node holds.
func (r Report) Compare(o Report) int {
	if r.maybeAhead() || o.maybeAhead() {
		if c := r.compareOrder(o); c != 0 {
			return c
		}
	}
	if c := compareTime(r.Time(), o.Time()); c != 0 {
		return c
	}
	if c := strings.Compare(string(r.Origin()), string(o.Origin())); c != 0 {
		return c
	}
	return strings.Compare(r.text, o.text)
}

// Later reports whether r is greater than o in order time and client's time alone.
func (r Report) Later(o Report) bool {
	if r.maybeAhead() || o.maybeAhead() {
		if c := r.compareOrder(o); c != 0 {
			return c > 0
		}
	}
	return compareTime(r.Time(), o.Time()) > 0
}

func (r Report) compareOrder(o Report) int { return compareTime(r.orderTime(), o.orderTime()) }

// maybeAhead reports whether the skew is negative and has enough digits for more than maxAhead, as hardly any has.
func (r Report) maybeAhead() bool {
	return int(r.client-r.skew) > len("-86400.000000000") && r.text[r.skew] == '-'
}

// ahead reports whether the client's time is more than maxAhead later than a plausible receipt.
func (r Report) ahead() bool {
	return r.maybeAhead() && parseSkew(r.Skew()) < -maxAhead && r.receipt() >= FirstPlausible
}

// orderTime returns the time by which r is ordered first, as decimal seconds.
func (r Report) orderTime() string {
	if !r.ahead() {
		return r.Time()
	}
	seconds := appendSkew(make([]byte, 0, 32), r.receipt(), 0)
	return string(seconds[len("+"):])
}

// OrderNanos returns the whole nanoseconds of the time by which r is ordered first, since 1970.
func (r Report) OrderNanos() int64 {
	if r.ahead() {
		return r.receipt()
	}
	return r.Nanos()
}

// Received returns when the origin received the report by its own clock, in nanoseconds since 1970 or the nearest int64. If
// that clock was not set, a later time of the client's counts instead.
func (r Report) Received() int64 {
	receipt := r.receipt()
	if receipt < FirstPlausible {
		return max(receipt, r.Nanos())
	}
	return receipt
}

// ReceivedAfter reports whether [Report.Received] is later than a time, in nanoseconds since 1970.
func (r Report) ReceivedAfter(nanos int64) bool {
	const most = 10_000 // seconds of a skew that is no longer than this one
	if nanos == math.MaxInt64 || int(r.client-r.skew) <= len("-9999.000000000 ") && r.seconds() < nanos/nano-most-1 {
		return false
	}
	return r.Received() > nanos
}

// seconds returns the whole seconds of the client's time.
func (r Report) seconds() (n int64) {
	for i := int(r.time); i < len(r.text) && r.text[i] != '.'; i++ {
		n = n*10 + int64(r.text[i]-'0')
	}
	return n
}

// receipt returns the origin's clock when it received the report: the client's time and the skew together, or the nearest int64.
func (r Report) receipt() int64 {
	nanos, skew := r.Nanos(), parseSkew(r.Skew())
	switch sum := nanos + skew; {
	case skew > 0 && sum < nanos:
		return math.MaxInt64
	case skew < 0 && sum > nanos:
		return math.MinInt64
	default:
		return sum
	}
}

package flood

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"herd/node/line"
)

// The clock of a node may be wrong: never set, or set to anything. So heartbeats carry the clocks, and a node stamps receipts
// and judges ages by its judged clock: its own, unless most of the clocks that it knows differ from that by more than
// clockSlack. Then it is their median, and runs on evenly from there whatever the own clock is set to. A clock that shows no
// plausible year has no vote. A clock with which another neighbour agrees has two: so a leaf with a wrong clock is outvoted by
// its only neighbour, and one with a right clock need not follow a neighbour whose clock is wrong. When votes are equal, the
// clock that is nearer to the own one wins.
const (
	clockSlack     = time.Hour        // clocks that differ by no more agree
	noticedOffset  = 10 * time.Second // a greater offset of a neighbour's clock is a notice
	mostRoundTrip  = time.Minute      // a longer one is not believed: a clock was set meanwhile
	receiptsAhead  = 24 * time.Hour   // of the judged clock, beyond which a receipt is not possible
	limitTolerance = time.Minute      // by which the bound of receipts may vary without anything being done
)

// engineClock is what an engine knows of clocks. Guarded by Engine.mu, but for what is atomic.
type engineClock struct {
	judged  atomic.Pointer[judgedClock]   // nil: not yet judged
	behind  bool                          // a notice said that the own clock is behind
	noticed time.Time                     // when it said so
	purge   bool                          // the registry may hold receipts beyond its bound
	refused atomic.Pointer[line.NodeName] // the origin of a report that was refused since the last notice, or nil
	lacking bool                          // a report was refused since the bound last moved by more than time passes
}

// judgedClock is what the judged clock showed at a time, and whether it was the own one.
type judgedClock struct {
	at, shows time.Time
	own       bool
}

// neighbourClock is what a link knows of the neighbour's clock, in milliseconds. Guarded by Engine.mu.
type neighbourClock struct {
	received  time.Time // when a heartbeat last said what it shows; zero: never
	shows     int64     // what it showed then, since 1970
	offset    int64     // what the heartbeat said less the own clock then: too little by the delay of the heartbeat
	roundTrip int64     // or 0 if it is not known
	agrees    bool      // another neighbour of the neighbour agrees
	differs   bool      // a notice said that it differs from the own clock
	noticed   time.Time // when it said so
}

// now returns what the neighbour's clock shows.
func (c *neighbourClock) now(now time.Time) int64 {
	return c.shows + now.Sub(c.received).Milliseconds()
}

// wall returns what the node's own clock shows.
func (e *Engine) wall(now time.Time) time.Time {
	if e.config.Wall == nil {
		return now
	}
	return e.config.Wall(now)
}

// Judged returns what the judged clock shows at now. Receipts are stamped with it. An own clock that has just been set counts
// only when it is judged next, or what is received before could be stamped with a time that is not possible.
func (e *Engine) Judged(now time.Time) time.Time {
	c, own := e.clock.judged.Load(), e.wall(now)
	if c == nil {
		return own
	}
	even := c.shows.Add(now.Sub(c.at))
	if c.own && own.Sub(even).Abs() <= clockSlack {
		return own
	}
	return even
}

// ClockCorrection returns by how much the judged clock is ahead of the node's own: 0 while that counts.
func (e *Engine) ClockCorrection(now time.Time) time.Duration {
	if c := e.clock.judged.Load(); c == nil || c.own {
		return 0
	}
	return e.Judged(now).Sub(e.wall(now))
}

// vote is the offset of a clock from the own one, in milliseconds, and what it counts.
type vote struct {
	offset    int64
	weight    int
	neighbour bool
}

// plausible reports whether a clock may show so many milliseconds since 1970: a year from 2025 to 2115.
func plausible(shows int64) bool {
	return shows >= line.FirstPlausible/int64(time.Millisecond) && shows <= mostMilliseconds
}

// weightOf returns the weight of a clock's vote.
func weightOf(agrees bool) int {
	if agrees {
		return 2
	}
	return 1
}

// clockVotes returns the votes of neighbours: of those that are alive or, if none is, of all that were before.
func (e *Engine) clockVotes(now time.Time, own int64) (votes []vote) {
	for _, alive := range []bool{true, false} {
		for _, l := range e.Links() {
			if c := &l.clock; l.live.alive == alive && !c.received.IsZero() && plausible(c.now(now)) {
				votes = append(votes, vote{c.now(now) - own, weightOf(c.agrees), true})
			}
		}
		if len(votes) > 0 {
			break
		}
	}
	return votes
}

// median returns the offset that has half of the weight below it: of two, the one nearer to 0.
func median(votes []vote) (offset int64) {
	slices.SortFunc(votes, func(a, b vote) int { return int(min(max(a.offset-b.offset, -1), 1)) })
	all, below := 0, 0
	for _, v := range votes {
		all += v.weight
	}
	for i, v := range votes {
		below += v.weight
		switch {
		case 2*below > all:
			return v.offset
		case 2*below == all && abs(votes[i+1].offset) >= abs(v.offset):
			return v.offset
		}
	}
	return 0 // nobody votes
}

// clockAgrees reports whether the clock of a neighbour that is alive agrees with the own one, at the other end of another link
// than except.
func (e *Engine) clockAgrees(now time.Time, except *Link) bool {
	own := e.wall(now).UnixMilli()
	return slices.ContainsFunc(e.Links(), func(l *Link) bool {
		return l != except && l.live.alive && !l.clock.received.IsZero() && agree(l.clock.now(now), own)
	})
}

func abs(n int64) int64 { return max(n, -n) }

func agree(a, b int64) bool { return abs(a-b) <= clockSlack.Milliseconds() }

// judgeClock finds the judged clock, and what receipts are possible. A single clock is not enough to say that.
func (e *Engine) judgeClock(now time.Time) {
	c, own := &e.clock, e.wall(now).Round(0)
	votes := e.clockVotes(now, own.UnixMilli())
	e.noteBehind(now, votes)
	if plausible(own.UnixMilli()) {
		votes = append(votes, vote{0, weightOf(e.clockAgrees(now, nil)), false})
	}
	offset := median(votes)
	if agree(offset, 0) {
		offset = 0
	}
	c.judged.Store(&judgedClock{now, own.Add(time.Duration(offset) * time.Millisecond), offset == 0})
	all, agreeing, neighbours := 0, 0, false
	for _, v := range votes {
		all += v.weight
		if agree(v.offset, offset) {
			agreeing += v.weight
			neighbours = neighbours || v.neighbour
		}
	}
	limit := int64(math.MaxInt64)
	if neighbours && 2*agreeing > all {
		limit = e.Judged(now).Add(receiptsAhead).UnixNano()
	}
	e.boundReceipts(now, limit)
}

// boundReceipts sets the bound beyond which receipts are neither merged nor kept. If it falls, some may be held; if it rises
// by more than the time that has passed, neighbours may hold some that were refused.
func (e *Engine) boundReceipts(now time.Time, limit int64) {
	c := &e.clock
	before := e.registry.limit.Swap(limit)
	c.purge = c.purge || limit < before-int64(limitTolerance)
	if origin := c.refused.Swap(nil); origin != nil {
		c.lacking = true
		e.notify(Notice{Kind: ReceiptsAhead, Detail: string(*origin)})
	}
	if c.lacking && limit-int64(limitTolerance) > before {
		c.lacking = false
		e.scheduleSyncs(now, "clock set forward")
	}
}

// noteRefused notes a report that was not merged, if that is because of the bound of receipts.
func (e *Engine) noteRefused(r line.Report) {
	if r.ReceivedAfter(e.registry.limit.Load()) {
		origin := line.NodeName(strings.Clone(string(r.Origin())))
		e.clock.refused.Store(&origin)
	}
}

// noteBehind notices that the own clock is behind those of most neighbours, by more than the retention or since 1970: without
// them, what it stamps would be forgotten everywhere at once.
func (e *Engine) noteBehind(now time.Time, neighbours []vote) {
	c, offset := &e.clock, median(neighbours)
	unset := !plausible(e.wall(now).UnixMilli()) && len(neighbours) > 0
	behind := unset || e.config.Retention > 0 && offset > e.config.Retention.Milliseconds()
	if behind && !c.behind && (c.noticed.IsZero() || now.Sub(c.noticed) >= reminderInterval) {
		c.behind, c.noticed = true, now
		e.notify(Notice{Kind: ClockBehind, Duration: time.Duration(offset) * time.Millisecond})
	}
	c.behind = c.behind && behind
}

// compareClocks takes in what a heartbeat says of the neighbour's clock.
//
// Of two clocks whose offset is o, with delays d and e of heartbeats there and back, one end measures o − d and the other −o −
// e: the sum is the round trip, and the offset lies within half of it.
func (e *Engine) compareClocks(l *Link, now time.Time, r clockReading) {
	if r.shows == 0 {
		return
	}
	c, own := &l.clock, e.wall(now).UnixMilli()
	c.offset, c.roundTrip = r.shows-own, 0
	if r.measured {
		c.roundTrip = min(max(0, -c.offset-r.offset), mostRoundTrip.Milliseconds())
		l.ledger.window.estimate(time.Duration(c.roundTrip) * time.Millisecond)
	}
	shows := r.shows + c.roundTrip/2
	changed := c.received.IsZero() || abs(shows-c.now(now)) > noticedOffset.Milliseconds() || r.agrees != c.agrees
	c.received, c.shows, c.agrees = now, shows, r.agrees
	if changed { // otherwise the next tick is soon enough
		e.judgeClock(now)
	}
	offset := shows - own
	switch differs := r.measured && abs(offset)-c.roundTrip/2 > noticedOffset.Milliseconds(); {
	case differs && !c.differs && (c.noticed.IsZero() || now.Sub(c.noticed) >= reminderInterval):
		c.differs, c.noticed = true, now
		e.notify(Notice{Peer: l.Peer, Kind: ClockDiffers, Duration: time.Duration(offset) * time.Millisecond})
	case !differs && c.differs:
		c.differs = false
		e.notify(Notice{Peer: l.Peer, Kind: ClockAgrees})
	}
}

// clockReading is what a heartbeat says of its sender's clock, in milliseconds. Its text is
//
//	<shows>,<offset or ->,<1 if a neighbour agrees, or 0>
type clockReading struct {
	shows    int64 // since 1970; 0: nothing is said
	offset   int64 // of the receiver's clock, as the sender measured it
	measured bool  // it has
	agrees   bool  // the clock of another neighbour agrees
}

// readClock returns what this node says of its clock to the neighbour.
func (l *Link) readClock(now time.Time) clockReading {
	e, c := l.engine, &l.clock
	measured := !c.received.IsZero() && l.live.alive
	return clockReading{max(1, e.wall(now).UnixMilli()), c.offset, measured, e.clockAgrees(now, l)}
}

func (r clockReading) append(dst []byte) []byte {
	offset := "-"
	if r.measured {
		offset = strconv.FormatInt(r.offset, 10)
	}
	return fmt.Appendf(dst, "%d,%s,%d", r.shows, offset, weightOf(r.agrees)-1)
}

func parseClock(text string) (r clockReading, err error) {
	f := strings.Split(text, ",")
	if len(f) == 3 {
		r.agrees, r.measured = f[2] == "1", f[1] != "-"
		r.shows, err = parseMilliseconds(f[0])
		if r.measured && err == nil {
			r.offset, err = parseMilliseconds(f[1])
		}
		if err == nil && (r.agrees || f[2] == "0") {
			return r, nil
		}
	}
	return clockReading{}, fmt.Errorf("%w: a heartbeat whose clock is %.60q", ErrMalformed, text)
}

// mostMilliseconds is half of what has nanoseconds in an int64, so that differences have, too.
const mostMilliseconds = math.MaxInt64 / 2 / int64(time.Millisecond)

// parseMilliseconds parses a number, of which more than mostMilliseconds is as much as that.
func parseMilliseconds(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return max(-mostMilliseconds, min(n, mostMilliseconds)), err
}

// ownCutoff returns the cut-off by the judged clock.
func (e *Engine) ownCutoff(now time.Time) int64 { return cutoffAt(e.Judged(now), e.config.Retention) }

// cutoffTolerance returns by how much a neighbour may raise the cut-off above that of the judged clock, in nanoseconds.
func (e *Engine) cutoffTolerance() int64 { return 2 * int64(cutoffStep(e.config.Retention)) }

// moveCutoff moves the cut-off to that of the judged clock, unless neighbours have raised it a little further. If it is ahead
// by more than they may, the clock was set back: what was removed too early, syncs with all neighbours bring.
func (e *Engine) moveCutoff(now time.Time) {
	if e.config.Retention == 0 {
		return
	}
	own, cutoff := e.ownCutoff(now), e.registry.cutoff.Load()
	if own <= cutoff && cutoff <= own+e.cutoffTolerance() {
		return
	}
	e.registry.cutoff.Store(own)
	if own > cutoff {
		return
	}
	e.cutoff = min(e.cutoff, own)
	e.notify(Notice{Kind: CutoffBack, Duration: time.Duration(cutoff - own)})
	e.scheduleSyncs(now, "clock set back")
}

// scheduleSyncs schedules a sync with every neighbour, since this node takes what it did not take before.
func (e *Engine) scheduleSyncs(now time.Time, reason string) {
	for _, l := range e.Links() {
		e.scheduleSync(l, now, reason)
	}
}

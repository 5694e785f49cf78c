package flood

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// ledger is what the neighbour of a link may lack, and what is in flight to it.
//
// For each client it has one bit, by the place of the client in its shard: the neighbour may lack the report held here. A report that
// changes the registry sets the bit, sending clears it, and receiving the same or a greater report from the neighbour does. What was sent
// is noted by the number of its message until the neighbour acknowledges that number, and is owed again if the neighbour names the number
// as missing. So for each client one of these holds at any time: the neighbour holds the same report or a greater one, the bit is set, the
// report is noted as in flight, or one of the two nodes wants a sync with the other.
//
// A ledger needs the same memory whatever waits: no more than a bit for each client and what is in flight.
type ledger struct {
	owed   [Shards]owedSet            // each is guarded by the lock of its shard
	owing  [Shards / 64]atomic.Uint64 // the shards of which something is owed, a bit for each
	wake   chan struct{}              // holds a value when there may be something to send
	behind atomic.Bool                // more is owed than the next message holds
	pace   atomic.Pointer[pace]       // nil: each report is sent at once

	at cursor // from where the next message is filled; owned by Next

	// What follows is guarded by Engine.mu.

	lastNumber    uint64 // of the last message of reports or of a sync
	lastReports   uint64 // of the last message of reports
	inFlight      []note // in the order of their numbers
	window        window
	retransmitted uint64     // reports that are owed again, for their message was lost
	reportsPause  pause      // of messages of reports
	syncPause     pause      // of messages of syncs
	spare         [][]uint32 // memory for notes
}

// owedSet is the clients of one shard whose reports a neighbour may lack: a bit for each place.
type owedSet struct {
	bits      []uint64
	count     int    // bits that are set
	conflated uint64 // reports that were replaced by a greater one while they were owed
}

// set sets a bit, and reports whether it is the first.
func (o *owedSet) set(place int) bool {
	word, bit := place/64, uint64(1)<<(place%64)
	if word >= len(o.bits) {
		o.bits = append(o.bits, make([]uint64, word+1-len(o.bits))...)
	}
	if o.bits[word]&bit != 0 {
		o.conflated++
		return false
	}
	o.bits[word] |= bit
	o.count++
	return o.count == 1
}

// clear clears a bit, and reports whether it was the last.
func (o *owedSet) clear(place int) bool {
	word, bit := place/64, uint64(1)<<(place%64)
	if word >= len(o.bits) || o.bits[word]&bit == 0 {
		return false
	}
	o.bits[word] &^= bit
	o.count--
	return o.count == 0
}

func (o *owedSet) has(place int) bool {
	return place/64 < len(o.bits) && o.bits[place/64]>>(place%64)&1 != 0
}

// next returns the first place from place on whose bit is set, or −1.
func (o *owedSet) next(place int) int {
	for word := place / 64; word < len(o.bits); word++ {
		set := o.bits[word]
		if word == place/64 {
			set &= ^uint64(0) << (place % 64)
		}
		if set != 0 {
			return 64*word + bits.TrailingZeros64(set)
		}
	}
	return -1
}

// cursor is a place of a shard.
type cursor struct{ shard, place int }

// note is a message in flight.
type note struct {
	number uint64
	sent   time.Time
	bytes  int
	asks   bool     // the neighbour acknowledges it at once
	places []uint32 // of the clients whose reports it has: 8 bits of the shard, 24 of the place
	sync   any      // of a message of a sync: the *syncRun of its requests, or the requestBatch that it replies to
}

const placeBits = 24

// owe notes that the neighbour may lack the report of a client. The shard is locked by the caller.
func (b *ledger) owe(shard, place int) {
	if !b.hold(shard, place) {
		b.oweAtOnce(shard, place)
	}
}

// oweAtOnce is owe for what no window holds.
func (b *ledger) oweAtOnce(shard, place int) {
	if b.owed[shard].set(place) {
		b.owing[shard/64].Or(1 << (shard % 64))
		b.signal()
	}
}

// settle notes that the neighbour holds the report of a client or a greater one, or that the client was forgotten. The shard is locked
// by the caller.
func (b *ledger) settle(shard, place int) {
	if !b.unhold(shard, place) && b.owed[shard].clear(place) {
		b.owing[shard/64].And(^uint64(1 << (shard % 64)))
	}
}

// has reports whether the report of a client is owed. The shard is locked by the caller.
func (b *ledger) has(shard, place int) bool {
	p := b.pace.Load()
	return b.owed[shard].has(place) || p != nil && p.shards[shard].held.has(place)
}

// owes reports whether something is owed that no window holds.
func (b *ledger) owes() bool {
	for i := range b.owing {
		if b.owing[i].Load() != 0 {
			return true
		}
	}
	return false
}

// nextOwing returns the first shard of which something is owed, from shard on and then from the first shard on, or −1.
func (b *ledger) nextOwing(shard int) int {
	for i := range len(b.owing) + 1 {
		word := (shard/64 + i) % len(b.owing)
		owing := b.owing[word].Load()
		if i == 0 {
			owing &= ^uint64(0) << (shard % 64)
		}
		if owing != 0 {
			return 64*word + bits.TrailingZeros64(owing)
		}
	}
	return -1
}

// signal wakes the receiver of [Link.Wake].
func (b *ledger) signal() { wake(b.wake) }

// take appends reports that are owed, at most limit bytes of their lines but at least one report, and clears their bits. It appends their
// places as [note] has them. It goes on where the last call ended, so that each client has its turn; passed is how many shards it has
// left behind.
func (l *Link) take(dst []line.Report, places []uint32, limit int) (reports []line.Report, noted []uint32, passed int) {
	b := &l.ledger
	for visited := 0; visited <= Shards; visited++ {
		shard := b.nextOwing(b.at.shard)
		if shard < 0 {
			return dst, places, Shards
		}
		if shard != b.at.shard {
			passed += (shard - b.at.shard + Shards) % Shards
			b.at = cursor{shard, 0}
		}
		var full bool
		if dst, places, full = l.takeShard(dst, places, &limit); full {
			return dst, places, passed
		}
		b.at = cursor{(shard + 1) % Shards, 0}
		passed++
	}
	return dst, places, passed
}

// takeShard takes what a shard owes from the cursor on, and reports whether no more fits.
func (l *Link) takeShard(dst []line.Report, places []uint32, limit *int) (reports []line.Report, noted []uint32, full bool) {
	b := &l.ledger
	s := &l.engine.registry.shards[b.at.shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	owed := &b.owed[b.at.shard]
	for place := owed.next(b.at.place); place >= 0; place = owed.next(place + 1) {
		r := s.reports[place]
		*limit -= l.engine.lineBytes(r)
		if len(dst) == MaxReports || *limit < 0 && len(dst) > 0 {
			b.at.place = place
			return dst, places, true
		}
		b.settle(b.at.shard, place)
		b.noteSent(b.at.shard, place)
		dst, places = append(dst, r), append(places, uint32(b.at.shard)<<placeBits|uint32(place))
	}
	return dst, places, false
}

// nextReports makes a message of at most room bytes of reports, but of at least one report if any is owed.
func (l *Link) nextReports(now time.Time, m *Message, room int) bool {
	b, e := &l.ledger, l.engine
	if !b.owes() {
		return false
	}
	e.mu.Lock()
	if now.Before(b.reportsPause.until) {
		e.mu.Unlock()
		return false
	}
	number, before := b.begin(), b.lastReports
	b.lastReports = number // before the first bit is cleared: digests are compared only when this number is acknowledged
	places := b.memory()
	e.mu.Unlock()

	reports, places, passed := l.take(m.Reports, places, room)
	m.Reports = reports
	b.behind.Store(b.owes() || b.holds())

	e.mu.Lock()
	defer e.mu.Unlock()
	l.passRounds(passed)
	if len(m.Reports) == 0 {
		b.lastNumber, b.lastReports = number-1, before // only this goroutine makes numbers
		b.spare = append(b.spare, places)
		return false
	}
	m.Kind, m.Traced = subject.Propagate, l.traces.of(m.Reports, m.Traced)
	m.Stamp = l.note(now, note{number: number, bytes: e.reportBytes(m.Reports), places: places})
	return true
}

// begin numbers a message.
func (b *ledger) begin() uint64 {
	b.lastNumber++
	return b.lastNumber
}

// memory returns memory for the places of a note.
func (b *ledger) memory() []uint32 {
	last := len(b.spare) - 1
	if last < 0 {
		return nil
	}
	places := b.spare[last]
	b.spare = b.spare[:last]
	return places[:0]
}

// reportBytes returns how many bytes a message of reports has.
func (e *Engine) reportBytes(reports []line.Report) (bytes int) {
	for _, r := range reports {
		bytes += e.lineBytes(r)
	}
	return bytes
}

// lineBytes returns how many bytes a report has as a line of a message, with its LF.
func (e *Engine) lineBytes(r line.Report) int {
	return line.PropagateSize(e.config.Name, r) + len("\n")
}

// note notes that a message is in flight from now on, and returns its stamp.
func (l *Link) note(now time.Time, n note) subject.Stamp {
	n.sent, n.bytes = now, n.bytes+messageOverhead
	n.asks = l.ledger.window.send(now, n.bytes)
	l.ledger.inFlight = append(l.ledger.inFlight, n)
	return subject.Stamp{Incarnation: l.incarnation, Number: n.number, Asks: n.asks}
}

// acknowledge takes in what the neighbour says it has received: it removes the notes of that, and owes again what was lost.
func (l *Link) acknowledge(now time.Time, a *acknowledgement) {
	b := &l.ledger
	if a.of != l.incarnation {
		return
	}
	settled, bytes, delivered, lost, asked := 0, 0, 0, false, time.Time{}
	var reports, syncs outcome
	for ; settled < len(b.inFlight) && b.inFlight[settled].number <= a.last; settled++ {
		n := &b.inFlight[settled]
		bytes += n.bytes
		kind := &reports
		if n.sync != nil {
			kind = &syncs
		}
		if a.lacks(n.number) {
			l.retransmit(n)
			lost = true
			kind.lost = kind.lost || !n.sent.Before(b.window.began) // in a cut everything is lost, which tells nothing of the link
		} else {
			delivered += n.bytes
			kind.delivered = true
		}
		if n.asks {
			asked = n.sent
		}
		if n.places != nil && len(b.spare) < maxSpare {
			b.spare = append(b.spare, n.places)
		}
	}
	if settled == 0 {
		return
	}
	b.inFlight = slices.Delete(b.inFlight, 0, settled)
	if lost {
		l.acknowledgeSoon(now) // which tells the floor: the neighbour waits for nothing any more that it lacks
	}
	b.reportsPause.note(now, reports, b.window.roundTrip)
	b.syncPause.note(now, syncs, b.window.roundTrip)
	b.window.acknowledge(now, bytes, delivered, asked, l.engine.closedWindows())
	b.signal()
}

// outcome is what became of messages of one kind that the neighbour acknowledges together.
type outcome struct{ delivered, lost bool }

// pause keeps messages of one kind from being sent while all of them are lost: for a round trip, and for twice as long each time, up to
// mostPause. Otherwise what a link never carries would be sent again as often as it is found to be missing.
type pause struct {
	length time.Duration
	until  time.Time
}

const mostPause = time.Second

func (p *pause) note(now time.Time, o outcome, roundTrip time.Duration) {
	switch {
	case o.delivered:
		*p = pause{}
	case o.lost:
		p.length = min(max(2*p.length, roundTrip), mostPause)
		p.until = now.Add(p.length)
	}
}

// maxSpare bounds the memory that is kept for notes.
const maxSpare = 64

// retransmit owes again what a lost message has brought, in the form in which it is held by now.
func (l *Link) retransmit(n *note) {
	for _, at := range n.places {
		shard, place := int(at>>placeBits), int(at&(1<<placeBits-1))
		l.engine.registry.oweLost(&l.ledger, shard, place)
	}
	l.ledger.retransmitted += uint64(len(n.places))
	switch lost := n.sync.(type) {
	case *syncRun:
		lost.retry(n.number)
	case requestBatch:
		l.requests = slices.Insert(l.requests, 0, lost)
	}
}

// forgetInFlight drops all notes: the neighbour has started anew, and syncs.
func (l *Link) forgetInFlight() {
	b := &l.ledger
	b.inFlight = nil
	b.window.inFlight = 0
	l.releaseAll(b.pace.Load())
	b.signal()
}

// floor returns the number below which every message is acknowledged or owed again, so that the neighbour may forget what it lacks there.
func (b *ledger) floor() uint64 {
	if len(b.inFlight) > 0 {
		return b.inFlight[0].number
	}
	return b.lastNumber + 1
}

// Wake returns a channel that yields when Next may have something. Its receiver then calls Next until it returns false.
func (l *Link) Wake() <-chan struct{} { return l.ledger.wake }

// Owed returns of how many clients the neighbour may lack the report, what is in flight and what is held (see [Link.Held]) not included, and
// how many reports were replaced by a greater one of their client while they were owed or held.
func (l *Link) Owed() (clients int, conflated uint64) {
	for i := range l.ledger.owed {
		s := &l.engine.registry.shards[i]
		s.mu.Lock()
		clients += l.ledger.owed[i].count
		conflated += l.ledger.owed[i].conflated
		s.mu.Unlock()
	}
	return clients, conflated
}

// Owes reports whether the neighbour is owed something, what is held included and what is in flight not.
func (l *Link) Owes() bool { return l.ledger.owes() || l.ledger.holds() }

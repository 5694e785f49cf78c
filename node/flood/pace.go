package flood

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// pace has a link send at most one report of a client in each window of time: one that comes later in the window is held, where a newer one
// replaces it, and owed without delay when the window ends. A client of which nothing was sent in the window does not wait.
//
// The shards of a registry are in groups whose windows end one after the other, so that what was held does not leave all at once.
type pace struct {
	shards  [Shards]pacedShard        // each is guarded by the lock of its shard
	holding [paceGroups]atomic.Uint64 // the shards of each group of which something is held, a bit for each

	// What follows is guarded by Engine.mu.

	every time.Duration // how long a window is
	group int           // whose window ends next
	ends  time.Time     // when it does
}

// pacedShard is the clients of one shard of which a report was sent in this window, and of these the ones of which the neighbour may lack a
// report since then.
type pacedShard struct{ sent, held owedSet }

const (
	shardsInGroup = 64
	paceGroups    = Shards / shardsInGroup
)

// hold holds the report of a client of which one was sent in this window, and reports whether it did. The shard is locked by the caller.
func (b *ledger) hold(shard, place int) bool {
	p := b.pace.Load()
	if p == nil || b.owed[shard].has(place) || !p.shards[shard].sent.has(place) {
		return false
	}
	if p.shards[shard].held.has(place) {
		b.owed[shard].conflated++
		return true
	}
	if p.shards[shard].held.set(place) && p.holding[shard/shardsInGroup].Or(1<<(shard%shardsInGroup)) == 0 {
		b.signal() // so that the end of the window is waited for
	}
	return true
}

// unhold ends the holding of a client's report, and reports whether there was one. The shard is locked by the caller.
func (b *ledger) unhold(shard, place int) bool {
	p := b.pace.Load()
	if p == nil || !p.shards[shard].held.has(place) {
		return false
	}
	if p.shards[shard].held.clear(place) {
		p.holding[shard/shardsInGroup].And(^uint64(1 << (shard % shardsInGroup)))
	}
	return true
}

// noteSent notes that a report of a client is sent in this window. The shard is locked by the caller.
func (b *ledger) noteSent(shard, place int) {
	if p := b.pace.Load(); p != nil {
		p.shards[shard].sent.set(place)
	}
}

// oweLost owes the report at a place, unless its client was forgotten. It waits for no window: what was sent in this one was lost.
func (g *Registry) oweLost(b *ledger, shard, place int) {
	s := &g.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if place >= len(s.reports) || s.reports[place].IsZero() {
		return
	}
	if p := b.pace.Load(); p != nil {
		p.shards[shard].sent.clear(place)
		b.unhold(shard, place)
	}
	b.owe(shard, place)
}

// holds reports whether something is held.
func (b *ledger) holds() bool {
	p := b.pace.Load()
	for i := 0; p != nil && i < paceGroups; i++ {
		if p.holding[i].Load() != 0 {
			return true
		}
	}
	return false
}

// setEvery changes how long windows are; 0: nothing is held any more.
func (l *Link) setEvery(now time.Time, every time.Duration) {
	b := &l.ledger
	p := b.pace.Load()
	switch {
	case every == 0:
		b.pace.Store(nil) // what locks a shard from now on holds nothing
		l.releaseAll(p)
		return
	case p == nil:
		p = new(pace)
		b.pace.Store(p)
	case p.every == every:
		return
	}
	p.every, p.ends = every, now.Add(every/paceGroups)
	b.signal()
}

// release ends the windows that have lasted long enough.
func (l *Link) release(now time.Time) {
	p := l.ledger.pace.Load()
	if p == nil {
		return
	}
	for range paceGroups {
		if now.Before(p.ends) {
			return
		}
		l.releaseGroup(p, p.group)
		p.group, p.ends = (p.group+1)%paceGroups, p.ends.Add(p.every/paceGroups)
	}
	if !now.Before(p.ends) {
		p.ends = now.Add(p.every / paceGroups)
	}
}

// releaseAll ends all windows: the neighbour is to have everything now.
func (l *Link) releaseAll(p *pace) {
	for group := 0; p != nil && group < paceGroups; group++ {
		l.releaseGroup(p, group)
	}
}

func (l *Link) releaseGroup(p *pace, group int) {
	b := &l.ledger
	for shard := group * shardsInGroup; shard < (group+1)*shardsInGroup; shard++ {
		s := &l.engine.registry.shards[shard]
		s.mu.Lock()
		paced := &p.shards[shard]
		clear(paced.sent.bits)
		paced.sent.count = 0
		for place := paced.held.next(0); place >= 0; place = paced.held.next(place + 1) {
			paced.held.clear(place)
			b.oweAtOnce(shard, place)
		}
		p.holding[group].And(^uint64(1 << (shard % shardsInGroup)))
		s.mu.Unlock()
	}
}

// due returns when the first window ends in which something is held, or zero.
func (p *pace) due() time.Time {
	for i := 0; p != nil && i < paceGroups; i++ {
		if p.holding[(p.group+i)%paceGroups].Load() != 0 {
			return p.ends.Add(time.Duration(i) * (p.every / paceGroups))
		}
	}
	return time.Time{}
}

// Held returns of how many clients a newer report waits for the window to end in which one was sent.
func (l *Link) Held() (clients int) {
	p := l.ledger.pace.Load()
	for group := 0; p != nil && group < paceGroups; group++ {
		for holding := p.holding[group].Load(); holding != 0; holding &= holding - 1 {
			shard := group*shardsInGroup + bits.TrailingZeros64(holding)
			s := &l.engine.registry.shards[shard]
			s.mu.Lock()
			clients += p.shards[shard].held.count
			s.mu.Unlock()
		}
	}
	return clients
}

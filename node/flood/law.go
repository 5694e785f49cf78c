package flood

import (
	"fmt"
	"slices"

	"herd/node/line"
)

// CheckLaw returns an error unless the law of the ledger holds for what the node at from holds of some clients, whose neighbour is the node
// at to: the neighbour holds the same or a greater report of each, or is owed it, or it is in flight, or one of the two wants a sync with
// the other. It is for simulations, in which nothing happens meanwhile.
func CheckLaw(from, to *Link, clients []line.ClientID) error {
	if from.wantsSync(to) || to.wantsSync(from) {
		return nil
	}
	for _, id := range clients {
		r, ok := from.engine.registry.Get(id)
		held, known := to.engine.registry.Get(id)
		if !ok || held == r || to.engine.registry.expired(r) { // which the neighbour would not merge
			continue
		}
		if (!known || held.Compare(r) < 0) && !from.accounts(id) {
			return fmt.Errorf("%s holds %q, %s %q, and nothing accounts for it", from.engine.config.Name, r, to.engine.config.Name, held)
		}
	}
	return nil
}

// wantsSync reports whether this node wants a sync with the neighbour, is in the middle of one, or is going to want it: when it receives
// something of the neighbour's present start, or accepts receipts that it has refused.
func (l *Link) wantsSync(neighbour *Link) bool {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	n := len(l.progress)
	c := &l.engine.clock
	return l.sync.scheduled || l.run != nil && l.run.comparing || n == 0 || l.progress[n-1].incarnation != neighbour.incarnation ||
		c.lacking || c.refused.Load() != nil
}

// accounts reports whether the report held of a client is owed or in flight.
func (l *Link) accounts(id line.ClientID) bool {
	e := l.engine
	k := keyOf(id)
	s := e.registry.shard(k)
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.index.find(k.hash, id, s.reports)
	if place < 0 || l.ledger.has(k.shard(), place) {
		return true
	}
	at := uint32(k.shard())<<placeBits | uint32(place)
	return slices.ContainsFunc(l.ledger.inFlight, func(n note) bool { return slices.Contains(n.places, at) })
}

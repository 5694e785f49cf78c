package flood

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// frozenEngine is an engine between two steps: all that decides what it does next. It is never changed.
type frozenEngine struct {
	incarnation      subject.Incarnation
	held             []line.Report
	links            []frozenLink
	repliesPaidUntil time.Time
}

// frozenLink is a link that knows one client. Its window, which nothing here fills, is left out, and so are counts.
type frozenLink struct {
	peer        line.NodeName
	incarnation subject.Incarnation
	owed        bool
	lastNumber  uint64
	lastReports uint64
	inFlight    []note
	live        liveness
	progress    []progress
	names       duplicateNames
	sync        syncSchedule
	run         *syncRun
	requests    []requestBatch
	rounds      []round
	config      comparison
}

// cloneNotes returns notes of which those of one sync are of another one, and those of earlier syncs of none.
func cloneNotes(notes []note, from, to *syncRun) []note {
	clone := slices.Clone(notes)
	for i := range clone {
		if run, ok := clone[i].sync.(*syncRun); ok {
			clone[i].sync = new(syncRun)
			if run == from && run != nil {
				clone[i].sync = to
			}
		}
	}
	return clone
}

func cloneProgress(all []progress) []progress {
	clone := slices.Clone(all)
	for i := range clone {
		clone[i].missing = slices.Clone(clone[i].missing)
	}
	return clone
}

func (run *syncRun) clone() *syncRun {
	if run == nil {
		return nil
	}
	c := *run
	c.pending, c.open = slices.Clone(run.pending), make(map[uint64][]request)
	for number, requests := range run.open {
		c.open[number] = slices.Clone(requests)
	}
	return &c
}

// owesOnly returns the set of the only client's bit.
func (l *Link) owesOnly() *owedSet { return &l.ledger.owed[keyOf("k").shard()] }

func freeze(e *Engine) *frozenEngine {
	f := &frozenEngine{incarnation: e.config.Incarnation, repliesPaidUntil: e.repliesPaidUntil}
	if r, ok := e.registry.Get("k"); ok {
		f.held = []line.Report{r}
	}
	for _, l := range e.Links() {
		run := l.run.clone()
		f.links = append(f.links, frozenLink{
			peer: l.Peer, incarnation: l.incarnation, owed: l.owesOnly().has(0), lastNumber: l.ledger.lastNumber, lastReports: l.ledger.lastReports,
			inFlight: cloneNotes(l.ledger.inFlight, l.run, run), live: l.live, progress: cloneProgress(l.progress), names: l.names, sync: l.sync,
			run: run, requests: slices.Clone(l.requests), rounds: slices.Clone(l.rounds), config: l.config,
		})
	}
	return f
}

// thaw makes e, an engine of the same node, what was frozen.
func (f *frozenEngine) thaw(e *Engine, now time.Time) {
	e.config.Incarnation, e.repliesPaidUntil, e.syncs = f.incarnation, f.repliesPaidUntil, 0 // so that syncs have one salt
	e.registry.removeAll()
	for _, r := range f.held {
		e.registry.Merge(r)
	}
	for i, l := range e.Links() {
		saved := &f.links[i]
		b := &l.ledger
		if l.owesOnly().has(0) {
			b.settle(keyOf("k").shard(), 0)
		}
		if saved.owed {
			b.owe(keyOf("k").shard(), 0)
		}
		run := saved.run.clone()
		b.at, b.lastNumber, b.lastReports, b.inFlight = cursor{}, saved.lastNumber, saved.lastReports, cloneNotes(saved.inFlight, saved.run, run)
		b.window = window{size: mostWindow, measuredAt: now, base: 1} // which has room, and asks for no acknowledgement
		b.reportsPause, b.syncPause = pause{}, pause{}
		b.behind.Store(false)
		l.syncFirst, l.incarnation, l.clock = false, saved.incarnation, neighbourClock{} // so that no round trip is measured
		l.live, l.progress, l.names, l.sync, l.run = saved.live, cloneProgress(saved.progress), saved.names, saved.sync, run
		l.requests, l.rounds, l.config = slices.Clone(saved.requests), slices.Clone(saved.rounds), saved.config
	}
}

// removeAll empties the registry of an engine that knows one client only.
func (g *Registry) removeAll() {
	g.shard(keyOf("k")).expire(func(line.Report) bool { return true }, func(int) {})
}

// state is a small herd at a moment: engines, and what is in flight on each way.
type state struct {
	world    *world
	now      time.Time
	engines  []*frozenEngine
	inFlight [][]Message // by way
	spent    spent
	admitted uint  // which reports were admitted, a bit for each
	sent     uint8 // ways over which something was sent just now, a bit for each
	cut      uint8 // ways that are cut
	cutFor   int   // seconds that passed since
}

// way returns the way from a node over its i-th link.
func (w *world) way(node, i int) int {
	peer := w.scratch[node].Links()[i].Peer
	to := slices.Index(w.topo.Nodes(), peer)
	return slices.Index(w.ways, [2]int{node, to})
}

// key returns what distinguishes a state from all others that do something else from now on, with as much to spend. Times are told by their
// distance from now, numbers of messages by that from the last one made, numbers of questions and incarnations likewise. The few bytes of
// answers never have to wait, so what is paid for them does not count. When digests were last compared, or a heartbeat came, does not count either: it
// would after half a minute, which nothing that may happen here takes, or the check fails. Nor does an earlier start of a neighbour, once
// another was received after it and nothing of it is in flight.
func (s *state) key() [16]byte {
	w := s.world
	b := w.buffer[:0]
	small := func(n ...int) {
		for _, each := range n {
			b = append(b, byte(max(-100, min(each, 100))))
		}
	}
	flag := func(all ...bool) {
		for _, each := range all {
			if each {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
	}
	age := func(t time.Time, most time.Duration) { small(int(min(s.now.Sub(t), most) / (time.Second / 2))) }
	report := func(r line.Report) { small(slices.Index(w.reports, r)) }
	// begun encodes which start of who speaks over a way.
	begun := func(way int, i subject.Incarnation) {
		if i == (subject.Incarnation{}) {
			small(-1)
		} else {
			b = append(b, s.engines[w.ways[way][0]].incarnation[1]-i[1])
		}
	}
	// id encodes what names a request message over a way. One of an earlier start is nobody's.
	id := func(way int, id uint64) {
		if requester := s.engines[w.ways[way][0]]; id>>32 != uint64(binary.BigEndian.Uint32(requester.incarnation[:])) {
			small(99)
		} else {
			small(int(int64(s.number(way) - id&(1<<32-1))))
		}
	}
	// number encodes the number of a message over a way. One of an earlier start matters only while such are in flight.
	number := func(way int, i subject.Incarnation, n uint64) {
		begun(way, i)
		switch {
		case i == s.engines[w.ways[way][0]].incarnation:
			small(int(int64(s.number(way) - n)))
		case s.hasInFlight(way, i):
			small(int(n))
		}
	}
	// batch encodes requests over a way, that are not replied to.
	batch := func(way int, q requestBatch) {
		id(way, q.id)
		small(q.offset)
		for _, a := range q.requests {
			b = a.append(b)
		}
	}
	received := func(way int, a acknowledgement) {
		if begun(way, a.of); a.of == (subject.Incarnation{}) {
			return
		}
		number(way, a.of, a.first)
		number(way, a.of, a.last)
		for _, m := range a.missing {
			number(way, a.of, m.first)
			number(way, a.of, m.last)
		}
	}
	small(int(s.cut), s.cutFor)
	for node, f := range s.engines {
		for _, r := range f.held {
			report(r)
		}
		small(-1)
		for i := range f.links {
			out := w.way(node, i)
			in := out ^ 1
			l := &f.links[i]
			flag(l.owed, l.live.alive, l.sync.scheduled, l.sync.after)
			small(int(l.lastNumber - l.lastReports))
			for _, n := range l.inFlight {
				small(int(int64(l.lastNumber - n.number)))
				flag(n.places != nil)
				switch sync := n.sync.(type) {
				case *syncRun:
					flag(sync == l.run)
				case requestBatch:
					batch(in, sync)
				}
			}
			small(-1)
			if l.live.alive {
				age(l.live.lastSign, silenceTimeout)
			}
			age(l.live.heartbeatDue, time.Second)
			age(l.live.shortDue, time.Second)
			for i, h := range l.progress {
				if i < len(l.progress)-1 && h.incarnation != s.engines[w.ways[in][0]].incarnation && !s.hasInFlight(in, h.incarnation) {
					continue
				}
				received(in, acknowledgement{of: h.incarnation, first: h.first, last: h.last, missing: h.missing})
				flag(h.heartbeat)
			}
			begun(in, l.live.incarnation)
			begun(in, l.live.newest)
			if l.names.otherEchoes > 0 && s.stale(in) {
				small(l.names.otherEchoes)
				age(l.names.otherSince, reminderInterval)
			}
			if age(l.sync.notBefore, 0); l.sync.scheduled {
				small(l.sync.budget)
			}
			if l.live.alive && s.now.Sub(l.sync.lastCompared) >= idleSyncInterval {
				w.fail("a sync that nothing but time asked for")
			}
			for _, q := range l.requests {
				batch(in, q)
			}
			small(-1)
			for _, r := range l.rounds {
				batch(in, r.batch)
				small(r.left)
			}
			if run := l.run; run != nil {
				small(-3, run.budget, run.window)
				flag(run.comparing, run.atEnd, run.incomplete)
				age(run.started, syncTurn)
				age(run.lastReply, replyTimeout+silenceTimeout)
				for _, a := range run.pending {
					b = a.append(b)
				}
				for _, n := range slices.Sorted(maps.Keys(run.open)) {
					small(int(int64(l.lastNumber - n)))
					for _, a := range run.open[n] {
						b = a.append(b)
						flag(a.done)
					}
				}
			}
		}
		if len(f.links) > 1 && f.links[0].sync.scheduled && f.links[1].sync.scheduled {
			small(f.links[0].sync.scheduledAt.Compare(f.links[1].sync.scheduledAt))
		}
	}
	for way, wire := range s.inFlight {
		for _, m := range wire {
			small(int(m.Kind[0]) - 50)
			if m.Kind != subject.Heartbeat {
				number(way, m.Stamp.Incarnation, m.Stamp.Number)
				flag(m.Stamp.Asks)
			}
			switch m.Kind {
			case subject.Propagate:
				for _, r := range m.Reports {
					report(r)
				}
			case subject.Heartbeat:
				h, err := parseHeartbeat(string(m.Payload))
				if err != nil {
					w.fail("%v", err)
				}
				number(way, h.incarnation, h.lastNumber)
				number(way, h.incarnation, h.floor)
				received(way^1, h.received)
				flag(h.short, h.comparable)
				b = binary.BigEndian.AppendUint64(b, h.digest)
			case subject.Sync:
				requester := way
				if m.Payload[0] == replyMessage {
					requester ^= 1
				}
				id(requester, binary.BigEndian.Uint64(m.Payload[1:]))
				b = append(append(b, m.Payload[0]), m.Payload[9:]...)
			}
		}
		small(-2)
	}
	w.buffer = b
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// inFlight reports whether something that a start of a node said is in flight.
func (s *state) hasInFlight(way int, i subject.Incarnation) bool {
	return slices.ContainsFunc(s.inFlight[way], func(m Message) bool { return m.sender() == i })
}

// number returns the number of the last message that was made for a way.
func (s *state) number(way int) uint64 {
	from := s.world.ways[way][0]
	for i := range s.engines[from].links {
		if s.world.way(from, i) == way {
			return s.engines[from].links[i].lastNumber
		}
	}
	panic("no such way")
}

// stale reports whether over a way an earlier start of who is at its end may still be echoed.
func (s *state) stale(way int) bool {
	from, to := s.engines[s.world.ways[way][0]], s.engines[s.world.ways[way][1]]
	for i := range from.links {
		if peers := from.links[i].progress; s.world.way(s.world.ways[way][0], i) == way && peers[len(peers)-1].incarnation != to.incarnation {
			return true
		}
	}
	return slices.ContainsFunc(s.inFlight[way], func(m Message) bool {
		if m.Kind != subject.Heartbeat {
			return false
		}
		h, err := parseHeartbeat(string(m.Payload))
		return err == nil && h.received.of != to.incarnation
	})
}

// sender returns who made a message of reports or a heartbeat.
func (m *Message) sender() subject.Incarnation {
	if m.Kind != subject.Heartbeat {
		return m.Stamp.Incarnation // zero of repair, which has no number
	}
	h, _ := parseHeartbeat(string(m.Payload))
	return h.incarnation
}

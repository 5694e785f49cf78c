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

// frozen is an engine at rest: all that decides what it does next. It is never changed.
type frozenEngine struct {
	incarnation      subject.Incarnation
	held             []line.Report
	links            []frozenLink
	sync             *syncRun
	lastRequest      uint64
	repliesPaidUntil time.Time
}

type frozenLink struct {
	link    Link // with slices of its own
	waiting []line.Report
	number  uint64
	gap     bool
}

func (run *syncRun) clone() *syncRun {
	if run == nil {
		return nil
	}
	c := *run
	c.pending = slices.Clone(run.pending)
	c.inFlight = maps.Clone(run.inFlight)
	return &c
}

func freeze(e *Engine) *frozenEngine {
	f := &frozenEngine{incarnation: e.config.Incarnation, sync: e.sync.clone(), lastRequest: e.lastRequest, repliesPaidUntil: e.repliesPaidUntil}
	if r, ok := e.registry.Get("k"); ok {
		f.held = []line.Report{r}
	}
	for _, l := range e.Links() {
		saved := frozenLink{link: *l, waiting: slices.Clone(l.Queue.waiting[l.Queue.head:]), number: l.Queue.lastNumber, gap: l.Queue.gapOpen}
		saved.link.progress, saved.link.requests = slices.Clone(l.progress), slices.Clone(l.requests)
		f.links = append(f.links, saved)
	}
	return f
}

// thaw makes e, an engine of the same node, what was frozen.
func (f *frozenEngine) thaw(e *Engine) {
	e.config.Incarnation, e.sync, e.lastRequest, e.repliesPaidUntil, e.syncs = f.incarnation, f.sync.clone(), f.lastRequest, f.repliesPaidUntil, 0 // so that syncs have one salt
	e.registry.removeAll()
	for _, r := range f.held {
		e.registry.Merge(r)
	}
	for i, l := range e.Links() {
		q, saved := l.Queue, &f.links[i]
		*l = saved.link
		l.syncFirst, l.flow = false, flow{} // or they would make many states of one; they matter only while much waits or is in flight
		l.progress, l.requests = slices.Clone(saved.link.progress), slices.Clone(saved.link.requests)
		if e.sync != nil && e.sync.link.Peer == l.Peer {
			e.sync.link = l
		}
		l.Queue, l.engine = q, e
		q.reset()
		for _, r := range saved.waiting {
			q.append(hash(r.Client()), r)
		}
		q.lastNumber, q.gapOpen, q.closed = saved.number, saved.gap, false
	}
}

// removeAll empties the registry of an engine that knows one client only.
func (g *Registry) removeAll() {
	k := keyOf("k")
	s := g.shard(k)
	s.reports, s.next, s.index, s.leaves, s.levels, s.sum = nil, nil, index{}, nil, 0, 0
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
			for _, r := range l.waiting {
				report(r)
			}
			small(-1)
			flag(l.gap, l.link.live.alive, l.link.sync.scheduled)
			if l.link.live.alive {
				age(l.link.live.lastSign, silenceTimeout)
			}
			age(l.link.live.heartbeatDue, time.Second)
			for i, h := range l.link.progress {
				if i < len(l.link.progress)-1 && h.incarnation != s.engines[w.ways[in][0]].incarnation && !s.hasInFlight(in, h.incarnation) {
					continue
				}
				number(in, h.incarnation, h.lastNumber)
				flag(h.heartbeat)
			}
			begun(in, l.link.live.incarnation)
			if l.link.names.otherEchoes > 0 && s.stale(in) {
				small(l.link.names.otherEchoes)
				age(l.link.names.otherSince, reminderInterval)
			}
			if age(l.link.sync.notBefore, 0); l.link.sync.scheduled {
				small(l.link.sync.budget)
			}
			if l.link.live.alive {
				if s.now.Sub(l.link.sync.lastCompared) >= idleSyncInterval {
					w.fail("a sync that nothing but time asked for")
				}
				if s.now.Sub(l.link.live.lastHeartbeat) >= lateHeartbeat {
					w.fail("a link that only reports keep up")
				}
			}
			for _, q := range l.link.requests {
				small(int(int64(s.engines[w.ways[in][0]].lastRequest - q.id)))
				for _, a := range q.requests {
					b = a.append(b)
				}
			}
		}
		if len(f.links) > 1 && f.links[0].link.sync.scheduled && f.links[1].link.sync.scheduled {
			small(f.links[0].link.sync.scheduledAt.Compare(f.links[1].link.sync.scheduledAt))
		}
		if sync := f.sync; sync != nil {
			small(slices.IndexFunc(f.links, func(l frozenLink) bool { return l.link.Peer == sync.link.Peer }), sync.budget)
			age(sync.started, 10*time.Second)
			age(sync.lastReply, replyTimeout)
			for _, a := range sync.pending {
				b = a.append(b)
			}
			for _, id := range slices.Sorted(maps.Keys(sync.inFlight)) {
				small(int(int64(f.lastRequest - id)))
				for _, a := range sync.inFlight[id] {
					b = a.append(b)
				}
			}
		}
	}
	for way, wire := range s.inFlight {
		requester, other := s.engines[w.ways[way][0]], s.engines[w.ways[way][1]]
		for _, m := range wire {
			small(int(m.Kind[0]) - 50)
			switch m.Kind {
			case subject.Propagate:
				number(way, m.Stamp.Incarnation, m.Stamp.Number)
				for _, r := range m.Reports {
					report(r)
				}
			case subject.Heartbeat:
				h, err := parseHeartbeat(string(m.Payload))
				if err != nil {
					w.fail("%v", err)
				}
				number(way, h.incarnation, h.lastNumber)
				if flag(h.comparable, h.echo == other.incarnation); h.echo == other.incarnation {
					number(way^1, h.echo, h.acknowledged)
				}
				b = binary.BigEndian.AppendUint64(b, h.digest)
			case subject.Sync:
				if m.Payload[0] == replyMessage {
					requester = other
				}
				id := binary.BigEndian.Uint64(m.Payload[1:])
				if id>>32 != uint64(requester.incarnation[0])<<24|uint64(requester.incarnation[1])<<16 {
					small(99) // a question of an earlier start, or the answer: whatever its number, no sync waits for it
				} else {
					small(int(int64(requester.lastRequest - id)))
				}
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
			return s.engines[from].links[i].number
		}
	}
	panic("no such way")
}

// stale reports whether over a way an earlier start of who is at its end may still be echoed.
func (s *state) stale(way int) bool {
	from, to := s.engines[s.world.ways[way][0]], s.engines[s.world.ways[way][1]]
	for i := range from.links {
		if peers := from.links[i].link.progress; s.world.way(s.world.ways[way][0], i) == way && peers[len(peers)-1].incarnation != to.incarnation {
			return true
		}
	}
	return slices.ContainsFunc(s.inFlight[way], func(m Message) bool {
		if m.Kind != subject.Heartbeat {
			return false
		}
		h, err := parseHeartbeat(string(m.Payload))
		return err == nil && h.echo != to.incarnation
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

package flood

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/topology"

	"herd/node/line"
)

// Local is where reports of a node's own clients come from: no neighbour.
const Local line.NodeName = ""

// Config is what an engine is made of.
type Config struct {
	Name        line.NodeName
	Incarnation subject.Incarnation // another one for each start
	Topology    *topology.Topology  // at first, see [Engine.Relink]
	QueueLimit  int                 // clients whose reports wait on a link
	Retention   time.Duration       // how long reports are kept; 0: for ever
	OnChange    func(line.Report)   // is told all that changes the registry, which is locked meanwhile; or nil
	OnNotice    func(Notice)        // is told what happens; must not call the engine. Or nil
	Version     string              // of the program. "": the node tells nobody how it is, and only passes on what others tell, see [Record]
	Started     time.Time           // the node
}

// Engine is the flood at one node: a registry, a link to each neighbour, and the repair of what links lose.
type Engine struct {
	Config
	registry *Registry
	links    atomic.Pointer[[]*Link]

	subscribers atomic.Pointer[[]*Queue] // see Subscribe; nil: none

	mu        sync.Mutex // held before locks of the registry and of queues
	connected bool       // to the bus
	walk      *walk      // into this node, or nil
	walks     uint64     // so far
	paid      time.Time  // up to when answers given have used their share
	asked     uint64     // id of the last question of any walk
	text      string     // of the topology
	print     uint64     // of the topology: its fingerprint
	retention time.Duration
	oldest    int64 // cut-off up to which the registry has been looked through
	records   map[line.NodeName]*Record
	recorded  time.Time // when the last one of this node was made for all
}

// NewEngine returns the engine of a node that knows nothing yet, and is not connected.
func NewEngine(c Config) *Engine {
	e := &Engine{Config: c, registry: NewRegistry(), retention: c.Retention, oldest: keepAll, records: make(map[line.NodeName]*Record)}
	for _, b := range e.Incarnation[:4] { // questions of an earlier start have other numbers
		e.asked = e.asked<<8 | uint64(b)
	}
	e.asked <<= 32
	e.links.Store(new([]*Link))
	e.Relink(time.Time{}, c.Topology, c.QueueLimit)
	return e
}

// Relink has the engine know the neighbours that a topology gives it, and no others. Those that stay keep their links with what
// waits there. It must not be called concurrently with itself.
func (e *Engine) Relink(now time.Time, t *topology.Topology, limit int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var links []*Link
	for _, peer := range t.Neighbours(e.Name) {
		i := slices.IndexFunc(e.Links(), func(l *Link) bool { return l.Peer == peer })
		if i < 0 {
			l := &Link{Peer: peer, Queue: NewQueue(limit), engine: e, retention: -1, duplicates: new(atomic.Uint64)}
			l.Queue.open(e.connected)
			l.heard = now
			links = append(links, l)
			continue
		}
		kept := e.Links()[i]
		kept.Queue.SetLimit(limit)
		links = append(links, kept)
	}
	e.links.Store(&links)
	e.text, e.print = t.Text(), t.Fingerprint()
	if e.walk != nil && !slices.Contains(links, e.walk.link) {
		e.walk = nil
		e.begin(now)
	}
}

// Apply takes a report in: one from [Local] is admitted if its time is later than that of the report held, one from a neighbour is merged
// (see [Registry.Merge]). If that changed the registry, the report waits on the link to every neighbour but from, and Apply
// returns true.
func (e *Engine) Apply(r line.Report, from line.NodeName) bool {
	return e.apply(keyOf(r.Client()), r, from)
}

func (e *Engine) apply(k key, r line.Report, from line.NodeName) bool {
	changed, given := false, r
	s := e.registry.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock() // with the shard locked, so that registry and queues can be seen at one moment
	if from != Local && e.registry.expired(r) {
		return false // asked with the shard locked: else it could come in after all that is as old was forgotten
	}
	if from == Local {
		changed = s.admit(k, r)
	} else {
		r, changed = s.merge(k, r)
	}
	if !changed {
		if from != Local && r == given {
			e.repeated(from)
		}
		return false
	}
	for _, l := range e.Links() {
		if l.Peer != from {
			l.Queue.push(k.hash, r)
		}
	}
	if e.OnChange != nil {
		e.OnChange(r)
	}
	for _, q := range e.subscribed() {
		q.push(k.hash, r)
	}
	return true
}

// repeated counts a report of a neighbour that was known to the letter. Only who takes messages of the neighbour calls it.
func (e *Engine) repeated(from line.NodeName) {
	for _, l := range e.Links() {
		if l.Peer == from {
			l.again++
		}
	}
}

// Registry returns what the node knows.
func (e *Engine) Registry() *Registry { return e.registry }

// Links returns the ways to the neighbours, in the order they were given in.
func (e *Engine) Links() []*Link { return *e.links.Load() }

// Connect has the engine tell its neighbours what it hears from now on.
func (e *Engine) Connect(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connected = true
	for _, l := range e.Links() {
		l.reset(now)
		l.Queue.open(true)
		l.Queue.signal()
	}
}

// Disconnect puts all links down. What waits for them is left to repair.
func (e *Engine) Disconnect(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connected = false
	e.stopWalk(now, "connection lost")
	for _, l := range e.Links() {
		l.Queue.open(false)
		e.down(l, "connection lost")
		l.questions = nil
	}
}

// Tick does what is due: it puts silent links down, gives up a walk that gets no answers, begins the next one, and forgets what is
// too old. It is to be called when the time that it returns has come, or earlier.
func (e *Engine) Tick(now time.Time) (next time.Time) {
	e.forget(now)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgetRecords(now)
	next = now.Add(beat)
	if e.retention > 0 {
		next = earlier(next, now.Add(step(e.retention)-sinceStep(now, e.retention)))
	}
	if !e.connected {
		return next
	}
	for _, l := range e.Links() {
		switch silent := l.heard.Add(silence); {
		case now.Before(silent):
			next = earlier(next, silent)
		case l.alive:
			e.down(l, Silent)
		case !l.met && !l.missed:
			l.missed = true
			e.notice(Notice{Peer: l.Peer, Kind: NeverReceived})
		}
		if l.alive && !l.wanted && now.Sub(l.agreed) >= idleTime {
			l.agreed = now
			e.want(l, now, "not compared for long")
			l.budget = idleBytes
		}
	}
	if w := e.walk; w != nil {
		switch {
		case now.Sub(w.moved) >= answerTime:
			e.stopWalk(now, "no answer")
		case now.Sub(w.began) >= turnTime && slices.ContainsFunc(e.Links(), func(l *Link) bool { return l.mayWalk(now) }):
			e.again(w, now) // after the others
		default:
			next = earlier(next, w.moved.Add(answerTime))
		}
	}
	return earlier(next, e.begin(now))
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// forget raises the cut-off to what the clock says, and forgets what is older than the cut-off that is known by now.
func (e *Engine) forget(now time.Time) {
	e.mu.Lock()
	if e.retention > 0 {
		e.raise(cutoff(now, e.retention))
	}
	done, target := e.oldest, e.registry.oldest.Load()
	e.mu.Unlock()
	if target == done {
		return
	}
	n := e.registry.forget(target)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.oldest = target
	if n > 0 {
		e.notice(Notice{Kind: Expired, Reports: n})
	}
}

// raise moves the cut-off; never back.
func (e *Engine) raise(cutoff int64) { e.registry.oldest.Store(max(e.registry.oldest.Load(), cutoff)) }

// Cutoff returns the time of receipt, in nanoseconds since 1970, before which the registry has forgotten everything.
func (e *Engine) Cutoff() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.oldest
}

// CaughtUp reports whether the node knows what every neighbour knew that it can reach.
func (e *Engine) CaughtUp(now time.Time) bool { return len(e.Behind(now)) == 0 }

// Behind returns the links to the neighbours that know more, or may: those that have not been silent for long enough to be away.
func (e *Engine) Behind(now time.Time) (behind []*Link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.Links() {
		if state := e.state(l); state == CatchingUp || state == Down && now.Before(l.heard.Add(silence)) {
			behind = append(behind, l)
		}
	}
	return behind
}

func (e *Engine) state(l *Link) State {
	switch {
	case !l.alive:
		return Down
	case !l.caughtUp:
		return CatchingUp
	default:
		return Up
	}
}

func (e *Engine) notice(n Notice) {
	if e.OnNotice != nil {
		e.OnNotice(n)
	}
}

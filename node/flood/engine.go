// Package flood decides which report of each client a node holds, to which neighbours it sends a newer one, and what it fetches from a
// neighbour that holds more. It does no I/O, starts no goroutine and reads no clock, so that tests, a simulator and the server run the
// same code.
//
// # The rules
//
// For each client a [Registry] holds the greatest report it has been given, in the order of [line.Report.Compare]. A report of a node's
// own client is admitted only if its time is later than that of the report held; a report of a neighbour is merged if it is greater. Both
// say whether the registry changed, and only a report that changed it is sent on, to every neighbour but the one it came from. So a flood
// ends, after at most 2E − (N − 1) messages for a report in a graph of N nodes and E links: each node but the first receives it once over
// the link that brought it first, and every other link carries it at most once each way.
//
// What a link loses, a sync brings: see sync.go.
//
// # Concurrency
//
// [Engine], [Registry] and [Queue] are safe for concurrent use and block on nothing but short locks. Two reports of one client may reach a
// queue in either order; the queue keeps the greater one.
package flood

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herd/bus/subject"
	"herd/node/line"
	"herd/node/topology"
)

// Local is where reports of a node's own clients come from: no neighbour.
const Local line.NodeName = ""

// Config is what an engine is made of.
type Config struct {
	Name        line.NodeName
	Incarnation subject.Incarnation // differs for each start of the node
	Topology    *topology.Topology  // at first; see [Engine.Relink]
	Retention   time.Duration       // how long reports are kept; 0: for ever
	OnChange    func(line.Report)   // is called with each report that changes the registry, while the report's shard is locked; may be nil
	OnNotice    func(Notice)        // is called with what happens, while the engine is locked: it must not call the engine; may be nil
	Version     string              // of the program; "": the node makes no record of itself and only passes on those of others, see [Record]
	Started     time.Time           // when the node was started

	// Wall returns what the node's clock shows at now, which may be set while now goes on. Nil: now itself.
	Wall func(now time.Time) time.Time
}

// Engine is the flood at one node: a registry, a link to each neighbour, and the syncs that repair what links lose.
type Engine struct {
	config      Config
	registry    *Registry
	links       atomic.Pointer[[]*Link]
	subscribers atomic.Pointer[[]*Queue] // the list never changes, another one takes its place
	maxMessage  atomic.Int64             // bytes of a message, see [Engine.LimitMessages]

	mu               sync.Mutex // guards what follows and most of each link; taken before the locks of the registry and of queues
	connected        bool       // to the bus
	syncs            uint64     // number of syncs started so far
	relinks          uint32     // how often the links were changed
	repliesPaidUntil time.Time  // until then, replies that were sent have used up [replyRate]
	topologyText     string
	topologyPrint    uint64    // fingerprint of the topology
	relinkedAt       time.Time // when the topology was last changed, or zero
	cutoff           int64     // everything received before it has been removed from the registry: nanoseconds since 1970, or keepAll
	records          map[line.NodeName]*Record
	recordChecked    time.Time // when this node last made a record of itself for all, or found that it need not
	clock            engineClock
}

// NewEngine returns the engine of a node that knows nothing yet and is not connected.
func NewEngine(c Config) *Engine {
	e := &Engine{config: c, registry: NewRegistry(), cutoff: keepAll, records: make(map[line.NodeName]*Record)}
	e.LimitMessages(maxText)
	e.links.Store(new([]*Link))
	e.subscribers.Store(new([]*Queue))
	e.Relink(time.Time{}, c.Topology)
	return e
}

// Relink gives the engine the neighbours of a topology, and no others, and the pace of each link. Links that stay keep what they owe. Relink
// must not be called concurrently with itself.
func (e *Engine) Relink(now time.Time, t *topology.Topology) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var links []*Link
	for _, peer := range t.Neighbours(e.config.Name) {
		if i := slices.IndexFunc(e.Links(), func(l *Link) bool { return l.Peer == peer }); i >= 0 {
			links = append(links, e.Links()[i])
		} else {
			links = append(links, newLink(e, peer, now))
		}
		l := links[len(links)-1]
		l.setEvery(now, t.Every(e.config.Name, peer))
		l.sync.interval = idleSyncInterval + 5*max(t.Every(e.config.Name, peer), t.Every(peer, e.config.Name))
	}
	e.links.Store(&links)
	e.relinks++
	e.topologyText, e.topologyPrint, e.relinkedAt = t.Text(), t.Fingerprint(), now
	e.startSync(now)
}

// Hasten has no link hold anything back any more, for the node is about to stop.
func (e *Engine) Hasten() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.Links() {
		l.setEvery(time.Time{}, 0)
	}
}

// Apply admits a report from [Local] if its time is later than that of the report held, and merges a report from a neighbour (see
// [Registry.Merge]). If that changed the registry, the report is owed to every neighbour but from, and Apply returns true.
func (e *Engine) Apply(r line.Report, from line.NodeName) bool {
	return e.apply(keyOf(r.Client()), r, e.source(from))
}

// source is where reports come from.
type source struct {
	link    *Link // nil: from a client of this node
	present bool  // they are of the neighbour as it runs now, which holds them
}

// source returns the neighbour of a name as it runs now, or the node's own clients for [Local].
func (e *Engine) source(from line.NodeName) source {
	for _, l := range e.Links() {
		if l.Peer == from {
			return source{l, true}
		}
	}
	return source{}
}

// batchSize is how many reports are looked for at a time: more bring nothing, and the first-level cache has room for these.
const batchSize = 32

// ApplyBatch applies each report in turn, as [Engine.Apply] does, and calls applied, unless it is nil, with the report and whether it
// changed the registry.
//
// For many clients in random order it takes half as long as Apply, since the memory that all of them need is fetched at the same time.
func (e *Engine) ApplyBatch(reports []line.Report, from line.NodeName, applied func(r line.Report, changed bool)) {
	e.applyBatch(reports, e.source(from), applied)
}

func (e *Engine) applyBatch(reports []line.Report, from source, applied func(r line.Report, changed bool)) {
	var keys [batchSize]key
	for len(reports) > 0 {
		batch := reports[:min(len(reports), batchSize)]
		for i, r := range batch {
			keys[i] = keyOf(r.Client())
		}
		if len(batch) > 1 {
			e.registry.prefetchClients(keys[:len(batch)])
		}
		for i, r := range batch {
			changed := e.apply(keys[i], r, from)
			if applied != nil {
				applied(r, changed)
			}
		}
		reports = reports[len(batch):]
	}
}

// apply keeps the shard locked until the report is owed to all neighbours, so that [Engine.snapshot] sees registry and ledgers at one
// moment.
func (e *Engine) apply(k key, r line.Report, from source) bool {
	changed, given, place := false, r, -1
	shard := k.shard()
	s := &e.registry.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if from.link != nil && e.registry.expired(r) {
		e.noteRefused(r)
		return false // tested with the shard locked, or the report could come in after its shard was cleared of expired ones
	}
	if from.link == nil {
		place, changed = s.admit(k, r)
	} else {
		r, place, changed = s.merge(k, r)
	}
	if !changed {
		if from.link != nil && r == given {
			from.link.known++
			if from.present && from.link.ledger.behind.Load() {
				from.link.ledger.settle(shard, place)
			}
		}
		return false
	}
	for _, l := range e.Links() {
		if l == from.link && from.present {
			l.ledger.settle(shard, place)
		} else {
			l.ledger.owe(shard, place)
		}
	}
	if e.config.OnChange != nil {
		e.config.OnChange(r)
	}
	for _, q := range *e.subscribers.Load() {
		q.push(k.hash, r)
	}
	return true
}

// Subscribe returns a queue that gets every report that changes the registry from now on, until stop is called. What waits there is
// conflated like what waits for a neighbour. A queue of more than limit clients drops all of them, which [Queue.Counts] shows; the
// subscriber then reads the registry anew. Nothing else is ever missing: a subscriber that reads the registry after subscribing has each
// report from the registry, from the queue, or from both. Reports that expire are not announced.
func (e *Engine) Subscribe(limit int) (q *Queue, stop func()) {
	q = NewQueue(limit)
	e.mu.Lock()
	defer e.mu.Unlock()
	subscribers := append(slices.Clone(*e.subscribers.Load()), q)
	e.subscribers.Store(&subscribers)
	return q, func() { e.unsubscribe(q) }
}

// unsubscribe removes a queue. A report that is being applied at this moment may still be pushed to it.
func (e *Engine) unsubscribe(q *Queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(*e.subscribers.Load()), func(each *Queue) bool { return each == q })
	e.subscribers.Store(&others)
}

// Registry returns the reports that the node holds.
func (e *Engine) Registry() *Registry { return e.registry }

// Incarnation returns which start of the node this is.
func (e *Engine) Incarnation() subject.Incarnation { return e.config.Incarnation }

// Links returns the links to the neighbours, in the order of the topology.
func (e *Engine) Links() []*Link { return *e.links.Load() }

// Connect starts sending to the neighbours.
func (e *Engine) Connect(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connected = true
	for _, l := range e.Links() {
		l.reset(now)
		l.ledger.signal()
	}
}

// Disconnect declares all links down. What the neighbours may lack is sent when they are back.
func (e *Engine) Disconnect(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connected = false
	for _, l := range e.Links() {
		e.linkDown(l, "connection lost")
	}
}

// Tick does what is due: it declares silent links down, abandons syncs that get no replies, starts the next one, and removes expired
// reports and records. It is to be called at the time that it returns, or earlier.
func (e *Engine) Tick(now time.Time) (next time.Time) {
	e.expire(now)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expireRecords(now)
	next = now.Add(heartbeatInterval)
	if e.config.Retention > 0 {
		next = earlier(next, now.Add(cutoffStep(e.config.Retention)-sinceCutoffStep(e.Judged(now), e.config.Retention)))
	}
	if !e.connected {
		return next
	}
	for _, l := range e.Links() {
		next = earlier(next, l.checkSilence(now))
		next = earlier(next, l.checkSync(now))
	}
	return earlier(next, e.startSync(now))
}

// earlier returns the earlier of two times, of which b may be zero: then it is a.
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

// Behind returns the links to neighbours that hold more, or may: those that are catching up, and those that are down but have not been
// silent for long enough to count as away.
func (e *Engine) Behind(now time.Time) (behind []*Link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.Links() {
		if state := l.state(); state == CatchingUp || state == Down && now.Before(l.live.lastSign.Add(l.patience())) {
			behind = append(behind, l)
		}
	}
	return behind
}

// closedWindows returns how many links have more to send than their window allows. They may share an uplink.
func (e *Engine) closedWindows() (closed int) {
	for _, l := range e.Links() {
		if l.ledger.window.closed {
			closed++
		}
	}
	return closed
}

func (e *Engine) notify(n Notice) {
	if e.config.OnNotice != nil {
		e.config.OnNotice(n)
	}
}

// Notice is something that happened at an engine.
type Notice struct {
	Peer     line.NodeName // of the link, if the notice is about one; OneSided: the node that has it
	Kind     NoticeKind
	Detail   string        // LinkDown, Synced, SyncAbandoned: why; OtherTopology: the differences, as far as known; ReceiptsAhead: the origin
	Reports  int           // Expired: reports removed; MessagesMissing: messages; Synced: reports received
	New      int           // Synced: those of Reports that changed the registry
	Bytes    int           // Synced: of replies
	Duration time.Duration // Synced, SyncAbandoned: since the sync started; OtherRetention: the neighbour's; of clocks and cut-offs: by how much; of digests: for how long they differed
}

// NoticeKind is what a notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	LinkUp                 NoticeKind = iota // heartbeats are received
	LinkDown                                 // none are received any more
	NeverReceived                            // no heartbeat was received on this connection to the bus
	CaughtUp                                 // what the neighbour held when the link came up has been received
	MessagesMissing                          // messages of reports were lost
	Synced                                   // a sync has finished
	SyncAbandoned                            // a sync was abandoned, the first since one finished
	Expired                                  // reports older than the cut-off were removed
	DuplicateNeighbourName                   // two nodes have the neighbour's name
	DuplicateName                            // two nodes have this node's name
	OtherTopology                            // the neighbour is configured with another topology
	SameTopology                             // the neighbour's topology is this node's again
	OtherRetention                           // the neighbour keeps reports for another time
	CutoffAhead                              // the neighbour removes reports that this node is to keep
	CutoffBack                               // the clock was set back, and with it the cut-off
	ClockDiffers                             // the neighbour's clock differs from this node's
	ClockAgrees                              // the neighbour's clock is this node's again
	ClockBehind                              // this node's clock is behind those of its neighbours by more than the retention, or was never set
	DigestsDiffer                            // the neighbour does not hold the same, though two syncs have finished since that was found
	DigestsAgree                             // it does again
	ReceiptsAhead                            // reports were refused whose receipt is later than the judged clock permits
	OneSided                                 // a node has a link to this one, which lacks it
)

// Silent is the Detail of LinkDown when the neighbour fell silent; otherwise this node lost its connection to the bus.
const Silent = "silent"

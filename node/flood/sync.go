package flood

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"herd/bus/subject"
)

// A sync (anti-entropy) finds the reports of which a neighbour holds greater ones, and the ledger of the neighbour sends them. It compares
// digests from the root of the tree down, lists the reports of small branches that differ, and requests those that this node lacks, which
// the neighbour then owes. It visits each branch once, whatever changes meanwhile, so it ends. A change that it misses is owed by the
// neighbour, or in flight.
//
// Its messages are numbered, acknowledged and sent again like those of reports, under the same window.
const (
	unlimited        = -1               // the budget of a sync that ends only when everything was compared
	idleSyncInterval = 30 * time.Second // a sync runs after so long without a comparison
	idleSyncBytes    = 32 << 10         // its budget
	idleSyncPart     = 20               // its budget is at most such a part of what the link carries in idleSyncInterval
	afterDelay       = time.Second      // a sync with a neighbour that has started anew follows so long after the last request of the neighbour's
	retryDelay       = time.Second      // between abandoning a sync and the next one on the link
	replyTimeout     = 10 * time.Second // a sync without a reply for so long, and for as long as the link asks for patience, is abandoned
	syncTurn         = 10 * time.Second // for so long, no other link starts to compare
	maxOpenRequests  = 16               // request messages without a reply
	manyHeld         = 1 << 14          // clients held of a branch, above which fetching all that is listed costs less than comparing
	replyBytesAhead  = 16 << 10         // bytes of replies that a request message is made for
)

// syncRun is one sync, or only the request that ends it.
type syncRun struct {
	reason     string
	salt       uint8
	comparing  bool                 // it has compared or is going to; false: it is only a round
	pending    []request            // to be sent, the last one first
	open       map[uint64][]request // sent and not replied to, by the number of the request message; a zero request is replied to
	window     int                  // request messages that may be open: one more after each reply in time, half after a late or a lost one
	budget     int                  // bytes of replies after which no more requests are sent, or unlimited
	atEnd      bool                 // the round that ends the sync has been requested
	incomplete bool                 // the round has ended while something was missing, and is to be requested again
	started    time.Time
	lastReply  time.Time // or when the sync started
	bytes      int       // of replies
	reports    int       // received meanwhile
	newReports int       // of these, reports that changed the registry
}

// scheduleSync makes a sync start on a link as soon as it may.
func (e *Engine) scheduleSync(l *Link, now time.Time, reason string) {
	s := &l.sync
	s.budget = unlimited
	if s.scheduled {
		return
	}
	s.scheduled, s.reason, s.scheduledAt = true, reason, now
	if l.duplicateSuspected(now) {
		s.notBefore = later(s.notBefore, now.Add(duplicateSyncDelay))
	}
}

// startSync starts the sync that was scheduled first among those that may start, unless one is running that has its turn. It returns when the
// next one may start, or zero.
func (e *Engine) startSync(now time.Time) (next time.Time) {
	var first *Link
	for _, l := range e.Links() {
		switch run := l.run; {
		case run != nil && run.comparing && !run.atEnd && l.live.alive && now.Before(run.started.Add(syncTurn)):
			return run.started.Add(syncTurn)
		case !l.live.alive || !l.sync.scheduled || run != nil && run.comparing:
		case now.Before(l.sync.notBefore):
			next = earlier(l.sync.notBefore, next)
		case first == nil || l.sync.scheduledAt.Before(first.sync.scheduledAt):
			first = l
		}
	}
	if first == nil {
		return next
	}
	e.syncs++
	root := request{kind: requestList}
	if e.registry.Len() == 0 {
		root.kind = requestFetchAll
	}
	first.run = newRun(now, first.sync.reason, root)
	first.run.comparing, first.run.salt, first.run.budget = true, uint8(e.syncs*13%64), first.sync.budget
	first.sync.scheduled, first.sync.after = false, false
	first.ledger.signal()
	return earlier(now.Add(syncTurn), next)
}

func newRun(now time.Time, reason string, first request) *syncRun {
	return &syncRun{
		reason: reason, pending: []request{first}, open: make(map[uint64][]request), window: 1, budget: unlimited, started: now, lastReply: now,
	}
}

// checkSync schedules a sync for want of a comparison, and abandons one that gets no replies. It returns when there is something to check.
func (l *Link) checkSync(now time.Time) (next time.Time) {
	e, run := l.engine, l.run
	if !l.live.alive {
		return time.Time{}
	}
	if run == nil && !l.sync.scheduled && now.Sub(l.sync.lastCompared) >= l.sync.interval {
		l.sync.lastCompared = now
		e.scheduleSync(l, now, "not compared for long")
		l.sync.budget = idleSyncBytes
		if drain := l.ledger.window.drain; drain > 0 {
			l.sync.budget = min(idleSyncBytes, drain*int(idleSyncInterval/time.Second)/idleSyncPart)
		}
	}
	if run == nil || len(run.open) == 0 || run.atEnd { // the end of a round may be far away
		return time.Time{}
	}
	if due := run.lastReply.Add(l.replyPatience()); now.Before(due) {
		return due
	}
	e.abandonSync(l, now, "no reply")
	return time.Time{}
}

// replyPatience returns for how long a sync waits for a reply. One that takes more than half of it is late.
func (l *Link) replyPatience() time.Duration {
	return replyTimeout + l.ledger.window.patience(l.live.interval)
}

// finishSync notes that the round of a link has ended, and that everything was compared before.
func (e *Engine) finishSync(l *Link, now time.Time) {
	run := l.run
	l.run = nil
	if run.comparing {
		took := now.Sub(run.started)
		l.counts.Syncs++
		l.sync.differSyncs++
		l.counts.SyncReports += uint64(run.reports)
		l.counts.SyncReportsNew += uint64(run.newReports)
		l.sync.lastCompared, l.sync.failing = now, false
		l.sync.notBefore = later(l.sync.notBefore, now.Add(took)) // so that syncs take at most half the time
		e.notify(Notice{
			Peer: l.Peer, Kind: Synced, Detail: run.reason, Reports: run.reports, New: run.newReports, Bytes: run.bytes, Duration: took,
		})
	}
	if !l.sync.scheduled {
		e.noteCaughtUp(l)
	}
}

// noteCaughtUp notes that this node holds what the neighbour held when the link came up.
func (e *Engine) noteCaughtUp(l *Link) {
	if !l.sync.caughtUp {
		l.sync.caughtUp = true
		e.notify(Notice{Peer: l.Peer, Kind: CaughtUp})
	}
}

// abandonSync ends the sync of a link because it fails. It starts anew later.
func (e *Engine) abandonSync(l *Link, now time.Time, reason string) {
	run := l.run
	l.run = nil
	l.sync.notBefore = later(l.sync.notBefore, now.Add(retryDelay))
	scheduled := l.sync.scheduled // for another reason, with a budget of its own
	e.scheduleSync(l, now, run.reason)
	if !scheduled {
		l.sync.budget = run.budget
	}
	l.counts.SyncsAbandoned++
	if !l.sync.failing {
		l.sync.failing = true
		e.notify(Notice{Peer: l.Peer, Kind: SyncAbandoned, Detail: reason, Duration: now.Sub(run.started)})
	}
}

// maySend reports whether a request message is to be sent now.
func (run *syncRun) maySend() bool {
	return len(run.pending) > 0 && len(run.open) < run.window
}

// retry sends the requests of a message again that was lost.
func (run *syncRun) retry(number uint64) {
	run.window = max(run.window/2, 1)
	for _, q := range run.open[number] {
		if !q.done {
			run.pending = append(run.pending, q)
		}
	}
	delete(run.open, number)
}

// appendRequests appends a request message of at most room bytes, but with at least one request.
func (run *syncRun) appendRequests(dst []byte, id, number uint64, room int) []byte {
	dst = beginRequests(dst, id, run.salt)
	first, expected := len(run.pending), 0
	for first > 0 && expected < replyBytesAhead && len(run.pending)-first < maxRequests {
		before, next := len(dst), &run.pending[first-1]
		if dst = next.append(dst); expected > 0 && len(dst) > room {
			dst = dst[:before]
			break
		}
		expected += next.expectedReply()
		first--
	}
	requests := slices.Clone(run.pending[first:])
	slices.Reverse(requests) // into the order in which they were appended
	run.open[number] = requests
	clear(run.pending[first:])
	run.pending = run.pending[:first]
	return dst
}

// requestID is what replies name a request message by: its number, and a part of the incarnation, so that replies to an earlier start
// are not taken for others.
func (l *Link) requestID(number uint64) uint64 {
	return uint64(binary.BigEndian.Uint32(l.incarnation[:]))<<32 | number&(1<<32-1)
}

// nextSync makes a request message of the running sync, or a reply message to the neighbour, of about room bytes.
func (l *Link) nextSync(now time.Time, m *Message, room int) bool {
	e := l.engine
	m.Kind = subject.Sync
	e.mu.Lock()
	if now.Before(l.ledger.syncPause.until) {
		e.mu.Unlock()
		return false
	}
	if run := l.run; run != nil && run.maySend() {
		defer e.mu.Unlock()
		number := l.ledger.begin()
		m.Payload = run.appendRequests(m.Payload, l.requestID(number), number, room)
		m.Stamp = l.note(now, note{number: number, bytes: len(m.Payload), sync: run})
		l.counts.SyncSentBytes += uint64(len(m.Payload))
		return true
	}
	if len(l.requests) == 0 || now.Before(e.repliesPaidUntil.Add(-replyBurst)) {
		e.mu.Unlock()
		return false
	}
	batch := l.requests[0]
	l.requests = slices.Delete(l.requests, 0, 1)
	e.mu.Unlock()

	var replied requestBatch
	var cost time.Duration
	m.Payload, replied, cost = l.appendReplies(m.Payload, batch, room) // takes long, compared with all else: the engine is not locked
	e.mu.Lock()
	defer e.mu.Unlock()
	if rest := batch.after(&replied); len(rest.requests) > 0 {
		l.requests = slices.Insert(l.requests, 0, rest)
	}
	m.Stamp = l.note(now, note{number: l.ledger.begin(), bytes: len(m.Payload), sync: replied})
	l.counts.SyncSentBytes += uint64(len(m.Payload))
	e.repliesPaidUntil = later(e.repliesPaidUntil, now).Add(time.Duration(len(m.Payload))*time.Second/replyRate + cost)
	return true
}

// receiveSync takes in a request message or a reply message of the neighbour.
func (l *Link) receiveSync(now time.Time, payload []byte) error {
	e := l.engine
	e.mu.Lock()
	l.counts.SyncReceivedBytes += uint64(len(payload))
	e.mu.Unlock()
	switch {
	case len(payload) > 0 && payload[0] == requestMessage:
		batch, err := parseRequests(payload)
		if err != nil {
			return err
		}
		l.receiveRequests(now, batch)
		return nil
	case len(payload) > 0 && payload[0] == replyMessage:
		return l.receiveReplies(now, payload)
	default:
		return ErrMalformed
	}
}

// receiveRequests keeps requests until their replies are made.
func (l *Link) receiveRequests(now time.Time, batch requestBatch) {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	atEnd := len(batch.requests) == 1 && batch.requests[0].kind == requestRound
	if l.sync.after {
		l.sync.notBefore = now.Add(afterDelay)
		if l.sync.after = !atEnd; !atEnd {
			l.sync.notBefore = l.sync.notBefore.Add(l.ledger.window.patience(l.live.interval))
		}
	}
	if atEnd {
		if len(l.rounds) == maxOpenRequests {
			l.rounds = slices.Delete(l.rounds, 0, 1)
			l.counts.SyncRequestsDropped++
		}
		l.rounds = append(l.rounds, round{batch, Shards + 1})
	} else {
		l.requests = append(l.requests, batch)
	}
	for len(l.requests) > maxOpenRequests { // a neighbour that follows the protocol waits for no more
		l.requests = slices.Delete(l.requests, 0, 1)
		l.counts.SyncRequestsDropped++
	}
	l.ledger.signal()
}

// receiveReplies takes in a reply message, as far as the running sync waits for it.
func (l *Link) receiveReplies(now time.Time, payload []byte) error {
	e := l.engine
	s := scanner{rest: payload[1:]}
	id, offset := s.uint(8), s.uint(2)
	e.mu.Lock()
	run := l.run
	var requests []request
	if run != nil {
		for number := range run.open {
			if l.requestID(number) == id {
				requests = run.open[number]
			}
		}
	}
	if int(offset) >= len(requests) {
		e.mu.Unlock()
		return s.err // to a sync that ended, or received a second time
	}
	sent := slices.Clone(requests[offset:])
	e.mu.Unlock()

	next, replied := e.registry.applyReplies(&s, sent, run.salt)

	e.mu.Lock()
	defer e.mu.Unlock()
	if l.run != run {
		return s.err
	}
	if s.err != nil {
		e.abandonSync(l, now, "bad reply")
		e.startSync(now)
		return s.err
	}
	for i := range replied {
		requests[int(offset)+i].done = true
	}
	l.advance(run, now, next, len(payload))
	return nil
}

// advance continues a sync after replies: with the requests that follow from them, with its round, or with its end.
func (l *Link) advance(run *syncRun, now time.Time, next []request, bytes int) {
	e := l.engine
	maps.DeleteFunc(run.open, func(_ uint64, requests []request) bool {
		return !slices.ContainsFunc(requests, func(q request) bool { return !q.done })
	})
	if now.Sub(run.lastReply) <= l.replyPatience()/2 {
		run.window = min(run.window+1, maxOpenRequests)
	} else {
		run.window = max(run.window/2, 1)
	}
	run.lastReply = now
	run.bytes += bytes
	if run.pending = append(run.pending, next...); run.budget != unlimited && run.bytes >= run.budget && !run.atEnd {
		run.pending = nil
	}
	if len(run.pending) > 0 || len(run.open) > 0 {
		l.ledger.signal()
		return
	}
	switch {
	case !run.atEnd:
		run.atEnd = true
		run.pending = append(run.pending, request{kind: requestRound})
		l.ledger.signal()
	case l.complete():
		e.finishSync(l, now)
	default:
		run.incomplete = true
	}
	e.startSync(now)
}

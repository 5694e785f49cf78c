package flood

import (
	"slices"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// A sync (anti-entropy) fetches the reports of which a neighbour holds greater ones. It compares digests from the root of the tree down,
// lists the reports of small branches that differ, and fetches those that this node lacks. It visits each branch once, whatever changes
// meanwhile, so it ends. A change that it misses is in flight on the link, or leaves a gap there for which another sync is scheduled.
//
// At most maxOpenRequests request messages wait for replies, each of which has less than the 64 KiB that a message may have: at most 1 MiB
// is in flight.
const (
	unlimited        = -1               // the budget of a sync that ends only when everything was compared
	idleSyncInterval = 30 * time.Second // a sync runs after so long without a comparison
	idleSyncBytes    = 32 << 10         // its budget
	retryDelay       = time.Second      // between abandoning a sync and the next one on the link
	replyTimeout     = 2 * time.Second  // a sync without a reply for so long is abandoned
	syncTurn         = 10 * time.Second // after so long a sync makes room for those of other links, and starts anew after them
	maxOpenRequests  = 16               // request messages without a reply
	manyHeld         = 1 << 14          // clients held of a branch, above which fetching all that is listed costs less than comparing
	replyBytesAhead  = maxText / 2      // bytes of replies that a request message is made for
)

// syncRun is one sync.
type syncRun struct {
	link        *Link
	reason      string
	lastRequest uint64 // number of the last request message
	salt        uint8
	pending     []request            // to be sent, the last one first
	inFlight    map[uint64][]request // sent and not replied to, by request message
	budget      int                  // bytes of replies after which no more requests are sent, or unlimited
	started     time.Time
	lastReply   time.Time // or when the sync started
	bytes       int       // of replies
	reports     int       // received
	newReports  int       // of these, reports that changed the registry
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

// maySync reports whether a sync that is scheduled on a link may start.
func (l *Link) maySync(now time.Time) bool {
	return l.live.alive && l.sync.scheduled && !now.Before(l.sync.notBefore)
}

// startSync starts the sync that was scheduled first among those that may start, unless one is running. It returns when the next one may
// start, or zero.
func (e *Engine) startSync(now time.Time) (next time.Time) {
	if e.sync != nil {
		return time.Time{}
	}
	links := slices.DeleteFunc(slices.Clone(e.Links()), func(l *Link) bool { return !l.live.alive || !l.sync.scheduled })
	slices.SortStableFunc(links, func(a, b *Link) int { return a.sync.scheduledAt.Compare(b.sync.scheduledAt) })
	for _, l := range links {
		if now.Before(l.sync.notBefore) {
			next = earlier(l.sync.notBefore, next)
			continue
		}
		e.syncs++
		first := request{kind: requestList}
		if e.registry.Len() == 0 {
			first.kind = requestFetchAll
		}
		e.sync = &syncRun{
			link: l, reason: l.sync.reason, lastRequest: e.lastRequest, salt: uint8(e.syncs * 13 % 64),
			pending: []request{first}, inFlight: make(map[uint64][]request), budget: l.sync.budget, started: now, lastReply: now,
		}
		l.sync.scheduled = false
		l.Queue.signal()
		return time.Time{}
	}
	return next
}

// finishSync notes that the running sync has compared everything.
func (e *Engine) finishSync(now time.Time) {
	run, l := e.sync, e.sync.link
	e.sync = nil
	took := now.Sub(run.started)
	l.counts.Syncs++
	l.counts.SyncReports += uint64(run.reports)
	l.counts.SyncReportsNew += uint64(run.newReports)
	l.sync.lastCompared, l.sync.failing = now, false
	l.sync.notBefore = later(l.sync.notBefore, now.Add(took)) // so that syncs take at most half the time
	e.notify(Notice{
		Peer: l.Peer, Kind: Synced, Detail: run.reason, Reports: run.reports, New: run.newReports, Bytes: run.bytes, Duration: took,
	})
	e.noteCaughtUp(l)
}

// noteCaughtUp notes that this node holds what the neighbour held when the link came up.
func (e *Engine) noteCaughtUp(l *Link) {
	if !l.sync.caughtUp {
		l.sync.caughtUp = true
		e.notify(Notice{Peer: l.Peer, Kind: CaughtUp})
	}
}

// rescheduleSync ends the running sync before it has compared everything, and schedules another one in its place.
func (e *Engine) rescheduleSync(run *syncRun, now time.Time) {
	e.sync = nil
	scheduled := run.link.sync.scheduled // for another reason, with a budget of its own
	e.scheduleSync(run.link, now, run.reason)
	if !scheduled {
		run.link.sync.budget = run.budget
	}
}

// abandonSync ends the running sync, if any, because it fails. It starts anew later, unless its link is down then.
func (e *Engine) abandonSync(now time.Time, reason string) {
	run := e.sync
	if run == nil {
		return
	}
	l := run.link
	l.sync.notBefore = later(l.sync.notBefore, now.Add(retryDelay))
	e.rescheduleSync(run, now)
	l.counts.SyncsAbandoned++
	if !l.sync.failing {
		l.sync.failing = true
		e.notify(Notice{Peer: l.Peer, Kind: SyncAbandoned, Detail: reason, Duration: now.Sub(run.started)})
	}
}

// maySend reports whether a request message is to be sent now.
func (run *syncRun) maySend() bool {
	return len(run.pending) > 0 && len(run.inFlight) < maxOpenRequests &&
		(run.budget == unlimited || run.bytes+len(run.inFlight)*replyBytesAhead < run.budget)
}

// done reports whether a reply was received to every request.
func (run *syncRun) done() bool { return len(run.pending) == 0 && len(run.inFlight) == 0 }

// appendRequests appends the next request message, of at most so many bytes.
func (run *syncRun) appendRequests(dst []byte, limit int) []byte {
	run.lastRequest++
	dst = beginRequests(dst, run.lastRequest, run.salt)
	first, expected := len(run.pending), 0
	for first > 0 && expected < limit/2 && len(dst)+maxRequest <= limit && len(run.pending)-first < maxRequests {
		first--
		dst = run.pending[first].append(dst)
		expected += run.pending[first].expectedReply()
	}
	requests := slices.Clone(run.pending[first:])
	slices.Reverse(requests) // into the order in which they were appended
	run.inFlight[run.lastRequest] = requests
	clear(run.pending[first:])
	run.pending = run.pending[:first]
	return dst
}

// nextSync makes a request message of the running sync, or a reply message to the neighbour.
func (l *Link) nextSync(now time.Time, m *Message) bool {
	e := l.engine
	m.Kind = subject.Sync
	e.mu.Lock()
	if run := e.sync; run != nil && run.link == l && run.maySend() {
		defer e.mu.Unlock()
		m.Payload = run.appendRequests(m.Payload, e.messageLimit())
		e.lastRequest = run.lastRequest
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

	m.Payload = e.registry.appendReplies(m.Payload, &batch, e.messageLimit()) // takes long, compared with all else: the engine is not locked
	e.mu.Lock()
	defer e.mu.Unlock()
	l.counts.SyncSentBytes += uint64(len(m.Payload))
	e.repliesPaidUntil = later(e.repliesPaidUntil, now).Add(time.Duration(len(m.Payload)) * time.Second / replyRate)
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
		e.mu.Lock()
		defer e.mu.Unlock()
		l.requests = slices.DeleteFunc(l.requests, func(old requestBatch) bool { return old.salt != batch.salt }) // of a sync that ended
		if len(l.requests) == maxOpenRequests {                                                                   // a neighbour that follows the protocol waits for no more
			l.requests = slices.Delete(l.requests, 0, 1)
			l.counts.SyncRequestsDropped++
		}
		l.requests = append(l.requests, batch)
		l.Queue.signal()
		return nil
	case len(payload) > 0 && payload[0] == replyMessage:
		return l.receiveReplies(now, string(payload))
	default:
		return ErrMalformed
	}
}

// receiveReplies takes in a reply message, if the running sync waits for it.
func (l *Link) receiveReplies(now time.Time, text string) error {
	e := l.engine
	s := scanner{rest: []byte(text[1:])}
	id := s.uint(8)
	e.mu.Lock()
	run := e.sync
	if run == nil || run.link != l || run.inFlight[id] == nil {
		e.mu.Unlock()
		return nil // to a sync that ended, or received a second time
	}
	requests := run.inFlight[id]
	delete(run.inFlight, id)
	e.mu.Unlock()

	next, received, changed := l.applyReplies(&s, text, requests, run.salt)

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sync != run {
		return s.err
	}
	if s.err != nil {
		e.abandonSync(now, "bad reply")
		e.startSync(now)
		return s.err
	}
	run.lastReply = now
	run.bytes += len(text)
	run.reports += received
	run.newReports += changed
	if run.pending = append(run.pending, next...); run.budget != unlimited && run.bytes >= run.budget {
		run.pending = nil
	}
	if run.done() {
		e.finishSync(now)
		e.startSync(now)
	} else {
		l.Queue.signal()
	}
	return nil
}

// applyReplies applies the replies of a message, and returns the requests that follow from them and how many reports were received and
// changed the registry. If there was at least one reply, the requests without one are sent again.
func (l *Link) applyReplies(s *scanner, text string, requests []request, salt uint8) (next []request, received, changed int) {
	e := l.engine
	for i, sent := range requests {
		if len(s.rest) == 0 && i > 0 {
			return append(next, requests[i:]...), received, changed
		}
		r := s.reply(text)
		if s.err != nil {
			return nil, received, changed
		}
		received += len(r.reports)
		e.ApplyBatch(r.reports, l.Peer, func(_ line.Report, isNew bool) {
			if isNew {
				changed++
			}
		})
		next = append(next, e.registry.nextRequests(sent, &r, salt)...)
	}
	return next, received, changed
}

// nextRequests returns the requests that follow from the reply to one: none if it is done with.
func (g *Registry) nextRequests(sent request, r *reply, salt uint8) []request {
	switch r.kind {
	case replyChildren:
		return g.compareChildren(sent.branch, &r.children, salt)
	case replyList:
		return g.compareList(sent.branch, r.list, salt)
	case replyPartial:
		if sent.kind != requestFetch {
			return []request{{kind: requestList, branch: sent.branch}}
		}
		left := len(sent.digests)
		for _, got := range r.reports {
			d := shortDigestOf(digestOf(got), salt)
			sent.digests = slices.DeleteFunc(sent.digests, func(each shortDigest) bool { return each == d })
		}
		if len(sent.digests) == left {
			return nil // the neighbour sent other reports: repeating the request would never end
		}
		return []request{sent}
	default:
		return nil
	}
}

// compareChildren returns requests for the children of a branch that differ from the neighbour's. Which one comes first differs from sync
// to sync, so that those with a budget visit different ones.
func (g *Registry) compareChildren(b branch, theirs *[fanout]digest, salt uint8) (next []request) {
	if b.depth == maxDepth {
		return nil // a neighbour that follows the protocol has no children there
	}
	for i := range theirs {
		i = (i + int(salt)) % fanout
		child, digest := b.child(i), theirs[i]
		own, clients := g.digest(child)
		switch {
		case digest == childDigestOf(own, salt) || digest == 0: // both hold the same there, or the neighbour holds nothing
		case clients == 0:
			next = append(next, request{kind: requestFetchAll, branch: child})
		default:
			next = append(next, request{kind: requestList, branch: child})
		}
	}
	return next
}

// compareList returns the request for the reports of a branch that the neighbour lists and this node lacks, if any.
func (g *Registry) compareList(b branch, theirs []shortDigest, salt uint8) []request {
	fetch := request{kind: requestFetch, branch: b, digests: theirs}
	if _, clients := g.digest(b); clients <= manyHeld {
		same := make(map[shortDigest]bool, len(theirs)) // by short digest of the neighbour: held here, too
		for _, d := range theirs {
			same[d] = false
		}
		g.each(b, func(id uint64, r line.Report) {
			d := shortDigestOf(digestOf(r), salt)
			if _, ok := same[d]; ok {
				same[d] = true
			} else if len(fetch.haves) < maxList {
				fetch.haves = append(fetch.haves, haveOf(id, r))
			}
		})
		fetch.digests = slices.DeleteFunc(fetch.digests, func(d shortDigest) bool { return same[d] })
	}
	if len(fetch.digests) == 0 {
		return nil
	}
	return []request{fetch}
}

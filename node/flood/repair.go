package flood

import (
	"slices"
	"time"

	"herd/node/line"
)

// want has a walk run over a link as soon as it may.
func (e *Engine) want(l *Link, now time.Time, why string) {
	l.budget = unlimited
	if l.wanted {
		return
	}
	l.wanted, l.why, l.since = true, why, now
	if l.twinned(now) {
		l.resume = later(l.resume, now.Add(twinTime))
	}
}

// mayWalk reports whether a walk is wanted over a link, and may begin.
func (l *Link) mayWalk(now time.Time) bool { return l.alive && l.wanted && !now.Before(l.resume) }

// begin begins the walk that has been wanted for longest, if there is none and it may. It returns when the next one may, or zero.
func (e *Engine) begin(now time.Time) (next time.Time) {
	if e.walk != nil {
		return time.Time{}
	}
	wanted := slices.Clone(e.Links())
	wanted = slices.DeleteFunc(wanted, func(l *Link) bool { return !l.alive || !l.wanted })
	slices.SortStableFunc(wanted, func(a, b *Link) int { return a.since.Compare(b.since) })
	for _, l := range wanted {
		if now.Before(l.resume) {
			next = earlier(l.resume, next)
			continue
		}
		e.walks++
		w := &walk{
			link: l, why: l.why, id: e.asked, salt: uint8(e.walks * 13 % 64), open: make(map[uint64][]ask),
			budget: l.budget, began: now, moved: now,
		}
		first := ask{kind: look}
		if e.registry.Len() == 0 {
			first.kind = everything
		}
		w.todo = []ask{first}
		e.walk, l.wanted = w, false
		l.Queue.signal()
		return time.Time{}
	}
	return next
}

// down notes that a neighbour is not heard any more. It is still told what there is to tell: the way to it may be open.
func (e *Engine) down(l *Link, why string) {
	if !l.alive {
		return
	}
	l.alive, l.caughtUp, l.wanted = false, false, false
	if e.walk != nil && e.walk.link == l {
		e.walk = nil
	}
	e.notice(Notice{Peer: l.Peer, Kind: LinkDown, Detail: why})
}

// takeRepair takes a neighbour's question or answer.
func (l *Link) receiveSync(now time.Time, payload []byte) error {
	e := l.engine
	e.mu.Lock()
	l.counts.SyncReceivedBytes += uint64(len(payload))
	e.mu.Unlock()
	switch {
	case len(payload) > 0 && payload[0] == question:
		q, err := parseQuestion(payload)
		if err != nil {
			return err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		l.questions = slices.DeleteFunc(l.questions, func(old asking) bool { return old.salt != q.salt }) // of a walk given up
		if len(l.questions) == window {                                                                   // as many as a neighbour has open that follows the protocol
			l.questions = slices.Delete(l.questions, 0, 1)
			l.counts.SyncRequestsDropped++
		}
		l.questions = append(l.questions, q)
		l.Queue.signal()
		return nil
	case len(payload) > 0 && payload[0] == answer:
		return l.receiveReply(now, string(payload))
	default:
		return ErrMalformed
	}
}

// takeAnswer takes the answer to a question of the walk over this link, if it is one.
func (l *Link) receiveReply(now time.Time, text string) error {
	e := l.engine
	s := scanner{rest: []byte(text[1:])}
	id := s.uint(8)
	e.mu.Lock()
	w := e.walk
	if w == nil || w.link != l || w.open[id] == nil {
		e.mu.Unlock()
		return nil // to a walk that was given up, or heard twice
	}
	asks := w.open[id]
	delete(w.open, id)
	e.mu.Unlock()

	next, heard, news := l.read(&s, text, asks, w.salt)

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.walk != w {
		return s.err
	}
	if s.err != nil {
		e.stopWalk(now, "bad answer")
		e.begin(now)
		return s.err
	}
	w.moved = now
	w.bytes += len(text)
	w.heard += heard
	w.news += news
	if w.todo = append(w.todo, next...); w.budget != unlimited && w.bytes >= w.budget {
		w.todo = nil
	}
	if w.over() {
		e.endWalk(now)
		e.begin(now)
	} else {
		l.Queue.signal()
	}
	return nil
}

// read takes the replies of an answer, and returns what is to be asked next. What was asked and not replied to is asked again, if
// anything was replied to.
func (l *Link) read(s *scanner, text string, asks []ask, salt uint8) (next []ask, heard, news int) {
	e := l.engine
	for i, a := range asks {
		if len(s.rest) == 0 && i > 0 {
			return append(next, asks[i:]...), heard, news
		}
		r := s.reply(text)
		if s.err != nil {
			return nil, heard, news
		}
		heard += len(r.reports)
		e.ApplyBatch(r.reports, l.Peer, func(_ line.Report, changed bool) {
			if changed {
				news++
			}
		})
		next = append(next, e.registry.follow(a, &r, salt)...)
	}
	return next, heard, news
}

// endWalk notes that the walk has seen everything.
func (e *Engine) endWalk(now time.Time) {
	w, l := e.walk, e.walk.link
	e.walk = nil
	took := now.Sub(w.began)
	l.counts.Syncs++
	l.counts.SyncReports += uint64(w.heard)
	l.counts.SyncReportsNew += uint64(w.news)
	l.agreed, l.stuck = now, false
	l.resume = later(l.resume, now.Add(took)) // so that no more than half the time goes into walks
	e.notice(Notice{Peer: l.Peer, Kind: Synced, Detail: w.why, Reports: w.heard, New: w.news, Bytes: w.bytes, Duration: took})
	e.caughtUp(l)
}

// caughtUp notes that this node knows what the neighbour knew when the link returned.
func (e *Engine) caughtUp(l *Link) {
	if !l.caughtUp {
		l.caughtUp = true
		e.notice(Notice{Peer: l.Peer, Kind: CaughtUp})
	}
}

// again ends a walk that has not seen everything, and has another one run in its place.
func (e *Engine) again(w *walk, now time.Time) {
	e.walk = nil
	more := w.link.wanted // for a reason of its own, without bound
	e.want(w.link, now, w.why)
	if !more {
		w.link.budget = w.budget
	}
}

// stopWalk gives up the walk, if there is one. It is begun anew later, unless its link is down.
func (e *Engine) stopWalk(now time.Time, why string) {
	w := e.walk
	if w == nil {
		return
	}
	w.link.resume = later(w.link.resume, now.Add(retryTime))
	e.again(w, now)
	w.link.counts.SyncsAbandoned++
	if !w.link.stuck {
		w.link.stuck = true
		e.notice(Notice{Peer: w.link.Peer, Kind: SyncAbandoned, Detail: why, Duration: now.Sub(w.began)})
	}
}

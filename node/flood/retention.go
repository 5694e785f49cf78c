package flood

import (
	"math"
	"time"

	"herd/node/line"
)

// keepAll is the cut-off of a node that keeps reports for ever.
const keepAll = math.MinInt64

// cutoffStep returns by how much a cut-off moves at a time: the longer reports are kept, the less often the registry is searched.
func cutoffStep(retention time.Duration) time.Duration { return max(time.Second, retention/64) }

// cutoffAt returns the time of receipt, in nanoseconds since 1970, before which reports are not kept.
func cutoffAt(now time.Time, retention time.Duration) int64 {
	return now.UnixNano() - int64(retention) - int64(sinceCutoffStep(now, retention))
}

// sinceCutoffStep returns how long ago the cut-off has moved. All nodes whose clocks agree move it at the same time; if they did not, they
// could not compare digests until the last of them has.
func sinceCutoffStep(now time.Time, retention time.Duration) time.Duration {
	step := int64(cutoffStep(retention))
	return time.Duration(((now.UnixNano()-int64(retention))%step + step) % step)
}

// expire raises the cut-off to what the clock says, and removes the reports older than the latest cut-off known.
func (e *Engine) expire(now time.Time) {
	e.mu.Lock()
	if e.retention > 0 {
		e.raiseCutoff(cutoffAt(now, e.retention))
	}
	done, target := e.cutoff, e.registry.cutoff.Load()
	e.mu.Unlock()
	if target == done {
		return
	}
	n := e.registry.expire(target)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cutoff = target
	if n > 0 {
		e.notify(Notice{Kind: Expired, Reports: n})
	}
}

// raiseCutoff moves the cut-off forward, never back.
func (e *Engine) raiseCutoff(cutoff int64) {
	e.registry.cutoff.Store(max(e.registry.cutoff.Load(), cutoff))
}

// Cutoff returns the time of receipt, in nanoseconds since 1970, before which the registry holds nothing any more.
func (e *Engine) Cutoff() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cutoff
}

// expired reports whether a report is older than what is kept.
func (g *Registry) expired(r line.Report) bool {
	cutoff := g.cutoff.Load()
	return cutoff != keepAll && r.Received() < cutoff
}

// expire removes the reports received before the cut-off, and returns how many.
func (g *Registry) expire(cutoff int64) int {
	n := 0
	for i := range g.shards {
		n += g.shards[i].expire(cutoff)
	}
	return n
}

func (s *shard) expire(cutoff int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []line.Report
	for i, r := range s.reports {
		switch old := r.Received() < cutoff; {
		case old && kept == nil:
			kept = append(make([]line.Report, 0, len(s.reports)), s.reports[:i]...)
		case !old && kept != nil:
			kept = append(kept, r)
		}
	}
	if kept == nil {
		return 0
	}
	removed := len(s.reports) - len(kept)
	s.reports, s.next, s.index, s.leaves, s.levels, s.sum = nil, nil, index{}, nil, 0, 0
	for _, r := range kept {
		s.put(-1, keyOf(r.Client()), r, 0)
	}
	return removed
}

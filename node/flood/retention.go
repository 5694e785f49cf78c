package flood

import (
	"time"

	"herd/node/line"
)

// step returns by how much a cut-off moves at a time: the longer reports are kept, the less often they are looked through.
func step(retention time.Duration) time.Duration { return max(time.Second, retention/64) }

// cutoff returns the time of receipt before which reports are not kept: nanoseconds since 1970.
func cutoff(now time.Time, retention time.Duration) int64 {
	return now.UnixNano() - int64(retention) - int64(sinceStep(now, retention))
}

// sinceStep returns how long ago the cut-off has moved. All nodes whose clocks agree move it at the same time, or they could not compare
// digests until all have.
func sinceStep(now time.Time, retention time.Duration) time.Duration {
	by := int64(step(retention))
	return time.Duration(((now.UnixNano()-int64(retention))%by + by) % by)
}

// expired reports whether a report is older than what is kept.
func (g *Registry) expired(r line.Report) bool {
	oldest := g.oldest.Load()
	return oldest != keepAll && r.Received() < oldest
}

// forget removes the reports received before the cut-off, and returns how many.
func (g *Registry) forget(cutoff int64) int {
	n := 0
	for i := range g.shards {
		n += g.shards[i].forget(cutoff)
	}
	return n
}

func (s *shard) forget(cutoff int64) int {
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
	forgotten := len(s.reports) - len(kept)
	s.reports, s.next, s.index, s.leaves, s.levels, s.sum = nil, nil, index{}, nil, 0, 0
	for _, r := range kept {
		s.hold(-1, keyOf(r.Client()), r, 0)
	}
	return forgotten
}

package flood

import "time"

// wall returns what the node's clock shows.
func (e *Engine) wall(now time.Time) time.Time {
	if e.config.Wall == nil {
		return now
	}
	return e.config.Wall(now)
}

// ownCutoff returns the cut-off by this node's clock.
func (e *Engine) ownCutoff(now time.Time) int64 { return cutoffAt(e.wall(now), e.config.Retention) }

// cutoffTolerance returns by how much a neighbour may raise the cut-off above that of this node's clock, in nanoseconds.
func (e *Engine) cutoffTolerance() int64 { return 2 * int64(cutoffStep(e.config.Retention)) }

// moveCutoff moves the cut-off to that of the node's clock, unless neighbours have raised it a little further. If it is ahead by more than
// they may, the clock was set back: what was removed too early, syncs with all neighbours bring.
func (e *Engine) moveCutoff(now time.Time) {
	if e.config.Retention == 0 {
		return
	}
	own, cutoff := e.ownCutoff(now), e.registry.cutoff.Load()
	if own <= cutoff && cutoff <= own+e.cutoffTolerance() {
		return
	}
	e.registry.cutoff.Store(own)
	if own > cutoff {
		return
	}
	e.cutoff = min(e.cutoff, own)
	e.notify(Notice{Kind: CutoffBack, Duration: time.Duration(cutoff - own)})
	for _, l := range e.Links() {
		e.scheduleSync(l, now, "clock set back")
	}
}

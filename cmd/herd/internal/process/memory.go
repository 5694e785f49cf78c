package process

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	leanStep  = 5 * time.Second // between two looks at the process's memory
	leanLeast = 2               // steps between two collections made for its sake
	leanMost  = 12              // and between those that bring little
	leanSlack = 8 << 20         // bytes, besides a fifth, by which it grows in a burst
	leanBusy  = 2               // collections in a step that show that a burst goes on
)

// stayLean gives memory back to the system that a burst has left behind, until ctx ends. The runtime by itself keeps as much again as is
// in use, and collects the stacks of connections that are gone only when as much has been allocated as there was: in a process that is
// quiet again that takes minutes.
func stayLean(ctx context.Context) {
	tick := time.NewTicker(leanStep)
	defer tick.Stop()
	l := lean{free: debug.FreeOSMemory, look: look, pause: leanLeast}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.step()
		}
	}
}

// lean decides when memory is given back: soon after a burst and while that brings something, seldom else, never in a burst.
type lean struct {
	free func()
	look func() (held, collections uint64)

	base        uint64 // held after it was given back last
	collections uint64 // by the last step
	since       int    // steps since memory was given back
	pause       int    // steps to wait at least
}

func (l *lean) step() {
	held, collections := l.look()
	busy := collections-l.collections > leanBusy
	l.collections = collections
	if held > l.base+l.base/5+leanSlack {
		l.pause = leanLeast
	}
	if l.since++; busy || l.since < l.pause {
		return
	}
	l.free()
	l.base, l.collections = l.look()
	l.since = 0
	if l.pause = min(2*l.pause, leanMost); l.base < held-held/10 {
		l.pause = leanLeast
	}
}

// look returns the bytes that the runtime holds of the system's memory, and how many collections there were.
func look() (held, collections uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64(), s[2].Value.Uint64()
}

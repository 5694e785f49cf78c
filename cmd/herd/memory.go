package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	leanStep  = 5 * time.Second // between two looks at the process's memory
	leanSlack = 8 << 20         // bytes it may have grown by without a reason to act
	leanBusy  = 2               // collections in a step: more are a burst that is still going on
)

// stayLean gives memory back to the system that a burst has left behind, until ctx ends. The runtime would do so by and by, but it keeps
// as much again as is in use, and the stacks of connections that are gone until the next collection, which in a quiet process is two minutes away.
func stayLean(ctx context.Context) {
	tick := time.NewTicker(leanStep)
	defer tick.Stop()
	l := lean{free: debug.FreeOSMemory, look: look}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.step()
		}
	}
}

// lean decides when memory is given back: when it has grown by a fifth since the last time, and the growing is over.
type lean struct {
	free func()
	look func() (held, collections uint64)

	base, collections uint64 // what was held, and the collections by then, at the last time and at the last step
}

func (l *lean) step() {
	held, collections := l.look()
	busy := collections-l.collections > leanBusy
	l.collections = collections
	switch {
	case held < l.base:
		l.base = held
	case busy || held < l.base+l.base/5+leanSlack:
	default:
		l.free()
		l.base, l.collections = l.look()
	}
}

// look returns the bytes that the runtime holds of the system's memory, and how many collections there were.
func look() (held, collections uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64(), s[2].Value.Uint64()
}

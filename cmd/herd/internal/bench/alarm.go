package bench

import (
	"context"
	"time"
)

// alarm wakes one goroutine.
type alarm interface {
	wait(ctx context.Context, d time.Duration) // for so long, which is more than nothing, or until ctx ends
	close()
}

// minWatched is a wait so short that nobody minds if it outlasts its context.
const minWatched = 20 * time.Millisecond

// timer is an alarm of the Go runtime.
type timer struct{}

func (timer) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (timer) close() {}

//go:build !linux

package bench

import (
	"context"
	"time"
)

func newAlarm() (alarm, error) { return timer{}, nil }

// timer is an alarm of the Go runtime.
type timer struct{}

func (timer) wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (timer) close() {}

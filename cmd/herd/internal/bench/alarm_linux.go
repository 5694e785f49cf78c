package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// minWatched is a wait so short that nobody minds if it outlasts its context.
const minWatched = 20 * time.Millisecond

// newAlarm returns an alarm that the kernel rings, within some 50 µs. Timers of the Go runtime are up to 1 ms late when a process
// has nothing else to do, which would be measured as latency.
func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timer of the kernel: %w; allow more open files", err)
	}
	return &kernelAlarm{fd, os.NewFile(uintptr(fd), "timer")}, nil
}

type kernelAlarm struct {
	fd   int
	file *os.File
}

func (a *kernelAlarm) wait(ctx context.Context, d time.Duration) {
	// A setting ends a wait in progress.
	set := func(d time.Duration) {
		_ = unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil) // d is valid
	}
	set(d)
	if d > minWatched {
		defer context.AfterFunc(ctx, func() { set(1) })()
	}
	var expired [8]byte
	_, _ = a.file.Read(expired[:]) // it can be read when it has rung
}

func (a *kernelAlarm) close() { _ = a.file.Close() }

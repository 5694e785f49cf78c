//go:build lab

package lab

import (
	"context"
	"syscall"
	"time"
	"unsafe"
)

// share confines a process to a part of one core, as a cgroup's cpu.max does, but without one: it needs no root. A bucket fills at
// that rate and the process empties it; while it is empty the process is stopped.
type share struct {
	pid   int
	cores float64

	used    time.Duration // of processor time, when confine has returned
	elapsed time.Duration
}

const (
	shareStep  = time.Millisecond
	shareBurst = 5 * time.Millisecond // that may be saved up, and is spent at a time
)

// confine watches the process until ctx ends or it has ended itself.
func (s *share) confine(ctx context.Context) {
	tick := time.NewTicker(shareStep)
	defer tick.Stop()
	began := time.Now()
	last, stopped, saved := began, false, shareBurst
	defer func() {
		s.elapsed = time.Since(began)
		_ = syscall.Kill(s.pid, syscall.SIGCONT) // or it could not end
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		used, err := processorTime(s.pid)
		if err != nil {
			return
		}
		now := time.Now()
		saved = min(saved+time.Duration(float64(now.Sub(last))*s.cores), shareBurst) - (used - s.used)
		last, s.used = now, used
		switch {
		case saved < 0 && !stopped:
			stopped = syscall.Kill(s.pid, syscall.SIGSTOP) == nil
		case saved >= shareBurst/2 && stopped:
			stopped = syscall.Kill(s.pid, syscall.SIGCONT) != nil
		}
	}
}

// processorTime returns what all threads of a process have used, by its clock (see clock_getcpuclockid(3)): exact to the nanosecond,
// where /proc counts hundredths of a second.
func processorTime(pid int) (time.Duration, error) {
	const scheduled = 2
	clock := ^pid<<3 | scheduled
	var t syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0)
	if failed != 0 {
		return 0, failed
	}
	return time.Duration(t.Nano()), nil
}

package places

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Share returns a Finder that passes equal queries that are in flight at the same time to f once.
//
// A flight goes on while at least one caller waits for it, and is cancelled by the last one to leave, who waits for its end. Its deadline
// is that of its first caller. A later caller whom that deadline failed starts a new flight if it has at least half as much time left;
// with less, the provider would be queried in vain. (golang.org/x/sync/singleflight does neither.)
func Share(provider string, f Finder, watch Watch) Finder {
	return &share{provider: provider, finder: f, watch: watch, flights: make(map[Query]*flight)}
}

type share struct {
	provider string
	finder   Finder
	watch    Watch

	mu      sync.Mutex
	flights map[Query]*flight // those in flight that have a caller
}

// flight is one query of the provider, for one or more callers.
type flight struct {
	callers  int // that wait; guarded by share.mu
	cancel   context.CancelFunc
	start    time.Time
	deadline time.Time // zero if there is none

	done     chan struct{} // closed when the fields below are set
	answer   Answer
	err      error
	timedOut bool // it failed, and its context was done
}

func (s *share) Find(ctx context.Context, q Query) (Answer, error) {
	for {
		f, first := s.join(ctx, q)
		select {
		case <-f.done:
			s.leave(q, f)
			if f.timedOut && !first && ctx.Err() == nil && f.retryable(ctx) {
				continue
			}
		case <-ctx.Done():
			if !s.leave(q, f) {
				return Answer{}, fmt.Errorf("%s: no answer in time: %w", s.provider, ctx.Err())
			}
			<-f.done
		}
		return f.answer, f.err
	}
}

// retryable reports whether ctx leaves at least half the time that the flight, which timed out, had.
func (f *flight) retryable(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return !limited || time.Until(deadline) >= f.deadline.Sub(f.start)/2
}

// join adds a caller to the flight of q, and starts one if there is none. first reports whether it did.
func (s *share) join(ctx context.Context, q Query) (f *flight, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[q]; f != nil {
		f.callers++
		s.watch(Event{Provider: s.provider, Kind: Joined})
		return f, false
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the flight may outlive its first caller
	deadline, limited := ctx.Deadline()
	if limited {
		inner, cancel = context.WithDeadline(inner, deadline)
	}
	f = &flight{callers: 1, cancel: cancel, start: time.Now(), deadline: deadline, done: make(chan struct{})}
	s.flights[q] = f
	go s.fly(inner, q, f)
	return f, true
}

func (s *share) fly(ctx context.Context, q Query, f *flight) {
	defer close(f.done)
	defer f.cancel()
	f.answer, f.err = s.finder.Find(ctx, q)
	f.timedOut = f.err != nil && ctx.Err() != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(q, f)
}

// leave removes a caller from a flight, cancels the flight if it was the last, and reports whether it was.
func (s *share) leave(q Query, f *flight) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.callers--
	if f.callers > 0 {
		return false
	}
	if f.deadline.IsZero() || time.Now().Before(f.deadline) { // past its deadline it ends by itself, with a better error
		f.cancel()
	}
	s.remove(q, f) // a cancelled flight is not joined
	return true
}

// remove forgets a flight, unless another one has its place. It is called with mu held.
func (s *share) remove(q Query, f *flight) {
	if s.flights[q] == f {
		delete(s.flights, q)
	}
}

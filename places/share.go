package places

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Share returns a Finder that asks f once for all who ask the same at the same time.
//
// A question goes on as long as one of those who asked waits for its answer, and ends with the last of them, who waits for its end. It
// has the time that the first had; who came later asks again if that was not enough, and there is half as much left: with less, the
// provider would be asked in vain. (The usual singleflight knows neither.)
func Share(provider string, f Finder, watch Watch) Finder {
	return &share{provider: provider, finder: f, watch: watch, asked: make(map[Query]*question)}
}

type share struct {
	provider string
	finder   Finder
	watch    Watch

	mu    sync.Mutex
	asked map[Query]*question // under way, and somebody waits
}

// question is what several wait for.
type question struct {
	waiting int // how many; guarded by share.mu
	cancel  context.CancelFunc
	began   time.Time
	until   time.Time // when its time is up; zero: never

	done   chan struct{} // closed when the rest is there
	answer Answer
	err    error
	late   bool // it failed, and its time was up
}

func (s *share) Find(ctx context.Context, q Query) (Answer, error) {
	for {
		asked, first := s.join(ctx, q)
		select {
		case <-asked.done:
			s.leave(q, asked)
			if asked.late && !first && ctx.Err() == nil && asked.again(ctx) {
				continue
			}
		case <-ctx.Done():
			if !s.leave(q, asked) {
				return Answer{}, fmt.Errorf("%s: no answer in time: %w", s.provider, ctx.Err())
			}
			<-asked.done
		}
		return asked.answer, asked.err
	}
}

// again reports whether there is time in ctx to ask again what took too long.
func (q *question) again(ctx context.Context) bool {
	until, limited := ctx.Deadline()
	return !limited || time.Until(until) >= q.until.Sub(q.began)/2
}

// join returns the question q that is under way, or asks it, and whether it did.
func (s *share) join(ctx context.Context, q Query) (asked *question, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked, under := s.asked[q]; under {
		asked.waiting++
		s.watch(Event{Provider: s.provider, What: Joined})
		return asked, false
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx)) // for ctx ends when the first has gone, while others wait
	until, limited := ctx.Deadline()
	if limited {
		inner, cancel = context.WithDeadline(inner, until)
	}
	asked = &question{waiting: 1, cancel: cancel, began: time.Now(), until: until, done: make(chan struct{})}
	s.asked[q] = asked
	go s.ask(inner, q, asked)
	return asked, true
}

func (s *share) ask(ctx context.Context, q Query, asked *question) {
	defer close(asked.done)
	defer asked.cancel()
	asked.answer, asked.err = s.finder.Find(ctx, q)
	asked.late = asked.err != nil && ctx.Err() != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(q, asked)
}

// leave ends a question that nobody waits for any more, and reports whether it did.
func (s *share) leave(q Query, asked *question) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked.waiting--
	if asked.waiting > 0 {
		return false
	}
	if asked.until.IsZero() || time.Now().Before(asked.until) { // else it ends by itself, and can say why
		asked.cancel()
	}
	s.forget(q, asked) // who asks now does not join what has been cancelled
	return true
}

// forget is called with mu held.
func (s *share) forget(q Query, asked *question) {
	if s.asked[q] == asked {
		delete(s.asked, q)
	}
}

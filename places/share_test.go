package places

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a Finder that answers after a while, or fails when ctx is done before.
type slow struct {
	takes   time.Duration
	fail    error
	queries atomic.Int32
	ended   atomic.Int32 // because ctx was done
}

func (s *slow) Find(ctx context.Context, q Query) (Answer, error) {
	n := s.queries.Add(1)
	select {
	case <-time.After(s.takes):
		return Answer{Results: []Place{at(fmt.Sprintf("answer %d", n), q.At.Lat, q.At.Lng)}}, s.fail
	case <-ctx.Done():
		s.ended.Add(1)
		return Answer{}, fmt.Errorf("slow: gave up: %w", ctx.Err())
	}
}

// caller makes a query after a while, with a time limit.
type caller struct {
	after, limit time.Duration
	query        Query
}

// outcome is what a caller got, and when.
type outcome struct {
	when time.Duration
	what string // name of the first result, or the error
}

// callAll makes the queries of all callers, in fake time, and returns their outcomes.
func callAll(t *testing.T, f Finder, callers ...caller) []outcome {
	t.Helper()
	got := make([]outcome, len(callers))
	began := time.Now()
	var all sync.WaitGroup
	for i, a := range callers {
		all.Go(func() {
			time.Sleep(a.after)
			ctx, cancel := context.WithTimeout(t.Context(), a.limit)
			defer cancel()
			answer, err := f.Find(ctx, a.query)
			got[i].when = time.Since(began)
			if got[i].what = fmt.Sprint(err); err == nil {
				got[i].what = answer.Results[0].Name
			}
		})
	}
	all.Wait()
	return got
}

func TestShare(t *testing.T) {
	const second = time.Second
	q, other := campus, campus
	other.Bound--
	for _, c := range []struct {
		name    string
		finder  *slow
		callers []caller
		want    []outcome
		queries int32
		ended   int32
		sharing int
	}{
		{
			"equal queries in flight are made once", &slow{takes: second},
			[]caller{{0, 2 * second, q}, {second / 2, 2 * second, q}, {second / 2, 2 * second, other}},
			[]outcome{{second, "answer 1"}, {second, "answer 1"}, {3 * second / 2, "answer 2"}},
			2, 0, 1,
		},
		{
			"a query is made again after it was answered", &slow{takes: second},
			[]caller{{0, 2 * second, q}, {second + 1, 2 * second, q}},
			[]outcome{{second, "answer 1"}, {2*second + 1, "answer 2"}},
			2, 0, 0,
		},
		{
			"a failure is shared too", &slow{takes: second, fail: errors.New("no")},
			[]caller{{0, 2 * second, q}, {second / 2, 2 * second, q}},
			[]outcome{{second, "no"}, {second, "no"}},
			1, 0, 1,
		},
		{
			"the flight ends with its only caller", &slow{takes: 9 * second},
			[]caller{{0, second, q}},
			[]outcome{{second, "slow: gave up: context deadline exceeded"}},
			1, 1, 0,
		},
		{
			"a caller with less time leaves, and nothing else changes", &slow{takes: 2 * second},
			[]caller{{0, 3 * second, q}, {second / 2, second / 2, q}},
			[]outcome{{2 * second, "answer 1"}, {second, "shared: no answer in time: context deadline exceeded"}},
			1, 0, 1,
		},
		{
			"a caller with more time than the first makes the query again", &slow{takes: 2 * second},
			[]caller{{0, second, q}, {second / 2, 3 * second, q}, {second / 2, 3 * second, q}},
			[]outcome{{second, "shared: no answer in time: context deadline exceeded"}, {3 * second, "answer 2"}, {3 * second, "answer 2"}},
			2, 1, 3,
		},
		{
			"a caller with hardly more time than the first does not", &slow{takes: 9 * second},
			[]caller{{0, 2 * second, q}, {second / 100, 2 * second, q}, {second / 2, 2 * second, q}, {second, 2 * second, q}},
			[]outcome{
				{2 * second, "shared: no answer in time: context deadline exceeded"},
				{2 * second, "slow: gave up: context deadline exceeded"},
				{2 * second, "slow: gave up: context deadline exceeded"},
				{3 * second, "slow: gave up: context deadline exceeded"},
			},
			2, 2, 3,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var counted Counters
				got := callAll(t, Share("shared", c.finder, counted.Watch), c.callers...)
				for i := range got {
					// The caller and the flight time out at the same instant: either error may come first.
					if got[i].when != c.want[i].when || got[i].what != c.want[i].what && !strings.Contains(got[i].what, "context deadline exceeded") {
						t.Errorf("caller %d: %v, want %v", i, got[i], c.want[i])
					}
				}
				if queries, ended := c.finder.queries.Load(), c.finder.ended.Load(); queries != c.queries || ended != c.ended {
					t.Errorf("%d queries, of which %d ended early; want %d, %d", queries, ended, c.queries, c.ended)
				}
				if n := counted.Counts()["shared"].Joined; n != uint64(c.sharing) {
					t.Errorf("%d shared, want %d", n, c.sharing)
				}
			})
		})
	}
}

// When the first caller leaves, the others still get the answer; when all leave, the flight ends at once.
func TestShareOutlivesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &slow{takes: time.Second}
		s := Share("shared", f, func(Event) {})
		began := time.Now()
		first, leave := context.WithCancel(t.Context())
		second, leaveToo := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.Find(first, campus); !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
				t.Errorf("the first: %v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		all.Go(func() {
			if a, err := s.Find(second, campus); err != nil || a.Results[0].Name != "answer 1" || time.Since(began) != time.Second {
				t.Errorf("the second: %v, %v after %v", a, err, time.Since(began))
			}
		})
		synctest.Wait()
		leave()
		all.Wait()

		all.Go(func() { _, _ = s.Find(second, campus) })
		synctest.Wait()
		leaveToo()
		all.Wait()
		if f.ended.Load() != 1 || time.Since(began) != time.Second {
			t.Errorf("%d ended, after %v", f.ended.Load(), time.Since(began))
		}
	})
}

// A query that comes while a cancelled flight is ending does not wait for that end.
func TestShareCancelledFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unhurried := finderFunc(func(ctx context.Context, _ Query) (Answer, error) {
			time.Sleep(time.Second) // also when ctx is done
			return Answer{}, ctx.Err()
		})
		s := Share("shared", unhurried, func(Event) {})
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = s.Find(ctx, campus) })
		synctest.Wait()
		leave()
		synctest.Wait()
		start := time.Now()
		if _, err := s.Find(t.Context(), campus); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want an answer after 1s", err, time.Since(start))
		}
		all.Wait()
	})
}

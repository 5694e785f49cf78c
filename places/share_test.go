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

// slow is a Finder that answers a while after it was asked, or fails when ctx ends before.
type slow struct {
	takes time.Duration
	fail  error
	asked atomic.Int32
	ended atomic.Int32 // because of ctx
}

func (s *slow) Find(ctx context.Context, q Query) (Answer, error) {
	n := s.asked.Add(1)
	select {
	case <-time.After(s.takes):
		return Answer{Results: []Place{at(fmt.Sprintf("answer %d", n), q.At.Lat, q.At.Lng)}}, s.fail
	case <-ctx.Done():
		s.ended.Add(1)
		return Answer{}, fmt.Errorf("slow: gave up: %w", ctx.Err())
	}
}

// asker asks after a while, and waits for so long.
type asker struct {
	after, patience time.Duration
	query           Query
}

// outcome is when an asker had what.
type outcome struct {
	when time.Duration
	what string // name of the first result, or the error
}

// asking has all askers ask, in fake time, and returns what each got.
func asking(t *testing.T, f Finder, askers ...asker) []outcome {
	t.Helper()
	got := make([]outcome, len(askers))
	began := time.Now()
	var all sync.WaitGroup
	for i, a := range askers {
		all.Go(func() {
			time.Sleep(a.after)
			ctx, cancel := context.WithTimeout(t.Context(), a.patience)
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

// Each row is one case of who waits for whom.
func TestShare(t *testing.T) {
	const second = time.Second
	q, other := campus, campus
	other.Bound--
	for _, c := range []struct {
		name    string
		finder  *slow
		askers  []asker
		want    []outcome
		asked   int32
		ended   int32
		sharing int
	}{
		{
			"the same question is asked once", &slow{takes: second},
			[]asker{{0, 2 * second, q}, {second / 2, 2 * second, q}, {second / 2, 2 * second, other}},
			[]outcome{{second, "answer 1"}, {second, "answer 1"}, {3 * second / 2, "answer 2"}},
			2, 0, 1,
		},
		{
			"what was answered is asked again", &slow{takes: second},
			[]asker{{0, 2 * second, q}, {second + 1, 2 * second, q}},
			[]outcome{{second, "answer 1"}, {2*second + 1, "answer 2"}},
			2, 0, 0,
		},
		{
			"a failure is shared too", &slow{takes: second, fail: errors.New("no")},
			[]asker{{0, 2 * second, q}, {second / 2, 2 * second, q}},
			[]outcome{{second, "no"}, {second, "no"}},
			1, 0, 1,
		},
		{
			"the question ends with the only one who waits", &slow{takes: 9 * second},
			[]asker{{0, second, q}},
			[]outcome{{second, "slow: gave up: context deadline exceeded"}},
			1, 1, 0,
		},
		{
			"one who has less time leaves, and nothing else changes", &slow{takes: 2 * second},
			[]asker{{0, 3 * second, q}, {second / 2, second / 2, q}},
			[]outcome{{2 * second, "answer 1"}, {second, "shared: no answer in time: context deadline exceeded"}},
			1, 0, 1,
		},
		{
			"one who has more time than the first asks again", &slow{takes: 2 * second},
			[]asker{{0, second, q}, {second / 2, 3 * second, q}, {second / 2, 3 * second, q}},
			[]outcome{{second, "shared: no answer in time: context deadline exceeded"}, {3 * second, "answer 2"}, {3 * second, "answer 2"}},
			2, 1, 3,
		},
		{
			"one who has hardly more time than the first does not ask again", &slow{takes: 9 * second},
			[]asker{{0, 2 * second, q}, {second / 100, 2 * second, q}, {second / 2, 2 * second, q}, {second, 2 * second, q}},
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
				got := asking(t, Share("shared", c.finder, counted.Watch), c.askers...)
				for i := range got {
					// Who leaves and who ends are both there at the end of the time: either text will do.
					if got[i].when != c.want[i].when || got[i].what != c.want[i].what && !strings.Contains(got[i].what, "context deadline exceeded") {
						t.Errorf("asker %d: %v, want %v", i, got[i], c.want[i])
					}
				}
				if asked, ended := c.finder.asked.Load(), c.finder.ended.Load(); asked != c.asked || ended != c.ended {
					t.Errorf("asked %d times, of which %d ended early; want %d, %d", asked, ended, c.asked, c.ended)
				}
				if n := counted.Counts()["shared"].Joined; n != uint64(c.sharing) {
					t.Errorf("%d shared, want %d", n, c.sharing)
				}
			})
		})
	}
}

// When the first is gone, and nobody hurries the question, the others get its answer; when all are gone, it ends at once.
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

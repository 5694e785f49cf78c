package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"herd/places"
)

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name     string
		next     []http.HandlerFunc
		within   time.Duration
		requests int
		err      string
		events   []string
	}{
		{"well", []http.HandlerFunc{fine}, 2 * time.Second, 1, "", []string{"call ZERO_RESULTS"}},
		{
			"twice",
			[]http.HandlerFunc{status(500), status(503), fine},
			2 * time.Second, 3, "",
			[]string{"retry test: status 500: sorry", "retry test: status 503: sorry", "call ZERO_RESULTS 300ms"},
		},
		{
			"in vain",
			[]http.HandlerFunc{status(503)},
			2 * time.Second, 4, "test: status 503: sorry",
			[]string{
				"retry test: status 503: sorry", "retry test: status 503: sorry", "retry test: status 503: sorry",
				"call UNKNOWN_ERROR 700ms test: status 503: sorry",
			},
		},
		{ // the third pause, of 400 ms, is longer than the time left: it fails at once
			"no time",
			[]http.HandlerFunc{status(503)},
			700 * time.Millisecond, 3, "test: status 503: sorry",
			[]string{"retry test: status 503: sorry", "retry test: status 503: sorry", "call UNKNOWN_ERROR 300ms test: status 503: sorry"},
		},
		{"no use", []http.HandlerFunc{status(403)}, 2 * time.Second, 1, "test: status 403: sorry", []string{"call REQUEST_DENIED test: status 403: sorry"}},
		{
			"silence",
			[]http.HandlerFunc{silent},
			1900 * time.Millisecond, 1, "test: no answer within 1.9s",
			[]string{"call UNKNOWN_ERROR 1.9s test: no answer within 1.9s"},
		},
		{
			"silence after a failure",
			[]http.HandlerFunc{status(500), silent},
			time.Second, 2, "test: no answer within 1s",
			[]string{"retry test: status 500: sorry", "call UNKNOWN_ERROR 1s test: no answer within 1s"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, Config{}, func(t *testing.T, b *bench) {
				err := b.query(t, c.within)
				if text := fmt.Sprint(err); err != nil && text != c.err || err == nil && c.err != "" {
					t.Errorf("%v, want %s", err, c.err)
				}
				if n := b.server.requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
				if events := b.newEvents(); !slices.Equal(events, c.events) {
					t.Errorf("%q, want %q", events, c.events)
				}
			}, c.next...)
		})
	}
}

// The pause is random, up to its limit.
func TestJitter(t *testing.T) {
	c := New(Config{Provider: "test"})
	waits := make(map[time.Duration]bool)
	for range 100 {
		d := c.jitter(firstPause)
		if d < 0 || d >= firstPause {
			t.Fatalf("%v, want less than %v", d, firstPause)
		}
		waits[d] = true
	}
	if len(waits) < 90 {
		t.Errorf("%d different waits of 100", len(waits))
	}
}

func TestBudget(t *testing.T) {
	run(t, Config{Budget: 300 * time.Millisecond}, func(t *testing.T, b *bench) {
		want(t, b.query(t, time.Minute), places.UnknownError, "test: no answer within 300ms")
	}, silent)
}

// A cancelled query ends at once, and does not count as a failure of the provider.
func TestCancel(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		for range 2 * maxFailures {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_, err := b.Find(ctx, near, func(ctx context.Context) (places.Answer, error) { return places.Answer{}, b.get(ctx) })
			want(t, err, places.UnknownError, "test: context canceled")
			if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		if n := b.server.requests(); n != 2*maxFailures {
			t.Errorf("%d requests, want %d", n, 2*maxFailures)
		}
	}, silent)
}

// Queries with no possible answer make no request.
func TestNotRequested(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		find := func(ctx context.Context) (places.Answer, error) { return places.Answer{}, b.get(ctx) }
		for _, q := range []places.Query{{At: here, Radius: 10}, {At: here, Bound: 5}, {At: here, Radius: -1, Bound: 5}} {
			if a, err := b.Find(t.Context(), q, find); err != nil || a.Status != places.ZeroResults {
				t.Errorf("%+v: %+v, %v", q, a, err)
			}
		}
		_, err := b.Find(t.Context(), places.Query{At: places.Point{Lat: 91}, Radius: 1, Bound: 1}, find)
		want(t, err, places.InvalidRequest, "test: no such point: latitude 91, longitude 0")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = b.Find(ctx, near, find)
		want(t, err, places.UnknownError, "test: context canceled")
		if n := b.server.requests(); n != 0 {
			t.Errorf("%d requests, want 0", n)
		}
	}, fine)
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		1784 * time.Millisecond: 1800 * time.Millisecond, 2 * time.Second: 2 * time.Second, 12345 * time.Millisecond: 12300 * time.Millisecond,
		496 * time.Millisecond: 500 * time.Millisecond, 99400 * time.Microsecond: 99 * time.Millisecond, time.Microsecond: 0,
	} {
		if got := about(d); got != want {
			t.Errorf("%v: %v, want %v", d, got, want)
		}
	}
}

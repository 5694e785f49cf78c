package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/places"
)

func TestBreaker(t *testing.T) {
	run(t, Config{Attempts: 1}, func(t *testing.T, b *bench) {
		const failed, refused = "test: status 500: sorry", "test: not requested after a failure: status 500: sorry"
		for range maxFailures {
			want(t, b.query(t, time.Second), places.UnknownError, failed)
		}
		want(t, b.query(t, time.Second), places.UnknownError, refused)
		time.Sleep(openTime + 1)
		want(t, b.query(t, time.Second), places.UnknownError, failed) // the attempt fails, and the breaker opens again
		want(t, b.query(t, time.Second), places.UnknownError, refused)
		time.Sleep(openTime + 1)
		if err := b.query(t, time.Second); err != nil {
			t.Error(err)
		}
		if n := b.server.requests(); n != maxFailures+2 {
			t.Errorf("%d requests, want %d", n, maxFailures+2)
		}
		var turns []string
		for _, e := range b.newEvents() {
			if strings.HasPrefix(e, "turn") {
				turns = append(turns, e)
			}
		}
		if want := []string{"turn open", "turn half-open", "turn open", "turn half-open", "turn closed"}; !slices.Equal(turns, want) {
			t.Errorf("%q, want %q", turns, want)
		}
	}, slices.Concat(slices.Repeat([]http.HandlerFunc{status(500)}, maxFailures+1), []http.HandlerFunc{fine})...)
}

// After the attempt that opens the breaker a query fails at once, with the error of that attempt.
func TestBreakerEndsRetries(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		want(t, b.query(t, 2*time.Second), places.UnknownError, "test: status 503: sorry")
		b.newEvents()
		want(t, b.query(t, 2*time.Second), places.UnknownError, "test: status 503: sorry")
		if events, want := b.newEvents(), []string{"turn open", "call UNKNOWN_ERROR test: status 503: sorry"}; !slices.Equal(events, want) {
			t.Errorf("%q, want %q", events, want)
		}
		if n := b.server.requests(); n != maxFailures {
			t.Errorf("%d requests, want %d", n, maxFailures)
		}
	}, status(503))
}

// Too many concurrent queries do not count as failures of the provider: queries that cannot get an answer in time make no
// request.
func TestTooMany(t *testing.T) {
	run(t, Config{InFlight: 2}, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		outcomes := make(map[string]int)
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() {
				text := fmt.Sprint(b.query(t, 2*time.Second))
				mu.Lock()
				defer mu.Unlock()
				outcomes[text]++
			})
		}
		all.Wait()
		want := map[string]int{"<nil>": 8, "test: not requested within 1s: 2 other requests are in flight": 52}
		if !maps.Equal(outcomes, want) || b.server.requests() != 8 {
			t.Errorf("%v, %d requests; want %v, 8", outcomes, b.server.requests(), want)
		}
		for _, e := range b.newEvents() {
			if strings.HasPrefix(e, "turn") {
				t.Error(e)
			}
		}
	}, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
		fine(w, r)
	})
}

// The error of a query that the breaker refuses says so, also if the failures were time-outs.
func TestRefusedAfterTimeouts(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		for range maxFailures {
			want(t, b.query(t, time.Second), places.UnknownError, "test: no answer within 1s")
		}
		want(t, b.query(t, time.Second), places.UnknownError, "test: not requested after a failure: no answer in time")
		want(t, b.query(t, -time.Second), places.UnknownError, "test: not requested: no time left")
	}, silent)
}

// While one query probes the provider, the others are refused.
func TestHalfOpen(t *testing.T) {
	run(t, Config{Attempts: 1}, func(t *testing.T, b *bench) {
		for range maxFailures {
			want(t, b.query(t, time.Second), places.RequestDenied, "test: status 403: sorry")
		}
		time.Sleep(openTime + 1)
		var all sync.WaitGroup
		all.Go(func() { want(t, b.query(t, time.Second), places.UnknownError, "test: no answer within 1s") })
		synctest.Wait()
		want(t, b.query(t, time.Second), places.RequestDenied, "test: not requested after a failure: status 403: sorry")
		all.Wait()
	}, slices.Concat(slices.Repeat([]http.HandlerFunc{status(403)}, maxFailures), []http.HandlerFunc{silent})...)
}

// Wrong queries do not open the breaker.
func TestBadQueries(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		for range 2 * maxFailures {
			want(t, b.query(t, time.Second), places.InvalidRequest, "test: status 400: sorry")
		}
	}, status(400))
}

// A quota that is used up opens the breaker at once.
func TestExhausted(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		find := func(ctx context.Context) (places.Answer, error) {
			return places.Answer{}, b.Do(ctx, Request{Method: http.MethodGet, URL: "http://test.example/"}, func(Response) error {
				return &places.Error{Status: places.OverQueryLimit, Err: errors.New("no more today")}
			})
		}
		_, err := b.Find(t.Context(), near, find)
		want(t, err, places.OverQueryLimit, "test: no more today")
		_, err = b.Find(t.Context(), near, find)
		want(t, err, places.OverQueryLimit, "test: not requested after a failure: no more today")
		if n := b.server.requests(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	}, fine)
}

func TestRetryAfterFits(t *testing.T) {
	for _, after := range []string{"1", "date"} {
		run(t, Config{}, func(t *testing.T, b *bench) {
			start := time.Now()
			if err := b.query(t, 2*time.Second); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != 1100*time.Millisecond || b.server.requests() != 2 {
				t.Errorf("%v, %d requests; want 1.1s, 2", took, b.server.requests())
			}
		}, func(w http.ResponseWriter, r *http.Request) {
			if after == "date" { // whole seconds, like the time in the bubble
				status(503, "Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))(w, r)
				return
			}
			status(429, "Retry-After", after)(w, r)
		}, fine)
	}
}

// A Retry-After blocks all queries.
func TestHoldOff(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		want(t, b.query(t, 2*time.Second), places.OverQueryLimit, "test: status 429: sorry")
		time.Sleep(20500 * time.Millisecond)
		err := b.query(t, 2*time.Second)
		want(t, err, places.OverQueryLimit, "test: not requested for another 39.5s, as the provider wants: status 429: sorry")
		if e, _ := errors.AsType[*places.Error](err); e.RetryAfter != 39500*time.Millisecond {
			t.Errorf("after %v", e.RetryAfter)
		}
		time.Sleep(39500*time.Millisecond - time.Nanosecond)
		want(t, b.query(t, 2*time.Second), places.OverQueryLimit, "test: not requested for another 0s, as the provider wants: status 429: sorry")
		if n := b.server.requests(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		if err := b.query(t, 2*time.Second); err != nil {
			t.Error(err)
		}
	}, status(429, "Retry-After", "60"), fine)
}

// A Retry-After also blocks queries that waited for room while the request that it answers was in flight.
func TestHoldOffOfWaiting(t *testing.T) {
	run(t, Config{InFlight: 1, Attempts: 1}, func(t *testing.T, b *bench) {
		var all sync.WaitGroup
		all.Go(func() { want(t, b.query(t, 2*time.Second), places.OverQueryLimit, "test: status 429: sorry") })
		synctest.Wait()
		all.Go(func() {
			want(t, b.query(t, 2*time.Second), places.OverQueryLimit, "test: not requested for another 1m0s, as the provider wants: status 429: sorry")
		})
		all.Wait()
		if n := b.server.requests(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	}, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		status(429, "Retry-After", "60")(w, r)
	}, fine)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, " 120 ": 2 * time.Minute, "007": 7 * time.Second, "86400": longestHold, "86401": longestHold,
		"99999999999999999999": longestHold, "-1": 0, "+1": 0, "1.5": 0, "1s": 0, "soon": 0, "١": 0,
		"Sun, 22 Nov 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 22-Nov-26 12:00:30 GMT": 30 * time.Second,
		"Sun Nov 22 12:00:30 2026":       30 * time.Second,
		"Sun, 22 Nov 2026 11:59:59 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  longestHold,
	} {
		if got := RetryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "Sun, 22 Nov 2026 12:00:30 GMT", "99999999999999999999", "-1"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if d := RetryAfter(value, now); d < 0 || d > longestHold {
			t.Errorf("%q: %v", value, d)
		}
	})
}

// No more requests than allowed are in flight; others wait, at most until their deadline.
func TestInFlight(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		most = max(most, now)
	}
	run(t, Config{InFlight: 2}, func(t *testing.T, b *bench) {
		start := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if err := b.query(t, 10*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		want(t, b.query(t, 1500*time.Millisecond), places.UnknownError, "test: not requested within 750ms: 2 other requests are in flight")
		all.Wait()
		if took := time.Since(start); most != 2 || took != 5*time.Second {
			t.Errorf("%d at a time, %v in all; want 2, 5s", most, took)
		}
	}, func(w http.ResponseWriter, r *http.Request) {
		count(1)
		defer count(-1)
		time.Sleep(time.Second)
		fine(w, r)
	})
}

func TestRate(t *testing.T) {
	run(t, Config{Rate: 2}, func(t *testing.T, b *bench) {
		start := time.Now()
		for range 6 {
			if err := b.query(t, time.Second); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("%v, want 2s", took)
		}
		want(t, b.query(t, 100*time.Millisecond), places.OverQueryLimit, "test: not requested: the rate limit of 2 requests/s is reached")
	}, fine)
}

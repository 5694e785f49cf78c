package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/places"
	"herd/places/replay"
)

// secret has what is escaped in a URL, in a regular expression and in JSON.
const secret = "AIza/Sy+0.é=$ x"

var (
	here = places.Point{Lat: 42.507, Lng: 1.521}
	near = places.Query{At: here, Radius: 10, Bound: 5}
)

// script is a server that answers each request by the next of its handlers, and all later ones by the last.
type script struct {
	mu   sync.Mutex
	seen int
	next []http.HandlerFunc
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.next[min(s.seen, len(s.next)-1)]
	s.seen++
	s.mu.Unlock()
	h(w, r)
}

func (s *script) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func fine(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprint(w, "sorry")
	}
}

func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// bench is a Client that asks a script over a network in memory.
type bench struct {
	*Client
	server *script
	net    *replay.Network

	mu     sync.Mutex
	events []string
}

// run has test use a bench in a bubble, where an attempt is made again after exactly 100 ms, 200 ms and so on, and sees
// that nothing of it is left.
func run(t *testing.T, c Config, test func(t *testing.T, b *bench), next ...http.HandlerFunc) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{server: &script{next: next}}
		b.net = replay.NewNetwork(b.server)
		c.Provider, c.Transport, c.Watch = "test", b.net.Transport(), b.watch
		b.Client = New(c)
		b.jitter = func(most time.Duration) time.Duration { return most }
		test(t, b)
		b.Close()
		synctest.Wait()
		if n := b.net.Open(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		b.net.Close()
		if events := fmt.Sprint(b.events); strings.Contains(events, "AIza") {
			t.Errorf("the key is in the events: %s", events)
		}
	})
}

func (b *bench) watch(e places.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := map[places.What]string{places.Call: "call", places.Retry: "retry", places.Turn: "turn"}[e.What]
	for _, part := range []string{e.Status, string(e.State)} {
		if part != "" {
			text += " " + part
		}
	}
	if e.Took > 0 {
		text += " " + e.Took.String()
	}
	if e.Err != nil {
		text += " " + e.Err.Error()
	}
	b.events = append(b.events, text)
}

// told returns the events since the last time.
func (b *bench) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// ask asks a question that takes one request, within that time.
func (b *bench) ask(t *testing.T, within time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := b.Find(ctx, near, func(ctx context.Context) (places.Answer, error) { return places.Answer{}, b.get(ctx) })
	return err
}

func (b *bench) get(ctx context.Context) error {
	return b.Ask(ctx, Request{Method: http.MethodGet, URL: "http://test.example/ask"}, func(r Response) error {
		if r.Status != http.StatusOK {
			return Failed(r.Status, string(r.Body))
		}
		return nil
	})
}

// want compares an error with its status word and text.
func want(t *testing.T, err error, status, text string) {
	t.Helper()
	e, ok := errors.AsType[*places.Error](err)
	if !ok || e.Status != status || e.Error() != text {
		t.Errorf("%v (%+v), want %s, %s", err, e, status, text)
	}
}

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
		{ // the third wait, of 400 ms, would not fit: it fails at once
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
				err := b.ask(t, c.within)
				if text := fmt.Sprint(err); err != nil && text != c.err || err == nil && c.err != "" {
					t.Errorf("%v, want %s", err, c.err)
				}
				if n := b.server.requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
				if events := b.told(); !slices.Equal(events, c.events) {
					t.Errorf("%q, want %q", events, c.events)
				}
			}, c.next...)
		})
	}
}

// The wait is a random part of what it may be.
func TestJitter(t *testing.T) {
	c := New(Config{Provider: "test"})
	waits := make(map[time.Duration]bool)
	for range 100 {
		d := c.jitter(pause)
		if d < 0 || d >= pause {
			t.Fatalf("%v, want less than %v", d, pause)
		}
		waits[d] = true
	}
	if len(waits) < 90 {
		t.Errorf("%d different waits of 100", len(waits))
	}
}

func TestBudget(t *testing.T) {
	run(t, Config{Budget: 300 * time.Millisecond}, func(t *testing.T, b *bench) {
		want(t, b.ask(t, time.Minute), places.UnknownError, "test: no answer within 300ms")
	}, silent)
}

// Who gives up is answered at once, and it is no failure of the provider.
func TestCancel(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		for range 2 * failures {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_, err := b.Find(ctx, near, func(ctx context.Context) (places.Answer, error) { return places.Answer{}, b.get(ctx) })
			want(t, err, places.UnknownError, "test: context canceled")
			if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		if n := b.server.requests(); n != 2*failures {
			t.Errorf("%d requests, want %d", n, 2*failures)
		}
	}, silent)
}

func TestBreaker(t *testing.T) {
	run(t, Config{Attempts: 1}, func(t *testing.T, b *bench) {
		const failed, refused = "test: status 500: sorry", "test: not asked, for it failed before: status 500: sorry"
		for range failures {
			want(t, b.ask(t, time.Second), places.UnknownError, failed)
		}
		want(t, b.ask(t, time.Second), places.UnknownError, refused)
		time.Sleep(openFor + 1)
		want(t, b.ask(t, time.Second), places.UnknownError, failed) // tries, and is refused again
		want(t, b.ask(t, time.Second), places.UnknownError, refused)
		time.Sleep(openFor + 1)
		if err := b.ask(t, time.Second); err != nil {
			t.Error(err)
		}
		if n := b.server.requests(); n != failures+2 {
			t.Errorf("%d requests, want %d", n, failures+2)
		}
		var turns []string
		for _, e := range b.told() {
			if strings.HasPrefix(e, "turn") {
				turns = append(turns, e)
			}
		}
		if want := []string{"turn open", "turn half-open", "turn open", "turn half-open", "turn closed"}; !slices.Equal(turns, want) {
			t.Errorf("%q, want %q", turns, want)
		}
	}, slices.Concat(slices.Repeat([]http.HandlerFunc{status(500)}, failures+1), []http.HandlerFunc{fine})...)
}

// While one question tries whether the provider is back, the others are refused.
func TestHalfOpen(t *testing.T) {
	run(t, Config{Attempts: 1}, func(t *testing.T, b *bench) {
		for range failures {
			want(t, b.ask(t, time.Second), places.RequestDenied, "test: status 403: sorry")
		}
		time.Sleep(openFor + 1)
		var all sync.WaitGroup
		all.Go(func() { want(t, b.ask(t, time.Second), places.UnknownError, "test: no answer within 1s") })
		synctest.Wait()
		want(t, b.ask(t, time.Second), places.RequestDenied, "test: not asked, for it failed before: status 403: sorry")
		all.Wait()
	}, slices.Concat(slices.Repeat([]http.HandlerFunc{status(403)}, failures), []http.HandlerFunc{silent})...)
}

// A query that is at fault says nothing of the provider.
func TestBadQueries(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		for range 2 * failures {
			want(t, b.ask(t, time.Second), places.InvalidRequest, "test: status 400: sorry")
		}
	}, status(400))
}

// A quota that is used up opens the breaker at once.
func TestExhausted(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		find := func(ctx context.Context) (places.Answer, error) {
			return places.Answer{}, b.Ask(ctx, Request{Method: http.MethodGet, URL: "http://test.example/"}, func(Response) error {
				return &places.Error{Status: places.OverQueryLimit, Err: errors.New("no more today")}
			})
		}
		_, err := b.Find(t.Context(), near, find)
		want(t, err, places.OverQueryLimit, "test: no more today")
		_, err = b.Find(t.Context(), near, find)
		want(t, err, places.OverQueryLimit, "test: not asked, for it failed before: no more today")
		if n := b.server.requests(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	}, fine)
}

func TestRetryAfterFits(t *testing.T) {
	for _, after := range []string{"1", "date"} {
		run(t, Config{}, func(t *testing.T, b *bench) {
			start := time.Now()
			if err := b.ask(t, 2*time.Second); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != 1100*time.Millisecond || b.server.requests() != 2 {
				t.Errorf("%v, %d requests; want 1.1s, 2", took, b.server.requests())
			}
		}, func(w http.ResponseWriter, r *http.Request) {
			if after == "date" { // which has whole seconds, as the time in the bubble
				status(503, "Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))(w, r)
				return
			}
			status(429, "Retry-After", after)(w, r)
		}, fine)
	}
}

// Who wants to be left alone is, by everybody.
func TestHoldOff(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		want(t, b.ask(t, 2*time.Second), places.OverQueryLimit, "test: status 429: sorry")
		time.Sleep(20500 * time.Millisecond)
		err := b.ask(t, 2*time.Second)
		want(t, err, places.OverQueryLimit, "test: not asked for 39.5s, as it wishes: status 429: sorry")
		if e, _ := errors.AsType[*places.Error](err); e.After != 39500*time.Millisecond {
			t.Errorf("after %v", e.After)
		}
		time.Sleep(39500*time.Millisecond - 1)
		want(t, b.ask(t, 2*time.Second), places.OverQueryLimit, "test: not asked for 0s, as it wishes: status 429: sorry")
		if n := b.server.requests(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		time.Sleep(1)
		if err := b.ask(t, 2*time.Second); err != nil {
			t.Error(err)
		}
	}, status(429, "Retry-After", "60"), fine)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, " 120 ": 2 * time.Minute, "007": 7 * time.Second, "86400": longestAlone, "86401": longestAlone,
		"99999999999999999999": longestAlone, "-1": 0, "+1": 0, "1.5": 0, "1s": 0, "soon": 0, "١": 0,
		"Sun, 22 Nov 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 22-Nov-26 12:00:30 GMT": 30 * time.Second,
		"Sun Nov 22 12:00:30 2026":       30 * time.Second,
		"Sun, 22 Nov 2026 11:59:59 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  longestAlone,
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
		if d := RetryAfter(value, now); d < 0 || d > longestAlone {
			t.Errorf("%q: %v", value, d)
		}
	})
}

// No more requests than allowed are in flight; the others wait for their turn, or until their time is up.
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
				if err := b.ask(t, 10*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		want(t, b.ask(t, 1500*time.Millisecond), places.UnknownError, "test: no answer within 1.5s: 2 other requests are under way")
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
			if err := b.ask(t, time.Second); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("%v, want 2s", took)
		}
		want(t, b.ask(t, 100*time.Millisecond), places.OverQueryLimit, "test: not asked, for its rate limit of 2 requests/s is reached")
	}, fine)
}

// A question that needs no answer, or has none, asks nobody.
func TestNotAsked(t *testing.T) {
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

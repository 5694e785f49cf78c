package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/places"
	"herd/places/placestest"
)

// secret has characters that are escaped in URLs, regular expressions and JSON.
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

// bench is a Client of a script, over a network in memory.
type bench struct {
	*Client
	server *script
	net    *placestest.Network

	mu     sync.Mutex
	events []string
}

// run calls test with a bench in a synctest bubble, where the pauses between attempts are exactly 100 ms, 200 ms and so on, and checks
// that no connection is left.
func run(t *testing.T, c Config, test func(t *testing.T, b *bench), next ...http.HandlerFunc) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{server: &script{next: next}}
		b.net = placestest.NewNetwork(b.server)
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
	words := []string{map[places.EventKind]string{places.Called: "call", places.Retried: "retry", places.BreakerTurned: "turn"}[e.Kind]}
	for _, word := range []string{e.Status, string(e.State)} {
		if word != "" {
			words = append(words, word)
		}
	}
	if e.Took > 0 {
		words = append(words, e.Took.String())
	}
	if e.Err != nil {
		words = append(words, e.Err.Error())
	}
	b.events = append(b.events, strings.Join(words, " "))
}

// newEvents returns the events since the last time.
func (b *bench) newEvents() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = nil
	return events
}

// query makes a query that takes one request, with a time limit.
func (b *bench) query(t *testing.T, within time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := b.Find(ctx, near, func(ctx context.Context) (places.Answer, error) { return places.Answer{}, b.get(ctx) })
	return err
}

func (b *bench) get(ctx context.Context) error {
	return b.Do(ctx, Request{Method: http.MethodGet, URL: "http://test.example/ask"}, func(r Response) error {
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

package placestest

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/places"
	"herd/places/upstream"
)

var update = flag.Bool("update", false, "write the expected outcomes of testdata anew")

// outcome is how a query ends.
type outcome struct {
	status   string
	text     string // of the error
	requests int    // that the server saw
}

func (o outcome) String() string {
	return strings.TrimRight(fmt.Sprintf("%-16s %d  %s", o.status, o.requests, o.text), " ")
}

// recorder records the events of a query.
type recorder struct {
	mu     sync.Mutex
	events []places.Event
}

func (e *recorder) watch(event places.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
}

// query makes a query that has to end within that time, and checks that there is one event of it, and the key in none.
func (e *recorder) query(t *testing.T, f places.Finder, s Sample, within time.Duration) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	q := places.Query{At: s.At, Radius: s.Radius, Bound: 2}
	a, err := f.Find(ctx, q)
	o := outcome{status: a.Status}
	if err != nil {
		e, ok := err.(*places.Error)
		if !ok {
			t.Fatalf("%T", err)
		}
		o.status, o.text = e.Status, e.Error()
	}
	body, status, _ := places.Nearby(t.Context(), result{a, err}, q)
	if status != o.status {
		t.Errorf("the status for a client is %s, want %s", status, o.status)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := 0
	texts := []string{fmt.Sprintf("%v %+v %#v %s", err, err, err, body)}
	for _, event := range e.events {
		texts = append(texts, fmt.Sprintf("%+v %#v", event, event.Err))
		if event.Kind == places.Called {
			calls++
			if event.Status != o.status || event.Err != err {
				t.Errorf("event %+v, want %s", event, o)
			}
		}
	}
	if calls != 1 {
		t.Errorf("%d events of calls, want 1", calls)
	}
	if text := strings.Join(texts, "\n"); strings.Contains(text, key) {
		t.Errorf("the key is in %s", text)
	}
	e.events = nil
	return o
}

// TestFailures has each provider query a server with each fault, and once more when the fault is over. The network is in memory and
// the clock is fake; no goroutine and no connection may be left. A query has two seconds and four attempts.
func TestFailures(t *testing.T) {
	var got strings.Builder
	for _, p := range providers {
		for _, fault := range Faults() {
			t.Run(p.name+"/"+string(fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const within = 2 * time.Second
					var server Server
					var events recorder
					n := NewNetwork(&server)
					f, err := p.open("http://"+p.name+".example", upstream.Config{Watch: events.watch, Transport: n.Transport()})
					if err != nil {
						t.Fatal(err)
					}
					server.Behave(fault)
					start := time.Now()
					o := events.query(t, f, p.sample, within)
					o.requests, _ = server.Seen()
					if took := time.Since(start); took > within || strings.HasPrefix(string(fault), "slow") != (took == within) {
						t.Errorf("%v of %v", took, within)
					}
					synctest.Wait() // for the server to notice
					if open := n.Open(); open > 1 {
						t.Errorf("%d connections are open", open)
					}
					server.Behave()
					then := events.query(t, f, p.sample, within)
					if then.requests, _ = server.Seen(); then.requests > 0 {
						then.requests -= o.requests
					}
					f.Close()
					synctest.Wait()
					if open := n.Open(); open != 0 {
						t.Errorf("%d connections are left", open)
					}
					n.Close()
					fmt.Fprintf(&got, "%-13s %-16s %v\n", p.name, fault, o)
					if then.status != places.OK {
						fmt.Fprintf(&got, "%-13s %-16s %v\n", "", "… and then", then)
					}
				})
			})
		}
	}
	compare(t, "testdata/memory.txt", got.String())
}

// TestFailuresTCP is the same over TCP on the loopback interface, in real time, with two attempts. The time limit, two seconds if the
// server does not answer, is that of the client, so that the error names it exactly however busy the machine is.
func TestFailuresTCP(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string]outcome)
	t.Run("all", func(t *testing.T) {
		for _, p := range providers {
			for _, fault := range Faults() {
				name := fmt.Sprintf("%-13s %-16s", p.name, fault)
				t.Run(p.name+"/"+string(fault), func(t *testing.T) {
					t.Parallel()
					within := 10 * time.Second
					if strings.HasPrefix(string(fault), "slow") {
						within = 2 * time.Second // time enough for the request to reach the server on a busy machine
					}
					if strings.HasPrefix(string(fault), "429-after") {
						within = 900 * time.Millisecond // not enough to wait
					}
					var server Server
					var events recorder
					var open sync.WaitGroup
					s := httptest.NewUnstartedServer(&server)
					s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
						switch state {
						case http.StateNew:
							open.Add(1)
						case http.StateClosed, http.StateHijacked:
							open.Done()
						}
					}
					s.Start()
					defer s.Close()
					f, err := p.open(s.URL, upstream.Config{Attempts: 2, Budget: within, Watch: events.watch})
					if err != nil {
						t.Fatal(err)
					}
					server.Behave(fault)
					o := events.query(t, f, p.sample, time.Minute)
					o.requests, _ = server.Seen()
					f.Close()
					open.Wait() // every connection is closed by now, and not by the server
					mu.Lock()
					defer mu.Unlock()
					got[name] = o
				})
			}
		}
	})
	var text strings.Builder
	for _, p := range providers {
		for _, fault := range Faults() {
			name := fmt.Sprintf("%-13s %-16s", p.name, fault)
			fmt.Fprintf(&text, "%s %v\n", name, got[name])
		}
	}
	compare(t, "testdata/tcp.txt", text.String())
}

// compare compares got with a file line by line, or writes the file.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, wanted := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(lines), len(wanted)) {
		var line, expected string
		if i < len(lines) {
			line = lines[i]
		}
		if i < len(wanted) {
			expected = wanted[i]
		}
		if line != expected {
			t.Errorf("%s:%d:\n got %s\nwant %s", file, i+1, line, expected)
		}
	}
}

//go:build lab

package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// replica keeps a copy, at the far end of an uplink, of what is reported at the hub.
type replica interface {
	shape(change func(*conditions))
	bytes() int64 // of packets that arrived at the far end
	startFar()
	joined() bool                               // the copy follows
	connect() net.Conn                          // to the server at the hub
	request(client string, at time.Time) string // of the report of a client, from a new place
	reply() string                              // with which the reply to a report begins
	equal() bool                                // the copy has all
	ages(clients []string) []time.Duration      // of these clients' reports in the copy
	applied() int64                             // so far; times a constant it is bytes
}

// clientID returns one of the IDs of clients at the hub.
func clientID(i int) string { return fmt.Sprintf("client-%05d.example.org", i) }

// place returns a place at random, as clients write it.
func place() string {
	return fmt.Sprintf("%+010.6f%+011.6f", rand.Float64()*180-90, rand.Float64()*360-180)
}

// stamp returns a time as clients write it.
func stamp(at time.Time) string { return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()) }

// age returns how long ago a time was that a client wrote.
func age(text string, now time.Time) time.Duration {
	seconds, nanos, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	n, err2 := strconv.ParseInt(nanos, 10, 64)
	if err != nil || err2 != nil {
		return now.Sub(time.Time{}) // the longest: the report is not there
	}
	return now.Sub(time.Unix(s, n))
}

// reportAll has so many clients report once, and returns how many bytes the replies had after what they all begin with: for
// herd, the bytes of the reports.
func reportAll(t *testing.T, r replica, clients int) (size int) {
	t.Helper()
	conn := r.connect()
	defer conn.Close()
	var lines strings.Builder
	for i := range clients {
		lines.WriteString(r.request(clientID(i), time.Now()))
	}
	go func() { _, _ = io.WriteString(conn, lines.String()) }() // what fails shows in the replies
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	replies := bufio.NewScanner(conn)
	for n := 0; n < clients && replies.Scan(); {
		switch text := replies.Text(); {
		case strings.HasPrefix(text, r.reply()):
			size += len(text) - len(r.reply()) + 1
			n++
		case text != "":
			t.Fatalf("reply %q", text)
		}
	}
	if err := replies.Err(); err != nil {
		t.Fatal(err)
	}
	return size
}

// load reports in turn for so many clients, at a rate of so many reports a second, until it is stopped.
func load(t *testing.T, r replica, clients int, perSecond float64) (stop func()) {
	t.Helper()
	conn := r.connect()
	go func() { _, _ = io.Copy(io.Discard, conn) }() // until the connection is closed
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer conn.Close()
		began, count := time.Now(), 0
		for tick := time.Tick(10 * time.Millisecond); ; {
			select {
			case <-end:
				return
			case <-tick:
			}
			var lines strings.Builder
			for due := int(time.Since(began).Seconds() * perSecond); count < due; count++ {
				lines.WriteString(r.request(clientID(count%clients), time.Now()))
			}
			if _, err := io.WriteString(conn, lines.String()); err != nil {
				t.Errorf("load: %v", err)
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(end)
		<-ended
	})
}

func (u *uplink) shape(change func(*conditions)) { u.set(change) }

// connect connects to Goloman.
func (w *wan) connect() net.Conn { return connectFrom(w.t, w.hub, golomanListen) }

// connectFrom connects from a site to one of its servers.
func connectFrom(t *testing.T, s *site, address string) net.Conn {
	t.Helper()
	conn, err := s.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (*wan) request(client string, at time.Time) string {
	return "IAMAT " + client + " " + place() + " " + stamp(at) + "\n"
}

func (*wan) reply() string { return "AT " }

// ages asks Welsh for each client.
func (w *wan) ages(clients []string) (all []time.Duration) {
	w.t.Helper()
	for _, id := range clients {
		var c struct {
			Time string `json:"time"`
		}
		if text, err := w.get(w.far, welshHTTP, "/api/v1/clients/"+id); err == nil {
			_ = json.Unmarshal(text, &c) // what is not there has no time
		}
		all = append(all, age(c.Time, time.Now()))
	}
	return all
}

// applied returns the bytes of the reports from Holiday that were new to Welsh.
func (w *wan) applied() int64 {
	l, _ := linkTo(w.welsh(), "Holiday")
	return int64(l.ReportsReceived-l.ReportsStale) * lineSize
}

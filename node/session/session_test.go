package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/line"
	"herd/node/session/sessiontest"
	"herd/places"
)

const place = "+34.068930-118.445127"

// foundBody is what a WHATSAT gets after its AT line when an oracle has spoken.
const foundBody = `{
  "html_attributions": [],
  "results": [
    {
      "geometry": {
        "location": {
          "lat": 34.06893,
          "lng": -118.445127
        }
      },
      "name": "here",
      "place_id": "",
      "types": []
    }
  ],
  "status": "OK"
}

`

func TestPipelinedReplies(t *testing.T) {
	n := startTCP(t)
	c := sessiontest.Dial(t, n.address)
	var sent, want strings.Builder
	const lines = 20_000 // more than any buffer between holds
	for i := range lines {
		fmt.Fprintf(&sent, "junk %d\nIAMAT c%d %s %d\n", i, i, place, 4_000_000_000+i)
		fmt.Fprintf(&want, "? junk %d\nAT Goloman - c%d %s %d\n\n", i, i, place, 4_000_000_000+i)
	}
	sending := make(chan error, 1)
	go func() {
		_, err := c.Conn.Write([]byte(sent.String()))
		sending <- err
	}()
	got := make([]string, 0, 3*lines)
	for range 3 * lines {
		l, err := c.In.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if fields := strings.Split(l, " "); fields[0] == "AT" {
			fields[2] = fields[2][:1] // the skew is the clock's
			l = strings.Join(fields, " ")
		}
		got = append(got, l)
	}
	if err := <-sending; err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, "") != want.String() {
		t.Error("replies are not those to the lines, in order")
	}
}

// A WHATSAT that takes long holds up the replies after it but nothing else, and what came before it leaves at once.
func TestSlowWhatsAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBlockingFinder()
		n := startServer(t, o)
		c := n.listener.Dial(t)
		go c.Send("IAMAT k " + place + " 1\nWHATSAT k 10 5\nIAMAT k " + place + " 2\nWHATSAT k 1.5 1\njunk\n")
		if got := c.Line() + c.Line(); got != "AT Goloman +946684799.000000000 k "+place+" 1\n\n" {
			t.Errorf("before the first answer: %q", got)
		}
		first, second := <-o.queries, <-o.queries
		if first.Radius < second.Radius { // they are looked up at the same time
			first, second = second, first
		}
		synctest.Wait()
		if first.Radius != 10 || first.Bound != 5 || second.Radius != 1.5 || second.Bound != 1 || first.At.Lat != 34.06893 {
			t.Errorf("asked for %+v and %+v", first, second)
		}
		if r, _ := n.Registry().Get("k"); r.Time() != "2" {
			t.Errorf("the line after it has not taken effect: %q", r)
		}
		close(o.answer)
		// One write, so one read: the AT line as it was at its place, and the places.
		b := make([]byte, 1<<16)
		size, err := c.In.Read(b)
		got := string(b[:size])
		want := "AT Goloman +946684799.000000000 k " + place + " 1\n" + foundBody
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("read %q, %v, want it to begin with %q", got, err, want)
		}
		got = got[len(want):]
		want = "AT Goloman +946684798.000000000 k " + place + " 2\n\n" +
			"AT Goloman +946684798.000000000 k " + place + " 2\n" + foundBody + "? junk\n"
		for len(got) < len(want) {
			got += c.Line()
		}
		if got != want {
			t.Errorf("then %q, want %q", got, want)
		}
	})
}

// Replies leave together when no further complete line is waiting, in one write.
func TestFlushedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder())
		c := n.listener.Dial(t)
		go c.Send(strings.Repeat("junk\n", 100) + "half")
		b := make([]byte, 1<<16)
		size, err := c.In.Read(b)
		if got, want := string(b[:size]), strings.Repeat("? junk\n", 100); err != nil || got != want {
			t.Errorf("at once came %d bytes, %v, want %d", len(got), err, len(want))
		}
		go c.Send(" a line\n")
		if got := c.Line(); got != "? half a line\n" {
			t.Errorf("then %q", got)
		}
	})
}

// A lookup for a client that is gone is cancelled.
func TestClientGoneDuringLookup(t *testing.T) {
	o := newBlockingFinder()
	gone := make(chan error, 1)
	n := startTCP(t, func(c *config) { c.Places, c.Limits.Places = watched{o, gone}, time.Hour })
	c := sessiontest.Dial(t, n.address)
	c.Send(example + "WHATSAT kiwi.cs.ucla.edu 10 5\n")
	c.Paragraph()
	<-o.queries
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil { // closes with a reset
		t.Fatal(err)
	}
	if err := c.Conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the provider gave %v", err)
	}
}

// watched is a Finder that reports how finding ended.
type watched struct {
	places.Finder
	ended chan<- error
}

func (w watched) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	a, err := w.Finder.Find(ctx, q)
	w.ended <- err
	return a, err
}

func TestAtMostSixteenOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBlockingFinder()
		n := startServer(t, o)
		c := n.listener.Dial(t)
		go c.Send("IAMAT k " + place + " 1\n" + strings.Repeat("WHATSAT k 10 5\n", 20) + "IAMAT late " + place + " 1\n")
		c.Line()
		c.Line()
		synctest.Wait()
		if _, known := n.Registry().Get("late"); len(o.queries) != 16 || known {
			t.Errorf("%d outstanding, want 16; a later line read: %v", len(o.queries), known)
		}
		o.answer <- struct{}{} // one of them, not necessarily the oldest: let all out
		close(o.answer)
		for range 20 {
			for c.Line() != "}\n" {
			}
		}
		if got := c.Line() + c.Line(); got != "\nAT Goloman +946684799.000000000 late "+place+" 1\n" {
			t.Errorf("after all answers: %q", got)
		}
	})
}

// What waits behind a slow WHATSAT is bounded: then the client's lines wait in its socket.
func TestRepliesWaitingAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBlockingFinder()
		n := startServer(t, o, func(c *config) { c.Limits.Places = time.Hour })
		c := n.listener.Dial(t)
		const lines = 10_000
		go func() {
			c.Send("IAMAT k " + place + " 1\nWHATSAT k 10 5\n")
			for i := range lines {
				c.Send(fmt.Sprintf("IAMAT c%d %s 1\n", i, place))
			}
		}()
		c.Line()
		c.Line()
		synctest.Wait()
		if known := n.Registry().Len(); known > 1500 || known < 500 || known == lines {
			t.Errorf("%d lines taken while the answer is awaited", known)
		}
		close(o.answer)
		for range lines {
			for !strings.HasPrefix(c.Line(), "AT Goloman +946684799.000000000 c") {
			}
		}
		if known := n.Registry().Len(); known != lines+1 {
			t.Errorf("%d clients in the end", known)
		}
	})
}

// A provider that does not answer in time is a reply like any other.
func TestProviderTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder())
		c := n.listener.Dial(t)
		began := time.Now()
		go c.Send("IAMAT k " + place + " 1\nWHATSAT k 10 5\njunk\n")
		var got strings.Builder
		for !strings.HasSuffix(got.String(), "junk\n") {
			got.WriteString(c.Line())
		}
		at := "AT Goloman +946684799.000000000 k " + place + " 1\n"
		want := at + "\n" + at + `{
  "html_attributions": [],
  "results": [],
  "status": "UNKNOWN_ERROR",
  "error_message": "context deadline exceeded"
}

? junk
`
		if got.String() != want || time.Since(began) != 2*time.Second {
			t.Errorf("after %s: %q, want %q", time.Since(began), got.String(), want)
		}
	})
}

// A client that has sent its last line still gets every reply.
func TestHalfClose(t *testing.T) {
	n := startTCP(t)
	c := sessiontest.Dial(t, n.address)
	const queries = 50
	c.Send(example + strings.Repeat("WHATSAT kiwi.cs.ucla.edu 10 1\n", queries) + "last line without LF")
	got := c.Rest()
	if places := strings.Count(got, `"status": "OK"`); places != queries || !strings.HasSuffix(got, "}\n\n? last line without LF\n") {
		t.Errorf("%d answers, the end of all: %q", places, got[max(0, len(got)-60):])
	}
}

func TestOverlongLine(t *testing.T) {
	n := startTCP(t)
	c := sessiontest.Dial(t, n.address)
	long := strings.Repeat("x", 100_000)
	exact := strings.Repeat("y", line.MaxLine)
	c.Send(long + "\n" + exact + "\nz\n" + long)
	want := "? " + long[:line.MaxLine] + "\n? " + exact + "\n? z\n? " + long[:line.MaxLine] + "\n"
	if got := c.Rest(); got != want {
		t.Errorf("%d bytes of replies, want %d", len(got), len(want))
	}
	if got := n.state().Refused; got["line too long"] != 2 || got["invalid line"] != 2 {
		t.Errorf("counted %v", got)
	}
}

// A node that ends answers the lines it has read.
func TestStopAnswersWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newBlockingFinder()
		n := startServer(t, o)
		c := n.listener.Dial(t)
		c.Send("IAMAT k " + place + " 1\nWHATSAT k 10 5\njunk\nhalf a li")
		c.Line()
		c.Line()
		<-o.queries
		stopped := make(chan struct{})
		began := time.Now()
		go func() {
			n.stop()
			close(stopped)
		}()
		synctest.Wait()
		o.answer <- struct{}{}
		var got strings.Builder
		for !strings.HasSuffix(got.String(), "EOF") {
			got.WriteString(c.Line())
		}
		if !strings.HasSuffix(got.String(), "}\n\n? junk\nEOF") {
			t.Errorf("last words %q", got.String())
		}
		<-stopped
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s to stop", took)
		}
	})
}

// A provider or a client that takes its time does not keep a node from ending.
func TestStopInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startServer(t, newBlockingFinder(), func(c *config) { c.Limits.Places = time.Hour })
		waiting, deaf := n.listener.Dial(t), n.listener.Dial(t)
		waiting.Send("IAMAT k " + place + " 1\nWHATSAT k 10 5\n")
		waiting.Line()
		waiting.Line()
		deaf.Send("junk\n") // and never reads
		synctest.Wait()
		began := time.Now()
		n.stop()
		if took := time.Since(began); took != drainTime {
			t.Errorf("it took %s to stop, want %s", took, drainTime)
		}
	})
}

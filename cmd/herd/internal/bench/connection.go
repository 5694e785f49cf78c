package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	firstInput = 16 << 10
	maxReply   = 1 << 20 // a longer one is no reply
)

// connection sends the requests of its clients. It has a sender and a receiver, which are one goroutine unless the load is open.
type connection struct {
	*run
	index   int
	address string
	conn    net.Conn
	slots   []slot        // requests in flight: number i is in slot i modulo their number
	sent    atomic.Uint64 // requests, and
	got     atomic.Uint64 // replies to them

	// The sender's.
	clients  *walkers
	quota    int // of requests that count; 0: any number
	counted  int // requests that count
	next     uint64
	request  Request
	out      []byte
	deadline time.Time // of writing

	// The receiver's.
	in         []byte
	start, end int // of what has been received and belongs to no reply yet
	tally      tally

	// If the load is open.
	room     chan struct{}   // a token says that there are fewer requests in flight
	finished atomic.Bool     // nothing more will be sent
	gone     context.Context // ends with the receiver
}

// slot is a request in flight.
type slot struct {
	request []byte
	whatsAt bool
	due, at time.Duration // when it should leave, and when it did
}

func newConnection(r *run, index int, address string, conn net.Conn) *connection {
	first, last := share(r.Clients, r.Connections, index), share(r.Clients, r.Connections, index+1)
	return &connection{
		run: r, index: index, address: address, conn: conn,
		slots: make([]slot, r.Pipeline), clients: newWalkers(r.Prefix, r.Seed, first, last-first),
		quota: share(r.Requests, r.Connections, index+1) - share(r.Requests, r.Connections, index),
		in:    make([]byte, firstInput),
		room:  make(chan struct{}, 1),
	}
}

// share returns how much of all belongs to the first n of so many.
func share(all, of, n int) int { return int(int64(all) * int64(n) / int64(of)) }

// serve makes the connection's load. It calls filled when all its clients have reported once, or it fails.
func (c *connection) serve(filled func()) {
	defer func() { _ = c.conn.Close() }() // whatever counts has been received, or has failed
	err := c.extend()
	if err == nil {
		err = c.fill()
	}
	filled()
	if err == nil {
		<-c.begin
		if c.Rate > 0 {
			err = c.open()
		} else {
			err = c.closed()
		}
	}
	c.flushTally(c.since())
	if err != nil {
		c.fail(kind(err), fmt.Errorf("%s: %w", c.address, err))
	}
}

// fill has each client report once.
func (c *connection) fill() error {
	for i := 0; i < len(c.clients.places) && c.stopped.Load() == nil; {
		now := c.since()
		for batch := min(c.Pipeline, len(c.clients.places)-i); batch > 0; batch-- {
			c.clients.request(i, false, c.epoch.Add(now).UnixNano(), &c.request)
			c.put(-1, now)
			i++
		}
		if err := c.exchange(); err != nil {
			return err
		}
	}
	c.filled.Add(int64(c.got.Load()))
	return nil
}

// closed sends as much as may be in flight, awaits the replies to all of it, and starts over.
func (c *connection) closed() error {
	end := c.Warmup + c.Duration
	for c.stopped.Load() == nil {
		now := c.since()
		if now >= end {
			return nil
		}
		batch := c.Pipeline
		if c.Requests > 0 && now >= c.Warmup {
			batch = min(batch, c.quota-c.counted)
			c.counted += batch
		}
		if batch == 0 {
			return nil
		}
		nanos := c.epoch.Add(now).UnixNano()
		for range batch {
			c.pick(nanos)
			c.put(now, now)
		}
		if err := c.exchange(); err != nil {
			return err
		}
	}
	return nil
}

// exchange sends what has been put, and receives all replies.
func (c *connection) exchange() error {
	if err := c.flush(); err != nil {
		return err
	}
	for c.got.Load() < c.next {
		if err := c.receive(); err != nil {
			return err
		}
	}
	return nil
}

// pick has any client move and report, or sends a WHATSAT for it.
func (c *connection) pick(nanos int64) {
	whatsAt := c.WhatsAt > 0 && c.clients.rng.Float64() < c.WhatsAt
	c.clients.request(c.clients.rng.IntN(len(c.clients.places)), whatsAt, nanos, &c.request)
}

// put adds the request to those that leave with the next flush. There must be a free slot.
func (c *connection) put(due, now time.Duration) {
	s := &c.slots[c.next%uint64(len(c.slots))]
	s.request = c.Protocol.Append(s.request[:0], &c.request)
	s.whatsAt, s.due, s.at = c.request.WhatsAt, due, now
	c.out = append(c.out, s.request...)
	c.next++
}

// flush sends what has been put.
func (c *connection) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if now := time.Now(); c.deadline.Sub(now) < c.Timeout {
		c.deadline = now.Add(c.Timeout + c.Timeout/2)
		if err := c.conn.SetWriteDeadline(c.deadline); err != nil {
			return &writeError{err}
		}
	}
	c.sent.Store(c.next) // the receiver may see a reply before Write returns
	if _, err := c.conn.Write(c.out); err != nil {
		return &writeError{err}
	}
	c.out = c.out[:0]
	return nil
}

// extend gives the server time for its next reply, unless it has had that.
func (c *connection) extend() error {
	from := c.since()
	if got := c.got.Load(); got < c.sent.Load() {
		from = c.slots[got%uint64(len(c.slots))].at
	}
	until := c.epoch.Add(from + c.Timeout)
	if !until.After(time.Now()) {
		return fmt.Errorf("no reply in %s: %w", c.Timeout, os.ErrDeadlineExceeded)
	}
	return c.conn.SetReadDeadline(until)
}

// receive waits for something to read, and takes all whole replies.
func (c *connection) receive() error {
	if c.start == c.end {
		c.start, c.end = 0, 0
	} else if c.end == len(c.in) {
		if c.start == 0 {
			if len(c.in) >= maxReply {
				return errBroken
			}
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		c.end = copy(c.in, c.in[c.start:c.end])
		c.start = 0
	}
	n, err := c.conn.Read(c.in[c.end:])
	c.end += n
	if n > 0 {
		if err := c.replies(time.Now()); err != nil {
			return err
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return c.extend()
	}
	return err
}

var errBroken = errors.New("what it sends is not the protocol; is that the address of such a server?")

// replies takes all whole replies, which came at one moment.
func (c *connection) replies(at time.Time) error {
	now := at.Sub(c.epoch)
	sent, got := c.sent.Load(), c.got.Load()
	for got < sent && c.start < c.end {
		s := &c.slots[got%uint64(len(c.slots))]
		size, outcome := c.Protocol.Reply(c.in[c.start:c.end], s.request)
		if outcome == Incomplete {
			break
		}
		if outcome == Broken {
			return errBroken
		}
		c.start += size
		got++
		if outcome == Done && c.Acknowledged != nil && !s.whatsAt && s.due >= c.Warmup {
			c.Acknowledged(s.request, at)
		}
		if t := &c.tally; t.due == s.due && t.outcome == outcome && t.whatsAt == s.whatsAt {
			t.n++
		} else {
			c.flushTally(now)
			c.tally = tally{s.whatsAt, outcome, s.due, 1}
		}
	}
	c.flushTally(now)
	c.got.Store(got)
	if got == sent && c.start < c.end {
		return errBroken // replies to nothing
	}
	return nil
}

func (c *connection) flushTally(now time.Duration) {
	c.note(c.tally, now)
	c.tally.n = 0
}

// writeError is why a request could not be sent.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// kind sorts what can end a connection.
func kind(err error) string {
	if _, ok := errors.AsType[*writeError](err); ok {
		return ErrWrite
	}
	switch {
	case errors.Is(err, errBroken):
		return ErrProtocol
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSilent
	}
	return ErrClosed
}

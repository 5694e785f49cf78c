package session

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	maxReserved = 16       // WHATSATs of one connection that are being answered
	maxWaiting  = 64 << 10 // bytes of replies that wait behind them
	maxPooled   = 64 << 10 // capacity in bytes of a buffer that returns to the pool
)

// buffers are lent to connections that have something to say.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// replies writes a connection's replies in the order of its commands, some of which take long to answer. Those after
// such a command wait in memory, which is bounded: beyond the bound, add and reserve wait, and so does
// the session that reads the commands.
type replies struct {
	conn  net.Conn
	limit func() time.Duration // for the client to take what is written; 0: none
	sync  func() error         // returns when everything applied so far is on disk; nil: clients need not wait for that

	mu       sync.Mutex
	changed  sync.Cond // of mu: reserved or waiting has shrunk, or syncing has ended
	out      *[]byte   // complete, in order, not yet written; nil when there is nothing
	reserved []*reply  // not complete, or behind one that is not; oldest first
	waiting  int       // bytes in reserved
	syncing  bool      // sync runs, without the lock; nothing is written meanwhile
	err      error     // why nothing more can be written
}

// reply is the place of a reply that takes long.
type reply struct {
	text     []byte
	complete bool
	after    []byte // replies that follow it
}

func newReplies(conn net.Conn, limit func() time.Duration, sync func() error) *replies {
	r := &replies{conn: conn, limit: limit, sync: sync}
	r.changed.L = &r.mu
	return r
}

// add appends a reply. It waits while there is no room for it.
func (r *replies) add(text []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.waiting > maxWaiting && r.err == nil {
		r.changed.Wait()
	}
	if len(r.reserved) > 0 {
		last := r.reserved[len(r.reserved)-1]
		last.after = append(last.after, text...)
		r.waiting += len(text)
		return r.err
	}
	r.put(text) // bounded by what a session reads at a time
	return r.err
}

// reserve returns the place of a reply, for complete. What comes before it is written at once. It waits while too many
// are reserved.
func (r *replies) reserve() (*reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.reserved) >= maxReserved && r.err == nil {
		r.changed.Wait()
	}
	r.write()
	one := new(reply)
	r.reserved = append(r.reserved, one)
	return one, r.err
}

// complete gives the text of a reply whose place was reserved, and writes it together with what waited for it, unless an older one is
// not complete.
func (r *replies) complete(one *reply, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one.text, one.complete = text, true
	r.waiting += len(text)
	for len(r.reserved) > 0 && r.reserved[0].complete {
		first := r.reserved[0]
		r.reserved = r.reserved[1:]
		r.waiting -= len(first.text) + len(first.after)
		r.put(first.text)
		r.put(first.after)
	}
	r.write()
	r.changed.Broadcast()
}

// flush writes all replies that are complete and next in order.
func (r *replies) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write()
	return r.err
}

// put appends to what is to be written. The caller holds the lock.
func (r *replies) put(text []byte) {
	if r.out == nil {
		r.out = buffers.Get().(*[]byte)
	}
	*r.out = append(*r.out, text...)
}

// write writes what is complete. The caller holds the lock, and keeps others waiting for it: a client that does not take its replies is sent
// no further ones. Only while it waits for the disk is the lock free; then replies can be added, but not written.
func (r *replies) write() {
	for r.syncing {
		r.changed.Wait()
	}
	if r.out == nil {
		return
	}
	out := r.out
	r.out = nil
	if r.err == nil && r.sync != nil && acknowledges(*out) {
		r.syncing = true
		r.mu.Unlock()
		err := r.sync()
		r.mu.Lock()
		r.syncing = false
		r.changed.Broadcast()
		if r.err = err; err != nil {
			_ = r.conn.Close() // the client must not get the replies
		}
	}
	if r.err == nil {
		var until time.Time
		if limit := r.limit(); limit > 0 {
			until = time.Now().Add(limit)
		}
		_ = r.conn.SetWriteDeadline(until) // if it fails, so does Write
		if _, r.err = r.conn.Write(*out); r.err != nil {
			_ = r.conn.Close() // so that nothing more is read of a client that cannot be answered
		}
		_ = r.conn.SetWriteDeadline(time.Time{}) // it was for these replies, not for what TLS itself writes
	}
	if cap(*out) <= maxPooled {
		*out = (*out)[:0]
		buffers.Put(out)
	}
}

// acknowledges reports whether one of these replies, each of which starts a line, acknowledges a report.
func acknowledges(replies []byte) bool {
	return bytes.HasPrefix(replies, []byte("AT ")) || bytes.Contains(replies, []byte("\nAT "))
}

// timedOut reports whether err came of a deadline.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

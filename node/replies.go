package node

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	maxHeld    = 16       // WHATSATs of one connection being answered
	maxWaiting = 64 << 10 // bytes of replies behind them
	keepBuffer = 64 << 10 // bytes of a buffer that is lent again
)

// buffers are lent to connections that have something to say.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// replies puts out a connection's replies in the order of its commands, some of which take long to answer. Those after
// such a one wait in memory, of which there is a bounded amount: beyond it, add and hold wait too, and so does
// the session that reads the commands.
type replies struct {
	conn  net.Conn
	limit func() time.Duration // for the client to take what is written; 0: none

	settle func() error // waits until what clients are told of is on disk; nil: they need not wait

	mu      sync.Mutex
	room    sync.Cond // of mu: held or waiting has shrunk, or settling has ended
	out     *[]byte   // complete, in order, not yet written; nil when there is nothing
	held    []*answer // being answered, oldest first
	waiting int       // bytes in held
	err     error     // why nothing more can be written

	settling bool // replies wait for the disk, and all others for them
}

// answer is the place of a reply that takes long.
type answer struct {
	text  []byte
	done  bool
	after []byte // replies that follow it
}

func newReplies(conn net.Conn, limit func() time.Duration) *replies {
	r := &replies{conn: conn, limit: limit}
	r.room.L = &r.mu
	return r
}

// add appends a reply. It waits while there is no room for it.
func (r *replies) add(text []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.waiting > maxWaiting && r.err == nil {
		r.room.Wait()
	}
	if len(r.held) > 0 {
		last := r.held[len(r.held)-1]
		last.after = append(last.after, text...)
		r.waiting += len(text)
		return r.err
	}
	r.put(text) // bounded by what a session reads at a time
	return r.err
}

// hold keeps the place of a reply that finish will give. What comes before it leaves at once. It waits while too many
// are held.
func (r *replies) hold() (*answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.held) >= maxHeld && r.err == nil {
		r.room.Wait()
	}
	r.write()
	a := new(answer)
	r.held = append(r.held, a)
	return a, r.err
}

// finish gives the reply whose place was held, and writes it together with what waited for it, unless an older one is
// still held.
func (r *replies) finish(a *answer, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.text, a.done = text, true
	r.waiting += len(text)
	for len(r.held) > 0 && r.held[0].done {
		first := r.held[0]
		r.held = r.held[1:]
		r.waiting -= len(first.text) + len(first.after)
		r.put(first.text)
		r.put(first.after)
	}
	r.write()
	r.room.Broadcast()
}

// flush writes all replies that are complete and next in order.
func (r *replies) flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write()
	return r.err
}

// put appends to what is to be written. It needs the lock.
func (r *replies) put(text []byte) {
	if r.out == nil {
		r.out = buffers.Get().(*[]byte)
	}
	*r.out = append(*r.out, text...)
}

// write needs the lock, which others wait for meanwhile: a client that does not take its replies is sent no others. While it waits for
// the disk it is without, and replies can be added, but not written.
func (r *replies) write() {
	for r.settling {
		r.room.Wait()
	}
	if r.out == nil {
		return
	}
	out := r.out
	r.out = nil
	if r.err == nil && r.settle != nil && tells(*out) {
		r.settling = true
		r.mu.Unlock()
		err := r.settle()
		r.mu.Lock()
		r.settling = false
		r.room.Broadcast()
		if r.err = err; err != nil {
			_ = r.conn.Close() // it must not be told
		}
	}
	if r.err == nil {
		var until time.Time
		if limit := r.limit(); limit > 0 {
			until = time.Now().Add(limit)
		}
		_ = r.conn.SetWriteDeadline(until) // if it fails, so does Write
		if _, r.err = r.conn.Write(*out); r.err != nil {
			_ = r.conn.Close() // so that nobody reads on for a client that cannot be answered
		}
		_ = r.conn.SetWriteDeadline(time.Time{}) // it was for these replies, not for what TLS has to say
	}
	if cap(*out) <= keepBuffer {
		*out = (*out)[:0]
		buffers.Put(out)
	}
}

// tells reports whether a client is told of a report in these replies.
func tells(replies []byte) bool {
	return bytes.HasPrefix(replies, []byte("AT ")) || bytes.Contains(replies, []byte("\nAT "))
}

// timedOut reports whether err came of a deadline.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

package bus

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	unsentLimit = 16 << 10 // bytes that the system takes before it can send them
	maxUnsent   = 1 << 20  // bytes that wait for the system to take them before Publish waits
	writeChunk  = 4 << 10  // bytes of one write while something waits

	leastWait = time.Millisecond // a write that takes so long waited until the other side took what was sent before

	// askTime after a byte was read, a ping has been written since, at whatever moment somebody looks.
	askTime = pingTime + sampleTime
	// answerTime after the other side acknowledged a ping, its answer is overdue. With what passes before that is seen it makes up the silence: a
	// server that is frozen, while its system goes on to acknowledge, is found as soon as one that is cut off.
	answerTime = silence - askTime - 2*sampleTime
)

// wire is the connection to a server, below TLS. Its Write never waits, so that NATS does not hold its lock while a narrow link takes
// what was written, and goes on reading meanwhile.
type wire struct {
	net.Conn
	raw     syscall.RawConn                    // nil: the connection is no socket
	inform  func() (p socketProgress, ok bool) // what the system knows, if it tells
	began   time.Time                          // when it was made
	took    time.Duration                      // how long that took
	read    atomic.Int64                       // when something was last read, in nanoseconds after began
	abort   func() bool                        // has the end of the dial's context not close the wire; false: it has
	written atomic.Int64                       // when a write that had to wait ended, in nanoseconds after began

	mu      sync.Mutex
	unsent  []byte        // what waits behind what the writer writes
	spare   []byte        // memory for unsent
	total   uint64        // bytes that were to be written, from the beginning
	waiting int           // those of them that the system has not taken yet
	room    chan struct{} // closed when nothing waits any more; nil: nothing waits, and there is no writer
	err     error         // of the write that failed
	writer  sync.WaitGroup
}

func newWire(c net.Conn, took time.Duration) *wire {
	w := &wire{Conn: c, began: time.Now(), took: took}
	if socket, ok := c.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil { // it fails only if the connection is closed
			w.raw = raw
			limitUnsent(raw, unsentLimit)
		}
	}
	before, _ := progressOf(w.raw) // the first packet counts as acknowledged
	w.inform = func() (socketProgress, bool) {
		p, ok := progressOf(w.raw)
		p.acknowledged -= before.acknowledged
		return p, ok
	}
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.read.Store(int64(time.Since(w.began)))
	}
	return n, err
}

// lastRead returns when something was last read, or when the wire was made.
func (w *wire) lastRead() time.Time { return w.began.Add(time.Duration(w.read.Load())) }

// Write has the system take what it takes at once, and a goroutine of its own write the rest. An error is that of an earlier write.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.total += uint64(len(p))
	rest := p
	if w.room == nil && w.raw != nil {
		rest = p[tryWrite(w.raw, p):]
	}
	if len(rest) > 0 {
		w.unsent = append(w.unsent, rest...)
		w.waiting += len(rest)
		if w.room == nil {
			w.room = make(chan struct{})
			w.writer.Go(w.write)
		}
	}
	return len(p), nil
}

// write writes what waits, until nothing does or a write fails, which closes the connection.
func (w *wire) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.unsent) > 0 && w.err == nil {
		batch := w.unsent
		w.unsent = w.spare[:0]
		for rest := batch; len(rest) > 0 && w.err == nil; {
			w.mu.Unlock()
			began := time.Now()
			n, err := w.Conn.Write(rest[:min(len(rest), writeChunk)])
			if n > 0 && time.Since(began) >= leastWait {
				w.written.Store(int64(time.Since(w.began)))
			}
			w.mu.Lock()
			if w.err == nil {
				w.err = err
			}
			w.waiting -= n
			rest = rest[n:]
		}
		w.spare = batch
	}
	if w.err != nil {
		_ = w.Conn.Close()
	}
	close(w.room)
	w.room = nil
}

// await returns nil when at most so many bytes wait for the system to take them.
func (w *wire) await(ctx context.Context, bytes int) error {
	for {
		w.mu.Lock()
		room, waiting, err := w.room, w.waiting, w.err
		w.mu.Unlock()
		if err != nil || room == nil || waiting <= bytes {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends writes that wait as well.
func (w *wire) Close() error { return w.fail(net.ErrClosed) }

// fail closes the wire for a reason.
func (w *wire) fail(why error) error {
	w.mu.Lock()
	if w.err == nil {
		w.err = why
	}
	w.mu.Unlock()
	err := w.Conn.Close()
	w.writer.Wait()
	return err
}

// failure returns why a write failed, or nil.
func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, net.ErrClosed) {
		return nil // by this side
	}
	return w.err
}

// signs are a wire's signs of life, as they are found when somebody looks.
type signs struct {
	wire     *wire
	progress socketProgress
	other    time.Time // of the last one that is neither a byte that was read nor an acknowledgement
	moved    time.Time // when bytes that wait were last taken by the other side, or the first of them began to wait
	question question
}

// question is the first ping since a byte was read. Its answer comes after what was written before it.
type question struct {
	since time.Time // when that byte was read
	end   uint64    // the ping is among the first so many bytes that were written; 0: there may be none yet
	acked time.Time // when the other side last acknowledged some of them
	whole bool      // it has acknowledged all of them
}

// look takes note of what was written and acknowledged by now, and whether some of it was acknowledged just now while other data wait.
func (q *question) look(now time.Time, written, acknowledged uint64, some bool) {
	if q.end == 0 && now.Sub(q.since) >= askTime {
		q.end = written
	}
	switch {
	case q.whole:
	case q.end > 0 && acknowledged >= q.end:
		q.acked, q.whole = now, true
	case some:
		q.acked = now
	}
}

// sign returns when acknowledgements were last a sign of life. Behind the ping they are none: the system gives them for a server that is frozen.
func (q *question) sign() time.Time {
	if q.whole {
		return q.acked.Add(answerTime - silence)
	}
	return q.acked
}

// look returns when the last sign of life was: a byte that was read; data that came in and cannot be read before what is missing; or,
// while data wait to be sent, that the other side acknowledged some, since the answer to a ping comes after them. blocked is for how
// long data have been waiting of which nothing was sent.
func (s *signs) look(now time.Time) (last time.Time, blocked time.Duration) {
	w := s.wire
	w.mu.Lock()
	waits, total := w.waiting > 0, w.total
	w.mu.Unlock()
	last = w.lastRead()
	if last.After(s.question.since) {
		s.question = question{since: last}
	}
	moved := w.began.Add(time.Duration(w.written.Load()))
	if p, ok := w.inform(); ok {
		before := s.progress
		s.progress = p
		some := p.acknowledged != before.acknowledged && (waits || p.waiting)
		if some {
			moved = now
		}
		s.question.look(now, total, p.acknowledged, some)
		if p.received != before.received {
			s.other = now
		}
	} else if moved.After(s.other) {
		s.other = moved
	}
	switch {
	case !waits:
		s.moved = now
	case moved.After(s.moved):
		s.moved = moved
	}
	for _, sign := range []time.Time{s.other, s.question.sign()} {
		if sign.After(last) {
			last = sign
		}
	}
	return last, now.Sub(s.moved)
}

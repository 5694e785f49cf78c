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
)

// wire is the connection to a server, below TLS. Its Write never waits, so that NATS does not hold its lock while a narrow link takes
// what was written, and goes on reading meanwhile.
type wire struct {
	net.Conn
	raw     syscall.RawConn // nil: the connection is no socket
	began   time.Time       // when it was made
	took    time.Duration   // how long that took
	read    atomic.Int64    // when something was last read, in nanoseconds after began
	abort   func() bool     // has the end of the dial's context not close the wire; false: it has
	written atomic.Int64    // when a write that had to wait ended, in nanoseconds after began

	mu      sync.Mutex
	unsent  []byte        // what waits behind what the writer writes
	spare   []byte        // memory for unsent
	waiting int           // bytes that the system has not taken yet
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
	other    time.Time // of the last one that is no byte that was read
	moved    time.Time // when bytes that wait were last taken by the other side, or the first of them began to wait
}

// look returns when the last sign of life was: a byte that was read; data that came in and cannot be read before what is missing; or,
// while data wait to be sent, that the other side acknowledged some, since the answer to a ping comes after them. blocked is for how
// long data have been waiting of which nothing was sent.
func (s *signs) look(now time.Time) (last time.Time, blocked time.Duration) {
	w := s.wire
	w.mu.Lock()
	waits := w.waiting > 0
	w.mu.Unlock()
	moved := w.began.Add(time.Duration(w.written.Load()))
	if moved.After(s.other) {
		s.other = moved
	}
	if p, ok := progressOf(w.raw); ok {
		before := s.progress
		s.progress = p
		if p.acknowledged != before.acknowledged && (waits || p.waiting) {
			s.other, moved = now, now
		}
		if p.received != before.received {
			s.other = now
		}
	}
	switch {
	case !waits:
		s.moved = now
	case moved.After(s.moved):
		s.moved = moved
	}
	last = w.lastRead()
	if s.other.After(last) {
		last = s.other
	}
	return last, now.Sub(s.moved)
}

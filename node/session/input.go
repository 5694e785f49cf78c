package session

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"herd/node/admit"
	"herd/node/line"
)

// inputs are lent to connections to read into.
var inputs = sync.Pool{New: func() any { b := make([]byte, line.MinBuffer); return &b }}

// input reads a connection. It has a buffer only while there is something in it, so that a silent client costs none.
type input struct {
	line.Reader
	conn net.Conn
	lent *[]byte         // nil while there is nothing to keep
	raw  syscall.RawConn // nil: the connection cannot be read without waiting, and the buffer is kept while it waits

	read       func(descriptor uintptr) (done bool) // reads once, or gives the buffer back if there is nothing to read
	descriptor descriptor                           // that read reads
	err        error                                // that read met
}

func newInput(conn net.Conn) *input {
	i := &input{conn: conn, raw: rawConn(conn)}
	i.read = func(d uintptr) bool {
		i.borrow()
		i.descriptor = descriptor(d)
		i.err = i.Fill(&i.descriptor)
		if i.err == syscall.EAGAIN {
			i.giveBack()
			return false
		}
		return true
	}
	return i
}

// fill waits until there is something to read, and reads once.
func (i *input) fill() error {
	if i.raw == nil {
		i.borrow()
		return i.Fill(i.conn)
	}
	if err := i.raw.Read(i.read); err != nil {
		return err
	}
	return i.err
}

func (i *input) borrow() {
	if i.lent == nil {
		i.lent = inputs.Get().(*[]byte)
		i.Lend(*i.lent)
	}
}

// giveBack returns the buffer, unless an incomplete line is in it.
func (i *input) giveBack() {
	if i.Empty() {
		i.discard()
	}
}

// discard returns the buffer with whatever is in it.
func (i *input) discard() {
	if i.lent != nil {
		i.Lend(nil)
		inputs.Put(i.lent)
		i.lent = nil
	}
}

// descriptor is a file descriptor that does not block.
type descriptor uintptr

func (d *descriptor) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(*d), b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// rawConn gives access to a connection's descriptor; it is nil if what is read from that is not what the client sent.
func rawConn(conn net.Conn) syscall.RawConn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		raw, _ := tcp.SyscallConn() // nil with an error
		return raw
	}
	return nil
}

// parkTime is how long a client is silent before its session parks.
const parkTime = 5 * time.Second

// errPark ends a wait when the client has been silent for parkTime.
var errPark = errors.New("silent")

// silence is how long the client may send nothing, and what happens then.
type silence struct {
	lineStart time.Time // when the incomplete line began to arrive; zero: there is none
	idleEnd   time.Time // when the client will have been idle for too long; zero: never
	noPark    bool      // the session never parks
	parkNext  bool      // this read, if it times out, is followed by park
	parked    bool      // this read happens in park
}

// park waits for the client to send something, in a goroutine of its own: the stack of one that has served has grown, and the runtime does not
// shrink it to what waiting needs.
func (s *session) park() {
	s.silence.parked, s.batch.scratch = true, nil
	waited := s.fill()
	s.silence.parked = false
	s.resume(waited)
}

// fill waits for more from the client, but no longer than the client may take.
func (s *session) fill() error {
	now, limits := time.Now(), s.limits()
	if !s.silence.parked {
		s.setRate(limits.Rate)
	}
	if err := s.client.conn.SetReadDeadline(s.deadline(now, limits)); err != nil {
		return err
	}
	if err := s.lifetime.ctx.Err(); err != nil {
		return err // the deadline that drain set may just have been replaced
	}
	err := s.input.fill()
	s.batch.received = time.Now()
	s.batch.stamp = s.server.config.Judged(s.batch.received).UnixNano()
	return err
}

// deadline returns until when to wait for the rest of a line, for the client to send something, or for the session to park; zero is for ever.
func (s *session) deadline(now time.Time, limits *admit.Limits) (until time.Time) {
	q := &s.silence
	q.parkNext = false
	if s.input.Partial() {
		if q.lineStart.IsZero() {
			q.lineStart = now
		}
		if limits.Line > 0 {
			until = q.lineStart.Add(limits.Line)
		}
		return until
	}
	q.lineStart = time.Time{}
	if q.parked {
		return q.idleEnd
	}
	q.idleEnd = time.Time{}
	if limits.Idle > 0 {
		q.idleEnd = now.Add(limits.Idle)
	}
	q.parkNext = !q.noPark && (limits.Idle == 0 || limits.Idle > parkTime)
	if q.parkNext {
		return now.Add(parkTime)
	}
	return q.idleEnd
}

// silent returns what follows from a wait that ended with an error: the session parks, the node stops, or the client was too slow, or is gone.
func (s *session) silent(err error) error {
	switch {
	case s.lifetime.ctx.Err() != nil:
		return nil
	case !timedOut(err):
		return err
	case s.silence.parkNext:
		return errPark
	case s.input.Partial():
		s.count(admit.SlowLine)
	default:
		s.count(admit.IdleTooLong)
	}
	return errLimit
}

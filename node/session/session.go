package session

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"herd/node/admit"
	"herd/node/line"
)

const (
	drainTime = time.Second // for the lines that were read when the node stops to be answered

	lingerTime  = 250 * time.Millisecond // for a client to read the last replies of a connection that the node ends
	lingerBytes = 32 << 10               // of what it still sends, discarded before each pause
	lingerPause = 20 * time.Millisecond
)

// session is the conversation with one client.
type session struct {
	server *Server
	client client
	input  *input
	rate   *rate.Limiter // of lines; nil: none

	batch   batch
	replies *replies
	lookups lookups

	silence  silence
	lifetime lifetime
}

// client is who is at the other end, and the connection to it.
type client struct {
	conn    net.Conn // Close ends it at once
	tls     *tlsConn // conn itself over TLS; nil: plain TCP
	address string   // as limits know it
	peer    string   // with port, for the log
}

// batch holds what was read together and is not yet applied and counted.
type batch struct {
	received time.Time      // when the lines that are being answered were read
	stamp    int64          // the same by the judged clock, in nanoseconds since 1970
	reports  *[]line.Report // lent by a pool, at most maxBatch; nil: none
	counts   counts
	scratch  []byte // for one reply at a time
}

// lookups are the WHATSATs that are being answered, each in a goroutine.
type lookups struct {
	running sync.WaitGroup
	once    sync.Once       // creates ctx and cancel: most clients need none
	ctx     context.Context // ends with the session
	cancel  func()
}

// lifetime is how a session ends.
type lifetime struct {
	ctx      context.Context // ends when nothing more is to be read
	tasks    *sync.WaitGroup // has the session's goroutines
	draining sync.WaitGroup  // has drain, from the start until it was called or cannot be any more
	timer    *time.Timer     // ends the time that drain allows; set by drain
	release  func()          // frees what waits for ctx
	err      error           // why the session has ended, as for close
}

// newSession returns the conversation with a client of an address, over TLS unless t is nil.
func newSession(server *Server, conn net.Conn, t *TLS, address string, tasks *sync.WaitGroup) *session {
	s := &session{server: server, client: client{conn: conn, address: address, peer: conn.RemoteAddr().String()}}
	s.lifetime.tasks = tasks
	writeLimit := func() time.Duration { return server.config.Admit.Limits().Write }
	if t != nil {
		s.client.tls = newTLSConn(conn, t, writeLimit)
		s.client.conn = s.client.tls
	}
	s.input = newInput(s.client.conn)
	s.replies = newReplies(s.client.conn, writeLimit, server.config.WaitForSync)
	s.setRate(s.limits().Rate)
	return s
}

func (s *session) limits() *admit.Limits { return s.server.config.Admit.Limits() }

// setRate has the client send at most so many lines a second, or any number if that is 0.
func (s *session) setRate(lines int) {
	switch {
	case lines == 0:
		s.rate = nil
	case s.rate == nil || s.rate.Burst() != lines:
		s.rate = rate.NewLimiter(rate.Limit(lines), lines)
	}
}

// errLimit ends a session whose connection hit a limit, which is counted already.
var errLimit = errors.New("limit hit")

// run serves the client until it is done, breaks a limit, or ctx ends: then the lines already read are still answered. It may return
// earlier, when the client is silent and the session parks; another goroutine resumes it.
func (s *session) run(ctx context.Context) {
	s.server.config.Log.Info("connected", Routine, zap.String("peer", s.client.peer))
	if err := s.handshake(ctx); err != nil {
		s.close(err)
		return
	}
	s.start(ctx)
	s.resume(nil)
}

// start has the session end with ctx, or when the client's certificate expires.
func (s *session) start(ctx context.Context) {
	ctx, release := s.client.tls.withExpiry(ctx)
	l := &s.lifetime
	l.ctx = ctx
	l.draining.Add(1)
	stop := context.AfterFunc(ctx, s.drain)
	l.release = func() {
		if !stop() {
			l.draining.Wait()
			l.timer.Stop()
		}
		s.cancelLookups()
		release()
	}
}

// resume serves the client after a wait that ended with an error or nil.
func (s *session) resume(waited error) {
	err := s.serve(waited)
	if errors.Is(err, errPark) {
		s.lifetime.tasks.Go(s.park)
		return
	}
	s.close(s.finish(err))
}

// serve answers line by line, after a wait that ended with an error or nil. It returns io.EOF when the client has sent its last one, nil
// when the session's context has ended, and errPark when the client has been silent for a while.
func (s *session) serve(waited error) error {
	for waited == nil {
		if err := s.answer(); err != nil {
			return err
		}
		waited = s.fill()
	}
	if errors.Is(waited, io.EOF) {
		return s.answerLast(waited)
	}
	return s.silent(waited)
}

// answer answers the lines that have arrived.
func (s *session) answer() error {
	for {
		l, tooLong, ok := s.input.Next()
		if err := s.allow(s.input.Excess()); err != nil {
			return err
		}
		if !ok {
			_ = s.apply() // if it fails, so does flush
			s.flushCounts()
			return s.replies.flush()
		}
		s.silence.lineStart = time.Time{}
		if err := s.handle(l, tooLong); err != nil {
			return err
		}
	}
}

// answerLast answers what the client has sent between its last LF and its end.
func (s *session) answerLast(end error) error {
	l, ok := s.input.Rest()
	switch {
	case !ok:
	case s.client.tls.truncated():
		s.count(admit.TruncatedLine)
	default:
		if err := s.handle(l, false); err != nil {
			return err
		}
	}
	return end
}

// allow takes so many lines of what the client may send in a second. The excess of a line that is too long counts as the lines it would fill.
func (s *session) allow(lines int) error {
	if s.rate == nil || lines == 0 || s.rate.AllowN(time.Now(), lines) {
		return nil
	}
	s.count(admit.TooManyLines)
	return errLimit
}

// drain stops reading, and gives the session drainTime to answer what it has read.
func (s *session) drain() {
	defer s.lifetime.draining.Done()
	if errors.Is(context.Cause(s.lifetime.ctx), errExpired) {
		s.count(admit.CertificateExpired)
	}
	_ = s.client.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the connection has ended
	s.lifetime.timer = time.AfterFunc(drainTime, func() {
		s.cancelLookups()
		_ = s.client.conn.Close()
	})
}

// finish waits until everything is answered, after serve has returned err. It returns why the session ends.
func (s *session) finish(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		s.cancelLookups() // the client does not read the answers
	}
	_ = s.apply() // if it fails, so does flush
	s.lookups.running.Wait()
	s.flushCounts()
	if failed := s.replies.flush(); failed != nil {
		err = failed
	}
	if timedOut(err) {
		s.count(admit.SlowReader)
	}
	s.lifetime.release()
	s.input.discard()
	return err
}

// close closes the connection, for the reason err: io.EOF if the client is done, nil if the node stops.
func (s *session) close(err error) {
	s.lifetime.err = err
	switch {
	case errors.Is(err, io.EOF): // the client has ended it, and may connect again as soon as it sees that the node has, too
		s.server.config.Admit.Disconnect(s.client.address)
		s.linger()
	case err == nil || errors.Is(err, errLimit): // the node ends it, and it costs something until it is closed
		s.linger()
		s.server.config.Admit.Disconnect(s.client.address)
	default:
		s.server.config.Admit.Disconnect(s.client.address)
	}
	_ = s.client.conn.Close()
	s.server.config.Log.Info("disconnected", Routine, zap.String("peer", s.client.peer))
}

// linger closes the connection for writing and lets the client read its last replies: if the connection were closed while
// it still sends, they would be lost. What it sends is discarded, no faster than is needed for that.
func (s *session) linger() {
	conn := s.client.conn
	timer := time.AfterFunc(lingerTime, func() { _ = s.client.conn.Close() })
	defer timer.Stop()
	if s.client.tls != nil {
		_ = s.client.tls.CloseWrite() // does nothing without a handshake
		conn = s.client.tls.wire.Conn // what still arrives need not be decrypted
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for {
		if n, err := io.CopyN(io.Discard, conn, lingerBytes); n < lingerBytes || err != nil {
			return // the client has closed its side, or the time is up
		}
		time.Sleep(lingerPause)
	}
}

// count counts and logs that something of this client was refused.
func (s *session) count(why admit.Reason, detail ...admit.Detail) {
	s.server.config.Admit.Refuse(why, s.client.address, detail...)
}

// errorDetail has a log entry say what the error was.
func errorDetail(err error) admit.Detail { return func() (string, any) { return "error", err } }

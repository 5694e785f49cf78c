package node

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"herd/node/line"
)

// session is the conversation with one client.
type session struct {
	node    *Node
	conn    net.Conn // closes at once
	secure  *secure  // the same, if it is TLS; else nil
	host    string   // of the client
	peer    string   // the same with port, for the log
	input   *input
	replies *replies
	scratch []byte
	rate    *rate.Limiter // nil: none
	begun   time.Time     // when the line that is not complete began to arrive; zero if there is none

	asking context.Context // for providers: ends with the session
	asked  sync.WaitGroup  // WHATSATs being answered
}

func newSession(n *Node, conn net.Conn, host string) *session {
	s := &session{node: n, conn: conn, host: host, peer: conn.RemoteAddr().String()}
	limit := func() time.Duration { return n.limits.Load().Write }
	if t := n.tls.Load(); t != nil {
		s.secure = newSecure(conn, t, limit)
		s.conn = s.secure
	}
	s.input = newInput(s.conn)
	s.replies = newReplies(s.conn, limit)
	if n.disk != nil && n.disk.always {
		s.replies.settle = n.disk.settle
	}
	s.limit(n.limits.Load().Rate)
	return s
}

// limit has the client send at most so many lines a second, or any number if that is 0.
func (s *session) limit(lines int) {
	switch {
	case lines == 0:
		s.rate = nil
	case s.rate == nil || s.rate.Burst() != lines:
		s.rate = rate.NewLimiter(rate.Limit(lines), lines)
	}
}

// errClosing ends a session whose connection hit a limit, which is noted already.
var errClosing = errors.New("limit hit")

// run serves the client until it is done, breaks a limit, or ctx ends: then the lines already read are still answered.
func (s *session) run(ctx context.Context) {
	s.node.Log.Info("connected", zap.String("peer", s.peer))
	err := s.shake(ctx)
	if err == nil {
		err = s.talk(ctx)
	}
	switch {
	case errors.Is(err, io.EOF): // the client has ended it: who sees that the node has, too, may come again
		s.node.door.leave(s.host)
		s.linger()
	case err == nil || errors.Is(err, errClosing): // the node ends it: who lingers still costs something
		s.linger()
		s.node.door.leave(s.host)
	default:
		s.node.door.leave(s.host)
	}
	_ = s.conn.Close()
	s.node.Log.Info("disconnected", zap.String("peer", s.peer))
}

// talk serves a client that may be served. It returns io.EOF when that is done, nil when ctx ended.
func (s *session) talk(ctx context.Context) error {
	defer s.input.drop()
	ctx, release := s.lifetime(ctx)
	defer release()
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.asking = asking

	ended, hurried := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(hurried)
		if errors.Is(context.Cause(ctx), errExpired) {
			s.node.refusals.note(certificateExpired, s.host)
		}
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the connection has ended
		timer := time.NewTimer(drainTime)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			cancel()
			_ = s.conn.Close()
		}
	})
	defer func() {
		close(ended)
		if !stop() {
			<-hurried
		}
	}()

	err := s.serve(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		cancel() // nobody is there to read the answers
	}
	s.asked.Wait()
	if failed := s.replies.flush(); failed != nil {
		err = failed
	}
	if timedOut(err) {
		s.node.refusals.note(slowReader, s.host)
	}
	return err
}

// serve answers line by line. It returns io.EOF when the client has sent its last one, nil when ctx has ended.
func (s *session) serve(ctx context.Context) error {
	for {
		for {
			l, tooLong, ok := s.input.Next()
			if err := s.pace(s.input.Excess()); err != nil {
				return err
			}
			if !ok {
				break
			}
			s.begun = time.Time{}
			if err := s.take(l, tooLong); err != nil {
				return err
			}
		}
		if err := s.replies.flush(); err != nil {
			return err
		}
		err := s.fill(ctx)
		if errors.Is(err, io.EOF) {
			l, ok := s.input.Rest()
			switch {
			case !ok:
			case s.secure.torn():
				s.node.refusals.note(tornLine, s.host)
			default:
				if err := s.take(l, false); err != nil {
					return err
				}
			}
			return err
		}
		if err != nil {
			return s.silence(ctx, err)
		}
	}
}

// fill waits for more from the client, but not for longer than it may take.
func (s *session) fill(ctx context.Context) error {
	now, limits := time.Now(), s.node.limits.Load()
	s.limit(limits.Rate)
	var until time.Time
	switch {
	case !s.input.Partial():
		s.begun = time.Time{}
		if limits.Idle > 0 {
			until = now.Add(limits.Idle)
		}
	case s.begun.IsZero():
		s.begun = now
		fallthrough
	default:
		if limits.Line > 0 {
			until = s.begun.Add(limits.Line)
		}
	}
	if err := s.conn.SetReadDeadline(until); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err() // the deadline that its end set may just have been moved
	}
	return s.input.fill()
}

// silence says what it means that nothing more was read: the node ends, or the client was too slow, or is gone.
func (s *session) silence(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil
	case !timedOut(err):
		return err
	case s.input.Partial():
		s.node.refusals.note(slowLine, s.host)
	default:
		s.node.refusals.note(idleTooLong, s.host)
	}
	return errClosing
}

// take answers one line. An error ends the session.
func (s *session) take(l []byte, tooLong bool) error {
	if err := s.pace(1); err != nil {
		return err
	}
	if tooLong {
		return s.refuse(l, overlongLine)
	}
	c := line.Parse(l)
	switch c.Verb {
	case line.IAmAt:
		return s.iAmAt(l, &c)
	case line.WhatsAt:
		return s.whatsAt(l, &c)
	default:
		return s.refuse(l, invalidLine)
	}
}

// pace takes so many lines of what the client may send in a second. What a line has too much counts as the lines it would fill.
func (s *session) pace(lines int) error {
	if s.rate == nil || lines == 0 || s.rate.AllowN(time.Now(), lines) {
		return nil
	}
	s.node.refusals.note(tooManyLines, s.host)
	return errClosing
}

// refuse answers a line that is not taken.
func (s *session) refuse(l []byte, why reason) error {
	s.node.refusals.note(why, s.host, func() zap.Field { return zap.String("line", quoted(l[:min(len(l), maxLogged)])) })
	s.scratch = line.AppendInvalid(s.scratch[:0], l)
	return s.replies.add(s.scratch)
}

// received and replied log a line and its answer.
func (s *session) received(l []byte) {
	if s.node.Log.Core().Enabled(zap.InfoLevel) {
		s.node.Log.Info("received", zap.String("peer", s.peer), zap.String("line", quoted(l)))
	}
}

func (s *session) replied(text []byte, more ...zap.Field) {
	if s.node.Log.Core().Enabled(zap.InfoLevel) {
		s.node.Log.Info("replied", append([]zap.Field{zap.String("peer", s.peer), zap.String("reply", quoted(text))}, more...)...)
	}
}

// quoted returns bytes as text for the log, whose encoder puts quotes around it and escapes ASCII control characters. What else is
// not printable, and bytes that are not UTF-8, come as Go would write them.
func quoted[T string | []byte](b T) string {
	text := string(b)
	for _, r := range text {
		if r == utf8.RuneError || r >= 0x7f && !strconv.IsPrint(r) {
			q := strconv.Quote(text)
			return q[1 : len(q)-1]
		}
	}
	return text
}

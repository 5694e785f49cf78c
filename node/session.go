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
	node     *Node
	tasks    *sync.WaitGroup // its goroutines
	conn     net.Conn        // closes at once
	secure   *secure         // the same, if it is TLS; else nil
	host     string          // of the client
	peer     string          // the same with port, for the log
	input    *input
	replies  *replies
	scratch  []byte
	reports  *[]line.Report // to be taken in together; nil: none
	account  account
	rate     *rate.Limiter // nil: none
	heard    time.Time     // when the lines were read that are being answered
	begun    time.Time     // when the line that is not complete began to arrive; zero if there is none
	idle     time.Time     // when the client will have said nothing for too long; zero: never
	restless bool          // the session does not rest
	brief    bool          // the wait is one for restTime
	resting  bool          // that is over

	ctx     context.Context // ends when no more is to be read
	asking  context.Context // for providers: ends with the session
	asked   sync.WaitGroup  // WHATSATs being answered
	stop    func()          // ends asking
	first   sync.Once       // of questions, which makes the two
	hurried sync.WaitGroup  // that ctx has ended
	late    *time.Timer     // then: for what has been read to be answered
	release func()          // what waits for ctx
	why     error           // it has ended, as for close
}

// newSession returns the conversation with a client of an address, over TLS unless t is nil.
func newSession(n *Node, conn net.Conn, t *TLS, host string, tasks *sync.WaitGroup) *session {
	s := &session{node: n, tasks: tasks, conn: conn, host: host, peer: conn.RemoteAddr().String()}
	limit := func() time.Duration { return n.limits.Load().Write }
	if t != nil {
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

// run serves the client until it is done, breaks a limit, or ctx ends: then the lines already read are still answered. It may return
// earlier, when the client is silent, and another goroutine goes on.
func (s *session) run(ctx context.Context) {
	s.node.Log.Info("connected", zap.String("peer", s.peer))
	if err := s.shake(ctx); err != nil {
		s.close(err)
		return
	}
	s.begin(ctx)
	s.goOn(nil)
}

// goOn serves the client after a wait that ended with an error or nil.
func (s *session) goOn(waited error) {
	err := s.serve(waited)
	if errors.Is(err, errResting) {
		s.tasks.Go(s.rest)
		return
	}
	s.close(s.end(err))
}

// close takes leave of a client, for the reason err: io.EOF if it is done, nil if the node ends.
func (s *session) close(err error) {
	s.why = err
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

// begin has the session end with ctx.
func (s *session) begin(ctx context.Context) {
	ctx, release := s.lifetime(ctx)
	s.ctx = ctx
	s.hurried.Add(1)
	stop := context.AfterFunc(ctx, s.hurry)
	s.release = func() {
		if !stop() {
			s.hurried.Wait()
			s.late.Stop()
		}
		s.cancel()
		release()
	}
}

// ask returns the context of questions to providers. Most clients have none, and their sessions no such context.
func (s *session) ask() context.Context {
	s.first.Do(func() { s.asking, s.stop = context.WithCancel(context.WithoutCancel(s.ctx)) })
	return s.asking
}

// cancel ends questions, those to come as well.
func (s *session) cancel() {
	s.ask()
	s.stop()
}

// hurry has nothing more be read, and gives what has been read a bounded time to be answered.
func (s *session) hurry() {
	defer s.hurried.Done()
	if errors.Is(context.Cause(s.ctx), errExpired) {
		s.node.refusals.note(certificateExpired, s.host)
	}
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the connection has ended
	s.late = time.AfterFunc(drainTime, func() {
		s.cancel()
		_ = s.conn.Close()
	})
}

// end waits until all is answered, after serve has returned err. It returns why the session ends.
func (s *session) end(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		s.cancel() // nobody is there to read the answers
	}
	_ = s.hear() // if it fails, so does flush
	s.asked.Wait()
	s.account.settle(s.node.tally)
	if failed := s.replies.flush(); failed != nil {
		err = failed
	}
	if timedOut(err) {
		s.node.refusals.note(slowReader, s.host)
	}
	s.release()
	s.input.drop()
	return err
}

// serve answers line by line, after a wait that ended with an error or nil. It returns io.EOF when the client has sent its last one, nil
// when ctx has ended, and errResting when the client has been silent for a while.
func (s *session) serve(waited error) error {
	for waited == nil {
		if err := s.answer(); err != nil {
			return err
		}
		waited = s.fill()
	}
	if errors.Is(waited, io.EOF) {
		return s.last(waited)
	}
	return s.silence(waited)
}

// answer answers the lines that have arrived.
func (s *session) answer() error {
	for {
		l, tooLong, ok := s.input.Next()
		if err := s.pace(s.input.Excess()); err != nil {
			return err
		}
		if !ok {
			_ = s.hear() // likewise
			s.account.settle(s.node.tally)
			return s.replies.flush()
		}
		s.begun = time.Time{}
		if err := s.take(l, tooLong); err != nil {
			return err
		}
	}
}

// last answers what the client has sent after its last LF before its end.
func (s *session) last(end error) error {
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
	return end
}

// take answers one line. An error ends the session.
func (s *session) take(l []byte, tooLong bool) error {
	if err := s.pace(1); err != nil {
		return err
	}
	if tooLong {
		return s.refuse(l, overlongLine, lineTooLong)
	}
	c := line.Parse(l)
	switch c.Verb {
	case line.IAmAt:
		return s.iAmAt(l, &c)
	case line.WhatsAt:
		return s.whatsAt(l, &c)
	default:
		return s.refuse(l, invalidLine, lineInvalid)
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
func (s *session) refuse(l []byte, why reason, how outcome) error {
	if err := s.hear(); err != nil {
		return err
	}
	s.account.ended[how]++
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

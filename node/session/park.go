package session

import (
	"errors"
	"time"

	"herd/node/admit"
)

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

package node

import (
	"errors"
	"time"
)

// restTime is how long a client is silent before its session rests.
const restTime = 5 * time.Second

// errResting ends a wait when the client has been silent for restTime.
var errResting = errors.New("silent")

// rest waits for the client to speak again, in a goroutine of its own: the stack of one that has served has grown, and never shrinks as
// far as to what it is to wait.
func (s *session) rest() {
	s.resting, s.scratch = true, nil
	waited := s.fill()
	s.resting = false
	s.goOn(waited)
}

// fill waits for more from the client, but not for longer than it may take.
func (s *session) fill() error {
	now, limits := time.Now(), s.node.limits.Load()
	if !s.resting {
		s.limit(limits.Rate)
	}
	if err := s.conn.SetReadDeadline(s.until(now, limits)); err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err // the deadline that its end set may just have been moved
	}
	err := s.input.fill()
	s.heard = time.Now()
	return err
}

// until returns how long to wait, zero for ever: for the rest of a line, for the client to speak, or until the session rests.
func (s *session) until(now time.Time, limits *Limits) (until time.Time) {
	s.brief = false
	if s.input.Partial() {
		if s.begun.IsZero() {
			s.begun = now
		}
		if limits.Line > 0 {
			until = s.begun.Add(limits.Line)
		}
		return until
	}
	s.begun = time.Time{}
	if s.resting {
		return s.idle
	}
	s.idle = time.Time{}
	if limits.Idle > 0 {
		s.idle = now.Add(limits.Idle)
	}
	s.brief = !s.restless && (limits.Idle == 0 || limits.Idle > restTime)
	if s.brief {
		return now.Add(restTime)
	}
	return s.idle
}

// silence says what it means that nothing more was read: the session rests, the node ends, or the client was too slow, or is gone.
func (s *session) silence(err error) error {
	switch {
	case s.ctx.Err() != nil:
		return nil
	case !timedOut(err):
		return err
	case s.brief:
		return errResting
	case s.input.Partial():
		s.node.refusals.note(slowLine, s.host)
	default:
		s.node.refusals.note(idleTooLong, s.host)
	}
	return errClosing
}

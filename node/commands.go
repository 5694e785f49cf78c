package node

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"herd/node/line"
	"herd/places"
)

// together is how many reports of a client are taken in together, at most.
const together = 64

// batches are lent to sessions whose clients report.
var batches = sync.Pool{New: func() any { b := make([]line.Report, 0, together); return &b }}

// iAmAt makes a client's report, to be taken in with those of the lines that follow.
func (s *session) iAmAt(l []byte, c *line.Command) error {
	now := s.heard
	if !s.secure.mayReport(c.Client) {
		return s.refuse(l, foreignClient, reportRefused)
	}
	if ahead := s.node.limits.Load().Future; ahead > 0 && c.Nanos-now.UnixNano() > int64(ahead) {
		return s.refuse(l, tooFarAhead, reportRefused)
	}
	if !s.mayReport(c, now) {
		return s.refuse(l, tooManyNewClients, reportRefused)
	}
	s.received(l)
	if s.reports == nil {
		s.reports = batches.Get().(*[]line.Report)
	}
	s.account.lag = time.Duration(now.UnixNano() - c.Nanos)
	*s.reports = append(*s.reports, line.NewReport(s.node.Name, now.UnixNano(), c))
	if len(*s.reports) < together {
		return nil
	}
	return s.hear()
}

// hear takes in the reports of the lines so far, and tells the client what was understood, whether or not they were news. It comes
// before anything else is answered or looked up.
func (s *session) hear() (err error) {
	if s.reports == nil {
		return nil
	}
	s.node.hear(*s.reports, s.heard, func(_ line.Report, news bool) {
		if news {
			s.account.ended[reportAdmitted]++
		} else {
			s.account.ended[reportStale]++
		}
	})
	for _, r := range *s.reports {
		s.scratch = append(r.AppendAt(s.scratch[:0]), '\n')
		s.replied(s.scratch)
		err = s.replies.add(s.scratch) // once it fails it always does
	}
	clear(*s.reports)
	*s.reports = (*s.reports)[:0]
	batches.Put(s.reports)
	s.reports = nil
	return err
}

// Where returns the AT line of a client without its LF, and whether it is known, for [bus.Service].
func (n *Node) Where(client string) (at []byte, known bool) {
	r, known := n.engine.Registry().Get(line.ClientID(client))
	if !known {
		return nil, false
	}
	at = r.AppendAt(nil)
	return at[:len(at)-1], true
}

// mayReport reports whether the client is known, or its address may introduce another.
func (s *session) mayReport(c *line.Command, now time.Time) bool {
	limit := s.node.limits.Load().NewClients
	if limit == 0 {
		return true
	}
	if s.knows(c) {
		return true
	}
	_ = s.hear() // one of the lines before may have introduced it; if this fails, so does what follows
	return s.knows(c) || s.node.quota.take(s.host, limit, now)
}

func (s *session) knows(c *line.Command) bool {
	_, known := s.node.engine.Registry().Get(line.ClientID(c.Client))
	return known
}

// whatsAt answers what is near a client as it is known now, while later lines are taken already.
func (s *session) whatsAt(l []byte, c *line.Command) error {
	if err := s.hear(); err != nil {
		return err
	}
	r, known := s.node.engine.Registry().Get(line.ClientID(c.Client))
	if !known {
		return s.refuse(l, invalidLine, clientUnknown)
	}
	s.received(l)
	s.account.settle(s.node.tally) // what is answered is counted
	a, err := s.replies.hold()
	if err != nil {
		return err
	}
	lat, lng := r.Coordinates()
	q := places.Query{At: places.Point{Lat: lat, Lng: lng}, Radius: c.Radius, Bound: c.Bound}
	s.asked.Go(func() {
		ctx, cancel := context.WithTimeout(s.ask(), s.node.limits.Load().Places)
		defer cancel()
		body, status, results := s.node.nearby(ctx, s.node.Places, q)
		s.node.tally.ended[placesOutcome(status)].Add(1)
		at := r.AppendAt(nil)
		// The places stay out of the log: some providers forbid to keep them.
		s.replied(at, zap.String("status", status), zap.Int("places", results))
		s.replies.finish(a, append(append(at, body...), "\n\n"...))
	})
	return nil
}

// placesOutcome returns how a WHATSAT ended whose answer has such a status.
func placesOutcome(status string) outcome {
	switch status {
	case places.OK:
		return placesFound
	case places.ZeroResults:
		return placesNothing
	default:
		return placesFailed
	}
}

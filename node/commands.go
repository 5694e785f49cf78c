package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"herd/node/line"
	"herd/places"
)

// iAmAt takes a client's report and tells it what was understood, whether or not it was news.
func (s *session) iAmAt(l []byte, c *line.Command) error {
	now := s.heard
	if !s.secure.mayReport(c.Client) {
		return s.refuse(l, foreignClient)
	}
	if ahead := s.node.limits.Load().Future; ahead > 0 && c.Nanos-now.UnixNano() > int64(ahead) {
		return s.refuse(l, tooFarAhead)
	}
	if !s.mayReport(c, now) {
		return s.refuse(l, tooManyNewClients)
	}
	s.received(l)
	r := line.NewReport(s.node.Name, now.UnixNano(), c)
	s.node.hear(r, now)
	s.scratch = append(r.AppendAt(s.scratch[:0]), '\n')
	s.replied(s.scratch)
	return s.replies.add(s.scratch)
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
	_, known := s.node.engine.Registry().Get(line.ClientID(c.Client))
	return known || s.node.quota.take(s.host, limit, now)
}

// whatsAt answers what is near a client as it is known now, while later lines are taken already.
func (s *session) whatsAt(l []byte, c *line.Command) error {
	r, known := s.node.engine.Registry().Get(line.ClientID(c.Client))
	if !known {
		return s.refuse(l, invalidLine)
	}
	s.received(l)
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
		at := r.AppendAt(nil)
		// The places stay out of the log: some providers forbid to keep them.
		s.replied(at, zap.String("status", status), zap.Int("places", results))
		s.replies.finish(a, append(append(at, body...), "\n\n"...))
	})
	return nil
}

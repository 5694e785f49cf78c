package session

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"herd/node/admit"
	"herd/node/line"
	"herd/places"
)

const (
	maxBatch  = 64  // reports of one client that are applied together
	maxLogged = 512 // bytes of a refused line, or of an error, in the log
)

// batches are lent to sessions whose clients report.
var batches = sync.Pool{New: func() any { b := make([]line.Report, 0, maxBatch); return &b }}

// handle answers one line. An error ends the session.
func (s *session) handle(l []byte, tooLong bool) error {
	if err := s.allow(1); err != nil {
		return err
	}
	if tooLong {
		return s.refuse(l, admit.LineTooLong, lineTooLong)
	}
	c := line.Parse(l)
	switch c.Verb {
	case line.IAmAt:
		return s.iAmAt(l, &c)
	case line.WhatsAt:
		return s.whatsAt(l, &c)
	default:
		return s.refuse(l, admit.InvalidLine, lineInvalid)
	}
}

// iAmAt adds a client's report to the batch, which is applied when it is full or no further line has arrived.
func (s *session) iAmAt(l []byte, c *line.Command) error {
	if why, ok := s.mayReport(c); !ok {
		return s.refuse(l, why, reportRefused)
	}
	s.logReceived(l)
	b := &s.batch
	if b.reports == nil {
		b.reports = batches.Get().(*[]line.Report)
	}
	b.counts.lag = time.Duration(b.stamp - c.Nanos)
	*b.reports = append(*b.reports, line.NewReport(s.server.config.Node, b.stamp, c))
	if len(*b.reports) < maxBatch {
		return nil
	}
	return s.apply()
}

// mayReport applies the limits that hold for a report.
func (s *session) mayReport(c *line.Command) (why admit.Reason, ok bool) {
	limits := s.limits()
	switch {
	case !s.client.tls.mayReport(c.Client):
		return admit.WrongClient, false
	case limits.Future > 0 && c.Nanos-s.batch.stamp > int64(limits.Future):
		return admit.TooFarAhead, false
	case limits.NewClients == 0 || s.knows(c):
		return 0, true
	}
	_ = s.apply() // a line before this one may have introduced the client; if this fails, so does what follows
	return admit.TooManyNewClients, s.knows(c) || s.server.config.Admit.MayIntroduce(s.client.address, s.batch.received)
}

func (s *session) knows(c *line.Command) bool {
	_, known := s.server.config.Lookup(line.ClientID(c.Client))
	return known
}

// apply applies the reports of the batch, and replies to each what was understood, whether or not it is new. It comes
// before any other line is answered or looked up, so that the replies keep the order of the lines.
func (s *session) apply() (err error) {
	b := &s.batch
	if b.reports == nil {
		return nil
	}
	s.server.config.Apply(*b.reports, b.received, func(_ line.Report, new bool) {
		if new {
			b.counts.ended[reportAdmitted]++
		} else {
			b.counts.ended[reportStale]++
		}
	})
	for _, r := range *b.reports {
		b.scratch = append(r.AppendAt(b.scratch[:0]), '\n')
		s.logReply(b.scratch)
		err = s.replies.add(b.scratch) // once it fails it always does
	}
	clear(*b.reports)
	*b.reports = (*b.reports)[:0]
	batches.Put(b.reports)
	b.reports = nil
	return err
}

// refuse replies to a line that is not accepted, and counts it.
func (s *session) refuse(l []byte, why admit.Reason, how outcome) error {
	if err := s.apply(); err != nil {
		return err
	}
	s.batch.counts.ended[how]++
	s.count(why, func() (string, any) { return "line", line.Printable(l[:min(len(l), maxLogged)]) })
	s.batch.scratch = line.AppendInvalid(s.batch.scratch[:0], l)
	return s.replies.add(s.batch.scratch)
}

// whatsAt answers what is near a client as it is known now, while later lines already take effect.
func (s *session) whatsAt(l []byte, c *line.Command) error {
	if err := s.apply(); err != nil {
		return err
	}
	r, known := s.server.config.Lookup(line.ClientID(c.Client))
	if !known {
		return s.refuse(l, admit.InvalidLine, clientUnknown)
	}
	s.logReceived(l)
	s.flushCounts() // what is answered is counted
	reply, err := s.replies.reserve()
	if err != nil {
		return err
	}
	lat, lng := r.Coordinates()
	q := places.Query{At: places.Point{Lat: lat, Lng: lng}, Radius: c.Radius, Bound: c.Bound}
	s.lookups.running.Go(func() {
		ctx, cancel := context.WithTimeout(s.lookupContext(), s.limits().Places)
		defer cancel()
		body, status, results := s.server.config.Nearby(ctx, q)
		s.server.counters[placesOutcome(status)].Add(1)
		at := r.AppendAt(nil)
		// The places stay out of the log: some providers forbid keeping them.
		s.logReply(at, zap.String("status", status), zap.Int("places", results))
		s.replies.complete(reply, append(append(at, body...), "\n\n"...))
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

// lookupContext returns the context of requests to providers.
func (s *session) lookupContext() context.Context {
	s.lookups.once.Do(func() {
		s.lookups.ctx, s.lookups.cancel = context.WithCancel(context.WithoutCancel(s.lifetime.ctx))
	})
	return s.lookups.ctx
}

// cancelLookups ends requests to providers, those to come as well.
func (s *session) cancelLookups() {
	s.lookupContext()
	s.lookups.cancel()
}

// Routine marks entries of the log that repeat what other entries say, or that every start has: a log for people may leave them out. It is
// not written.
var Routine = zap.Field{Key: "routine", Type: zapcore.SkipType}

func (s *session) logReceived(l []byte) {
	if s.server.config.Log.Core().Enabled(zapcore.InfoLevel) {
		s.server.config.Log.Info("received", zap.String("peer", s.client.peer), zap.String("line", line.Printable(l)))
	}
}

func (s *session) logReply(text []byte, more ...zap.Field) {
	if s.server.config.Log.Core().Enabled(zapcore.InfoLevel) {
		s.server.config.Log.Info("replied", append([]zap.Field{Routine, zap.String("peer", s.client.peer), zap.String("reply", line.Printable(text))}, more...)...)
	}
}

// outcome says how a command of a client ended.
type outcome int

const (
	reportAdmitted outcome = iota // the report was new
	reportStale                   // its time was not later than that of the report held
	reportRefused                 // by a limit or a certificate
	placesFound
	placesNothing // no places were there, or none requested
	placesFailed  // the provider failed
	clientUnknown // no report of the client was held
	lineInvalid   // no command of the protocol
	lineTooLong
	outcomes // how many there are
)

// Command counts the lines of clients with one command and one outcome.
type Command struct {
	Name    string // IAMAT, WHATSAT, or other for a line that was not understood
	Outcome string
	Times   uint64
}

// names are the command and the outcome that counts of lines are shown with.
var names = [outcomes]Command{
	reportAdmitted: {Name: "IAMAT", Outcome: "admitted"},
	reportStale:    {Name: "IAMAT", Outcome: "stale"},
	reportRefused:  {Name: "IAMAT", Outcome: "refused"},
	placesFound:    {Name: "WHATSAT", Outcome: "found"},
	placesNothing:  {Name: "WHATSAT", Outcome: "nothing"},
	placesFailed:   {Name: "WHATSAT", Outcome: "failed"},
	clientUnknown:  {Name: "WHATSAT", Outcome: "unknown"},
	lineInvalid:    {Name: "other", Outcome: "invalid"},
	lineTooLong:    {Name: "other", Outcome: "too_long"},
}

// counters are what all sessions have counted.
type counters [outcomes]atomic.Uint64

// Commands returns how often the commands that were answered so far ended in each way.
func (s *Server) Commands() []Command {
	all := slices.Clone(names[:])
	for o := range all {
		all[o].Times = s.counters[o].Load()
	}
	return all
}

// counts are what one session has counted and not yet added to the counters of all: it does so once for all lines that it has read together, so
// that sessions do not contend for a cache line.
type counts struct {
	ended [outcomes]uint32
	lag   time.Duration // of the latest report: receipt less the client's time
}

// flushCounts adds what the session has counted to the counters of all.
func (s *session) flushCounts() {
	c := &s.batch.counts
	if c.ended[reportAdmitted] > 0 {
		s.server.config.ObserveLag(c.lag.Seconds())
	}
	for o, times := range c.ended {
		if times > 0 {
			s.server.counters[o].Add(uint64(times))
			c.ended[o] = 0
		}
	}
}

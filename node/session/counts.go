package session

import (
	"sync/atomic"
	"time"
)

// outcome says how a command of a client ended.
type outcome int

const (
	reportAdmitted outcome = iota
	reportStale
	reportRefused
	placesFound
	placesNothing
	placesFailed
	clientUnknown
	lineInvalid
	lineTooLong
	outcomes // how many there are
)

// Commands counts how commands of clients ended.
type Commands struct {
	Admitted, Stale, Refused        uint64 // IAMAT: new; not later than the report held; refused by a limit or a certificate
	Found, Nothing, Failed, Unknown uint64 // WHATSAT: with places; without any; the provider failed; the client is unknown
	Invalid, TooLong                uint64 // other lines: no command; longer than a line may be
}

// counters are what all sessions have counted.
type counters [outcomes]atomic.Uint64

// Commands returns what became of the commands that were answered so far.
func (s *Server) Commands() Commands {
	n := func(o outcome) uint64 { return s.counters[o].Load() }
	return Commands{
		Admitted: n(reportAdmitted), Stale: n(reportStale), Refused: n(reportRefused),
		Found: n(placesFound), Nothing: n(placesNothing), Failed: n(placesFailed), Unknown: n(clientUnknown),
		Invalid: n(lineInvalid), TooLong: n(lineTooLong),
	}
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

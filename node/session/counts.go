package session

import (
	"slices"
	"sync/atomic"
	"time"
)

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

package node

import (
	"sync/atomic"
	"time"

	"herd/node/status"
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
)

// outcomes name them for those who count.
var outcomes = [...]struct{ command, outcome string }{
	reportAdmitted: {"IAMAT", status.Admitted},
	reportStale:    {"IAMAT", status.Stale},
	reportRefused:  {"IAMAT", status.Refused},
	placesFound:    {"WHATSAT", status.Found},
	placesNothing:  {"WHATSAT", status.Nothing},
	placesFailed:   {"WHATSAT", status.Failed},
	clientUnknown:  {"WHATSAT", status.Unknown},
	lineInvalid:    {"other", status.Invalid},
	lineTooLong:    {"other", status.TooLong},
}

// tally counts what became of commands and reports at one node.
type tally struct {
	ended                   [len(outcomes)]atomic.Uint64
	clientLag, neighbourLag *status.Histogram
}

func newTally() *tally { return &tally{clientLag: status.NewLags(), neighbourLag: status.NewLags()} }

// account is what a session has to add to the tally: once for all that it read at a time, so that sessions do not wait for each other's
// processors.
type account struct {
	ended [len(outcomes)]uint32
	lag   time.Duration // of the last report that was taken: own clock less the client's time
}

// settle adds the account to the tally, and begins a new one.
func (a *account) settle(t *tally) {
	if a.ended[reportAdmitted] > 0 {
		t.clientLag.Observe(a.lag.Seconds())
	}
	for how, times := range a.ended {
		if times > 0 {
			t.ended[how].Add(uint64(times))
			a.ended[how] = 0
		}
	}
}

// Counts returns what the node has counted that its health does not tell.
func (n *Node) Counts() status.Counts {
	c := status.Counts{
		Opened: n.door.opened(), Reasons: reasons[:],
		ClientLag: n.tally.clientLag, NeighbourLag: n.tally.neighbourLag, LinkLag: make(map[string]*status.Histogram),
	}
	for how, name := range outcomes {
		c.Commands = append(c.Commands, status.Command{Name: name.command, Outcome: name.outcome, Times: n.tally.ended[how].Load()})
	}
	for _, l := range n.links() {
		c.LinkLag[string(l.Peer)] = l.lag
	}
	return c
}

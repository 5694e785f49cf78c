package admit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Reason says why something was refused, dropped or closed.
type Reason int

// Reasons. Those up to NoDescriptors are about clients, those up to ReceiptAhead about neighbours and the bus, the others about HTTP.
const (
	InvalidLine Reason = iota
	LineTooLong
	TooManyConnections
	TooManyFromAddress
	TooManyLines
	TooManyNewClients
	TooFarAhead
	IdleTooLong
	SlowLine
	SlowReader
	HandshakeFailed
	WrongClient
	CertificateExpired
	TruncatedLine
	NoDescriptors
	WrongSender
	UnknownKind
	MalformedReport
	MessageTooLarge
	NotPermitted
	BusError
	Overrun
	MalformedMessage
	UnknownVersion
	RefusedRecord
	MessagesMissing
	CutoffAhead
	ReceiptAhead
	WrongToken
	WrongHost
	CrossSite
	TooManyLogins
)

var reasons = [...]string{
	InvalidLine:        "invalid line",
	LineTooLong:        "line too long",
	TooManyConnections: "too many connections",
	TooManyFromAddress: "too many connections from one address",
	TooManyLines:       "too many lines a second",
	TooManyNewClients:  "too many new clients from one address",
	TooFarAhead:        "time too far ahead",
	IdleTooLong:        "idle for too long",
	SlowLine:           "line not completed in time",
	SlowReader:         "replies not taken in time",
	HandshakeFailed:    "TLS handshake failed",
	WrongClient:        "client ID not in certificate",
	CertificateExpired: "certificate expired",
	TruncatedLine:      "TLS cut off within a line",
	NoDescriptors:      "out of file descriptors",
	WrongSender:        "message in another's name",
	UnknownKind:        "message of unknown kind",
	MalformedReport:    "malformed report",
	MessageTooLarge:    "message too large",
	NotPermitted:       "not permitted by the bus",
	BusError:           "error of the bus",
	Overrun:            "messages came too fast",
	MalformedMessage:   "malformed message",
	UnknownVersion:     "message of unknown version",
	RefusedRecord:      "record of a node refused",
	MessagesMissing:    "messages missing",
	CutoffAhead:        "cut-off too far ahead",
	ReceiptAhead:       "receipt too far ahead",
	WrongToken:         "wrong token",
	WrongHost:          "unknown host name",
	CrossSite:          "request of another site's page",
	TooManyLogins:      "too many attempts to log in",
}

func (r Reason) String() string { return reasons[r] }

// Reasons returns the names of all reasons.
func Reasons() []string { return reasons[:] }

const (
	logInterval = time.Second // between two log entries about one peer
	maxPeers    = 1024        // that the log distinguishes; the others share one
)

// Detail returns what a log entry says besides the reason, as a name and a value. It is called only if there is to be an entry.
type Detail func() (name string, value any)

// Log writes an entry about something that was refused: one thing with its detail, which may be nil, if times is 0; or the number of things
// since the last entry about this peer, with the reason of the latest.
type Log func(peer string, why Reason, times int, detail Detail)

// Refusals counts what a node refuses, by reason, and logs it: at most one entry per peer and second, with the number of
// those that have no entry of their own.
type Refusals struct {
	log    Log
	counts [len(reasons)]atomic.Uint64

	mu    sync.Mutex
	peers map[string]*peer
}

// peer was refused something in the last second or so.
type peer struct {
	logged time.Time
	since  int    // refusals since then
	latest Reason // of those
}

// Refuse counts one refusal and logs it, unless there was an entry about the same peer within the last second. The peer is an address
// without port, or a neighbour. There is at most one detail.
func (r *Refusals) Refuse(why Reason, peer string, detail ...Detail) {
	r.counts[why].Add(1)
	if !r.due(why, peer) {
		return
	}
	if len(detail) > 0 {
		r.log(peer, why, 0, detail[0])
	} else {
		r.log(peer, why, 0, nil)
	}
}

// due reports whether a refusal is to be logged now; else it is counted for the peer's next entry.
func (r *Refusals) due(why Reason, who string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[who]
	if p == nil && len(r.peers) >= maxPeers {
		who = "others"
		p = r.peers[who]
	}
	if p == nil {
		r.peers[who] = &peer{logged: time.Now()}
		return true
	}
	p.since++
	p.latest = why
	return false
}

// Run logs once a second how much was refused without an entry of its own, until ctx ends.
func (r *Refusals) Run(ctx context.Context) {
	tick := time.NewTicker(logInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.logCounts(time.Now().Add(logInterval))
			return
		case now := <-tick.C:
			r.logCounts(now)
		}
	}
}

// logCounts writes an entry for each peer whose last one is a second old. The lock is not held meanwhile, so that no refusal waits for the log.
func (r *Refusals) logCounts(now time.Time) {
	for who, p := range r.takeDue(now) {
		r.log(who, p.latest, p.since, nil)
	}
}

// takeDue returns the peers that need an entry, and forgets those of which nothing was refused for a second.
func (r *Refusals) takeDue(now time.Time) map[string]peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := make(map[string]peer)
	for who, p := range r.peers {
		switch {
		case now.Sub(p.logged) < logInterval:
		case p.since == 0:
			delete(r.peers, who)
		default:
			due[who] = *p
			*p = peer{logged: now}
		}
	}
	return due
}

// Counts returns how often each reason was met, by name, without those that never were.
func (r *Refusals) Counts() map[string]uint64 {
	counts := make(map[string]uint64)
	for why := range r.counts {
		if n := r.counts[why].Load(); n > 0 {
			counts[reasons[why]] = n
		}
	}
	return counts
}

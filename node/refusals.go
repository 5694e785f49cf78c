package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// reason says why something was refused, dropped or closed.
type reason int

const (
	invalidLine reason = iota
	overlongLine
	tooManyConnections
	tooManyFromAddress
	tooManyLines
	tooManyNewClients
	tooFarAhead
	idleTooLong
	slowLine
	slowReader
	handshakeFailed
	foreignClient
	certificateExpired
	tornLine
	noDescriptors
	wrongSender
	unknownKind
	malformed
	oversized
	notPermitted
	overrun
	malformedMessage
	unknownVersion
	refusedRecord
	messagesMissing
	cutoffAhead
	wrongToken
	foreignHost
	crossSite
	tooManyTries
)

var reasons = [...]string{
	invalidLine:        "invalid line",
	overlongLine:       "line too long",
	tooManyConnections: "too many connections",
	tooManyFromAddress: "too many connections from one address",
	tooManyLines:       "too many lines a second",
	tooManyNewClients:  "too many new clients from one address",
	tooFarAhead:        "time too far ahead",
	idleTooLong:        "idle for too long",
	slowLine:           "line not completed in time",
	slowReader:         "replies not taken in time",
	handshakeFailed:    "TLS handshake failed",
	foreignClient:      "client ID not in certificate",
	certificateExpired: "certificate expired",
	tornLine:           "TLS cut off within a line",
	noDescriptors:      "out of file descriptors",
	wrongSender:        "message in another's name",
	unknownKind:        "message of unknown kind",
	malformed:          "malformed report",
	oversized:          "message too large",
	notPermitted:       "not permitted by the bus",
	overrun:            "messages came too fast",
	malformedMessage:   "malformed message",
	unknownVersion:     "message of unknown version",
	refusedRecord:      "record of a node refused",
	messagesMissing:    "messages missing",
	cutoffAhead:        "cut-off too far ahead",
	wrongToken:         "wrong token",
	foreignHost:        "asked for by a foreign name",
	crossSite:          "asked by another site's page",
	tooManyTries:       "too many tries to log in",
}

const (
	quiet    = time.Second // between two entries about one peer
	maxPeers = 1024        // beyond it, others share one

	maxLogged = 512 // bytes of a line that is refused
)

// refusals counts what a node refuses, by reason, and logs it: at most one entry per peer and second, with the number of
// those that were passed over.
type refusals struct {
	log   *zap.Logger
	tally [len(reasons)]atomic.Uint64

	mu    sync.Mutex
	peers map[string]*peer
}

// peer is who has been refused something in the last second or so.
type peer struct {
	logged time.Time
	last   reason // of those since then
	more   int    // how many since then, for any reason
}

func newRefusals(log *zap.Logger) *refusals {
	return &refusals{log: log, peers: make(map[string]*peer)}
}

// note counts one refusal, and logs it with what is about it, unless there was one within the last second for the same peer: an
// address without port, or a neighbour.
func (r *refusals) note(why reason, who string, about ...func() zap.Field) {
	r.tally[why].Add(1)
	if !r.log.Core().Enabled(zap.WarnLevel) || !r.pass(why, who) {
		return
	}
	fields := []zap.Field{zap.String("peer", who), zap.String("reason", reasons[why])}
	for _, field := range about {
		fields = append(fields, field())
	}
	r.log.Warn("refused", fields...)
}

func (r *refusals) pass(why reason, who string) bool {
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
	p.last = why
	p.more++
	return false
}

// run logs once a second what was passed over, until ctx ends.
func (r *refusals) run(ctx context.Context) {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.sweep(time.Now().Add(quiet))
			return
		case now := <-tick.C:
			r.sweep(now)
		}
	}
}

// sweep logs what was passed over for peers whose last entry is a second old.
func (r *refusals) sweep(now time.Time) {
	for who, p := range r.due(now) {
		r.log.Warn("refused", zap.String("peer", who), zap.String("reason", reasons[p.last]), zap.Int("times", p.more))
	}
}

// due returns those peers, begins a new second for them, and forgets the ones with nothing new. Sessions may refuse while they are logged.
func (r *refusals) due(now time.Time) map[string]peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := make(map[string]peer)
	for who, p := range r.peers {
		switch {
		case now.Sub(p.logged) < quiet:
		case p.more == 0:
			delete(r.peers, who)
		default:
			due[who] = *p
			*p = peer{logged: now}
		}
	}
	return due
}

// counts returns how often each reason was met, without those that never were.
func (r *refusals) counts() map[string]uint64 {
	counts := make(map[string]uint64)
	for why := range r.tally {
		if n := r.tally[why].Load(); n > 0 {
			counts[reasons[why]] = n
		}
	}
	return counts
}

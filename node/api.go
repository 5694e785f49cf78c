package node

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"herd/node/flood"
	"herd/node/status"
)

const maxTries = 10 // to log in, from one address in a minute

// serveHTTP serves who looks at the node, until ctx ends or the listener fails; only then it returns an error.
func (n *Node) serveHTTP(ctx context.Context) error {
	complaints, err := zap.NewStdLogAt(n.Log, zap.WarnLevel)
	if err != nil {
		return err
	}
	return status.New(status.Config{
		Source: n, Herd: n.HerdName, Node: string(n.Name), Version: n.Version, Options: n.Status, Log: complaints,
	}).Serve(ctx, n.HTTP)
}

// Refuse counts and logs that somebody who looks at the node was refused, for [status.Source].
func (n *Node) Refuse(why status.Refusal, address string) {
	reason := map[status.Refusal]reason{
		status.WrongToken: wrongToken, status.ForeignHost: foreignHost, status.CrossSite: crossSite, status.TooManyTries: tooManyTries,
	}[why]
	n.refusals.note(reason, visitor(address))
}

// MayLogIn reports whether somebody at an address may try to log in, for [status.Source].
func (n *Node) MayLogIn(address string) bool {
	return n.tries.take(visitor(address), maxTries, time.Now())
}

// Cutoff returns the time of receipt before which all has been forgotten, see [flood.Engine.Cutoff].
func (n *Node) Cutoff() int64 { return n.engine.Cutoff() }

// Converse serves a client that came over HTTP, for [status.Source], until it is done or ctx ends: as one that came over TCP, with the
// same limits. Where clients need certificates there is no way around that.
func (n *Node) Converse(ctx context.Context, conn net.Conn) error {
	if n.tls.Load().requires() {
		return status.ErrCertificates
	}
	host, limits := hostOf(conn.RemoteAddr()), n.limits.Load()
	if why, ok := n.door.enter(host, limits.Connections, limits.PerAddress); !ok {
		n.refusals.note(why, host)
		return status.ErrCrowded
	}
	var tasks sync.WaitGroup
	s := newSession(n, conn, nil, host, &tasks)
	s.restless = true // a body that was not there in time cannot be read on
	s.run(ctx)
	tasks.Wait()
	if !errors.Is(s.why, io.EOF) {
		return status.ErrCut
	}
	return nil
}

// missing says what keeps the node from being ready.
func (n *Node) missing(now time.Time) (missing []string) {
	if state := n.busState.Load().(string); state != connected {
		return []string{"the bus: " + state}
	}
	for _, l := range n.engine.Behind(now) {
		if l.Status().State == flood.Down {
			missing = append(missing, "a heartbeat of "+string(l.Peer))
		} else {
			missing = append(missing, "catching up with "+string(l.Peer))
		}
	}
	return missing
}

// visitor returns the address HOST:PORT as limits know it.
func visitor(address string) string {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	return hostOf(net.TCPAddrFromAddrPort(to))
}

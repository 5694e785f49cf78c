package node

import (
	"context"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

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

// visitor returns the address HOST:PORT as limits know it.
func visitor(address string) string {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	return hostOf(net.TCPAddrFromAddrPort(to))
}

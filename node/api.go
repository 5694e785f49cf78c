package node

import (
	"context"
	"net"
	"time"

	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session"
	"herd/node/status"
)

// Refuse counts and logs that somebody was refused over HTTP, for [status.Source].
func (n *Node) Refuse(why status.Refusal, address string) {
	n.admit.Refuse(map[status.Refusal]admit.Reason{
		status.WrongToken: admit.WrongToken, status.UnknownHost: admit.WrongHost, status.CrossSite: admit.CrossSite, status.TooManyTries: admit.TooManyLogins,
	}[why], admit.ParseAddress(address))
}

// MayLogIn reports whether somebody at an address may try to log in, for [status.Source].
func (n *Node) MayLogIn(address string) bool {
	return n.admit.MayLogIn(admit.ParseAddress(address), time.Now())
}

// Cutoff returns the time of receipt before which all has been forgotten, see [flood.Engine.Cutoff].
func (n *Node) Cutoff() int64 { return n.engine.Cutoff() }

// ServeClient serves a client that came over HTTP, for [status.Source], until it is done or ctx ends: as one that came over TCP, with the
// same limits.
func (n *Node) ServeClient(ctx context.Context, conn net.Conn) error {
	switch err := n.sessions.ServeConn(ctx, conn); err {
	case session.ErrCertificateRequired:
		return status.ErrCertificates
	case session.ErrTooMany:
		return status.ErrTooManyClients
	case session.ErrIncomplete:
		return status.ErrLimited
	default:
		return err
	}
}

// missing says what keeps the node from being ready.
func (n *Node) missing(now time.Time) (missing []string) {
	if state := n.links.state.Load().(string); state != connected {
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

// Counts returns what the node has counted that its health does not tell.
func (n *Node) Counts() status.Counts {
	_, accepted := n.admit.Connections()
	c, m := status.Counts{
		Opened: accepted, Reasons: admit.Reasons(),
		ClientLag: n.clientLag, NeighbourLag: n.neighbourLag, LinkLag: make(map[string]*status.Histogram),
	}, n.sessions.Commands()
	c.Commands = []status.Command{
		{Name: "IAMAT", Outcome: status.Admitted, Times: m.Admitted},
		{Name: "IAMAT", Outcome: status.Stale, Times: m.Stale},
		{Name: "IAMAT", Outcome: status.Refused, Times: m.Refused},
		{Name: "WHATSAT", Outcome: status.Found, Times: m.Found},
		{Name: "WHATSAT", Outcome: status.Nothing, Times: m.Nothing},
		{Name: "WHATSAT", Outcome: status.Failed, Times: m.Failed},
		{Name: "WHATSAT", Outcome: status.Unknown, Times: m.Unknown},
		{Name: "other", Outcome: status.Invalid, Times: m.Invalid},
		{Name: "other", Outcome: status.TooLong, Times: m.TooLong},
	}
	for _, l := range n.links.all() {
		c.LinkLag[string(l.Peer)] = l.lag
	}
	return c
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

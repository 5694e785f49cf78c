package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session"
	"herd/node/status"
	"herd/node/topology"
	"herd/places"
)

// These methods are a node as the Source of package status.

// Health returns how the node is now.
func (n *Node) Health() status.Health {
	digest, clients := n.engine.Registry().Digest()
	sessions, _ := n.admit.Connections()
	h := status.Health{
		Node:                   string(n.name),
		Bus:                    n.links.state.Load().(string),
		UptimeSeconds:          time.Since(n.started).Seconds(),
		Clients:                clients,
		Digest:                 fmt.Sprintf("%016x", digest),
		Sessions:               sessions,
		ClockCorrectionSeconds: n.engine.ClockCorrection(time.Now()).Seconds(),
		Links:                  []status.Link{},
		Refused:                n.admit.Counts(),
	}
	select {
	case <-n.ready:
		h.Ready = true
	default:
		h.Missing = n.missing(time.Now())
	}
	if n.providers != nil {
		h.Places = providers(n.providers.Counts())
	}
	if n.writer != nil {
		h.Store = n.writer.health()
	}
	for _, l := range n.links.all() {
		h.Links = append(h.Links, l.health(n.started, time.Now()))
	}
	for _, name := range n.engine.OneSided() {
		h.OneSided = append(h.OneSided, string(name))
	}
	return h
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

// Counts returns what the node has counted and its health does not have.
func (n *Node) Counts() status.Counts {
	_, accepted := n.admit.Connections()
	c := status.Counts{Opened: accepted, Reasons: admit.Reasons(), Lags: []status.Histogram{n.clientLag, n.neighbourLag}}
	for _, command := range n.sessions.Commands() {
		c.Commands = append(c.Commands, status.Command(command))
	}
	for _, l := range n.links.all() {
		c.Lags = append(c.Lags, l.lag)
	}
	return c
}

// Herd returns how all nodes are, as far as this one knows, in the order of their names. The node itself is always among them.
func (n *Node) Herd() []status.Node {
	now := time.Now()
	records := n.engine.Records(now)
	nodes := make([]status.Node, len(records))
	for i, r := range records {
		nodes[i] = status.Node{
			Name: string(r.Name), Self: r.Name == n.name, Version: r.Version, Incarnation: hex.EncodeToString(r.Incarnation[:]),
			AgeSeconds: now.Sub(r.Created).Seconds(), UptimeSeconds: r.Uptime.Seconds(), Clients: r.Clients, Digest: fmt.Sprintf("%016x", r.Digest),
			Links: []status.LinkState{},
		}
		for _, l := range r.Links {
			nodes[i].Links = append(nodes[i].Links, status.LinkState{Peer: string(l.Peer), State: l.State.String()})
		}
	}
	return nodes
}

// Topology returns what the node was linked by last.
func (n *Node) Topology() *topology.Topology { return n.links.topology.Load() }

// Subscribe returns a queue that gets what changes the registry, see [flood.Engine.Subscribe].
func (n *Node) Subscribe(limit int) (changed *flood.Queue, stop func()) {
	return n.engine.Subscribe(limit)
}

// Watch calls w with what happens at the node, until stop is called. There is one Watch at a time.
func (n *Node) Watch(w status.Watch) (stop func()) {
	n.watch.Store(&w)
	return func() { n.watch.Store(nil) }
}

// observe calls the Watch, if there is one, with reports sent or received on a link of the node.
func (n *Node) observe(from, to line.NodeName, reports []line.Report) {
	if w := n.watch.Load(); w != nil {
		w.Transfer(from, to, reports)
	}
}

// Cutoff returns the time of receipt before which all has been forgotten, see [flood.Engine.Cutoff].
func (n *Node) Cutoff() int64 { return n.engine.Cutoff() }

// ServeClient serves a client that came over HTTP, for [status.Source], until it is done or ctx ends: as one that came over TCP, with the
// same limits.
func (n *Node) ServeClient(ctx context.Context, conn net.Conn) error {
	err := n.sessions.ServeConn(ctx, conn)
	if errors.Is(err, session.ErrCertificateRequired) {
		return status.ErrCertificates
	}
	return err
}

// providers returns what was counted in the form of the health.
func providers(counts map[string]places.Count) map[string]status.Provider {
	all := make(map[string]status.Provider, len(counts))
	for name, c := range counts {
		all[name] = status.Provider{
			Calls: c.Calls, Statuses: c.Statuses, CallSeconds: c.CallTime.Seconds(), Retries: c.Retries,
			CacheHits: c.CacheHits, Joined: c.Joined, Fallbacks: c.Fallbacks, Breaker: string(c.Breaker),
		}
	}
	return all
}

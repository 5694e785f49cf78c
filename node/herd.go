package node

import (
	"encoding/hex"
	"fmt"
	"time"

	"herd/node/status"
)

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

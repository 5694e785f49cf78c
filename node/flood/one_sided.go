package flood

import (
	"slices"
	"strings"

	"herd/node/line"
	"herd/node/topology"
)

// A link is one-sided if only one of its two nodes has it in its topology. The node that has it receives nothing over it. The
// node that lacks it learns of it from the record of the other, which comes by way of others.

// oneSidedGrace is how long after its start or a change of its topology a node leaves it to others to follow.
const oneSidedGrace = 2 * recordEvery

// OneSided returns the nodes that have a link to this one, as they say in their records, which this node's topology lacks.
func (e *Engine) OneSided() (names []line.NodeName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, r := range e.records {
		if e.lacksLinkOf(r) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// lacksLinkOf reports whether a record names a link to this node that this node lacks.
func (e *Engine) lacksLinkOf(r *Record) bool {
	return e.settled(r) && r.linksTo(e.config.Name) &&
		!slices.ContainsFunc(e.Links(), func(l *Link) bool { return l.Peer == r.Name })
}

// settled reports whether a record was made after the grace period.
func (e *Engine) settled(r *Record) bool {
	return !r.Created.Before(later(e.relinkedAt, e.config.Started).Add(oneSidedGrace))
}

// noticeOneSided notices a link that this node lacks once: when the first record names it.
func (e *Engine) noticeOneSided(r, before *Record) {
	if e.lacksLinkOf(r) && (before == nil || !e.lacksLinkOf(before)) {
		e.notify(Notice{Peer: r.Name, Kind: OneSided})
	}
}

func (r *Record) linksTo(name line.NodeName) bool {
	return slices.ContainsFunc(r.Links, func(l LinkState) bool { return l.Peer == name })
}

// complete reports whether the record names all links of its node: none was left out for want of room.
func (r *Record) complete() bool { return len(r.text)+line.MaxName+len(",:u") <= maxRecord }

// lacking returns the neighbours that are known to have a topology without this link: others by their topologies, if these differ
// from this node's, and the peer by its record.
func (e *Engine) lacking(l *Link) (names []line.NodeName) {
	this := topology.LinkText(e.config.Name, l.Peer)
	for _, other := range e.Links() {
		c := &other.config
		if other != l && c.topologyDiffers && c.topologyText != "" && !slices.Contains(strings.Split(c.topologyText, ","), this) {
			names = append(names, other.Peer)
		}
	}
	if r := e.records[l.Peer]; r != nil && !l.live.alive && e.settled(r) && r.complete() && !r.linksTo(e.config.Name) {
		names = append(names, l.Peer)
	}
	return names
}

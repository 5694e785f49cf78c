package simulate

import (
	"maps"
	"slices"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

// disk is what a node keeps when it crashes. It commits what was written meanwhile, one commit after the other, so that
// everything is on it after two of them.
type disk struct {
	herd       *herd
	commit     time.Duration // how long one takes
	written    []line.Report // for the next commit
	committing []line.Report // commit
	commits    uint64        // begun, or abandoned
	held       map[line.ClientID]line.Report
}

func newDisk(h *herd, commit time.Duration) *disk {
	return &disk{herd: h, commit: commit, held: make(map[line.ClientID]line.Report)}
}

func (d *disk) write(r line.Report) {
	d.written = append(d.written, r)
	if d.committing == nil {
		d.startCommit()
	}
}

func (d *disk) startCommit() {
	d.committing, d.written = d.written, nil
	d.commits++
	commit := d.commits
	d.herd.in(d.commit, func() {
		if d.commits != commit {
			return
		}
		d.keep(d.committing)
		if d.committing = nil; d.written != nil {
			d.startCommit()
		}
	})
}

func (d *disk) keep(reports []line.Report) {
	for _, r := range reports {
		if held, ok := d.held[r.Client()]; !ok || r.Compare(held) > 0 {
			d.held[r.Client()] = r
		}
	}
}

// crash leaves any part of what was in flight.
func (d *disk) crash() {
	d.keep(d.committing[:d.herd.rng.IntN(len(d.committing)+1)])
	d.committing, d.written = nil, nil
	d.commits++
}

// load gives a registry what is on the disk.
func (d *disk) load(g *flood.Registry) {
	for _, client := range slices.Sorted(maps.Keys(d.held)) {
		g.Merge(d.held[client])
	}
}

// crash ends the node. What it knew is gone, but for what is on its disk.
func (n *node) crash() {
	n.disconnect()
	for _, p := range n.ports {
		if p != nil {
			p.gone = true
		}
	}
	n.engine, n.ports, n.stalled = nil, nil, false
	if n.storage != nil {
		n.storage.(*disk).crash()
	}
}

// stall stops the node until it resumes: it does nothing, and what arrives waits.
func (n *node) stall() { n.stalled = n.engine != nil }

func (n *node) resume() {
	if !n.stalled {
		return
	}
	n.stalled = false
	n.engine.Tick(n.time())
	for _, p := range n.inbox {
		n.receive(p)
	}
	n.inbox = nil
	for _, p := range n.ports {
		p.pump()
	}
	n.pumpWoken()
}

// start starts all nodes.
func (h *herd) start() {
	for _, n := range h.nodes {
		n.start()
	}
}

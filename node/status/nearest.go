package status

import (
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/near"
	"herd/places"
)

const (
	indexTime  = time.Minute // for which the index is kept after the last question
	maxPending = 1 << 18     // clients that have changed since; if more have, the index is rebuilt
)

// nearestClients finds the clients nearest to a point. It takes no memory until the first question, which builds an index of the registry
// and subscribes to its changes; each further question applies those. A minute after the last question all is released.
type nearestClients struct {
	source Source

	mu          sync.Mutex
	index       *near.Index // nil: none
	changed     *flood.Queue
	unsubscribe func()
	buffer      []line.Report // for the next swap of changed
	cutoff      int64         // up to which the index has been cleared
	asked       time.Time
	timer       *time.Timer
}

// find searches the registry as it is now: of the clients at most radius km from a point, the limit nearest.
func (n *nearestClients) find(at places.Point, radius float64, limit int) []near.Hit {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.index == nil || !n.update() {
		n.build()
	}
	n.asked = time.Now()
	if n.timer == nil {
		n.timer = time.AfterFunc(indexTime, n.expire)
	}
	return n.index.Nearest(at, radius, limit)
}

// build makes the index of the registry.
func (n *nearestClients) build() {
	n.reset()
	n.changed, n.unsubscribe = n.source.Subscribe(maxPending)
	registry := n.source.Registry()
	n.cutoff = n.source.Cutoff()
	all := make([]line.Report, 0, registry.Len())
	for r := range registry.All() { // which locks parts of it: the index is built afterwards
		all = append(all, r)
	}
	n.index = near.New(len(all))
	for _, r := range all {
		n.index.Put(r)
	}
}

// update applies what changed in the registry. It returns false if changes were dropped.
func (n *nearestClients) update() bool {
	n.buffer = n.changed.Swap(n.buffer)
	if n.changed.Counts().Dropped > 0 {
		return false
	}
	cutoff := n.source.Cutoff()
	for _, r := range n.buffer {
		if r.Received() >= cutoff {
			n.index.Put(r)
		}
	}
	if cutoff != n.cutoff {
		n.cutoff = cutoff
		n.index.Keep(func(r line.Report) bool { return r.Received() >= cutoff })
	}
	return true
}

// expire releases all if the last question is long ago.
func (n *nearestClients) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer == nil {
		return
	}
	if left := indexTime - time.Since(n.asked); left > 0 {
		n.timer.Reset(left)
		return
	}
	n.reset()
}

// release gives all memory back.
func (n *nearestClients) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reset()
}

func (n *nearestClients) reset() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	if n.unsubscribe != nil {
		n.unsubscribe()
	}
	n.index, n.changed, n.unsubscribe, n.buffer = nil, nil, nil, nil
}

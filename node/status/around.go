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
	keepIndex  = time.Minute // after the last question
	maxWaiting = 1 << 18     // clients that have reported since; if more have, the index is made anew
)

// around knows which clients are near a point. It costs nothing until somebody asks: then it makes an index of the registry, and follows
// what changes that, which it reads when somebody asks again. When nobody has for a minute, all is given back.
type around struct {
	source Source

	mu      sync.Mutex
	index   *near.Index // nil: none
	changed *flood.Queue
	stop    func() // following
	spare   []line.Report
	emptied uint64 // reports that changed has lost
	oldest  int64  // cut-off up to which the index has been looked through
	asked   time.Time
	timer   *time.Timer
}

// nearest returns what the registry holds at this moment: the clients at most radius km from a point, the limit nearest of them.
func (a *around) nearest(at places.Point, radius float64, limit int) []near.Hit {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.index == nil || !a.follow() {
		a.read()
	}
	a.asked = time.Now()
	if a.timer == nil {
		a.timer = time.AfterFunc(keepIndex, a.rest)
	}
	return a.index.Nearest(at, radius, limit)
}

// read makes the index of the registry.
func (a *around) read() {
	a.forget()
	a.changed, a.stop = a.source.Subscribe(maxWaiting)
	registry := a.source.Registry()
	a.oldest = a.source.Cutoff()
	all := make([]line.Report, 0, registry.Len())
	for r := range registry.All() { // which locks it in parts: no place to do more
		all = append(all, r)
	}
	a.index = near.New(len(all))
	for _, r := range all {
		a.index.Put(r)
	}
}

// follow has the index be what the registry is. It returns false if it cannot know.
func (a *around) follow() bool {
	changed := a.changed.Swap(a.spare)
	a.spare = changed
	if lost := a.changed.Counts().Dropped; lost != a.emptied {
		return false
	}
	oldest := a.source.Cutoff()
	for _, r := range changed {
		if r.Received() >= oldest {
			a.index.Put(r)
		}
	}
	if oldest != a.oldest {
		a.oldest = oldest
		a.index.Keep(func(r line.Report) bool { return r.Received() >= oldest })
	}
	return true
}

// rest gives all back if nobody has asked for long.
func (a *around) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer == nil {
		return
	}
	if left := keepIndex - time.Since(a.asked); left > 0 {
		a.timer.Reset(left)
		return
	}
	a.forget()
}

// drop gives all back.
func (a *around) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget()
}

func (a *around) forget() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if a.stop != nil {
		a.stop()
	}
	a.index, a.changed, a.stop, a.spare, a.emptied = nil, nil, nil, nil, 0
}

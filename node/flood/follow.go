package flood

import "slices"

// Follow returns a queue that gets every report that changes the registry from now on, until stop is called. What waits there is
// conflated like what waits for a neighbour; beyond limit clients it is emptied, which [Queue.Counts] tells, and what the follower knows
// by then is to be read from the registry anew. Nothing else is ever missing in it: who follows, and then reads the registry,
// has each report from there, or from the queue, or from both. What retention forgets is not told.
func (e *Engine) Follow(limit int) (q *Queue, stop func()) {
	q = NewQueue(limit)
	e.mu.Lock()
	defer e.mu.Unlock()
	followers := append(slices.Clone(e.followed()), q)
	e.followers.Store(&followers)
	return q, func() { e.unfollow(q) }
}

// unfollow gives nothing more to a queue, but for what is being heard at this moment.
func (e *Engine) unfollow(q *Queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(e.followed()), func(f *Queue) bool { return f == q })
	if len(rest) == 0 {
		e.followers.Store(nil)
		return
	}
	e.followers.Store(&rest)
}

// followed returns the queues of those who follow. The list never changes; another takes its place.
func (e *Engine) followed() []*Queue {
	if list := e.followers.Load(); list != nil {
		return *list
	}
	return nil
}

package flood

import "slices"

// Follow returns a queue that gets every report that changes the registry from now on, until stop is called. What waits there is
// conflated like what waits for a neighbour; beyond limit clients it is emptied, which [Queue.Counts] tells, and what the follower knows
// by then is to be read from the registry anew. Nothing else is ever missing in it: who follows, and then reads the registry,
// has each report from there, or from the queue, or from both. What retention forgets is not told.
func (e *Engine) Subscribe(limit int) (q *Queue, stop func()) {
	q = NewQueue(limit)
	e.mu.Lock()
	defer e.mu.Unlock()
	followers := append(slices.Clone(e.subscribed()), q)
	e.subscribers.Store(&followers)
	return q, func() { e.unsubscribe(q) }
}

// unfollow gives nothing more to a queue, but for what is being heard at this moment.
func (e *Engine) unsubscribe(q *Queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(e.subscribed()), func(f *Queue) bool { return f == q })
	if len(rest) == 0 {
		e.subscribers.Store(nil)
		return
	}
	e.subscribers.Store(&rest)
}

// followed returns the queues of those who follow. The list never changes; another takes its place.
func (e *Engine) subscribed() []*Queue {
	if list := e.subscribers.Load(); list != nil {
		return *list
	}
	return nil
}

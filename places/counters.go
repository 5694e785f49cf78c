package places

import (
	"maps"
	"sync"
	"time"
)

// Count is what has happened with one provider.
type Count struct {
	Calls    uint64            // questions to the provider
	Statuses map[string]uint64 // of these, how they ended
	Took     time.Duration     // by all of them together
	Retries  uint64            // attempts beyond the first of each
	Hits     uint64            // answers that were remembered
	Joined   uint64            // questions that waited for the same, which was under way
	Fell     uint64            // answers of another provider in place of this one's
	Breaker  Breaker           // now; empty if the provider has none, or it never turned
}

// Counters counts the events that it watches, by provider. Its zero value is ready, and safe for concurrent use.
type Counters struct {
	mu sync.Mutex
	by map[string]*Count
}

// Watch counts an event.
func (c *Counters) Watch(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.by[e.Provider]
	if n == nil {
		if c.by == nil {
			c.by = make(map[string]*Count)
		}
		n = &Count{Statuses: make(map[string]uint64)}
		c.by[e.Provider] = n
	}
	switch e.What {
	case Call:
		n.Calls++
		n.Statuses[e.Status]++
		n.Took += e.Took
	case Retry:
		n.Retries++
	case Hit:
		n.Hits++
	case Joined:
		n.Joined++
	case Fall:
		n.Fell++
	case Turn:
		n.Breaker = e.State
	}
}

// Counts returns what was counted, by provider.
func (c *Counters) Counts() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]Count, len(c.by))
	for provider, n := range c.by {
		copied := *n
		copied.Statuses = maps.Clone(n.Statuses)
		counts[provider] = copied
	}
	return counts
}

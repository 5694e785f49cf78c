package places

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Event is something that happened while a query was answered.
type Event struct {
	Provider string // as places.provider names it
	Kind     EventKind
	Status   string        // of Called: OK, ZeroResults or the status word of the failure
	Took     time.Duration // of Called: from the query to its answer
	State    Breaker       // of BreakerTurned: the new state
	Err      error         // of Called, Retried or FellBack: the failure, if any; it never holds an API key
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events.
const (
	Called        EventKind = iota // the provider answered a query or failed, after one or more attempts
	Retried                        // an attempt failed and another follows
	CacheHit                       // the answer was in the cache
	Joined                         // the query waits for the answer to an equal one in flight
	FellBack                       // the provider failed and the fallback answers
	BreakerTurned                  // the state of the provider's circuit breaker changed
)

// Breaker is the state of a provider's circuit breaker.
type Breaker string

// The states of a breaker.
const (
	Closed   Breaker = "closed"    // queries reach the provider
	HalfOpen Breaker = "half-open" // one query at a time probes whether the provider works again
	Open     Breaker = "open"      // queries fail without reaching the provider
)

// Watch receives events as they happen. It must be safe for concurrent use and must not block.
type Watch func(Event)

// Count sums up the events of one provider since the start.
type Count struct {
	Calls     uint64            // events Called
	Statuses  map[string]uint64 // the same by status; they add up to Calls
	CallTime  time.Duration     // the sum of their times
	Retries   uint64            // attempts after the first
	CacheHits uint64
	Joined    uint64  // queries that waited for an equal one in flight
	Fallbacks uint64  // answers of the fallback
	Breaker   Breaker // current state; empty if there is no breaker, or it never changed
}

// Counters counts events by provider. Its zero value is ready, and it is safe for concurrent use.
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
	switch e.Kind {
	case Called:
		n.Calls++
		n.Statuses[e.Status]++
		n.CallTime += e.Took
	case Retried:
		n.Retries++
	case CacheHit:
		n.CacheHits++
	case Joined:
		n.Joined++
	case FellBack:
		n.Fallbacks++
	case BreakerTurned:
		n.Breaker = e.State
	}
}

// Counts returns a copy of the counts, by provider.
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

// Measure returns a Finder that passes queries to f and reports each as an event Called.
func Measure(provider string, f Finder, watch Watch) Finder {
	return finderFunc(func(ctx context.Context, q Query) (Answer, error) {
		start := time.Now()
		a, err := f.Find(ctx, q)
		e := Event{Provider: provider, Kind: Called, Status: OK, Took: time.Since(start), Err: err}
		switch {
		case err != nil:
			e.Status = failure(err).Status
		case len(a.Results) == 0:
			e.Status = ZeroResults
		}
		watch(e)
		return a, err
	})
}

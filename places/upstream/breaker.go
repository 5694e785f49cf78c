package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"herd/places"
)

const (
	failures = 5                // in a row open the breaker,
	openFor  = 10 * time.Second // and after that one request tries again
)

// newBreaker returns the breaker of c. It calls the functions given here under its own lock.
func (c *Client) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout: openFor,
		// who gave up asking says nothing of the provider
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		IsSuccessful: func(err error) bool { return !c.counts(err) },
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.ConsecutiveFailures >= failures || c.exhausted()
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			c.tell(places.Event{What: places.Turn, State: state(to)})
		},
	})
}

// counts tells whether err is a failure of the provider, and remembers it: that a query was wrong is not.
func (c *Client) counts(err error) bool {
	e, ok := errors.AsType[*places.Error](err)
	if !ok || e.Status == places.InvalidRequest {
		return false
	}
	c.mu.Lock()
	c.failure = e
	c.mu.Unlock()
	return true
}

// exhausted tells whether the last failure was a quota that will not come back soon.
func (c *Client) exhausted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure.Status == places.OverQueryLimit && !c.failure.Again
}

// refused returns the error of who is not let through by the breaker. It has the text of the failure before, but is not that one: the
// time of another question was up.
func (c *Client) refused() *places.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &places.Error{Status: c.failure.Status, Err: fmt.Errorf("not asked, for it failed before: %v", c.failure)}
}

func state(s gobreaker.State) places.Breaker {
	switch s {
	case gobreaker.StateOpen:
		return places.Open
	case gobreaker.StateHalfOpen:
		return places.HalfOpen
	}
	return places.Closed
}

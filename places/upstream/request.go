package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	"herd/places"
)

const (
	firstPause  = 100 * time.Millisecond // the longest pause before the second attempt; see Client.Do
	maxFailures = 5                      // consecutive failures that open the breaker
	openTime    = 10 * time.Second       // from the opening of the breaker until one request probes the provider
	longestHold = 24 * time.Hour         // the longest Retry-After that is honoured
)

// Request is what is sent to the provider.
type Request struct {
	Method string
	URL    string // may hold the secret
	Header http.Header
	Body   string
}

// Response is what the provider answered.
type Response struct {
	Status int    // of HTTP
	Body   []byte // whole and valid UTF-8 if Status is 200, else perhaps only its beginning
}

// Do sends r and passes the response, of whatever status, to read, whose error, as of Failed or Malformed, is that of the attempt. A
// failed attempt is repeated if its error is retryable and ctx leaves time for the pause, which is random, up to 100 ms before the second
// attempt and twice as long before each next one ("full jitter", M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog,
// 2015), and begins when a Retry-After is over.
func (c *Client) Do(ctx context.Context, r Request, read func(Response) error) error {
	for n := 0; ; n++ {
		err := c.admit(ctx, func() error { return c.attempt(ctx, r, read) })
		if err == nil {
			return nil
		}
		failed, ok := errors.AsType[*places.Error](err)
		if !ok || !failed.Retryable || n+1 >= c.config.Attempts || c.breaker.State() == gobreaker.StateOpen {
			return err
		}
		held, _ := c.held()
		wait := held + c.jitter(firstPause<<min(n, 10))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return err
		}
		c.emit(places.Event{Kind: places.Retried, Err: c.named(failed)})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// admit calls attempt when the limits of the package comment allow. It waits for at most half of the time that ctx leaves: with less, the
// attempt would fail and be taken for a failure of the provider.
func (c *Client) admit(ctx context.Context, attempt func() error) error {
	if err := c.blocked(); err != nil {
		return err
	}
	waiting, cancel, most := ctx, context.CancelFunc(func() {}), time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok {
		most = time.Until(deadline) / 2
		waiting, cancel = context.WithTimeout(ctx, most)
	}
	defer cancel()
	tooLong := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return &places.Error{
			Status: places.UnknownError, Err: fmt.Errorf("not requested within %v: %d other requests are in flight", about(most), cap(c.slots)),
		}
	}
	select {
	case c.slots <- struct{}{}:
	case <-waiting.Done():
		return tooLong()
	}
	defer func() { <-c.slots }()
	if err := c.limit.Wait(waiting); err != nil {
		if waiting.Err() != nil {
			return tooLong()
		}
		return &places.Error{
			Status: places.OverQueryLimit, Err: fmt.Errorf("not requested: the rate limit of %v requests/s is reached", c.config.Rate),
		}
	}
	if err := c.blocked(); err != nil { // an attempt may have failed since the first check
		return err
	}
	_, err := c.breaker.Execute(func() (struct{}, error) { return struct{}{}, attempt() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return c.refused()
	}
	return err
}

// blocked returns why the provider must not get a request now, or nil.
func (c *Client) blocked() error {
	if _, err := c.held(); err != nil {
		return err
	}
	if c.breaker.State() == gobreaker.StateOpen {
		return c.refused()
	}
	return nil
}

// attempt sends r once. Its error is sanitized.
func (c *Client) attempt(ctx context.Context, r Request, read func(Response) error) error {
	response, header, err := c.send(ctx, r)
	if err == nil {
		err = read(response)
	}
	if err == nil {
		return nil
	}
	failed := c.sanitized("", err)
	if failed.RetryAfter = RetryAfter(header.Get("Retry-After"), time.Now()); failed.RetryAfter > 0 {
		c.hold(failed)
	}
	return failed
}

// RetryAfter returns how long from now on a server wants no requests, from the value of a header Retry-After in seconds or as a date
// (RFC 9110, section 10.2.3): at most a day, and 0 if it is neither or over.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil || seconds > uint64(longestHold/time.Second) {
			return longestHold
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(0, date.Sub(now)), longestHold)
}

// hold blocks requests for err.RetryAfter, because of err.
func (c *Client) hold(err *places.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(err.RetryAfter); until.After(c.heldUntil) {
		c.heldUntil, c.heldBy = until, err
	}
}

// held returns for how long the provider's Retry-After still blocks requests, with the error for those; 0 and nil if it does not.
func (c *Client) held() (time.Duration, *places.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := time.Until(c.heldUntil)
	if d <= 0 {
		return 0, nil
	}
	return d, &places.Error{
		Status: c.heldBy.Status, RetryAfter: d,
		Err: fmt.Errorf("not requested for another %v, as the provider wants: %v", d.Round(time.Millisecond), c.heldBy),
	}
}

// newBreaker returns the breaker of c. It calls these functions with its own lock held.
func (c *Client) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      openTime,
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) }, // by the caller, so it says nothing of the provider
		IsSuccessful: func(err error) bool { return !c.isFailure(err) },
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.ConsecutiveFailures >= maxFailures || c.exhausted()
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			c.emit(places.Event{Kind: places.BreakerTurned, State: places.Breaker(to.String())})
		},
	})
}

// isFailure reports whether err counts as a failure of the provider, and keeps it in that case. A wrong query does not count.
func (c *Client) isFailure(err error) bool {
	e, ok := errors.AsType[*places.Error](err)
	if !ok || e.Status == places.InvalidRequest {
		return false
	}
	c.mu.Lock()
	c.failure = e
	c.mu.Unlock()
	return true
}

// exhausted reports whether the last failure was a quota that is used up for longer.
func (c *Client) exhausted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure.Status == places.OverQueryLimit && !c.failure.Retryable
}

// refused returns the error of a request that the breaker refuses. It has the text of the last failure but does not wrap it: that one's
// context was another.
func (c *Client) refused() *places.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &places.Error{Status: c.failure.Status, Err: fmt.Errorf("not requested after a failure: %v", c.failure)}
}

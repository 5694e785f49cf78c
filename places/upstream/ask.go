package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"

	"herd/places"
)

// An attempt that failed is made again after a random time of up to pause, twice that the next time, and so on
// ("full jitter", M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
const pause = 100 * time.Millisecond

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
	Body   []byte // valid UTF-8 if Status is 200, else perhaps only its beginning
}

// Ask sends r and has read read the response, of whatever status; its error, as of
// Failed or Nonsense, is that of the attempt. An attempt that failed is made again
// if its error says that this may help, and if the time left in ctx suffices for
// the wait; else Ask fails at once.
func (c *Client) Ask(ctx context.Context, r Request, read func(Response) error) error {
	for n := 0; ; n++ {
		err := c.turn(ctx, func() error { return c.attempt(ctx, r, read) })
		if err == nil {
			return nil
		}
		failed, ok := errors.AsType[*places.Error](err)
		if !ok || !failed.Again || n+1 >= c.config.Attempts || c.breaker.State() == gobreaker.StateOpen {
			return err
		}
		alone, _ := c.left()
		wait := alone + c.jitter(pause<<min(n, 10))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return err
		}
		c.tell(places.Event{What: places.Retry, Err: c.named(failed)})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// turn does attempt once nothing is in its way. It waits for half of the time that is left at most: who asks with less asks in vain,
// and what comes of it says that a provider fails which is only asked too much.
func (c *Client) turn(ctx context.Context, attempt func() error) error {
	if err := c.blocked(); err != nil {
		return err
	}
	waiting, cancel, most := ctx, context.CancelFunc(func() {}), time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok {
		most = time.Until(deadline) / 2
		waiting, cancel = context.WithTimeout(ctx, most)
	}
	defer cancel()
	noTurn := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return &places.Error{Status: places.UnknownError, Err: fmt.Errorf("not asked within %v, for %d other requests are under way", about(most), cap(c.slots))}
	}
	select {
	case c.slots <- struct{}{}:
	case <-waiting.Done():
		return noTurn()
	}
	defer func() { <-c.slots }()
	if err := c.limit.Wait(waiting); err != nil {
		if waiting.Err() != nil {
			return noTurn()
		}
		return &places.Error{
			Status: places.OverQueryLimit, Err: fmt.Errorf("not asked, for its rate limit of %v requests/s is reached", c.config.Rate),
		}
	}
	if err := c.blocked(); err != nil { // while this one waited
		return err
	}
	_, err := c.breaker.Execute(func() (struct{}, error) { return struct{}{}, attempt() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return c.refused()
	}
	return err
}

// blocked returns why the provider is not to be asked now, or nil.
func (c *Client) blocked() error {
	if _, err := c.left(); err != nil {
		return err
	}
	if c.breaker.State() == gobreaker.StateOpen {
		return c.refused()
	}
	return nil
}

// attempt sends r once. Its error is washed.
func (c *Client) attempt(ctx context.Context, r Request, read func(Response) error) error {
	response, header, err := c.send(ctx, r)
	if err == nil {
		err = read(response)
	}
	if err == nil {
		return nil
	}
	failed := c.washed(err)
	if failed.After = RetryAfter(header.Get("Retry-After"), time.Now()); failed.After > 0 {
		c.leave(failed)
	}
	return failed
}

// sleep waits for d, or fails as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

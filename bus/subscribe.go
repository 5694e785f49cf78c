package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// wanted is a subscription that the server is to be asked for.
type wanted struct {
	peer    string // under which it is kept
	subject string
	receive func(*nats.Msg)
}

// subscribe asks for subscriptions that last until the connection ends, and returns when the server has answered. Those that it refused
// are left out; the error is that of a refusal if there is no subscription then.
func (c *natsConn) subscribe(ctx context.Context, all []wanted) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	before := c.nc.LastError()
	c.mu.Lock()
	c.noted = make(map[error]bool)
	c.mu.Unlock()
	for _, one := range all {
		if err := c.ask(one); err != nil {
			return fmt.Errorf("bus: subscribe to %s: %w", one.subject, err)
		}
	}
	err := c.nc.FlushWithContext(ctx)
	// A refusal came before the answer to the flush, but another goroutine calls failed with it, in the order of refusals.
	if last := c.nc.LastError(); err == nil && last != before {
		err = c.await(ctx, last)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noted = nil
	if err != nil {
		return fmt.Errorf("bus: subscribe: %w", err)
	}
	if len(c.subscriptions) == 0 {
		return c.refusal
	}
	return nil
}

func (c *natsConn) ask(one wanted) error {
	c.mu.Lock() // so that a refusal finds the subscription
	defer c.mu.Unlock()
	sub, err := c.nc.Subscribe(one.subject, func(m *nats.Msg) {
		c.receiving.RLock()
		defer c.receiving.RUnlock()
		if !c.closed {
			one.receive(m)
		}
	})
	if err != nil {
		return err
	}
	c.subscriptions[one.peer] = sub
	c.order = append(c.order, one.peer)
	return sub.SetPendingLimits(MaxPending, maxPendingBytes)
}

// await returns when failed was called with an error of the server.
func (c *natsConn) await(ctx context.Context, last error) error {
	for {
		c.mu.Lock()
		done := c.noted[last]
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-c.another:
		case <-c.done:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drop ends a subscription. It needs the lock.
func (c *natsConn) drop(peer string, sub *nats.Subscription) error {
	delete(c.subscriptions, peer)
	c.order = slices.DeleteFunc(c.order, func(other string) bool { return other == peer })
	return sub.Unsubscribe()
}

// failed is called with what goes wrong and does not end the connection, in order.
func (c *natsConn) failed(sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		dropped, _ := sub.Dropped()
		c.fault(fmt.Errorf("%w: %d on %s so far", ErrOverrun, dropped, sub.Subject))
	case errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrMaxSubscriptionsExceeded):
		c.fault(c.refuse(err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noted != nil {
		c.noted[err] = true
		select {
		case c.another <- struct{}{}:
		default:
		}
	}
}

// refuse drops the subscription that the server refused, if it was one, and returns the error that says so.
func (c *natsConn) refuse(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused := -1
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		refused = len(c.order) - 1 // the server does not say which: those that it was asked for last
	} else if strings.Contains(err.Error(), " for Subscription to ") {
		refused = slices.IndexFunc(c.order, func(peer string) bool {
			return strings.Contains(err.Error(), strconv.Quote(c.subscriptions[peer].Subject))
		})
	}
	if refused >= 0 && errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		err = fmt.Errorf("%w: nothing is received on %s", err, c.subscriptions[c.order[refused]].Subject)
	}
	err = serverError(err)
	if refused >= 0 {
		peer := c.order[refused]
		_ = c.drop(peer, c.subscriptions[peer]) // the server has none
		c.refusal = err
	}
	return err
}

// own are errors of the NATS client, which no server sent.
var own = []error{
	nats.ErrNoServers, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrStaleConnection, nats.ErrSlowConsumer, nats.ErrTLS, nats.ErrSecureConnWanted,
	nats.ErrNkeysNotSupported, nats.ErrNoInfoReceived,
}

// serverError returns an error as what it is: [ErrRefused], [ErrServer], or none of the server.
func serverError(err error) error {
	cause := err
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		cause = inner
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case strings.HasPrefix(cause.Error(), "nats: ") && !slices.ContainsFunc(own, func(other error) bool { return errors.Is(err, other) }):
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	return fmt.Errorf("bus: %w", err)
}

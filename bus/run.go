package bus

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
	lasting    = time.Second // after a connection that lasted so long the pauses are short again
	flushTime  = 500 * time.Millisecond
)

// Run keeps one node connected until ctx ends: it dials, calls serve with the connection, and dials again when serve returns,
// after a random pause of at most 50 ms at first and 500 ms in the end. First start, restart and reconnection are the same. The
// context of serve ends with the connection. Before each pause but the last, Run calls lost with the reason why there is no
// connection: what serve returned, or else the connection's own error.
func Run(ctx context.Context, d Dialer, h Handler, serve func(context.Context, Conn) error, lost func(error)) {
	ceiling := minBackoff
	for ctx.Err() == nil {
		began := time.Now()
		c, err := d.Dial(ctx, h)
		if err == nil {
			err = hold(ctx, c, serve)
		}
		if ctx.Err() != nil {
			return
		}
		lost(err)
		if time.Since(began) >= lasting && c != nil {
			ceiling = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(ceiling)):
		}
		ceiling = min(2*ceiling, maxBackoff)
	}
}

// hold serves a connection to its end, and returns why it ended.
func hold(ctx context.Context, c Conn, serve func(context.Context, Conn) error) error {
	serving, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer stop()
		select {
		case <-c.Done():
		case <-serving.Done():
		}
	})
	err := serve(serving, c)
	stop()
	watch.Wait()
	if ctx.Err() != nil {
		// The node stops: what it has published is still sent.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		_ = c.Flush(last) // if it fails, the connection was lost, which does not matter to a node that stops
	}
	c.Close() // before Err: what failed first may have been a Publish
	if err != nil {
		return err
	}
	return c.Err()
}

package bench

import (
	"context"
	"sync"
	"time"
)

// alarm wakes one goroutine.
type alarm interface {
	wait(ctx context.Context, d time.Duration) // for so long, which is more than nothing, or until ctx ends
	close()
}

// open sends requests when they are due.
func (c *connection) open() error {
	var gone context.CancelFunc
	c.gone, gone = context.WithCancel(context.Background())
	var receiving sync.WaitGroup
	var received error
	receiving.Go(func() {
		defer gone()
		received = c.collect()
	})
	sent := c.pace()
	c.finished.Store(true)
	if sent != nil || c.got.Load() == c.sent.Load() {
		_ = c.conn.Close() // so the receiver ends as well
	}
	receiving.Wait()
	if sent != nil {
		return sent
	}
	return received
}

// pace is the sender of an open load.
func (c *connection) pace() error {
	alarm, err := c.alarm()
	if err != nil {
		return err
	}
	defer alarm.close()
	every := time.Duration(float64(c.Connections) / c.Rate * float64(time.Second))
	first := time.Duration(float64(c.index) / c.Rate * float64(time.Second))
	end := c.Warmup + c.Duration
	if c.Requests > 0 { // those of the warm-up, and the quota
		end = min(end, first+(c.Warmup-first+every-1)/every*every+time.Duration(c.quota)*every)
	}
	for due := first; due < end; due += every {
		now, err := c.await(alarm, due)
		if stopped := c.stopped.Load(); stopped != nil {
			if end = min(end, stopped.Sub(c.epoch)); due >= end {
				break // what was due before the run was stopped has been sent
			}
		}
		if err != nil || now > c.Warmup+c.Duration+c.Timeout || c.full() || c.gone.Err() != nil {
			c.abandonDue(due, every, end)
			if err == nil {
				err = c.flush()
			}
			return err
		}
		c.pick(c.epoch.Add(due).UnixNano())
		c.put(due, now)
	}
	return c.flush()
}

// await waits until a request is due and there is room for it, and returns the time. What has been put leaves before. If the run is
// stopped, it returns at once; then, or when the receiver ended, there may be no room.
func (c *connection) await(alarm alarm, due time.Duration) (now time.Duration, err error) {
	if now = c.since(); due > now {
		if err := c.flush(); err != nil {
			return now, err
		}
		if now = c.since(); due > now {
			alarm.wait(c.ctx, due-now)
			if now = c.since(); now < due {
				c.stop()
			}
		}
	}
	for c.full() {
		if err := c.flush(); err != nil {
			return now, err
		}
		select {
		case <-c.room:
			now = c.since()
		case <-c.gone.Done():
			return now, nil
		case <-c.ctx.Done():
			c.stop()
			return now, nil
		}
	}
	return now, nil
}

// full reports whether as many requests are in flight as may be.
func (c *connection) full() bool { return c.next-c.got.Load() == uint64(len(c.slots)) }

// abandonDue counts the requests due from due until end that are measured.
func (c *connection) abandonDue(due, every, end time.Duration) {
	n := 0
	for ; due < end; due += every {
		if due >= c.Warmup {
			n++
		}
	}
	c.abandon(n)
}

// collect is the receiver of an open load.
func (c *connection) collect() error {
	for !c.finished.Load() || c.got.Load() < c.sent.Load() {
		before := c.got.Load()
		err := c.receive()
		if c.got.Load() > before {
			select {
			case c.room <- struct{}{}:
			default:
			}
		}
		if err != nil && (!c.finished.Load() || c.got.Load() < c.sent.Load()) {
			return err
		}
	}
	return nil
}

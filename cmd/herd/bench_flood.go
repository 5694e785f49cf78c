package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"herd/bus"
	"herd/cmd/herd/internal/bench"
	"herd/cmd/herd/internal/process"
	"herd/node/line"
)

const (
	sampledRate = 10_000                 // reports a second at most whose way is measured
	pollPause   = 100 * time.Millisecond // between two reports whose arrival is asked for
)

// arrivals measures how long after a client was answered a server farther on knows of it.
type arrivals struct {
	node    string
	hops    int // 0: not known
	digits  int // of a client's number that are zero if its way is measured
	stopped context.CancelFunc
	running sync.WaitGroup
	polling sync.WaitGroup
	asked   chan flown // reports to ask for; nobody waits for room

	mu         sync.Mutex // guards what follows
	flights    map[string]*flight
	waiting    int
	idle       chan struct{} // closed when nothing is awaited any more, once somebody wants to know
	seen       bench.Latency
	whole      bench.Latency
	polled     bench.Latency
	superseded int
	before     int   // seen before the acknowledgement
	missing    int   // asked for in vain
	trouble    error // what made the measurement incomplete
}

// flight is how far one client's reports have come.
type flight struct {
	wanted  string    // time of a report that was acknowledged, and has not been seen; "": none is awaited
	acked   time.Time // when it was
	arrived string    // time of the newest report that was seen
	at      time.Time // when it was
}

// flown is a report to ask for.
type flown struct {
	client, time string
	acked        time.Time
}

// watchFlood begins to watch what the farthest server is told, and returns nil if there is none, or it cannot be watched though nobody named it.
func (b *benchCommand) watchFlood(ctx context.Context) (*arrivals, error) {
	node, hops := b.farthestNode()
	if !b.observe || node == "" {
		return nil, nil
	}
	a := &arrivals{node: node, hops: hops, asked: make(chan flown, 1), flights: make(map[string]*flight)}
	for sampled := b.sampled(); sampled >= 10; sampled /= 10 {
		a.digits++
	}
	err := a.observe(context.WithoutCancel(ctx), b)
	if err == nil {
		return a, nil
	}
	if b.farthest != "" {
		return nil, err
	}
	fmt.Fprintf(b.stderr, "the time to %s is not measured: %v\n", node, err)
	return nil, nil
}

// sampled returns of how many clients one is measured: a power of ten, or less than the next.
func (b *benchCommand) sampled() int {
	n := 100
	if b.Rate > 0 {
		n = int((b.Rate + sampledRate - 1) / sampledRate)
	}
	return min(n, b.Clients/100)
}

// farthestNode returns the node that most links part from the one that takes the load.
func (b *benchCommand) farthestNode() (name string, hops int) {
	t := b.config.Topology()
	if b.farthest != "" {
		if b.taker != "" {
			for _, n := range t.Nodes() {
				if string(n) == b.farthest {
					hops = t.Hops(b.taker, n)
				}
			}
		}
		return b.farthest, hops
	}
	if b.taker == "" {
		return "", 0
	}
	for _, n := range t.Nodes() {
		if h := t.Hops(b.taker, n); h > hops {
			name, hops = string(n), h
		}
	}
	return name, hops
}

// observe begins to see and to ask.
func (a *arrivals) observe(ctx context.Context, b *benchCommand) error {
	observer, err := process.NewObserver(b.config)
	if err != nil {
		return err
	}
	ctx, a.stopped = context.WithCancel(ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	observer.To, observer.Receive, observer.Fault = a.node, a.see, a.fail
	observer.Ready = func() { close(ready) }
	a.running.Go(func() {
		err := observer.Run(ctx)
		if err != nil {
			a.fail(err)
		}
		ended <- err
	})
	select {
	case <-ready:
	case err := <-ended:
		a.stopped()
		return fmt.Errorf("the bus cannot be observed: %w", err)
	}
	n, _ := named(b.config, a.node)
	address, err := process.Reach(n.Listen)
	if err != nil {
		return nil // nobody asks there
	}
	if there, err := b.converse(ctx, address); err != nil {
		a.fail(fmt.Errorf("not asked there: %w", err))
	} else {
		a.polling.Go(func() {
			defer there.close()
			a.poll(ctx, there)
		})
	}
	return nil
}

func (a *arrivals) stop() {
	a.stopped()
	a.running.Wait()
	a.polling.Wait()
}

func (a *arrivals) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble == nil {
		a.trouble = err
	}
}

// samples reports whether the way of a client's reports is measured.
func (a *arrivals) samples(client []byte) bool {
	if len(client) < a.digits {
		return false
	}
	for _, digit := range client[len(client)-a.digits:] {
		if digit != '0' {
			return false
		}
	}
	return true
}

// acknowledged hears of a report that was answered. Connections call it.
func (a *arrivals) acknowledged(report []byte, at time.Time) {
	rest := report[len("IAMAT "):]
	client, rest, _ := bytes.Cut(rest, []byte{' '})
	if !a.samples(client) {
		return
	}
	_, when, _ := bytes.Cut(bytes.TrimSuffix(rest, []byte{'\n'}), []byte{' '})
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.flight(string(client))
	switch {
	case f.arrived >= string(when):
		a.count(f.arrived > string(when), f.at, at, string(when))
	case f.wanted == "":
		f.wanted, f.acked = string(when), at
		a.waiting++
	}
	if f.arrived == "" {
		return // the node may not know the client, and would log that it is asked
	}
	select {
	case a.asked <- flown{string(client), string(when), at}:
	default:
	}
}

// see hears what the node is told.
func (a *arrivals) see(m bus.Observed) {
	at := time.Now()
	for l := range bytes.Lines(m.Payload) {
		// PROPAGATE from origin skew client position time
		_, l, _ = bytes.Cut(l, []byte{' '})
		for range 3 {
			_, l, _ = bytes.Cut(l, []byte{' '})
		}
		client, rest, _ := bytes.Cut(l, []byte{' '})
		if !a.samples(client) {
			continue
		}
		_, when, _ := bytes.Cut(bytes.TrimSuffix(rest, []byte{'\n'}), []byte{' '})
		a.arrive(string(client), string(when), at)
	}
}

func (a *arrivals) arrive(client, when string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.flight(client)
	if when <= f.arrived { // it came another way before
		return
	}
	f.arrived, f.at = when, at
	if f.wanted == "" || when < f.wanted {
		return
	}
	a.count(when > f.wanted, at, f.acked, f.wanted)
	f.wanted = ""
	if a.waiting--; a.waiting == 0 && a.idle != nil {
		close(a.idle)
		a.idle = nil
	}
}

// flight returns what is known of a client.
func (a *arrivals) flight(client string) *flight {
	f := a.flights[client]
	if f == nil {
		f = new(flight)
		a.flights[client] = f
	}
	return f
}

// count notes an arrival of a report that was acknowledged. It may have been seen before that.
func (a *arrivals) count(superseded bool, at, acked time.Time, when string) {
	a.seen.Add(at.Sub(acked))
	a.whole.Add(at.Sub(due(when)))
	if !at.After(acked) {
		a.before++
	}
	if superseded {
		a.superseded++
	}
}

// due returns when a report of the generator was due: that is its time.
func due(when string) time.Time {
	whole, nanos, _ := strings.Cut(when, ".")
	s, _ := strconv.ParseInt(whole, 10, 64) // they are digits, nine after the point
	n, _ := strconv.ParseInt(nanos, 10, 64)
	return time.Unix(s, n)
}

// poll asks the node about one report after the other until it knows of it, and ends when no more will come.
func (a *arrivals) poll(ctx context.Context, there *conversation) {
	for {
		select {
		case <-ctx.Done():
			return
		case r, more := <-a.asked:
			if !more {
				return
			}
			known, err := knows(ctx, there, r)
			took := time.Since(r.acked)
			a.mu.Lock()
			switch {
			case ctx.Err() != nil:
			case known:
				a.polled.Add(took)
			default:
				a.missing++
			}
			a.mu.Unlock()
			if err != nil {
				if ctx.Err() == nil {
					a.fail(fmt.Errorf("not asked there: %w", err))
				}
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollPause):
		}
		select {
		case <-a.asked: // it is old
		default:
		}
	}
}

// knows asks a node until it knows of a report or a newer one of that client, at most as long as it may be silent.
func knows(ctx context.Context, there *conversation, r flown) (bool, error) {
	var reply bytes.Buffer
	for began := time.Now(); time.Since(began) < there.timeout && ctx.Err() == nil; {
		if _, err := fmt.Fprintf(there, "WHATSAT %s 0 0\n", r.client); err != nil {
			return false, there.failure(err)
		}
		reply.Reset()
		refused, err := there.reply(&reply)
		if err != nil {
			return false, err
		}
		if at, _, _ := strings.Cut(reply.String(), "\n"); !refused {
			if known, err := line.ParseReport(strings.TrimPrefix(at, "AT ")); err == nil && known.Time() >= r.time {
				return true, nil
			}
		}
		if pause := time.Since(r.acked) / 16; pause > time.Millisecond { // timers are hardly more exact
			time.Sleep(pause)
		}
	}
	return false, nil
}

// farthest is what was measured of the way to the farthest node.
type farthest struct {
	Node       string        `json:"node"`
	Hops       int           `json:"hops,omitempty"`
	Seen       bench.Latency `json:"seen"`       // from acknowledgement to being told, on the bus
	Whole      bench.Latency `json:"whole"`      // from when the line was due, or sent if the loop is closed, to being told
	Asked      bench.Latency `json:"asked"`      // from acknowledgement to the answer that shows it
	Superseded int           `json:"superseded"` // of those seen, that came only as a newer report of the same client
	Before     int           `json:"before"`     // of those seen, that were seen before the acknowledgement, which counts as no time
	Missing    int           `json:"missing"`    // that were not seen, or not known there, in time
	Trouble    string        `json:"trouble,omitempty"`
}

// end waits for what is still on its way, for so long, and returns what was measured.
func (a *arrivals) end(patience time.Duration) *farthest {
	a.mu.Lock()
	var idle chan struct{}
	if a.waiting > 0 {
		idle = make(chan struct{})
		a.idle = idle
	}
	a.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-time.After(patience):
		}
	}
	close(a.asked)
	a.polling.Wait() // for the last answer, which has its own time-out
	a.stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &farthest{Node: a.node, Hops: a.hops, Seen: a.seen, Whole: a.whole, Asked: a.polled, Superseded: a.superseded, Before: a.before, Missing: a.missing + a.waiting}
	if a.trouble != nil {
		f.Trouble = a.trouble.Error()
	}
	return f
}

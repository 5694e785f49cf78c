package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"herd/bus"
	"herd/cmd/herd/internal/client"
	"herd/node/line"
	"herd/node/topology"
)

const (
	sampledRate = 10_000                 // reports a second at most whose way is measured
	pollPause   = 100 * time.Millisecond // between two reports whose arrival is polled
)

// Arrivals measures the time from the acknowledgement of a report to its arrival at a node some links away.
type Arrivals struct {
	digits    int                // of a client's number, from the end, that are zero if its reports are measured
	cancel    context.CancelFunc // ends observing and polling
	observing sync.WaitGroup
	polling   sync.WaitGroup
	polled    chan acknowledged // reports to poll the node for; not taken while it is polled for another

	mu      sync.Mutex // guards what follows
	flights map[string]*flight
	waiting int           // flights with wanted
	idle    chan struct{} // closed when waiting becomes 0; nil until Finish waits for it
	report  FarthestReport
}

// flight is how far the reports of one client have come.
type flight struct {
	wanted  string    // time of the acknowledged report that is awaited; "": none is
	acked   time.Time // when that was acknowledged
	arrived string    // time of the newest report that was observed; "": none was
	at      time.Time // when that was observed
}

// acknowledged is a report that a client was answered for.
type acknowledged struct {
	client, time string
	acked        time.Time
}

// Following says which arrivals are measured.
type Following struct {
	Node     string                                          // at which reports arrive
	Links    int                                             // to the node that takes the load; 0: not known
	Sampled  int                                             // of how many clients one is measured, see [Sampled]
	Observer *bus.Observer                                   // of the bus; Follow sets its functions
	Dial     func(ctx context.Context) (*client.Conn, error) // connects to Node as a client; nil: it is not polled
}

// Sampled returns of how many clients one is measured, so that no more than some 10,000 reports a second are, and 100 clients if there are as
// many.
func Sampled(rate float64, clients int) int {
	n := 100
	if rate > 0 {
		n = int((rate + sampledRate - 1) / sampledRate)
	}
	return min(n, clients/100)
}

// Farthest returns the node with the most links between it and the one that takes the load, or "" if there is no other.
func Farthest(t *topology.Topology, taker line.NodeName) (farthest line.NodeName, links int) {
	for _, n := range t.Nodes() {
		if away := t.Distance(taker, n); away > links {
			farthest, links = n, away
		}
	}
	return farthest, links
}

// Follow starts to observe what a node receives, and to poll the node. It does so until Stop or Finish.
func Follow(ctx context.Context, f Following) (*Arrivals, error) {
	a := &Arrivals{report: FarthestReport{Node: f.Node, Links: f.Links}, polled: make(chan acknowledged), flights: make(map[string]*flight)}
	for n := f.Sampled; n >= 10; n /= 10 {
		a.digits++
	}
	ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan struct{}), make(chan error, 1)
	o := f.Observer
	o.To, o.Receive, o.Fault = f.Node, a.receive, a.fail
	o.Ready = func() { close(ready) }
	a.observing.Go(func() {
		err := o.Run(ctx)
		if err != nil {
			a.fail(err)
		}
		ended <- err
	})
	select {
	case <-ready:
	case err := <-ended:
		a.cancel()
		return nil, fmt.Errorf("the bus cannot be observed: %w", err)
	}
	if f.Dial == nil {
		return a, nil
	}
	if conn, err := f.Dial(ctx); err != nil {
		a.fail(fmt.Errorf("not polled there: %w", err))
	} else {
		a.polling.Go(func() {
			defer conn.Close()
			a.poll(ctx, conn)
		})
	}
	return a, nil
}

// Stop ends following.
func (a *Arrivals) Stop() {
	a.cancel()
	a.observing.Wait()
	a.polling.Wait()
}

func (a *Arrivals) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.report.Trouble == "" {
		a.report.Trouble = err.Error()
	}
}

// samples reports whether the reports of a client are measured.
func (a *Arrivals) samples(client []byte) bool {
	return len(client) >= a.digits && len(bytes.Trim(client[len(client)-a.digits:], "0")) == 0
}

// Acknowledged notes a report that was answered. It is for [Config.Acknowledged].
func (a *Arrivals) Acknowledged(report []byte, at time.Time) {
	client, tail, _ := bytes.Cut(report[len("IAMAT "):], []byte{' '})
	if !a.samples(client) {
		return
	}
	_, when, _ := bytes.Cut(bytes.TrimSuffix(tail, []byte{'\n'}), []byte{' '})
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
		return // the node may not know the client, and would log the question
	}
	select {
	case a.polled <- acknowledged{string(client), string(when), at}:
	default:
	}
}

// receive notes the reports of a message to the node.
func (a *Arrivals) receive(m bus.Observed) {
	at := time.Now()
	for l := range bytes.Lines(m.Payload) {
		// PROPAGATE from origin skew client position time
		_, l, _ = bytes.Cut(l, []byte{' '})
		for range 3 {
			_, l, _ = bytes.Cut(l, []byte{' '})
		}
		client, tail, _ := bytes.Cut(l, []byte{' '})
		if !a.samples(client) {
			continue
		}
		_, when, _ := bytes.Cut(bytes.TrimSuffix(tail, []byte{'\n'}), []byte{' '})
		a.arrive(string(client), string(when), at)
	}
}

func (a *Arrivals) arrive(client, when string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.flight(client)
	if when <= f.arrived { // it arrived by another link before
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

// flight returns the flight of a client.
func (a *Arrivals) flight(client string) *flight {
	f := a.flights[client]
	if f == nil {
		f = new(flight)
		a.flights[client] = f
	}
	return f
}

// count counts the arrival of an acknowledged report, which may be before the acknowledgement.
func (a *Arrivals) count(superseded bool, at, acked time.Time, when string) {
	a.report.Observed.Add(at.Sub(acked))
	a.report.Whole.Add(at.Sub(due(when)))
	if !at.After(acked) {
		a.report.Before++
	}
	if superseded {
		a.report.Superseded++
	}
}

// due returns when the line of a report was due, which is the report's time.
func due(when string) time.Time {
	whole, nanos, _ := strings.Cut(when, ".")
	s, _ := strconv.ParseInt(whole, 10, 64) // they are digits, nine after the point
	n, _ := strconv.ParseInt(nanos, 10, 64)
	return time.Unix(s, n)
}

// poll requests one report after the other from the node, for each until it has arrived, until polled is closed.
func (a *Arrivals) poll(ctx context.Context, conn *client.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case r, more := <-a.polled:
			if !more {
				return
			}
			known, err := knows(ctx, conn, r)
			took := time.Since(r.acked)
			a.mu.Lock()
			switch {
			case ctx.Err() != nil:
			case known:
				a.report.Polled.Add(took)
			default:
				a.report.Missing++
			}
			a.mu.Unlock()
			if err != nil {
				if ctx.Err() == nil {
					a.fail(fmt.Errorf("not polled there: %w", err))
				}
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollPause):
		}
	}
}

// knows polls a node until it has a report or a newer one of the same client, at most for its timeout.
func knows(ctx context.Context, conn *client.Conn, r acknowledged) (bool, error) {
	var reply bytes.Buffer
	for began := time.Now(); time.Since(began) < conn.Timeout && ctx.Err() == nil; {
		if _, err := fmt.Fprintf(conn, "WHATSAT %s 0 0\n", r.client); err != nil {
			return false, conn.Failure(err)
		}
		reply.Reset()
		refused, err := conn.Reply(&reply)
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

// FarthestReport is what was measured of the way to the farthest node.
type FarthestReport struct {
	Node       string  `json:"node"`
	Links      int     `json:"links,omitempty"`   // to the node that takes the load
	Observed   Latency `json:"observed"`          // from acknowledgement to the message to the node, on the bus
	Whole      Latency `json:"whole"`             // from when the line was due, or sent if the loop is closed, to that message
	Polled     Latency `json:"polled"`            // from acknowledgement to the answer that shows it
	Superseded int     `json:"superseded"`        // of those observed, which arrived only as a newer report of the same client
	Before     int     `json:"before"`            // of those observed, which arrived before the acknowledgement and count as no time
	Missing    int     `json:"missing"`           // that did not arrive in time
	Trouble    string  `json:"trouble,omitempty"` // what made the measurement incomplete
}

// Finish waits for the reports that are awaited, at most for patience, ends following, and returns what was measured.
func (a *Arrivals) Finish(patience time.Duration) *FarthestReport {
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
	close(a.polled)
	a.polling.Wait() // the last answer has its own timeout
	a.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Missing += a.waiting
	return &a.report
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what load to make, on whom.
type Config struct {
	Protocol    Protocol
	Addresses   []string // of the servers; the connections take turns
	Connections int
	Pipeline    int // requests in flight, on each connection, at most
	Clients     int // at least one for each connection, which shares none with another
	Prefix      string
	WhatsAt     float64 // share of the requests that are WHATSAT, 0 to 1; the others are IAMAT

	Rate     float64       // of requests a second on all connections, due at times fixed in advance; 0: as many as are answered
	Warmup   time.Duration // after all clients have reported once; what is due in it does not count
	Duration time.Duration // after that
	Requests int           // end after so many that count, even if it is before Duration; 0: any number
	Timeout  time.Duration // for a reply; also how long requests that are late may still be sent after the end
	Seed     uint64

	// Dial connects to an address.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Acknowledged is called for each report that counts and was answered as expected, with its bytes, which it must not keep, and
	// with when its reply was read. Connections call it at the same time. It may be nil.
	Acknowledged func(report []byte, at time.Time)
	// Progress is called a few times a second. It may be nil.
	Progress func(Snapshot)

	alarm func() (alarm, error) // nil: newAlarm
}

// Limits of a [Config].
const (
	MaxConnections = 50_000
	MaxPipeline    = 1024
	MaxClients     = 10_000_000
)

// Check finds all that is wrong with a configuration.
func (c *Config) Check() error {
	var faults []error
	for _, f := range []struct {
		ok   bool
		want string
	}{
		{len(c.Addresses) > 0, "an address is needed"},
		{1 <= c.Connections && c.Connections <= MaxConnections, fmt.Sprintf("connections are 1 to %d", MaxConnections)},
		{1 <= c.Pipeline && c.Pipeline <= MaxPipeline, fmt.Sprintf("the pipeline is 1 to %d", MaxPipeline)},
		{c.Connections <= c.Clients && c.Clients <= MaxClients, fmt.Sprintf("clients are as many as connections, to %d", MaxClients)},
		{0 <= c.WhatsAt && c.WhatsAt <= 1, "the share of WHATSAT is 0 to 1"},
		{0 <= c.Rate && c.Rate <= 1e9, "the rate is 0 to 1000000000"},
		{c.Warmup >= 0, "the warm-up is not negative"},
		{c.Duration > 0, "the duration is more than 0s"},
		{c.Requests >= 0, "the number of requests is not negative"},
		{c.Timeout > 0, "the time-out is more than 0s"},
	} {
		if !f.ok {
			faults = append(faults, errors.New(f.want))
		}
	}
	return errors.Join(faults...)
}

// Result is what a run measured after its warm-up. Times are in seconds.
type Result struct {
	Filled     int            `json:"filled"`     // clients that reported once before
	FillTime   float64        `json:"fill_time"`  // which took so long
	Elapsed    float64        `json:"elapsed"`    // from the end of the warm-up to the last reply
	Answered   int            `json:"answered"`   // requests that were answered as expected
	Throughput float64        `json:"throughput"` // of these, a second
	Refused    int            `json:"refused"`    // requests to which the server said no
	Wrong      int            `json:"wrong"`      // requests whose reply was another's
	Unsent     int            `json:"unsent"`     // requests that were due and never left: the server could not keep up
	Errors     map[string]int `json:"errors"`     // that ended connections, by kind
	First      error          `json:"-"`          // of these, or nil
	IAmAt      Latency        `json:"iamat"`      // of requests that were answered as expected
	WhatsAt    Latency        `json:"whatsat"`
	Seconds    []Second       `json:"seconds"` // whole seconds after the warm-up, and what was left of the last
}

// Clean reports whether every request was answered as expected.
func (r *Result) Clean() bool {
	return r.Refused == 0 && r.Wrong == 0 && r.Unsent == 0 && len(r.Errors) == 0
}

// run is what the connections of one run share.
type run struct {
	*Config
	*record
	ctx     context.Context           // ends the run early
	stopped atomic.Pointer[time.Time] // when it has
	filled  atomic.Int64
	epoch   time.Time     // when measuring began, set before begin is closed
	begin   chan struct{} // closed when all clients have reported once
}

// since returns the time since measuring began.
func (r *run) since() time.Duration { return time.Since(r.epoch) }

// stop notes that the run ends early.
func (r *run) stop() {
	now := time.Now()
	r.stopped.CompareAndSwap(nil, &now)
}

const progressStep = 250 * time.Millisecond

// Run makes the load until it is done or ctx ends, and returns what was measured until then. It returns an error only if it
// could not begin: what goes wrong later is in the result.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.alarm == nil {
		c.alarm = newAlarm
	}
	r := &run{Config: &c, record: newRecord(c.Warmup), ctx: ctx, begin: make(chan struct{})}
	connections, err := r.connect()
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, r.stop)()

	var running, filling sync.WaitGroup
	filling.Add(len(connections))
	began := time.Now()
	r.epoch = began
	for _, each := range connections {
		running.Go(func() { each.serve(filling.Done) })
	}
	filling.Wait()
	fillTime := time.Since(began)
	r.epoch = time.Now()
	close(r.begin)
	stopProgress := r.showProgress()
	running.Wait()
	stopProgress()
	return r.finish(fillTime), nil
}

// connect makes all connections, or none.
func (r *run) connect() (made []*connection, err error) {
	for i := range r.Connections {
		address := r.Addresses[i%len(r.Addresses)]
		conn, err := r.Dial(r.ctx, address)
		if err == nil {
			made = append(made, newConnection(r, i, address, conn))
			continue
		}
		for _, c := range made {
			_ = c.conn.Close() // nothing has been sent
		}
		return nil, fmt.Errorf("connection %d: %w", i+1, err)
	}
	return made, nil
}

// showProgress calls Progress until stop, which waits.
func (r *run) showProgress() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		ticker := time.NewTicker(progressStep)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.Progress(r.snapshot(r.since()))
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		showing.Wait()
	}
}

// finish returns what was measured.
func (r *run) finish(fillTime time.Duration) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := r.result
	result.Filled, result.FillTime, result.Elapsed = int(r.filled.Load()), fillTime.Seconds(), max(0, r.last-r.Warmup).Seconds()
	result.Answered = result.IAmAt.Count() + result.WhatsAt.Count()
	if result.Elapsed > 0 {
		result.Throughput = float64(result.Answered) / result.Elapsed
	}
	if left := r.thisSecond(); left.Replies+left.Refused > 0 {
		result.Seconds = append(result.Seconds, left)
	}
	return &result
}

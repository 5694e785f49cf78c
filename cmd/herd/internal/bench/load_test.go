package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// server replies to lines as a test wants.
type server struct {
	reply    func(n int, line string) string // to the nth line of a connection
	accepted atomic.Int64
	lines    atomic.Int64
	running  sync.WaitGroup
}

// dial connects to the server over a pipe.
func (s *server) dial(context.Context, string) (net.Conn, error) {
	s.accepted.Add(1)
	theirs, ours := net.Pipe()
	s.running.Go(func() {
		defer ours.Close()
		in := bufio.NewReaderSize(ours, 256<<10) // a whole batch, as the kernel takes it
		for n := 0; ; n++ {
			var out strings.Builder
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			s.lines.Add(1)
			out.WriteString(s.reply(n, line))
			for in.Buffered() > 0 {
				line, _ := in.ReadString('\n')
				s.lines.Add(1)
				n++
				out.WriteString(s.reply(n, line))
			}
			if _, err := io.WriteString(ours, out.String()); err != nil {
				return
			}
		}
	})
	return theirs, nil
}

// herdly is what a herd replies when all is well.
func herdly(_ int, line string) string {
	f := strings.Fields(line)
	if f[0] == "WHATSAT" {
		return fmt.Sprintf("AT Goloman +0.000000001 %s +1-1 1520000000\n{\n  \"results\": [],\n  \"status\": \"ZERO_RESULTS\"\n}\n\n", f[1])
	}
	return fmt.Sprintf("AT Goloman +0.000000001 %s %s %s\n\n", f[1], f[2], f[3])
}

// runtimeAlarm is an alarm that keeps the time of a bubble.
type runtimeAlarm struct{}

func (runtimeAlarm) wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (runtimeAlarm) close() {}

// load is a load of 1,000 requests, which a bubble of synctest can hold.
func (s *server) load(change func(*Config)) Config {
	c := Config{
		Protocol: Herd{Radius: "10", Bound: "5"}, Addresses: []string{"pipe"},
		Connections: 7, Pipeline: 16, Clients: 100, Prefix: "c", Requests: 1000,
		Duration: time.Hour, Timeout: time.Second, Seed: 1, Dial: s.dial,
		alarm: func() (alarm, error) { return runtimeAlarm{}, nil },
	}
	change(&c)
	return c
}

// run makes a load in fake time, and waits for the server. A goroutine that is left fails the test.
func (s *server) run(t *testing.T, change func(*Config), check func(t *testing.T, r *Result, took time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r, err := Run(t.Context(), s.load(change))
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		s.running.Wait()
		check(t, r, took)
	})
}

// counts are what a result says of numbers.
type counts struct {
	filled, reports, whatsat, refused, wrong, unsent int
	errors                                           string
}

func countsOf(r *Result) counts {
	var errors strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		errors.WriteString(fmt.Sprintf("%s %d ", kind, r.Errors[kind]))
	}
	return counts{r.Filled, r.IAmAt.Count(), r.WhatsAt.Count(), r.Refused, r.Wrong, r.Unsent, strings.TrimSpace(errors.String())}
}

func TestExactCounts(t *testing.T) {
	open := func(c *Config) { c.Rate = 1000 }
	for _, loop := range []struct {
		name   string
		change func(*Config)
	}{{"closed", func(*Config) {}}, {"open", open}} {
		t.Run(loop.name, func(t *testing.T) {
			s := &server{reply: herdly}
			s.run(t, loop.change, func(t *testing.T, r *Result, _ time.Duration) {
				if got, want := countsOf(r), (counts{filled: 100, reports: 1000}); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				if !r.Clean() || r.First != nil {
					t.Errorf("not clean: %v", r.First)
				}
				if n := s.lines.Load(); n != 1100 {
					t.Errorf("the server saw %d lines", n)
				}
				if n := s.accepted.Load(); n != 7 {
					t.Errorf("the server saw %d connections", n)
				}
			})
		})
	}
}

// 500 a second for 2 s and a warm-up of 1 s, of which half are WHATSAT.
func TestSchedule(t *testing.T) {
	s := &server{reply: herdly}
	var acknowledged atomic.Int64
	change := func(c *Config) {
		c.Rate, c.Requests, c.Warmup, c.Duration, c.WhatsAt = 500, 0, time.Second, 2*time.Second, 0.5
		c.Connections = 5
		c.Acknowledged = func(report []byte, _ time.Time) {
			if strings.HasPrefix(string(report), "IAMAT c00000") {
				acknowledged.Add(1)
			}
		}
	}
	s.run(t, change, func(t *testing.T, r *Result, took time.Duration) {
		if r.Answered != 1000 || s.lines.Load() != 1600 {
			t.Errorf("%d answered, %d lines", r.Answered, s.lines.Load())
		}
		if n := r.WhatsAt.Count(); n < 400 || n > 600 {
			t.Errorf("%d of 1000 are WHATSAT", n)
		}
		if n := int(acknowledged.Load()); n != r.IAmAt.Count() {
			t.Errorf("%d of %d reports acknowledged", n, r.IAmAt.Count())
		}
		if want := 3*time.Second - 2*time.Millisecond; took != want || r.Elapsed != (want-time.Second).Seconds() {
			t.Errorf("took %s and %v s", took, r.Elapsed)
		}
		if len(r.Seconds) != 2 || r.Seconds[0].Replies != 500 || r.Seconds[1].Replies != 500 {
			t.Errorf("seconds %v", r.Seconds)
		}
		if r.IAmAt.Max() != 0 || r.WhatsAt.Max() != 0 {
			t.Errorf("the server took %s and %s", r.IAmAt.Max(), r.WhatsAt.Max())
		}
	})
}

// A server that takes no time stalls once, for a second: in an open load 100 requests are due in that second and wait for 1 s,
// 990 ms, … 10 ms, in a closed one a single one does.
func TestNoCoordinatedOmission(t *testing.T) {
	stalling := func() *server {
		return &server{reply: func(n int, line string) string {
			if n == 1+500 { // the client has reported once
				time.Sleep(time.Second)
			}
			return herdly(n, line)
		}}
	}
	one := func(c *Config) { c.Connections, c.Clients = 1, 1 }
	for _, pipeline := range []int{1, 16, 1024} {
		stalling().run(t, func(c *Config) {
			one(c)
			c.Pipeline, c.Rate, c.Timeout = pipeline, 100, 5*time.Second
		}, func(t *testing.T, r *Result, took time.Duration) {
			if got, want := countsOf(r), (counts{filled: 1, reports: 1000}); got != want {
				t.Errorf("pipeline %d: %+v", pipeline, got)
			}
			if took != 9990*time.Millisecond {
				t.Errorf("pipeline %d: took %s", pipeline, took)
			}
			for percent, want := range map[float64]time.Duration{
				50: 0, 90: 0, 90.1: 10 * time.Millisecond, 95: 500 * time.Millisecond, 99: 900 * time.Millisecond,
				99.9: 990 * time.Millisecond, 100: time.Second,
			} {
				if got := r.IAmAt.At(percent); math.Abs(float64(got-want)) > float64(want)/1000 {
					t.Errorf("pipeline %d: p%v is %s, want %s", pipeline, percent, got, want)
				}
			}
		})
	}
	stalling().run(t, func(c *Config) {
		one(c)
		c.Pipeline, c.Timeout = 1, 5*time.Second
	}, func(t *testing.T, r *Result, _ time.Duration) {
		if p := r.IAmAt.At(99.9); p != 0 || r.IAmAt.Max() < 999*time.Millisecond {
			t.Errorf("closed: p99.9 is %s, the longest %s", p, r.IAmAt.Max())
		}
	})
}

// Each fault is counted as what it is, and ends its connection or not.
func TestFaults(t *testing.T) {
	at := func(when int, what string) func(int, string) string {
		return func(n int, line string) string {
			if n == when {
				return what
			}
			return herdly(n, line)
		}
	}
	for _, c := range []struct {
		name  string
		reply func(int, string) string
		rate  float64
		want  counts
		first string
	}{
		{"refused", func(n int, line string) string {
			if n%10 == 0 {
				return "? " + line
			}
			return herdly(n, line)
		}, 0, counts{filled: 10, reports: 90, refused: 10}, ""},
		{"another's reply", at(20, "AT Goloman +0.1 somebody +1-1 1520000000\n\n"), 0, counts{filled: 10, reports: 99, wrong: 1}, ""},
		{"another protocol", at(20, "ERR\n"), 0, counts{filled: 10, reports: 10, errors: "protocol 1"}, "pipe: what it sends is not the protocol; is that the address of such a server?"},
		{"replies to nothing", at(20, "? x\n? x\n? x\n? x\n? x\n? x\n? x\n? x\n? x\n"), 0, counts{filled: 10, reports: 10, wrong: 6, errors: "protocol 1"}, "pipe: what it sends is not the protocol; is that the address of such a server?"},
		{"one reply too few", at(20, ""), 0, counts{filled: 10, reports: 10, wrong: 5, errors: "silent 1"}, "pipe: no reply in 1s: i/o timeout"},
		{"refused, open", at(20, "? x\n"), 1000, counts{filled: 10, reports: 99, wrong: 1}, ""},
		{"silent, open", at(20, ""), 1000, counts{filled: 10, reports: 10, wrong: 89, errors: "silent 1"}, "pipe: no reply in 1s: i/o timeout"},
		{"another protocol, open", at(20, "ERR\n"), 1000, counts{filled: 10, reports: 10, unsent: 89, errors: "protocol 1"}, "pipe: what it sends is not the protocol; is that the address of such a server?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &server{reply: c.reply}
			s.run(t, func(l *Config) {
				l.Connections, l.Clients, l.Pipeline, l.Requests, l.Rate = 1, 10, 8, 100, c.rate
			}, func(t *testing.T, r *Result, _ time.Duration) {
				if got := countsOf(r); got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
				if first := fmt.Sprint(r.First); first != c.first && r.First != nil {
					t.Errorf("first error %q", first)
				}
				if r.Clean() {
					t.Error("clean")
				}
			})
		})
	}
}

// A load that is interrupted returns what there is, and does not miss what was not due.
func TestInterrupted(t *testing.T) {
	for _, rate := range []float64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{reply: func(n int, line string) string {
				time.Sleep(time.Millisecond)
				return herdly(n, line)
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second+time.Microsecond)
			defer cancel()
			var snapshots []Snapshot
			r, err := Run(ctx, s.load(func(c *Config) {
				c.Rate, c.Requests, c.Connections, c.Clients, c.Pipeline = rate, 0, 1, 1, 1
				c.Progress = func(now Snapshot) { snapshots = append(snapshots, now) }
			}))
			if err != nil {
				t.Fatal(err)
			}
			s.running.Wait()
			want := 300
			if rate == 0 {
				want = 3000
			}
			if got := countsOf(r); got != (counts{filled: 1, reports: want}) {
				t.Errorf("rate %v: %+v", rate, got)
			}
			if len(snapshots) < 11 || snapshots[7].Last.Replies == 0 || snapshots[7].Elapsed != 2*time.Second {
				t.Errorf("rate %v: snapshots %+v", rate, snapshots)
			}
		})
	}
}

// lateAlarm wakes late, as a scheduler does on a machine that is busy.
type lateAlarm struct{ runtimeAlarm }

func (lateAlarm) wait(_ context.Context, d time.Duration) { time.Sleep(d + 5*time.Millisecond) }

// A request that was due before the interruption is sent when its connection wakes after it, and is not counted as never sent.
func TestInterruptedBetweenDueAndSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{reply: herdly}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second+2*time.Millisecond) // due at 2 s, awake at 2.005 s
		defer cancel()
		r, err := Run(ctx, s.load(func(c *Config) {
			c.Rate, c.Requests, c.Connections, c.Clients, c.Pipeline, c.Warmup = 100, 0, 1, 1, 1, 0
			c.alarm = func() (alarm, error) { return lateAlarm{}, nil }
		}))
		if err != nil {
			t.Fatal(err)
		}
		s.running.Wait()
		if got := countsOf(r); got != (counts{filled: 1, reports: 201}) {
			t.Errorf("%+v", got)
		}
	})
}

// A server that keeps only half of the rate still gets all that it can take until the time-out; the rest is counted.
func TestUnsent(t *testing.T) {
	s := &server{reply: func(n int, line string) string {
		time.Sleep(20 * time.Millisecond)
		return herdly(n, line)
	}}
	s.run(t, func(c *Config) {
		c.Connections, c.Clients, c.Pipeline, c.Requests = 1, 1, 1, 0
		c.Rate, c.Duration, c.Timeout = 100, 10*time.Second, 5*time.Second
	}, func(t *testing.T, r *Result, _ time.Duration) {
		got := countsOf(r)
		if got.reports+got.unsent != 1000 || got.reports < 745 || got.reports > 755 {
			t.Errorf("%+v", got)
		}
	})
}

func TestCannotBegin(t *testing.T) {
	s := &server{reply: herdly}
	if _, err := Run(t.Context(), Config{WhatsAt: 2, Rate: -1}); err == nil || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("%v", err)
	}
	dials := 0
	_, err := Run(t.Context(), s.load(func(c *Config) {
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			if dials++; dials > 3 {
				return nil, io.ErrNoProgress
			}
			return s.dial(ctx, address)
		}
	}))
	if err == nil || err.Error() != "connection 4: "+io.ErrNoProgress.Error() {
		t.Errorf("%v", err)
	}
	s.running.Wait()
}

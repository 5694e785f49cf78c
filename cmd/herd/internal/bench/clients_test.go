package bench

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// Clients start far from each other, move by small steps and stay on the map; their times always grow.
func TestWalkers(t *testing.T) {
	w := newWalkers("bench-", 1, 1234560, 100)
	var r Request
	type place struct{ lat, lon int32 }
	seen := make(map[place]bool)
	last := make(map[string]place)
	clock := int64(0)
	for i := range 100_000 {
		w.request(i%100, false, 1000, &r)
		client, at := string(r.Client), place{r.Lat, r.Lon}
		if before, ok := last[client]; ok && (max(at.lat-before.lat, before.lat-at.lat) > stride || max(at.lon-before.lon, before.lon-at.lon) > stride) {
			t.Fatalf("%s leaps from %v to %v", client, before, at)
		}
		if at.lat < -maxLat || at.lat > maxLat || at.lon < -maxLon || at.lon > maxLon {
			t.Fatalf("%s is at %v", client, at)
		}
		if r.Nanos <= clock {
			t.Fatalf("%d after %d", r.Nanos, clock)
		}
		seen[at], last[client], clock = true, at, r.Nanos
	}
	if len(last) != 100 || !bytes.Equal(r.Client, []byte("bench-1234659")) || len(seen) < 99_000 {
		t.Errorf("%d clients, the last %s, at %d places", len(last), r.Client, len(seen))
	}
	again := newWalkers("bench-", 1, 1234560, 100)
	if again.places[7] != newWalkers("bench-", 1, 1234560, 100).places[7] || again.places[7] == newWalkers("bench-", 2, 1234560, 100).places[7] {
		t.Error("the places do not come from the seed")
	}
}

func TestStep(t *testing.T) {
	for _, c := range []struct{ at, by, want int32 }{{10, 5, 15}, {98, 5, 93}, {-98, -5, -93}, {95, 5, 100}} {
		if got := step(c.at, c.by, 100); got != c.want {
			t.Errorf("%d by %d is %d", c.at, c.by, got)
		}
	}
}

// parrot replies to whatever is written as a herd does.
type parrot struct {
	net.Conn
	replies bytes.Buffer
}

func (p *parrot) Write(b []byte) (int, error) {
	for l := range bytes.Lines(b) {
		p.replies.WriteString("AT Goloman +0.000000001")
		p.replies.Write(l[len("IAMAT"):])
		p.replies.WriteByte('\n')
	}
	return len(b), nil
}

func (p *parrot) Read(b []byte) (int, error)       { return p.replies.Read(b) }
func (p *parrot) SetReadDeadline(time.Time) error  { return nil }
func (p *parrot) SetWriteDeadline(time.Time) error { return nil }
func (p *parrot) Close() error                     { return nil }

// connected returns a connection to a parrot that has filled it.
func connected(tb testing.TB) *connection {
	config := &Config{Protocol: Herd{}, Connections: 1, Pipeline: 64, Clients: 1000, Prefix: "c", Timeout: time.Second}
	r := &run{Config: config, record: newRecord(0), ctx: context.Background(), epoch: time.Now(), begin: make(chan struct{})}
	c := newConnection(r, 0, "", new(parrot))
	if err := c.fill(); err != nil && err != io.EOF {
		tb.Fatal(err)
	}
	return c
}

func (c *connection) batch(tb testing.TB) {
	now := c.since()
	for range c.Pipeline {
		c.pick(now.Nanoseconds())
		c.put(now, now)
	}
	if err := c.exchange(); err != nil {
		tb.Fatal(err)
	}
}

func TestNoAllocations(t *testing.T) {
	c := connected(t)
	if n := testing.AllocsPerRun(1000, func() { c.batch(t) }); n != 0 {
		t.Errorf("%v allocations for 64 requests", n)
	}
	if n := c.result.IAmAt.Count(); n != 64*1001 {
		t.Errorf("%d requests counted", n)
	}
}

// BenchmarkRequest is what the generator itself spends on a request and its reply, the kernel's part left out.
func BenchmarkRequest(b *testing.B) {
	c := connected(b)
	b.ReportAllocs()
	for b.Loop() {
		c.batch(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.Pipeline), "ns/request")
}

func TestAlarm(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for _, d := range []time.Duration{1, time.Microsecond, 3 * time.Millisecond, 2 * minWatched} {
		began := time.Now()
		if a.wait(t.Context(), d); time.Since(began) < d {
			t.Errorf("woke %s early", d-time.Since(began))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.wait(ctx, time.Hour)
}

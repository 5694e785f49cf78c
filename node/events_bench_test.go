package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herd/bus"
	"herd/node/status"
)

// BenchmarkWatched compares the five nodes of the campus in one process while nobody looks at them with the same nodes while three look at
// the events of one, which observes the whole herd, round by round: closed load as in BenchmarkFive.
func BenchmarkWatched(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const clients, requests, viewers = 100_000, 200_000, 3
	topo := campus(b)
	s := startServer(b, topo)
	observer := status.NewObserver(func(ctx context.Context, sight status.Sight) {
		o := s.Observer()
		o.See, o.Ready, o.Trouble = func(m bus.Seen) { sight.See(m.From, m.To, m.Payload) }, sight.Ready, sight.Behind
		_ = o.Run(ctx) // which ends with ctx
	})
	log := warnings(b)
	var listeners []net.Listener
	five := newHerd(b, topo).startAll(func(name string) bus.Dialer { return s.Dialer(name) }, func(c *Config) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		c.Log, c.HTTP, c.Status.Observer = log, l, observer
		listeners = append(listeners, l)
	})
	var bytes atomic.Int64
	var open time.Duration
	var ratios []float64
	for b.Loop() {
		closed := five.spread(five.addresses(), clients, requests)
		ctx, cancel := context.WithCancel(b.Context())
		var looking sync.WaitGroup
		for range viewers {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listeners[0].Addr().String()+"/api/v1/events", nil)
			if err != nil {
				b.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				b.Fatal(err)
			}
			looking.Go(func() {
				defer answer.Body.Close()
				n, _ := io.Copy(io.Discard, answer.Body) // until it is ended
				bytes.Add(n)
			})
		}
		took := five.spread(five.addresses(), clients, requests)
		cancel()
		looking.Wait()
		open += took
		ratios = append(ratios, closed.Seconds()/took.Seconds())
	}
	b.ReportMetric(median(ratios), "watched/not")
	b.ReportMetric(float64(bytes.Load())/viewers/open.Seconds(), "viewer-B/s")
}

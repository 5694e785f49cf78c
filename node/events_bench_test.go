package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/line"
	"herd/node/status"
)

// BenchmarkWatched compares the five nodes of the campus in one process while nobody observes them with the same nodes while three observe
// the events of one, which observes the whole herd, round by round: closed load as in BenchmarkFive.
func BenchmarkWatched(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const viewers = 3
	topo := campus(b)
	s := startServer(b, topo)
	observer := status.NewObserver(func(ctx context.Context, to status.Sink) {
		o := s.Observer()
		o.Receive, o.Ready, o.Fault = func(m bus.Observed) { to.Message(m.From, m.To, m.Payload) }, to.Ready, to.Behind
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
	load := newLoadOn(b, five.addresses(), nil)
	five.converge(b, load, 0)
	for round := 1; b.Loop(); round += 2 {
		closed := five.converge(b, load, round)
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
		took := five.converge(b, load, round+1)
		cancel()
		looking.Wait()
		open += took
		ratios = append(ratios, closed.Seconds()/took.Seconds())
	}
	b.ReportMetric(median(ratios), "watched/not")
	b.ReportMetric(float64(bytes.Load())/viewers/open.Seconds(), "viewer-B/s")
}

// BenchmarkClosed is what it costs a message of one report that somebody might observe its node, while nobody does, as a share of what
// taking the message costs.
func BenchmarkClosed(b *testing.B) {
	const messages = 1000
	n := New(Config{Name: "Goloman", Topology: starTopology(b, "Goloman", "Hands"), Limits: defaultLimits, Log: warnings(b)})
	reports := make([]line.Report, 1)
	m := bus.Message{Kind: subject.Propagate, From: "Hands"}
	var all, hook time.Duration
	for round := 0; b.Loop(); round++ {
		var payloads [messages][]byte
		for i := range payloads {
			payloads[i] = fmt.Appendf(nil, "PROPAGATE Hands Hands +0.263873386 c%03d.example +34.068930-118.445127 15%08d", i, round)
		}
		began := time.Now()
		for _, m.Payload = range payloads {
			n.Receive(m)
		}
		all += time.Since(began)
		began = time.Now()
		for range messages {
			n.observe("Hands", "Goloman", reports)
		}
		hook += time.Since(began)
	}
	b.ReportMetric(float64(all.Nanoseconds())/float64(b.N)/messages, "ns/message")
	b.ReportMetric(float64(hook.Nanoseconds())/float64(b.N)/messages, "ns/hook")
	b.ReportMetric(100*hook.Seconds()/all.Seconds(), "hook-%")
}

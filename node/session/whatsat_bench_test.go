package session

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"herd/places"
	"herd/places/gazetteer"
)

const (
	queryConns    = 8
	queryPipeline = 16
)

// cities are places to query, of all continents.
var cities = []places.Point{
	{Lat: 34.06893, Lng: -118.445127},
	{Lat: 40.7128, Lng: -74.006},
	{Lat: 19.4326, Lng: -99.1332},
	{Lat: -23.5505, Lng: -46.6333},
	{Lat: -34.6037, Lng: -58.3816},
	{Lat: 51.5072, Lng: -0.1276},
	{Lat: 48.8566, Lng: 2.3522},
	{Lat: 52.52, Lng: 13.405},
	{Lat: 41.0082, Lng: 28.9784},
	{Lat: 30.0444, Lng: 31.2357},
	{Lat: 6.5244, Lng: 3.3792},
	{Lat: -26.2041, Lng: 28.0473},
	{Lat: 28.6139, Lng: 77.209},
	{Lat: -6.2088, Lng: 106.8456},
	{Lat: 35.6762, Lng: 139.6503},
	{Lat: -33.8688, Lng: 151.2093},
}

// queries is a generator of WHATSAT lines: connections that each send a batch, about clients of their own, and await all its replies.
type queries struct {
	conns   []net.Conn
	batches [][]byte
	replies []int // bytes in the replies to each batch
	bodies  int   // bytes of JSON in all of them
}

// newQueries connects to a node, reports the clients, each near a city, and sends one batch.
func newQueries(b *testing.B, address string) *queries {
	b.Helper()
	rng := rand.New(rand.NewPCG(7, 8))
	l := new(queries)
	for i := range queryConns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		var reports, batch strings.Builder
		for j := range queryPipeline {
			at := cities[(i+j)%len(cities)]
			at.Lat, at.Lng = at.Lat+0.02*rng.NormFloat64(), at.Lng+0.02*rng.NormFloat64()
			fmt.Fprintf(&reports, "IAMAT c%d-%02d %+.6f%+.6f 1520000000.918963997\n", i, j, at.Lat, at.Lng)
			fmt.Fprintf(&batch, "WHATSAT c%d-%02d 10 5\n", i, j)
		}
		sent := len(l.send(b, c, reports.String()))
		answered := len(l.send(b, c, batch.String()))
		l.conns, l.batches, l.replies = append(l.conns, c), append(l.batches, []byte(batch.String())), append(l.replies, answered)
		l.bodies += answered - sent - queryPipeline // an answer to WHATSAT is one to IAMAT, with JSON and a line feed more
	}
	return l
}

// send sends a batch of lines and returns the replies.
func (l *queries) send(b *testing.B, c net.Conn, batch string) (replies []byte) {
	b.Helper()
	if _, err := io.WriteString(c, batch); err != nil {
		b.Fatal(err)
	}
	in := make([]byte, 64<<10)
	for bytes.Count(replies, []byte("\n\n")) < queryPipeline {
		n, err := c.Read(in)
		if err != nil {
			b.Fatal(err)
		}
		replies = append(replies, in[:n]...)
	}
	return replies
}

// round sends so many batches on every connection and returns how long it took until all replies had come.
func (l *queries) round(b *testing.B, batches int) time.Duration {
	began := time.Now()
	var conns sync.WaitGroup
	for i, c := range l.conns {
		conns.Go(func() {
			in := make([]byte, 64<<10)
			for range batches {
				_, err := c.Write(l.batches[i])
				for missing := l.replies[i]; missing > 0 && err == nil; {
					var n int
					n, err = c.Read(in[:min(len(in), missing)])
					missing -= n
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	conns.Wait()
	return time.Since(began)
}

// BenchmarkWhatsAt compares a node that searches the gazetteer with one that has the same bytes, as many on average, ready for every
// question, round by round: replies a second over loopback, eight connections with 16 questions each on the way, 10 km and
// five places. The log is as by default, in a file, or at warn. An operation is a round of 640 questions to each node, and
// found/ready the median of all rounds.
func BenchmarkWhatsAt(b *testing.B) {
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(2 * procs) // as herd up does
	defer runtime.GOMAXPROCS(procs)
	finder := gazetteer.Open()
	if err := finder.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	measured := places.Measure("gazetteer", finder, new(places.Counters).Watch)
	for _, level := range []string{"info", "warn"} {
		b.Run("log="+level, func(b *testing.B) {
			serve := func(ready []byte) *queries {
				log := zap.NewProductionConfig()
				log.Encoding, log.Sampling, log.OutputPaths = "console", nil, []string{filepath.Join(b.TempDir(), "log")}
				if err := log.Level.UnmarshalText([]byte(level)); err != nil {
					b.Fatal(err)
				}
				logger, err := log.Build()
				if err != nil {
					b.Fatal(err)
				}
				s := startTCP(b, func(c *config) {
					c.Log, c.Places = logger, measured
					if ready != nil {
						c.Nearby = func(context.Context, places.Query) ([]byte, string, int) { return ready, places.OK, 5 }
					}
				})
				return newQueries(b, s.address)
			}
			found := serve(nil)
			ready := serve(bytes.Repeat([]byte("x"), found.bodies/(queryConns*queryPipeline)))
			const batches = 5
			var foundTime, readyTime time.Duration
			var ratios []float64
			for b.Loop() {
				r, f := ready.round(b, batches), found.round(b, batches)
				readyTime, foundTime = readyTime+r, foundTime+f
				ratios = append(ratios, r.Seconds()/f.Seconds())
			}
			slices.Sort(ratios)
			replies := float64(len(ratios) * batches * queryPipeline * queryConns)
			b.ReportMetric(replies/foundTime.Seconds(), "found/s")
			b.ReportMetric(replies/readyTime.Seconds(), "ready/s")
			b.ReportMetric(ratios[len(ratios)/2], "found/ready")
			b.ReportMetric(float64(found.bodies)/(queryConns*queryPipeline), "B/answer")
		})
	}
}

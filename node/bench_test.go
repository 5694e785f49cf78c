package node

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"herd/node/line"
	"herd/node/session/sessiontest"
)

// load is a generator of IAMAT lines: so many connections, each of which sends batches and awaits all their replies.
type load struct {
	conns    []net.Conn
	batches  [][]byte // one for each connection, its clients and times changed in place
	lineSize int
}

const (
	loadConns    = 50
	loadPipeline = 64
	loadClients  = 2000 // of each connection
)

// newLoad connects to an address, over TLS if secure says how.
func newLoad(b *testing.B, address string, secure *tls.Config) *load {
	b.Helper()
	return newLoadOn(b, []string{address}, secure)
}

// newLoadOn connects to addresses in turn.
func newLoadOn(b *testing.B, addresses []string, secure *tls.Config) *load {
	b.Helper()
	l := new(load)
	for i := range loadConns {
		c, err := net.Dial("tcp", addresses[i%len(addresses)])
		if secure != nil && err == nil {
			c = tls.Client(c, secure)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		one := fmt.Sprintf("IAMAT c%02d-0000.example +34.068930-118.445127 1520000000.918963997\n", i)
		l.conns = append(l.conns, c)
		l.batches = append(l.batches, bytes.Repeat([]byte(one), loadPipeline))
		l.lineSize = len(one)
	}
	return l
}

func put(digits []byte, n int) {
	for i := len(digits) - 1; i >= 0; i, n = i-1, n/10 {
		digits[i] = byte('0' + n%10)
	}
}

// round sends as many batches on every connection, the first of them numbered from, and returns how long it took.
func (l *load) round(b *testing.B, from, batches int) time.Duration {
	began := time.Now()
	var conns sync.WaitGroup
	for i, c := range l.conns {
		conns.Go(func() {
			in := make([]byte, 16<<10)
			batch := l.batches[i]
			for n := from; n < from+batches; n++ {
				for j := range loadPipeline {
					one := batch[j*l.lineSize:]
					put(one[len("IAMAT c00-"):][:4], (n*loadPipeline+j)%loadClients)
					put(one[len("IAMAT c00-0000.example +34.068930-118.445127 15"):][:8], n) // later than the last
				}
				if _, err := c.Write(batch); err != nil {
					b.Error(err)
					return
				}
				for ends := 0; ends < 2*loadPipeline; {
					size, err := c.Read(in)
					if err != nil {
						b.Error(err)
						return
					}
					ends += bytes.Count(in[:size], []byte("\n"))
				}
			}
		})
	}
	conns.Wait()
	return time.Since(began)
}

// serveBare is what a line server costs that does no more than parse, store in a map and reply.
func serveBare(b *testing.B) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	store := make(map[string]string)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				in, out := bufio.NewReaderSize(conn, 8<<10), bufio.NewWriterSize(conn, 32<<10)
				for {
					one, err := in.ReadSlice('\n')
					if err != nil {
						return
					}
					c := line.Parse(one)
					report := string(one[len("IAMAT "):])
					mu.Lock()
					store[string(c.Client)] = report
					mu.Unlock()
					_, _ = io.WriteString(out, "AT Goloman +0.263873386 ")
					_, _ = io.WriteString(out, report)
					_ = out.WriteByte('\n')
					if in.Buffered() == 0 && out.Flush() != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// warnings is a log at warn.
func warnings(b testing.TB) *zap.Logger {
	quiet := zap.NewProductionConfig()
	quiet.Level = zap.NewAtomicLevelAt(zap.WarnLevel)
	log, err := quiet.Build()
	if err != nil {
		b.Fatal(err)
	}
	return log
}

// BenchmarkSessions compares a node without neighbours, its log at warn, with the bare server, round by round: lines a second
// over loopback, 50 connections with 64 lines each on the way. An operation is a round of 64,000 lines at each of them.
func BenchmarkSessions(b *testing.B) {
	log := warnings(b)
	herd, bare := newLoad(b, startTCP(b, func(c *Config) { c.Log = log }).address, nil), newLoad(b, serveBare(b), nil)
	const batches = 20
	var herdTime, bareTime time.Duration
	rounds := 0
	for ; b.Loop(); rounds++ {
		bareTime += bare.round(b, rounds*batches, batches)
		herdTime += herd.round(b, rounds*batches, batches)
	}
	lines := float64(rounds * batches * loadPipeline * loadConns)
	b.ReportMetric(lines/herdTime.Seconds(), "herd-lines/s")
	b.ReportMetric(lines/bareTime.Seconds(), "bare-lines/s")
	b.ReportMetric(bareTime.Seconds()/herdTime.Seconds(), "herd/bare")
}

// BenchmarkSessionsTLS compares a node that clients reach over TLS with one that they reach without, in the same way. The
// clients' share of the encryption is in it.
func BenchmarkSessionsTLS(b *testing.B) {
	log := warnings(b)
	ca := sessiontest.NewCA(b, "CA", nil)
	server := serverTLS(b, ca)
	plain := newLoad(b, startTCP(b, func(c *Config) { c.Log = log }).address, nil)
	secure := newLoad(b, startTCP(b, func(c *Config) { c.Log, c.TLS = log, server }).address, ca.Trust())
	const batches = 20
	var plainTime, secureTime time.Duration
	rounds := 0
	for ; b.Loop(); rounds++ {
		plainTime += plain.round(b, rounds*batches, batches)
		secureTime += secure.round(b, rounds*batches, batches)
	}
	lines := float64(rounds * batches * loadPipeline * loadConns)
	b.ReportMetric(lines/secureTime.Seconds(), "tls-lines/s")
	b.ReportMetric(lines/plainTime.Seconds(), "plain-lines/s")
	b.ReportMetric(plainTime.Seconds()/secureTime.Seconds(), "tls/plain")
}

// BenchmarkHandshake is what a client costs that comes with a certificate, both sides together, from connecting to its first reply.
func BenchmarkHandshake(b *testing.B) {
	ca := sessiontest.NewCA(b, "CA", nil)
	n := startTCP(b, func(c *Config) { c.TLS, c.Log = serverTLS(b, ca, ca), warnings(b) })
	config := ca.Trust(ca.Issue(b, []string{"kiwi"}))
	for b.Loop() {
		conn, err := tls.Dial("tcp", n.address, config)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(conn, "\n"); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, len("? \n"))); err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
}

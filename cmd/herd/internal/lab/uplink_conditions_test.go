//go:build lab

package lab

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// A direction passes packets at its rate, in order, after its delay, drops what would wait longer than its queue, and what is too large.
func TestConditions(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	type sent struct {
		at   time.Duration
		size int
	}
	tests := []struct {
		name       string
		conditions conditions
		sent       []sent
		want       []time.Duration // when each arrives; -1: never
	}{
		{"as it came", conditions{}, []sent{{0, 1500}, {time.Second, 40}}, []time.Duration{0, time.Second}},
		{"delay", conditions{delay: 300 * time.Millisecond}, []sent{{0, 1500}, {0, 40}}, []time.Duration{300 * time.Millisecond, 300 * time.Millisecond}},
		{"rate", conditions{rate: 1000, queue: time.Minute}, []sent{{0, 1500}, {0, 500}, {5 * time.Second, 100}}, []time.Duration{1500 * time.Millisecond, 2 * time.Second, 5100 * time.Millisecond}},
		{"queue", conditions{rate: 1000, queue: time.Second}, []sent{{0, 1000}, {0, 1000}, {0, 1000}, {time.Second, 1000}}, []time.Duration{time.Second, 2 * time.Second, -1, 3 * time.Second}},
		{"limit", conditions{limit: 600}, []sent{{0, 601}, {0, 600}}, []time.Duration{-1, 0}},
		{"cut", conditions{cut: true}, []sent{{0, 1}}, []time.Duration{-1}},
		{"loss", conditions{loss: 1}, []sent{{0, 1}}, []time.Duration{-1}},
	}
	for _, tt := range tests {
		d := direction{conditions: tt.conditions, rnd: rand.New(rand.NewPCG(1, 1))}
		for i, p := range tt.sent {
			arrives, ok := d.admit(start.Add(p.at), p.size)
			if got := arrives.Sub(start); ok != (tt.want[i] >= 0) || ok && got != tt.want[i] {
				t.Errorf("%s: packet %d arrives after %v, %v; want %v", tt.name, i, got, ok, tt.want[i])
			}
		}
	}
	d := direction{conditions: conditions{loss: 0.1, delay: time.Second, jitter: time.Second}, rnd: rand.New(rand.NewPCG(1, 1))}
	lost, last := 0, start
	for i := range 10_000 {
		arrives, ok := d.admit(start.Add(time.Duration(i)*time.Millisecond), 100)
		if !ok {
			lost++
			continue
		}
		if late := arrives.Sub(start.Add(time.Duration(i) * time.Millisecond)); arrives.Before(last) || late < time.Second || late > 2*time.Second {
			t.Fatalf("packet %d arrives after %v, the one before at %v", i, late, last)
		}
		last = arrives
	}
	if math.Abs(float64(lost)-1000) > 100 {
		t.Errorf("%d of 10,000 lost", lost)
	}
}

// A transfer by TCP over a shaped link takes as long as its conditions say.
func TestUplink(t *testing.T) {
	u := newUplink(t)
	u.set(func(s *conditions) {
		*s = conditions{rate: bits(256), queue: time.Second, delay: 50 * time.Millisecond}
	})
	listener := u.far.listen(farAddress + ":4000")
	const size = 128 << 10
	began := time.Now()
	go func() {
		conn, err := u.hub.dial(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write(make([]byte, size))
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	connected := time.Since(began)
	n, err := io.Copy(io.Discard, conn)
	took := time.Since(began)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	least := time.Duration(size / bits(256) * float64(time.Second))
	t.Logf("%d bytes in %v, connected after %v; %d bytes of packets", n, took, connected, u.bytes())
	if connected < 150*time.Millisecond || took < least || took > 2*least {
		t.Errorf("%d bytes took %v, connecting %v", n, took, connected)
	}
	if overhead := float64(u.bytes()) / size; overhead < 1.02 || overhead > 1.2 {
		t.Errorf("%d bytes of packets for %d of data", u.bytes(), size)
	}
	u.set(func(s *conditions) { s.cut = true })
	if conn, err := u.hub.dial(t.Context(), "tcp", net.JoinHostPort(hubAddress, "1")); err == nil {
		conn.Close()
		t.Error("a port at which nobody listens is open")
	}
}

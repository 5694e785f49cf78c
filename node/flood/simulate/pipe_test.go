package simulate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// The size of a message is that of what NATS is sent.
func TestWireSize(t *testing.T) {
	var reports []line.Report
	var lines []string
	for i := range 3 {
		c := line.Parse(fmt.Appendf(nil, "IAMAT c%d +34.068930-118.445127 %d", 1<<(8*i), i))
		reports = append(reports, line.NewReport("Holiday", 1, &c))
		lines = append(lines, string(line.AppendPropagate(nil, "Welsh", reports[i])))
	}
	stamp := subject.Stamp{Incarnation: subject.Incarnation{1}, Number: 1234}
	payload := strings.Join(lines, "\n")
	for _, tt := range []struct {
		m    flood.Message
		want string
	}{
		{
			flood.Message{Kind: subject.Propagate, Stamp: stamp, Reports: reports},
			fmt.Sprintf("PUB herd.propagate.Welsh.Holiday %s %d\r\n%s\r\n", stamp.Append(nil), len(payload), payload),
		},
		{flood.Message{Kind: subject.Heartbeat, Payload: []byte("HEARTBEAT/1")}, "PUB herd.heartbeat.Welsh.Holiday 11\r\nHEARTBEAT/1\r\n"},
		{flood.Message{Kind: subject.Sync}, "PUB herd.sync.Welsh.Holiday 0\r\n\r\n"},
	} {
		if got := wireSize("Welsh", "Holiday", &tt.m); got != len(tt.want) {
			t.Errorf("%d bytes, want %d of %q", got, len(tt.want), tt.want)
		}
	}
}

// passing is a pipe of a herd with one node, and when what has passed it did so.
type passing struct {
	*herd
	*pipe
	passed []string
}

func newPassing(rate int) *passing {
	p := &passing{herd: newHerd(1, settings{topology: single})}
	n := p.herd.nodes[0]
	p.pipe = &pipe{node: n, rate: rate, deliver: func(each *parcel) {
		p.passed = append(p.passed, fmt.Sprintf("%d at %s", each.size, n.worker.now))
	}}
	return p
}

func (p *passing) add(sizes ...int) {
	for _, size := range sizes {
		p.pipe.add(&parcel{size: size})
	}
}

// Messages pass one after the other, each in its bytes divided by the rate, which can change; what waits can be dropped.
func TestPipe(t *testing.T) {
	p := newPassing(1000)
	p.add(100, 200)
	p.run(150 * time.Millisecond)
	p.add(1000, 500)
	p.run(800 * time.Millisecond)
	p.setRate(500) // half as fast, from the beginning of what is passing
	p.run(2 * time.Second)
	p.setRate(0)
	p.run(4 * time.Second)
	p.setRate(100)
	p.add(50, 60, 70)
	p.run(p.now + 600*time.Millisecond)
	p.drop()
	p.add(10)
	p.run(p.now + time.Second)
	want := []string{"100 at 100ms", "200 at 300ms", "1000 at 2s", "500 at 2s", "50 at 4.5s", "10 at 4.7s"}
	if !slices.Equal(p.passed, want) || p.bytes != 0 || p.counts.lost != 2 ||
		p.longest != 1850*time.Millisecond || p.busy != 2600*time.Millisecond {
		t.Errorf("passed %q, %d bytes left, %d lost, at most for %s, busy for %s", p.passed, p.bytes, p.counts.lost, p.longest, p.busy)
	}
}

// narrowStar is a star of which the node in the middle has reports of many clients for all others, and a narrow connection.
func narrowStar(t *testing.T, rate, clients int) *herd {
	topo, err := named(4, [][2]int{{0, 1}, {0, 2}, {0, 3}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHerd(3, settings{topology: topo, delay: 20 * time.Millisecond})
	h.start()
	h.run(3 * time.Second)
	h.nodes[0].out.setRate(rate)
	for i := range clients {
		h.nodes[0].move(t, i)
	}
	return h
}

// A node keeps what its connection has no room for, so that it can be replaced, and its links share the rate equally. What
// arrives is what the rate lets through.
func TestSharedRate(t *testing.T) {
	skipRacing(t)
	const rate, clients, seconds = 8000, 2000, 20
	h := narrowStar(t, rate, clients)
	out, most := &h.nodes[0].out, 0
	for begin := h.now; h.now < begin+seconds*time.Second; h.run(h.now + 10*time.Millisecond) {
		most = max(most, out.bytes)
	}
	if most < rate || most > 3*rate { // less than the connection has room for: links keep what would wait for long
		t.Errorf("%d bytes wait at most, at %d a second", most, rate)
	}
	if out.busy < (seconds-5)*time.Second { // but for what is still passing
		t.Errorf("busy for %s of %d s", out.busy, seconds)
	}
	var held []int
	for _, n := range h.nodes[1:] {
		held = append(held, n.engine.Registry().Len())
	}
	if least := slices.Min(held); least < rate*(seconds-5)/200/3 || slices.Max(held) > 2*least {
		t.Errorf("%v reports came to the others", held)
	}
}

// A NATS server has no reason to close the connection of a node that reads slowly: little is in flight, and what waits is kept by the neighbours.
func TestSlowReaderIsNotClosed(t *testing.T) {
	skipRacing(t)
	h := narrowStar(t, 0, 0)
	n := h.nodes[1]
	n.in.setRate(1000)
	h.nodes[0].out.setRate(0)
	for i := range 2000 {
		h.nodes[0].move(t, i)
	}
	most := 0
	for end := h.now + time.Minute; h.now < end; h.run(h.now + 100*time.Millisecond) {
		most = max(most, n.in.bytes)
	}
	if h.counts.closed != 0 || !n.connected || most > 6*1000 {
		t.Errorf("%d connections closed, connected %v, at most %d bytes wait", h.counts.closed, n.connected, most)
	}
	n.in.setRate(0)
	if _, equal := h.converge(100*time.Millisecond, 5*time.Second); !n.connected || !equal {
		t.Errorf("connected %v, equal %v", n.connected, equal)
	}
}

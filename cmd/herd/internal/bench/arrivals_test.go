package bench

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/cmd/herd/internal/client"
	"herd/configs"
	"herd/node/line"
)

// newArrivals returns Arrivals that poll no node.
func newArrivals(digits int) *Arrivals {
	return &Arrivals{
		report: FarthestReport{Node: "Welsh", Links: 2}, digits: digits, cancel: func() {}, polled: make(chan acknowledged, 1), flights: make(map[string]*flight),
	}
}

// received has the node receive reports, each a number of a client and its time.
func (a *Arrivals) received(reports ...[2]int) {
	var payload strings.Builder
	for _, r := range reports {
		fmt.Fprintf(&payload, "PROPAGATE Holiday Goloman +0.000000001 bench-%07d +1.000000-1.000000 %d\n", r[0], r[1])
	}
	a.receive(bus.Observed{Message: bus.Message{Payload: []byte(payload.String())}, To: "Welsh"})
}

func (a *Arrivals) answered(client, when int) {
	a.Acknowledged(fmt.Appendf(nil, "IAMAT bench-%07d +1.000000-1.000000 %d\n", client, when), time.Now())
}

// Reports are observed before and after they are acknowledged, as they are and superseded; of others nothing is kept.
func TestArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArrivals(1)
		a.answered(10, 15)
		a.answered(11, 15) // not sampled
		time.Sleep(time.Millisecond)
		a.received([2]int{10, 15}, [2]int{11, 15}) // 1 ms
		a.received([2]int{10, 15})                 // by another link
		a.received([2]int{20, 15})
		a.answered(20, 15) // 0: observed before
		a.answered(30, 15)
		time.Sleep(2 * time.Millisecond)
		a.answered(30, 16)          // not while another is awaited
		a.received([2]int{30, 14})  // too old
		a.received([2]int{30, 17})  // 2 ms, superseded
		a.answered(40, 15)          // missing
		a.received([2]int{100, 99}) // of nobody's
		began := time.Now()
		f := a.Finish(time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %s for what is missing", took)
		}
		if f.Observed.Count() != 3 || f.Superseded != 1 || f.Before != 1 || f.Missing != 1 || f.Polled.Count() != 0 || f.Trouble != "" {
			t.Errorf("%+v of %d", f, f.Observed.Count())
		}
		for percent, want := range map[float64]time.Duration{10: 0, 50: time.Millisecond, 100: 2 * time.Millisecond} {
			if got := f.Observed.At(percent); got < want || got > want+want/1000 {
				t.Errorf("p%v is %s", percent, got)
			}
		}
		if len(a.flights) != 5 {
			t.Errorf("%d clients are kept", len(a.flights))
		}
		want := "Welsh, 2 links away: 1 of 3 reports arrived before their reply did, 1 only as a newer one of the client; 1 are missing"
		if got := f.remark(); got != want {
			t.Errorf("remark %q", got)
		}
	})
}

// The whole way of a report begins when its line was due, which is its time.
func TestWholeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArrivals(0)
		when := string(client.AppendTime(nil, time.Now().Add(1234567*time.Nanosecond)))
		time.Sleep(2 * time.Millisecond)
		a.Acknowledged([]byte("IAMAT bench-0000007 +1.000000-1.000000 "+when+"\n"), time.Now())
		time.Sleep(time.Millisecond)
		a.arrive("bench-0000007", when, time.Now())
		want := 3*time.Millisecond - 1234567
		if got := a.Finish(0).Whole.Max(); got < want || got > want+want/1000 {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// What is in flight when the load ends is waited for, and no longer than that takes.
func TestArrivalsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArrivals(0)
		a.answered(7, 15)
		go func() {
			time.Sleep(300 * time.Millisecond)
			a.received([2]int{7, 15})
		}()
		began := time.Now()
		f := a.Finish(time.Hour)
		if took := time.Since(began); took != 300*time.Millisecond || f.Observed.Count() != 1 || f.Missing != 0 {
			t.Errorf("%d observed, %d missing, after %s", f.Observed.Count(), f.Missing, took)
		}
	})
}

// A node is polled until it has a report, or for its timeout.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := net.Pipe()
		there := client.New(theirs, "pipe", time.Second)
		began := time.Now()
		polls := 0
		go func() {
			in := bufio.NewReader(ours)
			for l, err := in.ReadString('\n'); err == nil; l, err = in.ReadString('\n') {
				polls++
				when := 1520000000 // at first an older one is known
				if time.Since(began) >= 160*time.Millisecond {
					when = 1520000015
				}
				fmt.Fprintf(ours, "AT Goloman +0.000000001 %s +1-1 %d\n{\n}\n\n", strings.Fields(l)[1], when)
				time.Sleep(100 * time.Microsecond)
			}
		}()
		known, err := knows(t.Context(), there, acknowledged{"k", "1520000015", began})
		if took := time.Since(began); !known || err != nil || took < 160*time.Millisecond || took > 170*time.Millisecond {
			t.Errorf("known %v, %v, after %s", known, err, took)
		}
		if polls < 10 || polls > 300 {
			t.Errorf("%d polls", polls)
		}
		known, err = knows(t.Context(), there, acknowledged{"k", "1520000016", time.Now()})
		if known || err != nil {
			t.Errorf("known %v, %v", known, err)
		}
		there.Close()
	})
}

func TestFarthestNode(t *testing.T) {
	config, err := configs.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for taker, want := range map[line.NodeName]struct {
		node  line.NodeName
		links int
	}{"Goloman": {"Welsh", 2}, "Hands": {"Welsh", 3}, "Welsh": {"Hands", 3}, "": {"", 0}} {
		if node, links := Farthest(config.Topology(), taker); node != want.node || links != want.links {
			t.Errorf("from %q: %s, %d", taker, node, links)
		}
	}
	for _, c := range []struct {
		rate          float64
		clients, want int
	}{{0, 100_000, 100}, {0, 100, 1}, {1000, 100_000, 1}, {200_000, 100_000, 20}} {
		if got := Sampled(c.rate, c.clients); got != c.want {
			t.Errorf("rate %v, %d clients: 1 of %d", c.rate, c.clients, got)
		}
	}
}

// Nothing is measured when a file cannot be made.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	f := Files{JSON: dir + "/b.json", HTML: dir, SVG: dir + "/svg"}
	if err := f.Open(); err == nil || !strings.Contains(err.Error(), "--html: ") {
		t.Errorf("%v", err)
	}
}

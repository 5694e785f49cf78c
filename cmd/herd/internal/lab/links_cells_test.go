//go:build lab

package lab

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	cellsOnly    = flag.String("cells", "", "only links whose name, as '64k 600ms 2%', matches this regular expression")
	cellsSystems = flag.String("systems", "", "only what matches this regular expression: herd, restart, leaf, redis")
	cellsCut     = flag.Duration("cut", time.Minute, "how long links are cut")
	cellsLoad    = flag.Duration("overload", 3*time.Minute, "how long links that are overloaded are; 0 for not at all")
	linksAtOnce  = flag.Int("at-once", 2, "how many links are measured at the same time, each with all systems")
	congestion   = flag.String("congestion", "", "congestion control of both sites instead of the machine's, one of /proc/sys/net/ipv4/tcp_allowed_congestion_control")
)

// cell is a link of the matrix.
type cell struct {
	kbit      float64       // thousand bits a second
	roundTrip time.Duration // without queues
	loss      float64       // in each direction
}

// matrix returns all links that are measured.
func matrix() (all []cell) {
	for _, kbit := range []float64{9.6, 64, 256} {
		for _, roundTrip := range []time.Duration{40, 600, 1200} {
			for _, loss := range []float64{0, 0.02, 0.1} {
				all = append(all, cell{kbit, roundTrip * time.Millisecond, loss})
			}
		}
	}
	return all
}

// overloaded are the links on which four times as much is reported as they carry.
var overloaded = []string{"9.6k 40ms 0%", "64k 40ms 0%", "64k 600ms 2%", "256k 600ms 0%", "256k 1200ms 10%"}

func (c cell) String() string {
	return fmt.Sprintf("%gk %dms %.0f%%", c.kbit, c.roundTrip.Milliseconds(), 100*c.loss)
}

func (c cell) conditions() conditions {
	queue := time.Second
	if c.kbit < 10 {
		queue = 4 * time.Second
	}
	return conditions{rate: bits(c.kbit), queue: queue, delay: c.roundTrip / 2, loss: c.loss}
}

// system keeps a copy behind a link.
type system struct {
	name    string
	options wanOptions // of a herd
}

// systems are what is measured behind each link: Welsh, which stays up; Welsh with a store, which is ended in the cut and
// started again; Welsh at a NATS leaf node; and a Redis replica.
var systems = []system{
	{"herd", wanOptions{}},
	{"restart", wanOptions{store: true}},
	{"leaf", wanOptions{leaf: true}},
	{"redis", wanOptions{}},
}

// build starts the system's hub.
func (s system) build(t *testing.T, program string) replica {
	t.Helper()
	if s.name == "redis" {
		return newRedisPair(t)
	}
	return newWAN(t, program, s.options)
}

// cellFigures are what was measured on a link, by system.
type cellFigures struct {
	cell
	link    link
	control string // congestion control of plain TCP
	stale   int    // clients that report while the link is cut

	mu     sync.Mutex
	cuts   map[string]cutFigures
	loads  map[string]loadFigures
	faults int
}

// Over links of many kinds a herd is equal after a cut about as soon as the lines that were missing can be, and keeps up when
// more is reported than the link carries.
func TestUplinkMatrix(t *testing.T) {
	only, which := regexp.MustCompile(*cellsOnly), regexp.MustCompile(*cellsSystems)
	program := buildHerd(t)
	chosen := slices.DeleteFunc(slices.Clone(systems), func(s system) bool { return !which.MatchString(s.name) })
	var all []*cellFigures
	var tests []func()
	for _, c := range matrix() {
		if only.MatchString(c.String()) {
			figures := &cellFigures{cell: c, cuts: make(map[string]cutFigures), loads: make(map[string]loadFigures)}
			all = append(all, figures)
			tests = append(tests, func() {
				t.Run(c.String(), func(t *testing.T) { figures.measure(t, program, chosen) })
			})
		}
	}
	atOnce(tests)
	publishCells(t, all)
}

// atOnce calls functions in their order, as many at the same time as its flag says.
func atOnce(calls []func()) {
	queue := make(chan func(), len(calls))
	for _, call := range calls {
		queue <- call
	}
	close(queue)
	var running sync.WaitGroup
	for range *linksAtOnce {
		running.Go(func() {
			for call := range queue {
				call()
			}
		})
	}
	running.Wait()
}

// measure measures all systems behind links of this kind, each behind one of its own.
func (c *cellFigures) measure(t *testing.T, program string, chosen []system) {
	rate, control := tcpRate(t, c.conditions())
	c.link, c.control = link{c.conditions(), rate}, control
	c.stale = int(10 * rate / lineSize)
	var running sync.WaitGroup
	for _, s := range chosen {
		running.Go(func() {
			t.Run(s.name, func(t *testing.T) { c.measureSystem(t, s, s.build(t, program)) })
		})
	}
	running.Wait()
	herd, redis := c.cuts["herd"], c.cuts["redis"]
	if redis.equal > 0 && !redis.late && herd.equal > redis.equal {
		c.fail(t, []string{fmt.Sprintf("Redis was equal after %s, herd after %s", redis.time(), herd.time())})
	}
}

func (c *cellFigures) measureSystem(t *testing.T, s system, r replica) {
	cut := measureCut(t, r, c.link, c.stale, *cellsCut)
	c.mu.Lock()
	c.cuts[s.name] = cut
	c.mu.Unlock()
	_, herd := r.(*wan)
	t.Log(cut)
	if herd {
		c.fail(t, cut.judge(c.link, s.options))
	}
	if *cellsLoad == 0 || s.options.store || !slices.Contains(overloaded, c.String()) {
		return
	}
	o := c.overload()
	load := measureLoad(t, r, o)
	c.mu.Lock()
	c.loads[s.name] = load
	c.mu.Unlock()
	t.Log(load)
	if herd {
		c.fail(t, load.judge(c.link, o))
	}
}

// overload is four times what the link carries.
func (c *cellFigures) overload() overload {
	o := overload{clients: c.stale, perSecond: 4 * c.link.tcp / lineSize, length: *cellsLoad}
	o.patience = 3 * o.round(c.link)
	return o
}

// fail fails a test of this link with faults.
func (c *cellFigures) fail(t *testing.T, faults []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults += len(faults)
	complain(t, faults)
}

package simulate

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

var (
	onlySeed = flag.Uint64("seed", 0, "run only this seed of TestChaos")
	herds    = flag.Uint64("herds", 600, "run so many seeds of TestChaos")
	soak     = flag.Duration("soak", 0, "run further seeds of TestChaos for so long")
)

// Whatever happens to a herd, when it is over all nodes know the same, and nothing is lost that had to survive.
//
// Let a report be admitted when Apply returned true for it at an edge. A node is bound to it from when its registry held it, or a greater
// one of its client, until the node crashes without a disk, or less than its disk's promise later. A report must survive if at the end
// any node is bound to it. The theorem: all registries end equal to the merge of a set S with
//
//	must survive ⊆ S ⊆ admitted.
//
// A registry R is the merge of such an S if and only if, for each client, what R holds is admitted (S may then be what is admitted
// and not greater than R's), and not less than the greatest that must survive (else that is not in S, for S has no greater
// than R's). A report that is less than that one is in S or not, which cannot be known: it was superseded. So two comparisons
// for each client decide. Without crashes every node is bound to all that it admitted, and R is the merge of all that is admitted.
//
// Where clocks differ by days, a node may forget what was received later than its judged clock permits. In such a herd nothing is promised but
// that all hold the same of what was admitted.
//
// When they have been for some seconds, each node knows how each other is, though clocks differ and are set between two starts.
//
// That the registries end equal is checked 15 s after the last fault, though delays are up to 0.3 s a way, and syncs that were
// in flight may first have to be abandoned.
//
// A seed that failed is run alone by: go test ./node/flood/simulate -run Chaos -seed N -v
func TestChaos(t *testing.T) {
	if *onlySeed > 0 {
		c := newChaos(*onlySeed)
		c.log = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
		if err := c.run(); err != nil {
			t.Error(err)
		}
		t.Log(c.text())
		return
	}
	seeds := *herds
	if racing {
		seeds = 60
	} else if testing.Short() {
		seeds = 200
	}
	began := time.Now()
	var next atomic.Uint64
	var mu sync.Mutex
	sum := tally{n: make(map[string]int)}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				seed := next.Add(1)
				if seed > seeds && time.Since(began) >= *soak {
					return
				}
				c := newChaos(seed)
				if err := c.run(); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				mu.Lock()
				sum.add(&c.tally)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Log(sum.text())
	if !t.Failed() && !racing && !testing.Short() {
		for _, what := range sum.missing() {
			t.Errorf("never exercised: %s", what)
		}
	}
}

// chaos is a herd in which everything goes wrong.
type chaos struct {
	*herd
	tally
	log       func(format string, args ...any)
	admitted  map[line.ClientID][]line.Report
	bound     []map[line.ClientID][]binding // by node
	crashes   int
	every     bool  // some links hold reports back
	purged    bool  // reports were forgotten whose receipt was not possible by a node's judged clock
	suspected error // who has no duplicate
}

// binding is a report that a node was given at a time.
type binding struct {
	at time.Duration
	r  line.Report
}

// promise is how long after a report came a node with a disk may crash, and know it when it starts again.
func (d *disk) promise() time.Duration { return 2 * d.commit }

func newChaos(seed uint64) *chaos {
	c := &chaos{tally: tally{n: make(map[string]int)}, admitted: make(map[line.ClientID][]line.Report), log: func(string, ...any) {}}
	rng := newHerd(seed, settings{topology: single}).rng // to choose the topology
	nodes := 2 + rng.IntN(7)
	var links [][2]int
	for i := 1; i < nodes; i++ {
		links = append(links, [2]int{rng.IntN(i), i})
	}
	for range rng.IntN(nodes) {
		if l := link(rng.IntN(nodes), rng.IntN(nodes)); l[0] != l[1] && !slices.Contains(links, l) {
			links = append(links, l)
		}
	}
	topology, err := named(nodes, links)
	if err != nil {
		panic(err)
	}
	if c.every = rng.IntN(4) == 0; c.every {
		topology = paceSome(rng, topology)
	}
	var retention time.Duration
	if rng.IntN(5) == 0 {
		retention = 8 * time.Second
	}
	c.herd = newHerd(seed, settings{
		topology: topology, records: true, retention: retention, onNotice: c.notice, changed: c.bind,
	})
	c.received = func(n, _ *node, r line.Report, _ bool) { // whatever of it was written to its disk
		if held, ok := n.engine.Registry().Get(r.Client()); ok && held.Compare(r) >= 0 { // its receipt was possible
			c.bind(n, r)
		}
	}
	for _, w := range c.directions {
		w.delay = []time.Duration{100 * time.Microsecond, 5 * time.Millisecond, 200 * time.Millisecond}[rng.IntN(3)]
		if rng.IntN(2) == 0 {
			w.jitter = 100 * time.Millisecond
		}
	}
	for _, n := range c.nodes {
		c.bound = append(c.bound, make(map[line.ClientID][]binding))
		if retention == 0 {
			n.clock = c.anyClock()
		}
		if rng.IntN(4) == 0 {
			n.rate = c.anyRate()
			n.out.setRate(n.rate)
			n.in.setRate(n.rate)
		}
		switch rng.IntN(4) {
		case 0, 1:
			n.storage = newDisk(c.herd, time.Duration(1+rng.IntN(50))*time.Millisecond)
		case 2:
			n.storage = newDisk(c.herd, time.Duration(50+rng.IntN(1000))*time.Millisecond) // too slow
		}
	}
	return c
}

var single = func() *topology.Topology {
	t, err := named(1, nil)
	if err != nil {
		panic(err)
	}
	return t
}()

// bind notes that a node was given a report.
func (c *chaos) bind(n *node, r line.Report) {
	c.bound[n.index][r.Client()] = append(c.bound[n.index][r.Client()], binding{c.now, r})
}

const (
	span        = 12 * time.Second // of faults
	limit       = 15 * time.Second // until all are equal then
	narrowLimit = 4 * time.Minute  // until they are where a connection stays narrow
)

// limit returns how long it may take until all are equal.
func (c *chaos) limit() time.Duration {
	if slices.ContainsFunc(c.nodes, func(n *node) bool { return n.rate > 0 }) {
		return narrowLimit
	}
	if c.every {
		return limit + mostEvery
	}
	return limit
}

func (c *chaos) run() error {
	c.start()
	for range 20 + c.rng.IntN(150) {
		c.in(time.Duration(c.rng.Int64N(int64(span))), c.report)
	}
	for range c.rng.IntN(5) {
		c.in(time.Duration(c.rng.Int64N(int64(span))), c.burst)
	}
	kinds := allFaults()
	if c.rng.IntN(4) == 0 {
		kinds = kinds[2:] // without crashes
	}
	for range c.rng.IntN(16) {
		c.in(time.Duration(c.rng.Int64N(int64(span))), func() {
			f := kinds[c.rng.IntN(len(kinds))]
			if heal := f.begin(c); heal != nil {
				c.n["fault: "+f.name]++
				c.log("%s %s", c.now, f.name)
				c.in(c.duration(), heal)
			}
		})
	}
	if err := c.runLawfully(span); err != nil {
		return err
	}
	c.heal()
	took, equal := c.converge(50*time.Millisecond, c.limit())
	c.slowest = max(c.slowest, took)
	c.countHerd()
	if !equal {
		return errors.New("not equal " + took.String() + " after the last fault\n" + c.contents())
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.suspected != nil || c.rng.IntN(8) > 0 || c.retention > 0 { // a cut-off that moves each second may never be one of two nodes at a heartbeat
		return c.suspected
	}
	// A herd at rest knows itself, and stays at rest: no sync runs.
	rest := recordsTime + time.Duration(len(c.nodes))*hopTime
	if c.limit() == narrowLimit {
		rest = narrowLimit // to be equal says nothing of what is still sent
	}
	c.herd.run(c.now + rest) // what was wanted before
	if err := c.recorded(); err != nil {
		return err
	}
	before := c.syncsRun()
	c.herd.run(c.now + time.Minute)
	c.n["herds at rest"]++
	if syncs := c.syncsRun() - before; syncs > 0 {
		return fmt.Errorf("%d syncs in an idle minute", syncs)
	}
	return nil
}

func (c *chaos) syncsRun() (n int) {
	for what, each := range c.n {
		if strings.HasPrefix(what, "sync") {
			n += each
		}
	}
	return n
}

// duration returns how long a fault lasts: moments, or long enough to be noticed.
func (c *chaos) duration() time.Duration {
	longest := []time.Duration{20 * time.Millisecond, time.Second, 6 * time.Second}[c.rng.IntN(3)]
	return time.Duration(1 + c.rng.Int64N(int64(longest)))
}

// report has a client report. Clients are few, and times so near to each other that most reports conflict.
func (c *chaos) report() { c.reportAt(c.nodes[c.rng.IntN(len(c.nodes))], c.rng.IntN(4)) }

// burst has more clients report at one node than a small queue holds, or than a narrow connection has room for.
func (c *chaos) burst() {
	n, clients := c.nodes[c.rng.IntN(len(c.nodes))], 12
	if c.limit() == narrowLimit {
		clients = 100
	}
	for i := range clients {
		c.reportAt(n, i)
	}
}

func (c *chaos) reportAt(n *node, client int) {
	if !n.awake() {
		return
	}
	// Times of one second differ by less than a float64 can express, or are equal, but written otherwise.
	second := epoch.Unix() + int64(c.now/time.Second) + int64(c.rng.IntN(2))
	if client == 3 && c.rng.IntN(2) == 0 {
		second += 1e9 // so that the report is ordered by its receipt
		c.n["reports that are far ahead"]++
	}
	at := fmt.Sprintf("%d.91896399%d", second, c.rng.IntN(10))
	switch c.rng.IntN(4) {
	case 0:
		at += "0"
	case 1:
		at = "0" + at
	}
	if c.retention > 0 {
		client += 100 * int(c.now/(3*time.Second)) // others take the places of those that are forgotten
	}
	command := line.Parse(fmt.Appendf(nil, "IAMAT c%d +%d.5-118.4 %s", client, c.rng.IntN(80), at))
	r, admitted := n.report(&command)
	if !admitted {
		c.n["reports that are stale"]++
		return
	}
	c.n["reports"]++
	for _, other := range c.admitted[r.Client()] {
		if other.Compare(r) != 0 && !other.Later(r) && !r.Later(other) {
			c.n["reports of one time"]++
			break
		}
	}
	c.admitted[r.Client()] = append(c.admitted[r.Client()], r)
	c.bind(n, r)
}

// heal ends all faults.
func (c *chaos) heal() {
	c.countHeld()
	for _, w := range c.directions {
		w.cut, w.loss, w.loses, w.doubling, w.pace, w.late = false, 0, nil, 0, 0, 0
	}
	for _, n := range c.nodes {
		n.out.setRate(n.rate)
		n.in.setRate(n.rate)
		n.clock = 0
		n.resume()
		if n.engine == nil {
			n.start()
		}
		n.connect()
		n.relink(c.topology)
	}
}

// forgotten reports whether a report of a client may be forgotten by now, and with it what was said of the client.
func (c *chaos) forgotten(client line.ClientID) bool {
	keeps := epoch.Add(c.now - c.retention + 4*time.Second).UnixNano() // the cut-off moves in steps
	return c.purged || c.retention > 0 && slices.ContainsFunc(c.admitted[client], func(r line.Report) bool { return r.Received() < keeps })
}

// check compares what all nodes hold with what was admitted and what had to survive.
func (c *chaos) check() error {
	held := make(map[line.ClientID]line.Report)
	for r := range c.nodes[0].engine.Registry().All() {
		held[r.Client()] = r
		if !slices.ContainsFunc(c.admitted[r.Client()], func(a line.Report) bool { return a.Compare(r) == 0 }) {
			return fmt.Errorf("%q is held and was never admitted", r)
		}
	}
	for i, bound := range c.bound {
		for client, all := range bound {
			if c.forgotten(client) {
				continue
			}
			for _, b := range all {
				if r, ok := held[client]; !ok || r.Compare(b.r) < 0 {
					return fmt.Errorf("%q is held, but %q had to survive: %s knew it since %s", r, b.r, c.nodes[i].name, b.at)
				}
			}
		}
	}
	if c.crashes > 0 {
		return nil
	}
	c.n["herds without a crash"]++
	if !c.purged {
		c.n["herds that promise all they admitted"]++
	}
	if c.retention > 0 {
		c.n["herds with retention"]++
	}
	for client, all := range c.admitted {
		if c.forgotten(client) {
			continue
		}
		if greatest := slices.MaxFunc(all, line.Report.Compare); held[client].Compare(greatest) != 0 {
			return fmt.Errorf("nobody crashed, but %q is held instead of %q", held[client], greatest)
		}
	}
	return nil
}

func (c *chaos) contents() (text string) {
	for _, n := range c.nodes {
		sum, clients := n.engine.Registry().Digest()
		text += fmt.Sprintf("%s of %v: %d clients, digest %016x\n", n.name, c.topology.Neighbours(n.name), clients, sum)
	}
	return text
}

package simulate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

// Config says what is to be simulated.
type Config struct {
	Topology *topology.Topology
	Reports  int
	Clients  int           // that move, each from server to server
	Every    time.Duration // from one report of a client to its next, on average
	Delay    time.Duration // of each link, one way
	Rate     int           // bytes a second, each way, of the connections of Narrow to their NATS servers; 0: no limit
	Narrow   []line.NodeName
	Loss     float64 // probability with which a message is lost, while there are reports
	Cuts     int     // of links at random, for 1 to 5 s
	Seed     uint64
	Progress func(reports int) // is called now and then with how many were made; or nil
	Detail   bool              // whether Result has a Detail

	workers int // that run nodes at the same time; 0: as many as there are processors; the result is the same
}

// Result is what came of it. Durations are in seconds.
type Result struct {
	Seed              uint64  `json:"seed"`
	Nodes             int     `json:"nodes"`
	Links             int     `json:"links"`
	Reports           int     `json:"reports"`
	Messages          uint64  `json:"messages"` // of reports, over all links
	MessagesPerReport float64 `json:"messages_per_report"`
	FloodCost         int     `json:"flood_cost"` // 2E − (N − 1)
	Path              Path    `json:"path"`
	ToLast            Spread  `json:"to_last"`     // from a report until the last server knew it
	Superseded        int     `json:"superseded"`  // reports that a newer one overtook before all knew them
	Lost              uint64  `json:"lost"`        // messages, by chance and by cuts
	Converged         bool    `json:"converged"`   // all registries ended equal
	Convergence       float64 `json:"convergence"` // from the last report or fault until then
	ReportBytes       uint64  `json:"report_bytes"`
	SyncBytes         uint64  `json:"sync_bytes"`
	HeartbeatBytes    uint64  `json:"heartbeat_bytes"`
	Simulated         float64 `json:"simulated"`
	Uplink            *Uplink `json:"uplink,omitempty"` // the busiest; nil without Config.Rate
	Detail            *Detail `json:"-"`                // nil unless Config.Detail
}

// Path is over how many links reports came to servers.
type Path struct {
	Mean float64 `json:"mean"`
	Max  int     `json:"max"`
}

// Spread is how long things took.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

const (
	warmUp           = 4 * time.Second  // until all links are up
	convergenceLimit = 10 * time.Minute // for all to be equal
	quantum          = time.Millisecond // in which that is looked for
)

// load is a herd, and what becomes of each report.
type load struct {
	*herd
	Config
	every    time.Duration   // a report
	paths    []*path         // of each report that is in flight
	accounts []account       // by server
	took     []time.Duration // until the last server knew them
	detail   *Detail         // or nil
}

// account is what one server noted, to which only that server writes.
type account struct {
	byLinks     []int     // how many reports came over so many links, of those of which that is known
	received    []receipt // since they were last collected
	sentReports []int     // to a neighbour since they were last collected, if detail is wanted
}

// receipt says when a server came to hold a report.
type receipt struct {
	report int
	at     time.Duration
}

// path is how a report spreads.
type path struct {
	hops    []uint16      // from where it was reported, by server
	missing int           // servers that do not hold it, as far as was collected
	last    time.Duration // when a server last came to hold it
}

// Run simulates a herd.
func Run(ctx context.Context, c Config) (Result, error) {
	l, err := newLoad(c)
	if err != nil {
		return Result{}, err
	}
	return l.run(ctx)
}

func newLoad(c Config) (*load, error) {
	if c.Reports < 1 || c.Clients < 1 || c.Every < time.Duration(c.Clients) || c.Delay < 0 || c.Rate < 0 ||
		c.Loss < 0 || c.Loss > 1 || c.Cuts < 0 {
		return nil, errors.New("simulate: reports and clients are at least 1, at most one a nanosecond, loss is from 0 to 1, nothing is negative")
	}
	l := &load{Config: c, every: c.Every / time.Duration(c.Clients), paths: make([]*path, c.Reports)}
	s := settings{
		topology: c.Topology, delay: c.Delay, received: l.noteReceived, apart: true, workers: c.workers,
		records: c.Rate > 0, // of thousands of nodes they cost more than all else
	}
	if c.Loss > 0 || c.Cuts > 0 {
		s.changed = func(n *node, r line.Report) { l.noteKnown(n, l.index(r)) }
	}
	l.herd = newHerd(c.Seed, s)
	l.accounts = make([]account, len(l.nodes))
	for _, n := range l.nodes {
		if slices.Contains(c.Narrow, n.name) {
			n.out.rate, n.in.rate = c.Rate, c.Rate
		}
	}
	if c.Detail {
		l.withDetail()
	}
	return l, nil
}

func (l *load) run(ctx context.Context) (Result, error) {
	for _, n := range l.nodes {
		l.in(time.Duration(l.rng.Int64N(int64(time.Second))), n.start)
	}
	l.herd.run(warmUp)
	end := warmUp + time.Duration(l.Reports)*l.every
	healed := l.planFaults(end)
	before := l.counts
	if err := l.report(ctx); err != nil {
		return Result{}, err
	}
	for _, w := range l.directions {
		w.loss = 0
	}
	l.herd.run(healed)
	took, equal := l.converge(quantum, convergenceLimit)
	l.collect()
	return l.result(before, took, equal), nil
}

// planFaults plans cuts, and returns when the last of them is healed, or the end of all reports.
func (l *load) planFaults(end time.Duration) (healed time.Duration) {
	healed = end
	for _, w := range l.directions {
		w.loss = l.Loss
	}
	cut := make(map[*direction]int) // how often at a time
	for range l.Cuts {
		w := l.directions[l.rng.IntN(len(l.directions))]
		back := l.direction(w.to.index, w.from.index)
		begin := l.now + time.Duration(l.rng.Int64N(int64(end-l.now)))
		until := begin + time.Second + time.Duration(l.rng.Int64N(int64(4*time.Second)))
		healed = max(healed, until)
		for _, each := range []*direction{w, back} {
			l.at(begin, nil, call(func() {
				cut[each]++
				each.cut = true
			}))
			l.at(until, nil, call(func() {
				cut[each]--
				each.cut = cut[each] > 0
			}))
		}
	}
	return healed
}

// reportEvent is a report of a random client at a random server.
type reportEvent struct {
	load   *load
	number int
	node   *node
	client int
}

func (s *reportEvent) happen() {
	l, n, at := s.load, s.node, s.node.wall()
	command := line.Parse(fmt.Appendf(nil, "IAMAT client%d.example +%d.%06d-118.445127 %d.%09d",
		s.client, s.number/1e6%90, s.number%1e6, at.Unix(), at.Nanosecond()))
	if l.changed == nil {
		l.noteKnown(n, s.number)
	}
	n.report(&command) // is admitted, unless a later one of the client has come before
}

// report has all reports made.
func (l *load) report(ctx context.Context) error {
	const ahead = 256
	for i := range l.paths {
		at := l.made(i)
		l.paths[i] = &path{hops: make([]uint16, len(l.nodes)), missing: len(l.nodes)}
		n := l.nodes[l.rng.IntN(len(l.nodes))]
		l.at(at, n, &reportEvent{l, i, n, l.rng.IntN(l.Clients)})
		if i%ahead < ahead-1 && i < len(l.paths)-1 {
			continue
		}
		if ctx.Err() != nil {
			return fmt.Errorf("simulate: interrupted after %d of %d reports", i, l.Reports)
		}
		if l.Progress != nil {
			l.Progress(i)
		}
		l.herd.run(at)
		l.collect()
	}
	return nil
}

// index returns which report it is: no two have one time.
func (l *load) index(r line.Report) int {
	return int((time.Duration(r.Nanos()-epoch.UnixNano()) - warmUp) / l.every)
}

// noteReceived counts over how many links a report came to a server.
func (l *load) noteReceived(n, from *node, r line.Report, isNew bool) {
	if !isNew {
		return
	}
	i := l.index(r)
	p := l.paths[i]
	if p == nil {
		return
	}
	if l.changed == nil {
		l.noteKnown(n, i)
	}
	known := int(p.hops[from.index])
	if known == 0 && from.name != r.Origin() {
		return // a sync brought it there, over an unknown number of links
	}
	p.hops[n.index] = uint16(known + 1)
	a := &l.accounts[n.index]
	a.byLinks = addTo(a.byLinks, known+1, 1)
}

// addTo adds to the number at an index of a list, which grows as far as that.
func addTo(list []int, index, n int) []int {
	for len(list) <= index {
		list = append(list, 0)
	}
	list[index] += n
	return list
}

// noteKnown notes that a server holds a report.
func (l *load) noteKnown(n *node, i int) {
	a := &l.accounts[n.index]
	a.received = append(a.received, receipt{i, n.worker.now})
}

// collect evaluates what servers noted.
func (l *load) collect() {
	for i := range l.accounts {
		a := &l.accounts[i]
		for _, k := range a.received {
			p := l.paths[k.report]
			p.last = max(p.last, k.at)
			if p.missing--; p.missing == 0 {
				took := p.last - l.made(k.report)
				l.took = append(l.took, took)
				if l.detail != nil {
					l.detail.ToLast[k.report] = took.Seconds()
				}
				l.paths[k.report] = nil
			}
		}
		a.received = a.received[:0]
	}
	if l.detail != nil {
		l.collectSent()
	}
}

// made is when a report was.
func (l *load) made(report int) time.Duration { return warmUp + time.Duration(report)*l.every }

func (l *load) result(before counts, took time.Duration, equal bool) Result {
	now := l.counts
	var byLinks []int
	arrived, crossed := 0, 0
	for _, a := range l.accounts {
		for links, n := range a.byLinks {
			byLinks = addTo(byLinks, links, n)
			arrived, crossed = arrived+n, crossed+n*links
		}
	}
	r := Result{
		Seed: l.Seed, Nodes: len(l.nodes), Links: len(l.Topology.Links()), Reports: l.Reports,
		Messages: now.messages - before.messages, FloodCost: l.Topology.FloodCost(),
		Path: Path{Max: max(len(byLinks)-1, 0)}, Superseded: l.Reports - len(l.took), Lost: now.lost + now.cut,
		Converged: equal, Convergence: took.Seconds(),
		ReportBytes: now.reportBytes - before.reportBytes, SyncBytes: now.syncBytes - before.syncBytes,
		HeartbeatBytes: now.heartbeatBytes - before.heartbeatBytes, Simulated: l.now.Seconds(), Detail: l.detail,
		Uplink: l.busiest(),
	}
	if l.detail != nil {
		l.detail.Hops = byLinks
		for _, n := range l.nodes {
			for _, link := range n.engine.Links() {
				_, conflated := link.Owed()
				l.detail.Conflated += conflated
			}
		}
	}
	r.MessagesPerReport = float64(r.Messages) / float64(l.Reports)
	if arrived > 0 {
		r.Path.Mean = float64(crossed) / float64(arrived)
	}
	if n := len(l.took); n > 0 {
		slices.Sort(l.took)
		r.ToLast = Spread{l.took[n/2].Seconds(), l.took[n*99/100].Seconds(), l.took[n-1].Seconds()}
	}
	return r
}

// Detail is what became of each report, in the order in which they were made, and of the queues.
type Detail struct {
	Messages  []int     // that carried it, over all links
	ToLast    []float64 // seconds until the last server knew it; NaN: a newer one of its client was everywhere first
	Every     float64   // seconds from one report to the next
	Hops      []int     // how many reports came to a server over so many links, by that number
	Conflated uint64    // reports that a newer one replaced while they waited in the queue of a link
}

func (l *load) withDetail() {
	l.detail = &Detail{Messages: make([]int, l.Reports), ToLast: make([]float64, l.Reports), Every: l.every.Seconds()}
	for i := range l.detail.ToLast {
		l.detail.ToLast[i] = math.NaN()
	}
	l.onSend = func(n *node, r line.Report) {
		a := &l.accounts[n.index]
		a.sentReports = append(a.sentReports, l.index(r))
	}
}

// collectSent evaluates which reports servers sent.
func (l *load) collectSent() {
	for i := range l.accounts {
		a := &l.accounts[i]
		for _, report := range a.sentReports {
			l.detail.Messages[report]++
		}
		a.sentReports = a.sentReports[:0]
	}
}

// sentReports calls onSend for the reports of a message.
func (h *herd) sentReports(n *node, m *flood.Message) {
	if h.onSend == nil || m.Kind != subject.Propagate {
		return
	}
	for _, r := range m.Reports {
		h.onSend(n, r)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/bench"
	"herd/cmd/herd/internal/bench/plot"
	"herd/cmd/herd/internal/client"
	"herd/cmd/herd/internal/process"
	"herd/cmd/herd/internal/terminal"
	"herd/configs"
	"herd/node/line"
)

// benchCommand is what the flags of herd bench say, and where the load goes.
type benchCommand struct {
	*program
	bench.Config
	target        *target
	all, self     bool
	radius, bound string
	observe       bool
	farthest      string // the node whose arrivals are measured; "": the one most links away
	files         bench.Files

	config *configs.Config
	taker  line.NodeName // the node that takes the load; "": several, or not one of the configuration
}

// bench returns the command that measures servers under load.
func (p *program) bench() *cobra.Command {
	b := &benchCommand{program: p}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a server, and measure how it bears it",
		Long: `Put load on a server, and measure how it bears it: replies a second, how long each took, and how long after a client was
answered the server farthest away knew of it, by the messages to it on the bus and, for some clients, by polling it. First all
clients report once, then comes the warm-up; only what follows counts. Ctrl-C ends it early, with what was measured until then. The
exit code is 1 if any request was not answered as it should be.

Without --rate each connection sends as many lines as --pipeline says, awaits their replies and starts over: so it finds the most that
a server can do. With it lines are due at times fixed in advance, and a reply's time counts from then, also if the server was so slow that the line
could not leave: stalls are not left out.

The load is on the server of --node or --addr, a herd that runs already and will remember the clients, by names that begin with --prefix. With --self it
is on a herd of this process that ends afterwards: the configured one, on free ports, its log at warn and nothing on disk, unless flags
say otherwise.`,
		Example: `  herd bench --self
  herd bench --self --pipeline 1 --duration 30s --html bench.html
  herd bench --self --node Hands --rate 1000 --json bench.json  # until the farthest has a report
  herd bench --addr 127.0.0.1:12125 --rate 50000 --whatsat 0.1
  herd bench --node Welsh --connections 1000 --clients 1000000 --tls --ca ca.pem`,
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c) },
	}
	f := c.Flags()
	b.target = p.targetFlags(c)
	f.BoolVar(&b.all, "all", false, "spread the connections over all servers of the configuration")
	f.BoolVar(&b.self, "self", false, "start the servers of the configuration in this process, on free ports")
	f.IntVar(&b.Connections, "connections", 50, "to be made")
	f.IntVar(&b.Pipeline, "pipeline", 64, "lines in flight on each connection, at most")
	f.IntVar(&b.Clients, "clients", 100_000, "that move about and report, each over one of the connections")
	f.StringVar(&b.Prefix, "prefix", "bench-", "of the clients' names, before seven digits")
	f.Float64Var(&b.WhatsAt, "whatsat", 0, "share of WHATSAT among the lines, 0 to 1; the others are IAMAT")
	f.StringVar(&b.radius, "radius", "10", "kilometres of a WHATSAT")
	f.StringVar(&b.bound, "bound", "5", "places of a WHATSAT, at most")
	f.Float64Var(&b.Rate, "rate", 0, "lines a second that are due on all connections together; 0: as many as are answered")
	f.DurationVar(&b.Duration, "duration", 10*time.Second, "how long to measure")
	f.DurationVar(&b.Warmup, "warmup", 2*time.Second, "how long before that the same load is not measured")
	f.IntVar(&b.Requests, "requests", 0, "end after so many lines that count, if --duration is not over before")
	f.Uint64Var(&b.Seed, "seed", 1, "of where clients are and go, and which of them")
	f.BoolVar(&b.observe, "observe", true, "measure how long reports take to the farthest server")
	p.nodeFlag(c, &b.farthest, "farthest", "`NAME` of the server to take for that (default: the one most links away)")
	f.StringVar(&b.files.JSON, "json", "", "write all that was measured to `FILE`, or with - to standard output instead of the table")
	f.StringVar(&b.files.HTML, "html", "", "write a page with plots, which needs nothing else, to `FILE`")
	f.StringVar(&b.files.SVG, "svg", "", "write the plots to files in `DIR`, which is made if there is none")
	busFlags(c)
	return c
}

func (b *benchCommand) run(c *cobra.Command) error {
	if err := b.check(); err != nil {
		return &usageError{err}
	}
	var err error
	if b.config, err = b.load(c); err != nil {
		return err
	}
	if b.farthest != "" {
		if _, err := named(b.config, b.farthest); err != nil {
			return err
		}
	}
	if err := b.files.Open(); err != nil {
		return err
	}
	if b.self {
		stop, err := b.startSelf(c)
		if err != nil {
			return err
		}
		defer stop()
	}
	if err := b.aim(); err != nil {
		return err
	}
	report, err := b.measure(c.Context())
	if err != nil {
		return err
	}
	if err := b.files.Write(report); err != nil {
		return err
	}
	if b.files.JSON != "-" {
		err = b.print(report.Text())
	} else {
		err = b.printJSON(report)
	}
	if err == nil && !report.Clean() {
		return &silentError{exitFailed}
	}
	return err
}

// check finds what is wrong with the flags.
func (b *benchCommand) check() error {
	b.Protocol, b.Timeout = bench.Herd{Radius: b.radius, Bound: b.bound}, b.target.timeout
	b.Addresses = []string{""} // those follow
	faults := []error{b.Check()}
	b.Addresses = nil
	if q := line.Parse([]byte("WHATSAT x " + b.radius + " " + b.bound)); q.Verb != line.WhatsAt {
		faults = append(faults, fmt.Errorf("--radius is 0 to %d and --bound 0 to %d", line.MaxRadius, line.MaxBound))
	}
	if !line.ValidClient(b.Prefix + "0000000") {
		faults = append(faults, fmt.Errorf("--prefix has no blanks, and at most %d bytes", line.MaxClient-7))
	}
	targets := 0
	for _, set := range []bool{b.target.node != "", b.target.addr != "", b.all} {
		if set {
			targets++
		}
	}
	switch {
	case targets > 1:
		faults = append(faults, errors.New("--node, --addr and --all exclude each other; give one of them"))
	case b.self && b.target.addr != "":
		faults = append(faults, errors.New("--self makes its own addresses; leave out --addr"))
	}
	return errors.Join(faults...)
}

// aim finds the addresses that the load goes to, and how to connect to them.
func (b *benchCommand) aim() error {
	switch {
	case b.all:
		for _, n := range b.config.Nodes {
			address, err := process.Reach(n.Listen)
			if err != nil {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
			b.Addresses = append(b.Addresses, address)
		}
	default:
		address, err := b.target.address(func() (*configs.Config, error) { return b.config, nil })
		if err != nil {
			return err
		}
		b.Addresses = []string{address}
	}
	if len(b.Addresses) == 1 {
		at := func(n configs.Node) bool {
			address, err := process.Reach(n.Listen)
			return err == nil && address == b.Addresses[0]
		}
		if i := slices.IndexFunc(b.config.Nodes, at); i >= 0 {
			b.taker = b.config.Nodes[i].Name
		}
	}
	b.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := client.Dial(ctx, address, b.Timeout, b.target.tls)
		if err != nil {
			return nil, err
		}
		return conn.Detach(), nil // what is in flight when the run is interrupted still counts
	}
	return nil
}

// measure makes the load.
func (b *benchCommand) measure(ctx context.Context) (*bench.Report, error) {
	arrivals, err := b.follow(ctx)
	if err != nil {
		return nil, err
	}
	if arrivals != nil {
		defer arrivals.Stop()
		b.Acknowledged = arrivals.Acknowledged
	}
	shown := terminal.NewProgress(b.stderr) // though the table may go there too, afterwards
	b.Progress = func(s bench.Snapshot) { shown.Show(func() string { return b.far(s) }) }
	began := time.Now()
	result, err := bench.Run(ctx, b.Config)
	shown.Clear()
	if err != nil {
		return nil, err
	}
	report := bench.NewReport(began, b.Config, bench.Load{
		Self: b.self, Node: string(b.taker), TLS: b.target.tls.Wanted(), Radius: b.radius, Bound: b.bound,
	}, result, thisProgram())
	report.Interrupted = ctx.Err() != nil
	if arrivals != nil {
		report.Farthest = arrivals.Finish(b.Timeout)
	}
	return report, nil
}

// follow begins to measure arrivals at the farthest node, and returns nil if there is none, or if it cannot be observed though no flag names
// it.
func (b *benchCommand) follow(ctx context.Context) (*bench.Arrivals, error) {
	t := b.config.Topology()
	node := line.NodeName(b.farthest)
	links := 0
	switch {
	case node == "":
		node, links = bench.Farthest(t, b.taker)
	case b.taker != "":
		links = t.Distance(b.taker, node)
	}
	if !b.observe || node == "" {
		return nil, nil
	}
	f := bench.Following{Node: string(node), Links: links, Sampled: bench.Sampled(b.Rate, b.Clients)}
	n, _ := b.config.Node(node)
	if address, err := process.Reach(n.Listen); err == nil {
		f.Dial = func(ctx context.Context) (*client.Conn, error) {
			return client.Dial(ctx, address, b.Timeout, b.target.tls)
		}
	}
	var arrivals *bench.Arrivals
	var err error
	if f.Observer, err = process.NewObserver(b.config); err == nil {
		arrivals, err = bench.Follow(ctx, f)
	}
	if err == nil || b.farthest != "" {
		return arrivals, err
	}
	fmt.Fprintf(b.stderr, "the time to %s is not measured: %v\n", node, err)
	return nil, nil
}

// far shows how far a load has come.
func (b *benchCommand) far(s bench.Snapshot) string {
	all := b.Warmup + b.Duration
	elapsed := min(s.Elapsed, all)
	text := terminal.Gauge(int64(elapsed), int64(all)) + fmt.Sprintf(" %.0f of %.0f s", elapsed.Seconds(), all.Seconds())
	if s.Elapsed < b.Warmup {
		return text + ", warming up"
	}
	text += fmt.Sprintf(", %s replies, %s/s, p50 %s, p99 %s", strconv.Itoa(s.Replies),
		plot.Number(float64(s.Last.Replies)), plot.Seconds(s.Last.P50), plot.Seconds(s.Last.P99))
	if s.Refused > 0 {
		text += fmt.Sprintf(", %d refused", s.Refused)
	}
	return text
}

// startSelf runs the configured herd in this process until stop.
func (b *benchCommand) startSelf(c *cobra.Command) (stop func(), err error) {
	flags := c.Flags()
	if !flags.Changed("log-level") {
		b.config.Log.Level = "warn"
	}
	if !flags.Changed("store-dir") {
		b.config.Store.Dir = ""
	}
	if !flags.Changed("bus-listen") {
		b.config.Bus.Listen = "127.0.0.1:0"
	}
	for i := range b.config.Nodes {
		b.config.Nodes[i].Listen, b.config.Nodes[i].HTTP = "127.0.0.1:0", ""
	}
	herd, err := b.open(c, b.config, b.config.Nodes)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context())) // the nodes outlast the load
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- herd.Run(ctx, func() { close(ready) }) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Fprintf(b.stderr, "herd: the herd of --self: %v\n", err)
		}
		herd.Close()
	}
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		herd.Close()
		return nil, err
	}
	for i, n := range herd.Reached() {
		b.config.Nodes[i].Listen = n.Listen
	}
	b.config.Bus.URL = herd.BusURL()
	return stop, nil
}

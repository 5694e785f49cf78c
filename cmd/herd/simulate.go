package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/page"
	"herd/cmd/herd/internal/terminal"
	"herd/node/flood/simulate"
	"herd/node/topology"
)

// simulation is what the flags of topology simulate say.
type simulation struct {
	simulate.Config
	shape         simulate.Shape
	nodes, degree int
	asJSON        bool
	html          string // name of a file
}

func (p *program) topologySimulate() *cobra.Command {
	var s simulation
	c := &cobra.Command{
		Use:   "simulate",
		Short: "See in simulated time what a topology costs, and how fast it is and heals",
		Long: `Run the flood of the servers, the very code that they run, in simulated time: on the topology of the configuration, or on
one of a shape. Clients report at random servers, while messages are lost and links are cut as the flags say; then all is whole again, and
it is seen how long it takes until all servers know the same. Everything random comes from the seed: the same flags print the same.

Regular gives every server --degree links, at random; scale-free gives each that comes --degree links, to those rather that have many.`,
		Example: `  herd topology simulate
  herd topology simulate --shape ring --nodes 50 --delay 5ms
  herd topology simulate --shape regular --nodes 1000 --degree 4 --reports 10000
  herd topology simulate --shape scale-free --nodes 200 --degree 2 --loss 0.01 --cuts 20 --json
  herd topology simulate --loss 0.01 --cuts 2 --html simulation.html`,
		RunE: func(c *cobra.Command, _ []string) error { return p.simulate(c, &s) },
	}
	f := c.Flags()
	wordFlag(c, &s.shape, "shape", append([]simulate.Shape{""}, simulate.Shapes...), "line, ring, star, tree, regular or scale-free, instead of what is configured")
	f.IntVar(&s.nodes, "nodes", 100, "servers of a shape")
	f.IntVar(&s.degree, "degree", 4, "links of each server, if regular; of each that comes, if scale-free")
	f.IntVar(&s.Reports, "reports", 1000, "to be made")
	f.IntVar(&s.Rate, "rate", 1000, "of reports a second, at all servers together")
	f.IntVar(&s.Clients, "clients", 1000, "that make them")
	f.DurationVar(&s.Delay, "delay", 10*time.Millisecond, "of a link, one way")
	f.Float64Var(&s.Loss, "loss", 0, "probability with which a message is lost, 0 to 1, until the last report")
	f.IntVar(&s.Cuts, "cuts", 0, "of links at random, each for 1 to 5 s")
	f.Uint64Var(&s.Seed, "seed", 1, "of all that is random")
	f.BoolVar(&s.asJSON, "json", false, "as JSON")
	f.StringVar(&s.html, "html", "", "write a page with plots, which needs nothing else, to `FILE` as well")
	return c
}

func (p *program) simulate(c *cobra.Command, s *simulation) error {
	if err := s.check(); err != nil {
		return &usageError{err}
	}
	topology, err := p.simulated(c, s)
	if err != nil {
		return err
	}
	s.Topology = topology
	file, err := page.Create("--html", s.html)
	if err != nil {
		return err
	}
	s.Detail = s.html != ""
	shown := terminal.NewProgress(p.stderr) // though the result may go there too, afterwards
	s.Progress = func(done int) { shown.Show(func() string { return bar(done, s.Reports) }) }
	result, err := simulate.Run(c.Context(), s.Config)
	shown.Clear()
	if err != nil {
		return err
	}
	if err := file.Write(func() ([]byte, error) { return s.page(&result) }); err != nil {
		return err
	}
	return p.show(s.asJSON, result, simulated(&result))
}

// check finds what is wrong with the flags.
func (s *simulation) check() error {
	var faults []error
	for _, f := range []struct {
		ok   bool
		want string
	}{
		{s.nodes >= 1, "--nodes is at least 1"},
		{s.Reports >= 1, "--reports is at least 1"},
		{s.Rate >= 1 && s.Rate <= int(time.Second), "--rate is 1 to 1000000000"},
		{s.Clients >= 1, "--clients is at least 1"},
		{s.Delay >= 0 && s.Delay <= time.Second, "--delay is 0s to 1s"},
		{s.Loss >= 0 && s.Loss <= 1, "--loss is 0 to 1"},
		{s.Cuts >= 0, "--cuts is not negative"},
	} {
		if !f.ok {
			faults = append(faults, errors.New(f.want))
		}
	}
	return errors.Join(faults...)
}

// simulated returns the topology to simulate.
func (p *program) simulated(c *cobra.Command, s *simulation) (*topology.Topology, error) {
	if s.shape == "" {
		for _, flag := range []string{"nodes", "degree"} {
			if c.Flags().Changed(flag) {
				return nil, &usageError{fmt.Errorf("--%s needs --shape; without it, the servers are those of the configuration", flag)}
			}
		}
		config, err := p.load(c)
		if err != nil {
			return nil, err
		}
		return config.Topology(), nil
	}
	topology, err := simulate.NewTopology(s.shape, s.nodes, s.degree, s.Seed)
	if err != nil {
		return nil, &usageError{err}
	}
	return topology, nil
}

// bar shows how far the simulation has come.
func bar(done, reports int) string {
	return fmt.Sprintf("%s %d of %s", terminal.Gauge(done, reports), done, terminal.Plural(reports, "report"))
}

// simulated puts a result in words.
func simulated(r *simulate.Result) []byte {
	var text bytes.Buffer
	row := func(what, value, format string, more ...any) {
		fmt.Fprintf(&text, "%s\t%s\t%s\n", what, value, fmt.Sprintf(format, more...))
	}
	ms := func(seconds float64) string { return fmt.Sprintf("%.1f ms", 1000*seconds) }
	row("servers", fmt.Sprint(r.Nodes), "with %s; seed %d", terminal.Plural(r.Links, "link"), r.Seed)
	row("reports", fmt.Sprint(r.Reports), "of which %d were superseded before all servers knew them", r.Superseded)
	row("messages", fmt.Sprintf("%.2f", r.MessagesPerReport), "over links per report; %d carry one to all when the herd is idle", r.FloodCost)
	row("path", fmt.Sprintf("%.2f", r.Path.Mean), "links on average from where it was made, %d at most", r.Path.Max)
	row("to the last", ms(r.ToLast.P50), "from a report until all servers knew it: half of them; 99 %%: %s, all: %s", ms(r.ToLast.P99), ms(r.ToLast.Max))
	row("lost", fmt.Sprint(r.Lost), "messages")
	if r.Converged {
		row("equal after", ms(r.Convergence), "from the last report or fault until all servers knew the same")
	} else {
		row("not equal", ms(r.Convergence), "after the last report or fault")
	}
	row("sync", fmt.Sprint(r.SyncBytes), "bytes, next to %d of reports and %d of heartbeats, in %.1f s", r.ReportBytes, r.HeartbeatBytes, r.Simulated)
	return terminal.Align(text.Bytes())
}

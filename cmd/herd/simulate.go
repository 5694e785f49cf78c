package main

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/bench/plot"
	"herd/cmd/herd/internal/page"
	"herd/cmd/herd/internal/terminal"
	"herd/node/flood/simulate"
	"herd/node/line"
	"herd/node/topology"
)

// simulation is what the flags of topology simulate say.
type simulation struct {
	simulate.Config
	shape         simulate.Shape
	nodes, degree int
	rtt           time.Duration
	rate          bitRate
	narrow        []string
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

With --rate, each server's connection to its NATS server is so narrow, each way, or that of the servers of --narrow: all links of a
server share it. A server waits with what it sends while 1 s of the rate and 16 KiB wait in its socket and modem; NATS closes the
connection when what waits for a server would take 30 s.

Regular gives every server --degree links, at random; scale-free gives each that comes --degree links, to those rather that have many.`,
		Example: `  herd topology simulate
  herd topology simulate --shape ring --nodes 50 --rtt 10ms
  herd topology simulate --rate 64k --rtt 600ms --narrow Welsh --clients 500 --every 10s
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
	f.IntVar(&s.Clients, "clients", 1000, "that make them, each from server to server")
	f.DurationVar(&s.Every, "every", time.Second, "a report of each client")
	f.DurationVar(&s.rtt, "rtt", 20*time.Millisecond, "round trip of a link")
	f.Var(&s.rate, "rate", "of a server's connection each way, in bit/s, such as 9600, 64k or 2M; without it there is no limit")
	f.StringSliceVar(&s.narrow, "narrow", nil, "`SERVERS` to which --rate applies, separated by commas (default: all)")
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
	s.Topology, s.Delay, s.Rate = topology, s.rtt/2, int(s.rate)/8
	if s.Narrow, err = s.narrowed(); err != nil {
		return &usageError{err}
	}
	file, err := page.Create("--html", s.html)
	if err != nil {
		return err
	}
	s.Detail = s.html != ""
	shown := terminal.NewProgress(p.stderr) // though the result may go there too, afterwards
	s.Progress = func(done int) {
		shown.Show(func() string {
			return fmt.Sprintf("%s %d of %s", terminal.Gauge(done, s.Reports), done, terminal.Plural(s.Reports, "report"))
		})
	}
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
		{s.Clients >= 1, "--clients is at least 1"},
		{s.Every >= time.Duration(s.Clients) && s.Every <= 24*time.Hour, "--every is 1ns for each client to 24h"},
		{s.rtt >= 0 && s.rtt <= 2*time.Second, "--rtt is 0s to 2s"},
		{s.rate != 0 || len(s.narrow) == 0, "--narrow needs --rate"},
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

// narrowed returns the servers to which the rate applies.
func (s *simulation) narrowed() (names []line.NodeName, err error) {
	if len(s.narrow) == 0 {
		return s.Topology.Nodes(), nil
	}
	for _, name := range s.narrow {
		if !s.Topology.Has(line.NodeName(name)) {
			return nil, fmt.Errorf("--narrow: no server is named %q", name)
		}
		names = append(names, line.NodeName(name))
	}
	return names, nil
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
	if u := r.Uplink; u != nil {
		row("busiest", fmt.Sprintf("%.1f %%", 100*u.Busy), "of the time something passed %s, at %s; the longest that a message waited there: %.1f s",
			where(u), bitRate(8*u.Rate), u.Waited)
		row("closed", fmt.Sprint(u.Closed), "connections, by NATS, because too much waited for a server")
	}
	return terminal.Align(text.Bytes())
}

// where names one way of a server's connection.
func where(u *simulate.Uplink) string {
	if u.In {
		return "into " + string(u.Node)
	}
	return "out of " + string(u.Node)
}

// card is a number on a page.
type card struct {
	Value, What string
	Bad         bool
}

// page is what came of a simulation, in HTML.
func (s *simulation) page(r *simulate.Result) ([]byte, error) {
	fill := struct {
		What, Load, Version string
		Seed                uint64
		Cards               []card
		Figures             []template.HTML
	}{
		What: terminal.Plural(r.Nodes, "server") + ", " + terminal.Plural(r.Links, "link"), Load: s.faults(), Version: thisProgram().String(), Seed: r.Seed,
		Cards: cards(r),
	}
	if s.shape != "" {
		fill.What = string(s.shape) + ": " + fill.What
	}
	for _, svg := range figuresOf(r) {
		fill.Figures = append(fill.Figures, page.Picture(svg))
	}
	return page.Fill("simulate.html", fill)
}

// faults says what was simulated.
func (s *simulation) faults() string {
	text := fmt.Sprintf("%s of %s, each every %s; round trips of %s, %g %% of the messages lost, %s",
		terminal.Plural(s.Reports, "report"), terminal.Plural(s.Clients, "client"), s.Every, s.rtt, 100*s.Loss, terminal.Plural(s.Cuts, "cut"))
	if s.rate > 0 {
		text += fmt.Sprintf("; %s with connections of %s each way", terminal.Plural(len(s.Narrow), "server"), s.rate)
	}
	return text
}

func cards(r *simulate.Result) []card {
	equal := card{plot.Seconds(r.Convergence), "from the last report or fault until all servers knew the same", false}
	if !r.Converged {
		equal = card{"never", "did all servers know the same", true}
	}
	return []card{
		{fmt.Sprintf("%.2f", r.MessagesPerReport), fmt.Sprintf("messages over links per report; %d carry one to all when the herd is idle", r.FloodCost), false},
		{fmt.Sprintf("%.2f", r.Path.Mean), fmt.Sprintf("links from server to server on average, %d at most", r.Path.Max), false},
		{plot.Seconds(r.ToLast.P50), "from a report until all servers knew it, median; 99 %: " + plot.Seconds(r.ToLast.P99), false},
		equal,
		{strconv.Itoa(r.Superseded), "reports were superseded before all servers knew them", false},
		{strconv.FormatUint(r.Detail.Conflated, 10), "reports were replaced by newer ones while they waited for a link", false},
		{strconv.FormatUint(r.Lost, 10), "messages were lost", false},
		{bytesOf(r.SyncBytes), "of syncs, next to " + bytesOf(r.ReportBytes) + " of reports and " + bytesOf(r.HeartbeatBytes) + " of heartbeats", false},
	}
}

func bytesOf(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	return plot.Number(float64(n)) + "B"
}

// figuresOf draws what became of the reports.
func figuresOf(r *simulate.Result) (figures [][]byte) {
	d := r.Detail
	messages := make([]int, slices.Max(d.Messages)+1)
	for _, n := range d.Messages {
		messages[n]++
	}
	figures = append(figures, plot.Columns{
		Title: "Messages per report", Note: fmt.Sprintf("2E − (N − 1) = %d", r.FloodCost), X: "messages over links", Y: "reports",
		Columns: histogram(messages),
	}.SVG())
	if len(d.Hops) > 0 {
		figures = append(figures, plot.Columns{
			Title: "Path", Note: "without reports that syncs brought", X: "links over which a report came to a server", Y: "times",
			Columns: histogram(d.Hops),
		}.SVG())
	}
	sorted := slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(d.ToLast), math.IsNaN)))
	share := plot.Series{Name: "last server"}
	for i, t := range sorted {
		if i == len(sorted)-1 || t != sorted[i+1] { // so many are no slower
			share.Points = append(share.Points, [2]float64{plot.Tail(min(float64(i+1), float64(len(sorted))-0.5) / float64(len(sorted))), t})
		}
	}
	times := plot.Axis{Name: "time", Kind: plot.Log, Label: plot.Seconds}
	made := plot.Axis{Name: "seconds from the first report to when it was made"}
	over, superseded := overTime(d)
	return append(figures, plot.Chart{
		Title: "Until all servers know", X: plot.Axis{Name: "share of all that are no slower", Kind: plot.Percentile}, Y: times,
		Series: []plot.Series{share},
	}.SVG(), plot.Chart{
		Title: "Until all servers know, over time", X: made, Y: times, Series: over,
	}.SVG(), plot.Chart{
		Title: "Superseded before all knew them", X: made, Y: plot.Axis{Name: "share of the reports, %"},
		Series: []plot.Series{superseded},
	}.SVG())
}

// overTime divides the reports into as many steps as a plot can show, by when they were made.
func overTime(d *simulate.Detail) (toLast []plot.Series, superseded plot.Series) {
	const steps = 60
	size := (len(d.ToLast) + steps - 1) / steps
	median, longest := plot.Series{Name: "median", Dots: true}, plot.Series{Name: "longest", Dots: true}
	superseded = plot.Series{Name: "superseded", Dots: true}
	first := 0
	for step := range slices.Chunk(d.ToLast, size) {
		at := (float64(first) + float64(len(step))/2) * d.Every
		first += len(step)
		all := len(step)
		step = slices.DeleteFunc(slices.Clone(step), math.IsNaN)
		superseded.Points = append(superseded.Points, [2]float64{at, 100 * float64(all-len(step)) / float64(all)})
		if len(step) > 0 {
			slices.Sort(step)
			median.Points = append(median.Points, [2]float64{at, step[len(step)/2]})
			longest.Points = append(longest.Points, [2]float64{at, step[len(step)-1]})
		}
	}
	return []plot.Series{median, longest}, superseded
}

// histogram returns columns of how often each number occurs, or each range of numbers if they are many.
func histogram(times []int) (columns []plot.Column) {
	const most, ranges = 16, 8 // whose names are longer
	first := slices.IndexFunc(times, func(n int) bool { return n > 0 })
	if first < 0 {
		return nil
	}
	size := 1
	if n := len(times) - first; n > most {
		size = (n + ranges - 1) / ranges
	}
	for ; first < len(times); first += size {
		last := min(first+size, len(times)) - 1
		column := plot.Column{Name: strconv.Itoa(first)}
		if last > first {
			column.Name += "–" + strconv.Itoa(last)
		}
		for _, n := range times[first : last+1] {
			column.Number += float64(n)
		}
		columns = append(columns, column)
	}
	return columns
}

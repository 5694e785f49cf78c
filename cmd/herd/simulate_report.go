package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"

	"herd/cmd/herd/internal/bench/plot"
	"herd/cmd/herd/internal/page"
	"herd/cmd/herd/internal/terminal"
	"herd/node/flood/simulate"
)

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
	return fmt.Sprintf("%s of %s, %d a second; links of %s one way, %g %% of the messages lost, %s",
		terminal.Plural(s.Reports, "report"), terminal.Plural(s.Clients, "client"), s.Rate, s.Delay, 100*s.Loss, terminal.Plural(s.Cuts, "cut"))
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

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"herd/cmd/herd/internal/bench/plot"
	"herd/cmd/herd/internal/page"
	"herd/cmd/herd/internal/terminal"
)

// Report is what a run measured. Times are in seconds.
type Report struct {
	At time.Time `json:"at"`
	page.Program
	CPUs        int  `json:"cpus"`
	Interrupted bool `json:"interrupted,omitempty"`

	Load Load `json:"load"`
	*Result
	Farthest *FarthestReport `json:"farthest,omitempty"`
}

// Load is the load that was made.
type Load struct {
	Self        bool     `json:"self"`
	Node        string   `json:"node,omitempty"`
	Addresses   []string `json:"addresses"`
	TLS         bool     `json:"tls"`
	Connections int      `json:"connections"`
	Pipeline    int      `json:"pipeline"`
	Clients     int      `json:"clients"`
	WhatsAt     float64  `json:"whatsat"`
	Radius      string   `json:"radius"`
	Bound       string   `json:"bound"`
	Rate        float64  `json:"rate"` // 0: closed loop
	Duration    float64  `json:"duration"`
	Warmup      float64  `json:"warmup"`
	Requests    int      `json:"requests"`
	Seed        uint64   `json:"seed"`
}

// NewReport returns the report of a run that began at a time with a configuration. The rest of the load is in l.
func NewReport(began time.Time, c Config, l Load, r *Result, program page.Program) *Report {
	l.Addresses, l.Connections, l.Pipeline, l.Clients = c.Addresses, c.Connections, c.Pipeline, c.Clients
	l.WhatsAt, l.Rate, l.Requests, l.Seed = c.WhatsAt, c.Rate, c.Requests, c.Seed
	l.Duration, l.Warmup = c.Duration.Seconds(), c.Warmup.Seconds()
	return &Report{At: began.UTC().Truncate(time.Second), Program: program, CPUs: runtime.NumCPU(), Load: l, Result: r}
}

// where says what took the load.
func (r *Report) where() string {
	where := strings.Join(r.Load.Addresses, ", ")
	if r.Load.Node != "" {
		where = r.Load.Node + " at " + where
	}
	if r.Load.Self {
		where += ", in this process"
	}
	if r.Load.TLS {
		where += ", over TLS"
	}
	return where
}

// what says what the load was.
func (r *Report) what() string {
	l := r.Load
	text := fmt.Sprintf("%s, pipeline %d, %s", terminal.Plural(l.Connections, "connection"), l.Pipeline, terminal.Plural(l.Clients, "client"))
	if l.WhatsAt > 0 {
		text += fmt.Sprintf(", %g %% WHATSAT with radius %s and bound %s", 100*l.WhatsAt, l.Radius, l.Bound)
	}
	if l.Rate > 0 {
		return text + fmt.Sprintf("; %g lines a second are due", l.Rate)
	}
	return text + "; as many lines as are answered"
}

// failures says what went wrong.
func (r *Report) failures() string {
	var text strings.Builder
	text.WriteString(fmt.Sprintf("%d refused, %d wrong", r.Refused, r.Wrong))
	if r.Load.Rate > 0 {
		text.WriteString(fmt.Sprintf(", %d due but never sent", r.Unsent))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		text.WriteString(", " + terminal.Plural(r.Errors[kind], "connection") + " ended: " + kind)
	}
	if r.First == nil {
		return text.String()
	}
	advice := ""
	if r.Errors[ErrClosed]+r.Errors[ErrWrite] > 0 && !r.Load.TLS {
		advice = "; is it to be spoken to over TLS, or did it hit a limit? see its log"
	}
	return text.String() + fmt.Sprintf(" (%v%s)", r.First, advice)
}

// row is a distribution in words.
type row struct {
	What, Count string
	Times       []string
}

// percentiles are the columns of a row's times.
var percentiles = []string{"p50", "p90", "p99", "p99.9", "max"}

// rows are all distributions that were measured.
func (r *Report) rows() []row {
	var rows []row
	add := func(what string, l Latency) {
		if l.Count() == 0 {
			return
		}
		r := row{What: what, Count: fmt.Sprint(l.Count())}
		for _, percent := range []float64{50, 90, 99, 99.9, 100} {
			r.Times = append(r.Times, plot.Seconds(l.At(percent).Seconds()))
		}
		rows = append(rows, r)
	}
	add("IAMAT to reply", r.IAmAt)
	add("WHATSAT to reply", r.WhatsAt)
	if f := r.Farthest; f != nil {
		add("IAMAT to "+f.Node+", on the bus", f.Whole)
		add("reply to "+f.Node+", on the bus", f.Observed)
		add("reply to "+f.Node+", polled there", f.Polled)
	}
	return rows
}

// remark says what is special about the way to the farthest node.
func (f *FarthestReport) remark() string {
	text := f.Node
	if f.Links > 0 {
		text += ", " + terminal.Plural(f.Links, "link") + " away"
	}
	text += fmt.Sprintf(": %d of %d reports arrived before their reply did, %d only as a newer one of the client; %d are missing",
		f.Before, f.Observed.Count(), f.Superseded, f.Missing)
	if f.Trouble != "" {
		text += "; incomplete: " + f.Trouble
	}
	return text
}

// Text returns the report for people.
func (r *Report) Text() []byte {
	var text bytes.Buffer
	add := func(what, format string, more ...any) {
		fmt.Fprintf(&text, "%-9s"+format+"\n", append([]any{what}, more...)...)
	}
	add("server", "%s", r.where())
	add("load", "%s", r.what())
	add("before", "%s reported once in %s", terminal.Plural(r.Filled, "client"), plot.Seconds(r.FillTime))
	ending := ""
	if r.Interrupted {
		ending = "; interrupted"
	}
	add("answered", "%d in %s: %.0f a second%s", r.Answered, plot.Seconds(r.Elapsed), r.Throughput, ending)
	add("failed", "%s", r.failures())
	if r.Farthest != nil && r.Answered > 0 {
		add("farthest", "%s", r.Farthest.remark())
	}
	if rows := r.rows(); len(rows) > 0 {
		text.WriteByte('\n')
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "time from\tnumber\t%s\t\n", strings.Join(percentiles, "\t"))
		for _, row := range rows {
			fmt.Fprintf(table, "%s\t%s\t%s\t\n", row.What, row.Count, strings.Join(row.Times, "\t"))
		}
		_ = table.Flush() // a buffer takes it all
	}
	return text.Bytes()
}

// figure is a chart and the name of its file.
type figure struct {
	name  string
	chart plot.Chart
}

// figures draws what was measured.
func (r *Report) figures() []figure {
	var figures []figure
	add := func(name string, c plot.Chart) {
		c.Series = slices.DeleteFunc(c.Series, func(s plot.Series) bool { return len(s.Points) == 0 })
		if len(c.Series) > 0 {
			figures = append(figures, figure{name, c})
		}
	}
	share := plot.Axis{Name: "share of all that are no slower", Kind: plot.Percentile}
	times := plot.Axis{Name: "time", Kind: plot.Log, Label: plot.Seconds}
	second := plot.Axis{Name: "seconds after the warm-up"}
	add("latency", plot.Chart{
		Title: "Time to reply", X: share, Y: times,
		Series: []plot.Series{distribution("IAMAT", r.IAmAt), distribution("WHATSAT", r.WhatsAt)},
	})
	over := func(name string, value func(Second) float64) plot.Series {
		s := plot.Series{Name: name, Dots: len(r.Seconds) <= 60}
		for i, each := range r.Seconds {
			if float64(i+1) <= r.Elapsed+0.05 { // what is left of the last second is no rate
				s.Points = append(s.Points, [2]float64{float64(i + 1), value(each)})
			}
		}
		return s
	}
	add("throughput", plot.Chart{
		Title: "Replies in each second", X: second, Y: plot.Axis{Name: "replies"},
		Series: []plot.Series{over("replies", func(s Second) float64 { return float64(s.Replies) })},
	})
	add("latency-over-time", plot.Chart{
		Title: "Time to reply in each second", X: second, Y: times,
		Series: []plot.Series{
			over("p50", func(s Second) float64 { return s.P50 }),
			over("p99", func(s Second) float64 { return s.P99 }),
			over("longest", func(s Second) float64 { return s.Max }),
		},
	})
	if f := r.Farthest; f != nil {
		add("farthest", plot.Chart{
			Title: "Until " + f.Node + " knows", X: share, Y: times,
			Series: []plot.Series{
				distribution("IAMAT to arrival", f.Whole), distribution("reply to arrival", f.Observed), distribution("reply to answer there", f.Polled),
			},
		})
	}
	return figures
}

// distribution is a line of percentiles.
func distribution(name string, l Latency) plot.Series {
	s := plot.Series{Name: name}
	last := 1 - 1/float64(max(2, l.Count()))
	for _, p := range l.Points() {
		s.Points = append(s.Points, [2]float64{plot.Tail(min(p.Share, last)), p.Seconds})
	}
	return s
}

// Files are where a report is written, besides standard output.
type Files struct {
	JSON, HTML, SVG string // names of two files and a directory, or ""; JSON may be "-", which is not written here
	json, html      page.Output
}

// Open makes the files, so that nothing is measured in vain when one cannot be made.
func (f *Files) Open() error {
	var faults [3]error
	if f.JSON != "-" {
		f.json, faults[0] = page.Create("--json", f.JSON)
	}
	f.html, faults[1] = page.Create("--html", f.HTML)
	if f.SVG != "" {
		if err := os.MkdirAll(f.SVG, 0o777); err != nil {
			faults[2] = fmt.Errorf("--svg: %w", err)
		}
	}
	return errors.Join(faults[:]...)
}

// Write writes the report, and closes the files.
func (f *Files) Write(r *Report) error {
	err := errors.Join(f.json.Write(func() ([]byte, error) { return page.JSON(r) }), f.html.Write(r.page))
	if err != nil || f.SVG == "" {
		return err
	}
	for _, each := range r.figures() {
		if err := os.WriteFile(filepath.Join(f.SVG, each.name+".svg"), each.chart.SVG(), 0o666); err != nil {
			return fmt.Errorf("--svg: %w", err)
		}
	}
	return nil
}

// page is the report in HTML.
func (r *Report) page() ([]byte, error) {
	fill := struct {
		*Report
		Where, What, Failures, Version, Remark string
		Percentiles                            []string
		Rows                                   []row
		Figures                                []template.HTML
	}{
		Report: r, Where: r.where(), What: r.what(), Failures: r.failures(), Version: r.Program.String() + ", " + terminal.Plural(r.CPUs, "processor"),
		Percentiles: percentiles, Rows: r.rows(),
	}
	if r.Farthest != nil && r.Answered > 0 {
		fill.Remark = r.Farthest.remark()
	}
	for _, each := range r.figures() {
		fill.Figures = append(fill.Figures, page.Picture(each.chart.SVG()))
	}
	return page.Fill("bench.html", fill)
}

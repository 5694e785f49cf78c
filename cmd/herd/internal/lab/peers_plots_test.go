//go:build lab

package lab

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"herd/cmd/herd/internal/bench/plot"
)

// compared are the groups of the picture of throughput: row, name, and figures; those of herd come first, so many.
var compared = []struct {
	row, name string
	herds     int
	figures   []string
}{
	{"pipelined", "one node, pipeline 64", 1, []string{"herd", "bare", "SET", "GEOADD"}},
	{"unpipelined", "one node, pipeline 1", 1, []string{"herd", "echo", "GEOADD"}},
	{"five", "five nodes, until the last is equal, pipeline 64", 1, []string{"herd", "GEOADD"}},
	{"durable", "on disk, pipeline 64", 3, []string{"none", "interval", "always", "GEOADD", "GEOADD everysec", "GEOADD always"}},
}

// pictures returns what can be drawn, by file name.
func (m *measured) pictures() map[string][]byte {
	all := make(map[string][]byte)
	bars := pictureOfBars{Title: "Reports accepted per second", Note: "median, min–max; 50 connections"}
	for _, c := range compared {
		found := m.Rows[c.row]
		if found == nil {
			continue
		}
		g := barGroup{Name: c.name}
		for i, name := range c.figures {
			s := summarise(found.Figures[name])
			label := map[string]string{
				"herd": "herd", "bare": "bare Go, stores", "echo": "bare Go, echoes", "SET": "Redis SET",
				"none": "herd, no store", "interval": "herd, interval", "always": "herd, always",
			}[name]
			if label == "" {
				label = "Redis " + name
			}
			g.Bars = append(g.Bars, bar{Name: label, Value: s.median, Least: s.least, Most: s.most, Peer: i >= c.herds})
		}
		bars.Groups = append(bars.Groups, g)
	}
	if len(bars.Groups) > 0 {
		all["throughput.svg"] = grounded(bars.SVG())
	}
	for row, c := range map[string]struct {
		file, title string
		names       []string
	}{
		"unpipelined": {"latency.svg", "Latency at " + plot.Number(steadyRate) + " reports a second", []string{"herd", "echo", "GEOADD"}},
		"stalled":     {"stalled.svg", "Latency at half the maximum rate", []string{"well", "stalled"}},
	} {
		if found := m.Rows[row]; found != nil {
			all[c.file] = grounded(found.latency(c.title, c.names).SVG())
		}
	}
	if found := m.Rows["growth"]; found != nil {
		all["nodes.svg"] = grounded(found.growing("Processor time by nodes", "nodes", "ns/message").SVG())
		all["clients.svg"] = grounded(found.growing("Processor time by clients", "clients", "ns/report").SVG())
	}
	return all
}

// latency draws what share of the replies came within which time.
func (r *measuredRow) latency(title string, names []string) *plot.Chart {
	c := &plot.Chart{
		Title: title, Note: "open loop, 50 connections",
		X: plot.Axis{Name: "share of the replies", Kind: plot.Percentile}, Y: plot.Axis{Name: "within", Kind: plot.Log, Label: plot.Seconds},
	}
	for _, name := range names {
		var points [][2]float64
		for _, p := range r.Curves[name] {
			if p.Share < 0.99999 {
				points = append(points, [2]float64{plot.Tail(p.Share), p.Seconds})
			}
		}
		c.Series = append(c.Series, plot.Series{Name: name, Points: points})
	}
	return c
}

// growing returns a chart of figures named like "nodes=5 µs/report", by that number.
func (r *measuredRow) growing(title, by, unit string) *plot.Chart {
	c := &plot.Chart{Title: title, X: plot.Axis{Name: by, Kind: plot.Log}, Y: plot.Axis{Name: unit}}
	s := plot.Series{Name: "herd", Dots: true}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		at, of, _ := strings.Cut(name, " ")
		n, err := strconv.ParseFloat(strings.TrimPrefix(at, by+"="), 64)
		if err == nil && of == unit && strings.HasPrefix(at, by+"=") {
			s.Points = append(s.Points, [2]float64{n, summarise(r.Figures[name]).median})
		}
	}
	slices.SortFunc(s.Points, func(a, b [2]float64) int { return int(a[0] - b[0]) })
	c.Series = []plot.Series{s}
	return c
}

// grounded gives a picture a ground of its own, so that it is read wherever it stands.
func grounded(svg []byte) []byte {
	const ground = "<style>.ground{fill:#fff}@media(prefers-color-scheme:dark){.ground{fill:#0d1117}}</style><rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n"
	at := bytes.Index(svg, []byte("</style>\n")) + len("</style>\n")
	return slices.Concat(svg[:at], []byte(ground), svg[at:])
}

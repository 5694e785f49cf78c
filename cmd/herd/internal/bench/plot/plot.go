package plot

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
	"unicode/utf8"
)

// Chart is a picture.
type Chart struct {
	Title, Note string // the note is smaller; it may be empty
	X, Y        Axis
	Series      []Series
}

// Series is a line, and its name in the legend.
type Series struct {
	Name   string
	Points [][2]float64 // x, y; x grows
	Dots   bool         // mark each point
}

// The size of every picture, and what lies around its plane.
const (
	width, height            = 720, 340
	left, right, top, bottom = 78, 36, 66, 52
)

// colours tell series apart, also for most who see colours otherwise (Okabe and Ito, 2008); what follows them in dark is lighter.
var colours = [...][2]string{{"#0072b2", "#56b4e9"}, {"#d55e00", "#f0a04b"}, {"#009e73", "#3fd0a4"}, {"#a3478c", "#df8fc6"}, {"#6b6b00", "#d9cf3c"}}

// style is that of all pictures: they may stand in one page.
func style() string {
	var s strings.Builder
	s.WriteString(".plot{font:12px system-ui,sans-serif;color:#1c2330}.plot text{fill:currentColor}.plot .title{font-size:15px;font-weight:600}" +
		".plot .faint{opacity:.66}.plot .grid{stroke:currentColor;stroke-opacity:.14}.plot .axis{stroke:currentColor;stroke-opacity:.5}" +
		".plot .line{fill:none;stroke-width:2;stroke-linejoin:round}")
	var dark strings.Builder
	dark.WriteString(".plot{color:#e4e8ef}")
	for i, c := range colours {
		fmt.Fprintf(&s, ".plot .s%d{stroke:%s}.plot .d%d{fill:%s}", i, c[0], i, c[0])
		fmt.Fprintf(&dark, ".plot .s%d{stroke:%s}.plot .d%d{fill:%s}", i, c[1], i, c[1])
	}
	fmt.Fprintf(&s, "@media(prefers-color-scheme:dark){%s}", dark.String())
	return s.String()
}

// SVG draws the chart.
func (c *Chart) SVG() []byte {
	var b bytes.Buffer
	xs, ys := c.values(0), c.values(1)
	x, y := c.X.scale(xs, left, width-right), c.Y.scale(ys, height-bottom, top)
	fmt.Fprintf(&b, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(c.Title))
	fmt.Fprintf(&b, "<style>%s</style>\n", style())
	text := func(class, anchor string, px, py float64, s string) {
		fmt.Fprintf(&b, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, px, py, html.EscapeString(s))
	}
	text("title", "start", 16, 24, c.Title)
	if c.Note != "" {
		text("faint", "end", width-right, 24, c.Note)
	}
	for _, t := range y.ticks {
		fmt.Fprintf(&b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, y.at(t.value), width-right)
		text("faint", "end", left-8, y.at(t.value)+4, t.label)
	}
	for _, t := range x.ticks {
		fmt.Fprintf(&b, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>\n", x.at(t.value), top, height-bottom)
		text("faint", "middle", x.at(t.value), height-bottom+18, t.label)
	}
	fmt.Fprintf(&b, "<path class=\"axis\" d=\"M%d %dV%dH%d\" fill=\"none\"/>\n", left, top, height-bottom, width-right)
	text("faint", "end", width-right, height-10, c.X.Name)
	text("faint", "start", 16, top-12, c.Y.Name)
	c.legend(&b, text)
	for i, s := range c.Series {
		draw(&b, s, i%len(colours), x, y)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// legend names the series, from the right.
func (c *Chart) legend(b *bytes.Buffer, text func(class, anchor string, x, y float64, s string)) {
	const letter = 6.6 // of the font, about
	px := float64(width - right)
	for i := len(c.Series) - 1; i >= 0; i-- {
		name := c.Series[i].Name
		px -= letter * float64(utf8.RuneCountInString(name))
		text("", "start", px, top-12, name)
		px -= 22
		fmt.Fprintf(b, "<path class=\"line s%d\" d=\"M%.1f %dh16\"/>\n", i%len(colours), px, top-16)
		px -= 16
	}
}

func draw(b *bytes.Buffer, s Series, colour int, x, y scale) {
	var path strings.Builder
	pen := "M"
	for _, p := range s.Points {
		if !x.has(p[0]) || !y.has(p[1]) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x.at(p[0]), y.at(p[1]))
		pen = "L"
		if s.Dots || len(s.Points) == 1 {
			fmt.Fprintf(b, "<circle class=\"d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", colour, x.at(p[0]), y.at(p[1]))
		}
	}
	fmt.Fprintf(b, "<path class=\"line s%d\" d=\"%s\"/>\n", colour, path.String())
}

// values returns all coordinates of one dimension that can be drawn.
func (c *Chart) values(dimension int) []float64 {
	axis := &c.X
	if dimension == 1 {
		axis = &c.Y
	}
	var all []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			if v := p[dimension]; !math.IsInf(v, 0) && !math.IsNaN(v) && (axis.Kind == Linear || v > 0) {
				all = append(all, v)
			}
		}
	}
	return all
}

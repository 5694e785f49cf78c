// Package plot draws lines and columns over axes as SVG: what load tests measure, for a page or a file. The picture needs nothing else and is readable
// on light and on dark ground, whichever the reader prefers. The same chart makes the same bytes.
package plot

import (
	"bytes"
	"fmt"
	"html"
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

// Width is the width of every picture, and Right the room at its right edge.
const Width, Right = 720, 36

// The height of a picture, and what else lies around its plane.
const height, left, top, bottom = 340, 78, 66, 52

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

// Picture is an SVG of one width that is being drawn.
type Picture struct{ bytes.Buffer }

// NewPicture returns a picture of a height that has its title and note, and nothing else.
func NewPicture(title, note string, height int) *Picture {
	p := new(Picture)
	fmt.Fprintf(p, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, Width, height, html.EscapeString(title))
	fmt.Fprintf(p, "<style>%s</style>\n", style())
	p.Text("title", "start", 16, 24, title)
	if note != "" {
		p.Text("faint", "end", Width-Right, 24, note)
	}
	return p
}

// Text writes a text of a class, which begins, has its middle or ends at a point: anchor is start, middle or end.
func (p *Picture) Text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(p, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, x, y, html.EscapeString(s))
}

// SVG ends the picture.
func (p *Picture) SVG() []byte {
	p.WriteString("</svg>\n")
	return p.Bytes()
}

// vertical draws the axis of the values in a picture, with its name and the name of the other.
func (p *Picture) vertical(y scale, name, other string) {
	for _, t := range y.ticks {
		fmt.Fprintf(p, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, y.at(t.value), Width-Right)
		p.Text("faint", "end", left-8, y.at(t.value)+4, t.label)
	}
	p.Text("faint", "end", Width-Right, height-10, other)
	p.Text("faint", "start", 16, top-12, name)
}

// frame draws the lines from which values count.
func (p *Picture) frame() {
	fmt.Fprintf(p, "<path class=\"axis\" d=\"M%d %dV%dH%d\" fill=\"none\"/>\n", left, top, height-bottom, Width-Right)
}

// SVG draws the chart.
func (c Chart) SVG() []byte {
	p := NewPicture(c.Title, c.Note, height)
	x, y := c.X.scale(c.values(0, c.X), left, Width-Right), c.Y.scale(c.values(1, c.Y), height-bottom, top)
	p.vertical(y, c.Y.Name, c.X.Name)
	for _, t := range x.ticks {
		fmt.Fprintf(p, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>\n", x.at(t.value), top, height-bottom)
		p.Text("faint", "middle", x.at(t.value), height-bottom+18, t.label)
	}
	p.frame()
	c.legend(p)
	for i, s := range c.Series {
		p.line(s, i%len(colours), x, y)
	}
	return p.SVG()
}

// legend names the series, from the right.
func (c Chart) legend(p *Picture) {
	const letter = 6.6 // of the font, about
	px := float64(Width - Right)
	for i := len(c.Series) - 1; i >= 0; i-- {
		name := c.Series[i].Name
		px -= letter * float64(utf8.RuneCountInString(name))
		p.Text("", "start", px, top-12, name)
		px -= 22
		fmt.Fprintf(p, "<path class=\"line s%d\" d=\"M%.1f %dh16\"/>\n", i%len(colours), px, top-16)
		px -= 16
	}
}

func (p *Picture) line(s Series, colour int, x, y scale) {
	var path strings.Builder
	pen := "M"
	for _, at := range s.Points {
		if !x.has(at[0]) || !y.has(at[1]) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x.at(at[0]), y.at(at[1]))
		pen = "L"
		if s.Dots || len(s.Points) == 1 {
			fmt.Fprintf(p, "<circle class=\"d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", colour, x.at(at[0]), y.at(at[1]))
		}
	}
	fmt.Fprintf(p, "<path class=\"line s%d\" d=\"%s\"/>\n", colour, path.String())
}

// values returns all coordinates of one dimension that can be drawn on its axis.
func (c Chart) values(dimension int, axis Axis) []float64 {
	var all []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			if (scale{kind: axis.Kind}).has(p[dimension]) {
				all = append(all, p[dimension])
			}
		}
	}
	return all
}

// Columns is a picture of how often each of some values occurs.
type Columns struct {
	Title, Note string
	X, Y        string // what is counted, and in what
	Columns     []Column
}

// Column is a value, or a range of them, and how often it occurs.
type Column struct {
	Name   string
	Number float64
}

// SVG draws the columns, all from 0.
func (c Columns) SVG() []byte {
	p := NewPicture(c.Title, c.Note, height)
	var numbers []float64
	for _, each := range c.Columns {
		numbers = append(numbers, each.Number)
	}
	axis := Axis{Name: c.Y}
	y := axis.scale(numbers, height-bottom, top)
	p.vertical(y, c.Y, c.X)
	step := float64(Width-Right-left) / float64(max(1, len(c.Columns)))
	broad := min(0.8*step, 64)
	for i, each := range c.Columns {
		middle := left + (float64(i)+0.5)*step
		fmt.Fprintf(p, "<rect class=\"d0\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>\n",
			middle-broad/2, y.at(each.Number), broad, y.at(0)-y.at(each.Number))
		p.Text("faint", "middle", middle, height-bottom+18, each.Name)
	}
	p.frame()
	return p.SVG()
}

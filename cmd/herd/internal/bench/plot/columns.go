package plot

import (
	"bytes"
	"fmt"
	"html"
)

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
func (c *Columns) SVG() []byte {
	var b bytes.Buffer
	var numbers []float64
	for _, each := range c.Columns {
		numbers = append(numbers, each.Number)
	}
	axis := Axis{Name: c.Y}
	y := axis.scale(numbers, height-bottom, top)
	fmt.Fprintf(&b, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(c.Title))
	fmt.Fprintf(&b, "<style>%s</style>\n", style())
	text := func(class, anchor string, px, py float64, s string) {
		fmt.Fprintf(&b, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, px, py, html.EscapeString(s))
	}
	text("title", "start", 16, 24, c.Title)
	text("faint", "end", width-right, 24, c.Note)
	for _, t := range y.ticks {
		fmt.Fprintf(&b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, y.at(t.value), width-right)
		text("faint", "end", left-8, y.at(t.value)+4, t.label)
	}
	step := float64(width-right-left) / float64(max(1, len(c.Columns)))
	broad := min(0.8*step, 64)
	for i, each := range c.Columns {
		middle := left + (float64(i)+0.5)*step
		fmt.Fprintf(&b, "<rect class=\"d0\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>\n",
			middle-broad/2, y.at(each.Number), broad, y.at(0)-y.at(each.Number))
		text("faint", "middle", middle, height-bottom+18, each.Name)
	}
	fmt.Fprintf(&b, "<path class=\"axis\" d=\"M%d %dV%dH%d\" fill=\"none\"/>\n", left, top, height-bottom, width-right)
	text("faint", "end", width-right, height-10, c.X)
	text("faint", "start", 16, top-12, c.Y)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

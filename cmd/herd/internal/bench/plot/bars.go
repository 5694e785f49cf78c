package plot

import (
	"bytes"
	"fmt"
	"html"
)

// Bars is a picture of groups of horizontal bars. Each group has a scale of its own, from 0.
type Bars struct {
	Title, Note string
	Groups      []Group
}

// Group is bars that are compared with each other.
type Group struct {
	Name string
	Bars []Bar
}

// Bar is a value and how far it varied.
type Bar struct {
	Name               string
	Value, Least, Most float64
	Peer               bool // in another colour: what the others are compared with
}

// The sizes of groups and bars; the longest bar leaves room for its value.
const (
	barLeft, barRoom             = 176, 90
	barHeight, barStep, groupGap = 14, 22, 34
)

// SVG draws the bars.
func (c *Bars) SVG() []byte {
	var b bytes.Buffer
	y := 44
	for _, g := range c.Groups {
		y += groupGap + barStep*len(g.Bars)
	}
	fmt.Fprintf(&b, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, y, html.EscapeString(c.Title))
	fmt.Fprintf(&b, "<style>%s</style>\n", style())
	text := func(class, anchor string, x, y float64, s string) {
		fmt.Fprintf(&b, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, x, y, html.EscapeString(s))
	}
	text("title", "start", 16, 24, c.Title)
	text("faint", "end", width-right, 24, c.Note)
	top := 34.0
	for _, g := range c.Groups {
		text("", "start", 16, top+18, g.Name)
		top += groupGap - 6
		s := scale{low: 0, high: 1, from: barLeft, to: width - right - barRoom}
		for _, bar := range g.Bars {
			s.high = max(s.high, bar.Most, bar.Value)
		}
		for _, bar := range g.Bars {
			colour := 0
			if bar.Peer {
				colour = 1
			}
			middle := top + barHeight/2
			text("faint", "end", barLeft-8, middle+4, bar.Name)
			fmt.Fprintf(&b, "<rect class=\"d%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n",
				colour, s.from, top, max(1, s.at(bar.Value)-s.from), barHeight)
			fmt.Fprintf(&b, "<path class=\"axis\" d=\"M%.1f %.1fH%.1fm0 -4v8M%.1f %.1fv8\" fill=\"none\"/>\n",
				s.at(bar.Least), middle, s.at(bar.Most), s.at(bar.Least), middle-4)
			text("", "start", max(s.at(bar.Most), s.at(bar.Value))+8, middle+4, Number(bar.Value))
			top += barStep
		}
		top += 6
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

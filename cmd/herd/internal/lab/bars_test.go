//go:build lab

package lab

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"testing"

	"herd/cmd/herd/internal/bench/plot"
)

// pictureOfBars is a picture of groups of horizontal bars. Each group has a scale of its own, from 0.
type pictureOfBars struct {
	Title, Note string
	Groups      []barGroup
}

// barGroup is bars that are compared with each other.
type barGroup struct {
	Name string
	Bars []bar
}

// bar is a value and how far it varied.
type bar struct {
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
func (c *pictureOfBars) SVG() []byte {
	y := 44
	for _, g := range c.Groups {
		y += groupGap + barStep*len(g.Bars)
	}
	p := plot.NewPicture(c.Title, c.Note, y)
	top := 34.0
	for _, g := range c.Groups {
		p.Text("", "start", 16, top+18, g.Name)
		top += groupGap - 6
		most := 1.0
		for _, b := range g.Bars {
			most = max(most, b.Most, b.Value)
		}
		at := func(v float64) float64 { return barLeft + (plot.Width-plot.Right-barRoom-barLeft)*v/most }
		for _, b := range g.Bars {
			colour := 0
			if b.Peer {
				colour = 1
			}
			middle := top + barHeight/2
			p.Text("faint", "end", barLeft-8, middle+4, b.Name)
			fmt.Fprintf(p, "<rect class=\"d%d\" x=\"%d.0\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n",
				colour, barLeft, top, max(1, at(b.Value)-barLeft), barHeight)
			fmt.Fprintf(p, "<path class=\"axis\" d=\"M%.1f %.1fH%.1fm0 -4v8M%.1f %.1fv8\" fill=\"none\"/>\n",
				at(b.Least), middle, at(b.Most), at(b.Least), middle-4)
			p.Text("", "start", max(at(b.Most), at(b.Value))+8, middle+4, plot.Number(b.Value))
			top += barStep
		}
		top += 6
	}
	return p.SVG()
}

// The longest bar of each group is equally long, and a bar of half the value is half as long.
func TestBars(t *testing.T) {
	c := pictureOfBars{Title: "a < b", Groups: []barGroup{
		{"first", []bar{{Name: "x", Value: 100, Least: 90, Most: 100}, {Name: "y", Value: 50, Least: 50, Most: 50, Peer: true}}},
		{"second", []bar{{Name: "z", Value: 7e6, Least: 7e6, Most: 7e6}}},
	}}
	var widths []string
	for d := xml.NewDecoder(bytes.NewReader(c.SVG())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "width" {
					widths = append(widths, a.Value)
				}
			}
		}
	}
	if len(widths) != 3 || widths[0] != "418.0" || widths[1] != "209.0" || widths[2] != "418.0" {
		t.Errorf("widths %q", widths)
	}
}

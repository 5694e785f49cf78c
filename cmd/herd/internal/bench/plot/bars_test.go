package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"
)

// The longest bar of each group is equally long, and a bar of half the value is half as long.
func TestBars(t *testing.T) {
	c := Bars{Title: "a < b", Groups: []Group{
		{"first", []Bar{{Name: "x", Value: 100, Least: 90, Most: 100}, {Name: "y", Value: 50, Least: 50, Most: 50, Peer: true}}},
		{"second", []Bar{{Name: "z", Value: 7e6, Least: 7e6, Most: 7e6}}},
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

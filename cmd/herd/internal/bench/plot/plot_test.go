package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestLabels(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1.5: "1.5", 999: "999", 1000: "1 k", 250_000: "250 k", 1.25e6: "1.25 M", 3e9: "3 G", -2000: "-2 k"} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q", v, got)
		}
	}
	for v, want := range map[float64]string{0: "0", 5e-9: "5 ns", 5e-5: "50 µs", 1.5e-3: "1.5 ms", 0.9999e-3: "1 ms", 2: "2 s", 120: "120 s"} {
		if got := Seconds(v); got != want {
			t.Errorf("Seconds(%v) = %q", v, got)
		}
	}
	for v, want := range map[float64]string{1: "0 %", 2: "50 %", 10: "90 %", 100: "99 %", 1000: "99.9 %", 1e6: "99.9999 %"} {
		if got := share(v); got != want {
			t.Errorf("share(%v) = %q", v, got)
		}
	}
	if got := Tail(0.99); math.Abs(got-100) > 1e-9 {
		t.Errorf("Tail(0.99) = %v", got)
	}
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		values []float64
		want   string
	}{
		{Linear, []float64{3, 97}, "0 20 40 60 80 100"},
		{Linear, []float64{1_030_000, 990_000}, "0 200 k 400 k 600 k 800 k 1 M 1.2 M"},
		{Linear, []float64{0}, "0 0.2 0.4 0.6 0.8 1"},
		{Linear, nil, "0 0.2 0.4 0.6 0.8 1"},
		{Linear, []float64{-5, 5}, "-6 -4 -2 0 2 4 6"},
		{Log, []float64{0.02, 3}, "0.01 0.1 1 10"},
		{Log, []float64{20, 30}, "10 20 50 100"},
		{Log, []float64{10}, "10 20 50 100"},
		{Percentile, []float64{1, 1500}, "0 % 50 % 90 % 99 % 99.9 %"},
	} {
		a := Axis{Kind: c.kind}
		s := a.scale(c.values, 0, 100)
		var labels []string
		for _, tick := range s.ticks {
			labels = append(labels, tick.label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%d %v: %q", c.kind, c.values, got)
		}
		for _, v := range c.values {
			if at := s.at(v); at < -1e-9 || at > 100+1e-9 {
				t.Errorf("%d %v: %v is at %v", c.kind, c.values, v, at)
			}
		}
	}
}

// A picture is well-formed, names what it shows, stays within its bounds and needs nothing from elsewhere.
func TestSVG(t *testing.T) {
	c := Chart{
		Title: "a < b & c", Note: "note", X: Axis{Name: "seconds"}, Y: Axis{Name: "latency", Kind: Log, Label: Seconds},
		Series: []Series{
			{Name: "one", Points: [][2]float64{{0, 1e-3}, {1, 0}, {2, math.Inf(1)}, {3, 2e-3}}, Dots: true},
			{Name: "two", Points: [][2]float64{{0, 1e-5}}},
			{Name: "none"},
		},
	}
	svg := c.SVG()
	var texts []string
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
	for _, want := range []string{"a < b & c", "note", "seconds", "latency", "one", "two", "10 µs", "1 ms", "10 ms"} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is missing in %q", want, texts)
		}
	}
	if n := bytes.Count(svg, []byte("<circle")); n != 3 {
		t.Errorf("%d dots", n)
	}
	for _, no := range []string{"NaN", "Inf", "href", "url(", "<script"} {
		if bytes.Contains(svg, []byte(no)) {
			t.Errorf("%s in %s", no, svg)
		}
	}
	if !bytes.Equal(svg, c.SVG()) {
		t.Error("drawn twice, it differs")
	}
}

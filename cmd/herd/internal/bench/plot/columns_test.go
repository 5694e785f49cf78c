package plot

import (
	"regexp"
	"strings"
	"testing"
)

// Columns stand on 0, and one of half the number is half as high.
func TestColumns(t *testing.T) {
	c := Columns{Title: "a < b", X: "links", Y: "servers", Columns: []Column{{"1", 100}, {"2–3", 50}, {"4", 0}}}
	svg := string(c.SVG())
	var heights []string
	for _, m := range regexp.MustCompile(`<rect [^>]* height="([^"]+)"`).FindAllStringSubmatch(svg, -1) {
		heights = append(heights, m[1])
	}
	if got := strings.Join(heights, " "); got != "222.0 111.0 0.0" {
		t.Errorf("heights %s", got)
	}
	for _, want := range []string{">a &lt; b<", ">2–3<", ">links<", ">servers<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is missing in %s", want, svg)
		}
	}
}

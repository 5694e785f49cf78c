package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"herd/node/topology"

	"herd/node/line"
)

// The picture in README.md is what the command prints.
func TestPictureIsCurrent(t *testing.T) {
	const file = "../../docs/topology.svg"
	code, stdout, stderr := herd(t, "", "topology", "draw", "--svg")
	if code != exitDone || stderr != "" {
		t.Fatalf("exit code %d, printed the error %q", code, stderr)
	}
	if *update {
		if err := os.WriteFile(file, []byte(stdout), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := os.ReadFile(file); err != nil || string(committed) != stdout {
		t.Errorf("%s is not what 'herd topology draw --svg' prints; rewrite it with -update: %v", file, err)
	}
}

// A picture is well-formed, as wide as fits a page, names every server, marks what is weak, and needs nothing from elsewhere.
func TestDrawSVG(t *testing.T) {
	wide := line.NodeName(strings.Repeat("W", 32))
	nodes := []line.NodeName{wide, "hub", "-_-"}
	links := [][2]line.NodeName{{wide, "hub"}, {"hub", "-_-"}}
	for i := range 8 {
		nodes = append(nodes, line.NodeName(fmt.Sprintf("n%d", i)))
		links = append(links, [2]line.NodeName{"hub", nodes[len(nodes)-1]})
	}
	topology, err := topology.New(nodes, links)
	if err != nil {
		t.Fatal(err)
	}
	svg := drawSVG("a-b", topology)
	var texts, classes []string
	var width int
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.CharData:
			texts = append(texts, string(token))
		case xml.StartElement:
			for _, a := range token.Attr {
				switch {
				case a.Name.Local == "class":
					classes = append(classes, a.Value)
				case a.Name.Local == "width" && token.Name.Local == "svg":
					_, _ = fmt.Sscan(a.Value, &width)
				}
			}
		}
	}
	for _, n := range nodes {
		if !slices.Contains(texts, string(n)) {
			t.Errorf("%s is missing", n)
		}
	}
	if !slices.Contains(texts, "without hub, 9 servers are cut off") && !slices.Contains(texts, "without hub, 10 servers are cut off") {
		t.Errorf("nothing says that hub is needed: %q", texts)
	}
	if width < 200 || width > pictureWidth {
		t.Errorf("%d wide", width)
	}
	count := func(class string) (n int) {
		for _, c := range classes {
			if c == class {
				n++
			}
		}
		return n
	}
	if count("link weak") != len(links)+1 || count("box weak") != 1+1 || count("box") != len(nodes)-1 || count("link") != 0 {
		t.Errorf("classes %q", classes)
	}
	for _, no := range []string{"href", "url(", "<script", "@import", "@font-face", "foreignObject"} {
		if bytes.Contains(svg, []byte(no)) {
			t.Errorf("%s in %s", no, svg)
		}
	}
}

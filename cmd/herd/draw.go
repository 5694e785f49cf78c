package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"herd/node/line"
	"herd/node/topology"

	"github.com/spf13/cobra"
)

func (p *program) topologyDraw() *cobra.Command {
	var dot, svg bool
	c := &cobra.Command{
		Use:   "draw",
		Short: "Draw the topology",
		Long: fmt.Sprintf(`Draw the topology: each server with its neighbours, so that a link shows at both its ends; with --svg, as a picture
of up to %d servers that needs nothing else and in which links and servers stand out that the herd cannot do without; or, with --dot, as a
graph for Graphviz. The same topology makes the same picture.`, maxDrawn),
		Example: `  herd topology draw
  herd topology draw --svg > topology.svg
  herd topology draw --svg --config configs/regions.yaml > regions.svg
  herd topology draw --dot | dot -Tsvg > herd.svg`,
		RunE: func(c *cobra.Command, _ []string) error {
			if dot && svg {
				return &usageError{errors.New("--dot and --svg exclude each other; give one of them")}
			}
			config, err := p.load(c)
			if err != nil {
				return err
			}
			switch n := len(config.Nodes); {
			case dot:
				return p.print(drawDOT(config.Herd, config.Topology()))
			case svg && n > maxDrawn:
				return fmt.Errorf("--svg draws up to %d servers, and these are %d; try: herd topology draw --dot | sfdp -Tsvg", maxDrawn, n)
			case svg:
				return p.print(drawSVG(config.Herd, config.Topology()))
			}
			return p.print(drawText(config.Topology()))
		},
	}
	c.Flags().BoolVar(&dot, "dot", false, "in the language of Graphviz")
	c.Flags().BoolVar(&svg, "svg", false, "as a picture in SVG")
	return c
}

// drawText draws each server and the lines to its neighbours.
func drawText(t *topology.Topology) []byte {
	width := 0
	for _, n := range t.Nodes() {
		width = max(width, len(n))
	}
	var text bytes.Buffer
	for _, n := range t.Nodes() {
		peers := t.Neighbours(n)
		if len(peers) == 0 {
			fmt.Fprintf(&text, "%s\n", n)
		}
		for i, peer := range peers {
			name, stroke := strings.Repeat(" ", width+2), "├"
			if i == 0 {
				name, stroke = string(n)+" "+strings.Repeat("─", width+1-len(n)), "┬"
			}
			switch {
			case len(peers) == 1:
				stroke = "─"
			case i == len(peers)-1:
				stroke = "└"
			}
			fmt.Fprintf(&text, "%s%s─ %s\n", name, stroke, peer)
		}
	}
	return text.Bytes()
}

// drawDOT returns an undirected graph in the language of Graphviz (graphviz.org/doc/info/lang.html). Names are quoted:
// the language has words of its own, and no dash in names without quotes.
func drawDOT(herd string, t *topology.Topology) []byte {
	var text bytes.Buffer
	quote := func(n line.NodeName) string { return strconv.Quote(string(n)) }
	fmt.Fprintf(&text, "graph %q {\n", herd)
	for _, n := range t.Nodes() {
		fmt.Fprintf(&text, "\t%s;\n", quote(n))
	}
	for _, l := range t.Links() {
		fmt.Fprintf(&text, "\t%s -- %s;\n", quote(l[0]), quote(l[1]))
	}
	text.WriteString("}\n")
	return text.Bytes()
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
	"herd/node/topology"
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
			fmt.Fprintf(&text, "%s%s─ %s%s\n", name, stroke, peer, paceOf(t, n, peer))
		}
	}
	return text.Bytes()
}

// paceOf says how often at most a server sends a neighbour a report of one client, if there is such a limit.
func paceOf(t *topology.Topology, from, to line.NodeName) string {
	if every := t.Every(from, to); every > 0 {
		return " every " + every.String()
	}
	return ""
}

// paces says it for both ways of a link, after a sign that goes before, if there is anything to say.
func paces(t *topology.Topology, l [2]line.NodeName, sign string) string {
	there, back := paceOf(t, l[0], l[1]), paceOf(t, l[1], l[0])
	switch {
	case there == "" && back == "":
		return ""
	case there == back:
		return sign + there[1:]
	case there == "":
		return sign + "to " + string(l[0]) + back
	case back == "":
		return sign + "to " + string(l[1]) + there
	default:
		return sign + "to " + string(l[1]) + there + ", to " + string(l[0]) + back
	}
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
		label := ""
		if pace := paces(t, l, ""); pace != "" {
			label = fmt.Sprintf(" [label=%q]", pace)
		}
		fmt.Fprintf(&text, "\t%s -- %s%s;\n", quote(l[0]), quote(l[1]), label)
	}
	text.WriteString("}\n")
	return text.Bytes()
}

// maxDrawn is how many servers --svg draws: of more, Graphviz draws better pictures.
const maxDrawn = 150

// The sizes of a picture, in pixels as long as it is shown in its own size.
const (
	pictureWidth = 960 // at most
	boxHeight    = 36
	boxPadding   = 16
	boxGap       = 48 // between two in a row
	rowStep      = 88
	border       = 24
	lineStep     = 22 // of the legend
	legendWidth  = 350
)

// pictureStyle has every text and line, for light and for dark ground; the picture brings its ground along, for where it stands may have any.
const pictureStyle = `.ground{fill:#fff}.link{stroke:#8892a3;stroke-width:2}.box{fill:#eef3f9;stroke:#5b7aa6;stroke-width:1.5}` +
	`text{font:600 14px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1c2330}.legend{font-weight:400;font-size:13px;fill:#5d6778}` +
	`.weak{stroke:#d55e00}.link.weak{stroke-width:3;stroke-dasharray:8 4}.box.weak{fill:#fdf0e6;stroke-width:3}` +
	`@media(prefers-color-scheme:dark){.ground{fill:#0d1117}.link{stroke:#6b7689}.box{fill:#1b2533;stroke:#6f93c4}text{fill:#e4e8ef}` +
	`.legend{fill:#9aa5b6}.weak{stroke:#f0a04b}.box.weak{fill:#33261a}}`

// picture is a topology with its places.
type picture struct {
	*topology.Topology
	a             assessment
	at            map[line.NodeName][2]int // centres
	boxWidth      int
	width, height int
}

// drawSVG draws servers and links, and marks those that the herd cannot do without. The picture needs nothing else.
func drawSVG(herd string, t *topology.Topology) []byte {
	p := newPicture(t)
	legend := p.legend()
	if p.height += len(legend) * lineStep; len(legend) > 0 {
		p.width = max(p.width, legendWidth)
	}
	var b bytes.Buffer
	what := fmt.Sprintf("The topology of herd %s: %s, %s", herd, terminal.Plural(len(p.a.Nodes), "server"), terminal.Plural(len(p.a.Links), "link"))
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n",
		p.width, p.height, p.width, p.height, html.EscapeString(what))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n<rect class=\"ground\" width=\"100%%\" height=\"100%%\"/>\n", html.EscapeString(what), pictureStyle)
	for _, l := range p.a.Links {
		from, to := p.at[l[0]], p.at[l[1]]
		class, title := "link", linkName(l)
		if i := slices.IndexFunc(p.a.Bridges, func(b topology.Loss) bool { return *b.Link == l }); i >= 0 {
			class, title = "link weak", "without "+title+", "+are(p.a.Bridges[i].CutOff)+" cut off"
		}
		fmt.Fprintf(&b, "<line class=\"%s\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"><title>%s</title></line>\n",
			class, from[0], from[1], to[0], to[1], html.EscapeString(title+paces(p.Topology, l, "; ")))
	}
	for _, n := range p.a.Nodes {
		at := p.at[n]
		class, title := "box", string(n)+": "+terminal.Plural(len(p.Neighbours(n)), "link")
		if i := slices.IndexFunc(p.a.CutVertices, func(v topology.Loss) bool { return v.Node == n }); i >= 0 {
			class, title = "box weak", "without "+string(n)+", "+are(p.a.CutVertices[i].CutOff)+" cut off"
		}
		fmt.Fprintf(&b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"12\"><title>%s</title></rect>\n",
			class, at[0]-p.boxWidth/2, at[1]-boxHeight/2, p.boxWidth, boxHeight, html.EscapeString(title))
		fmt.Fprintf(&b, "<text text-anchor=\"middle\" x=\"%d\" y=\"%d\" pointer-events=\"none\">%s</text>\n", at[0], at[1]+5, html.EscapeString(string(n)))
	}
	for i, line := range legend {
		y := p.height - border - (len(legend)-1-i)*lineStep
		fmt.Fprintf(&b, "<g transform=\"translate(%d %d)\">%s<text class=\"legend\" x=\"42\" y=\"4\">%s</text></g>\n", border, y, line[0], line[1])
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func newPicture(t *topology.Topology) *picture {
	p := &picture{Topology: t, a: assess(t), at: make(map[line.NodeName][2]int)}
	for _, n := range p.a.Nodes {
		p.boxWidth = max(p.boxWidth, textWidth(string(n))+2*boxPadding)
	}
	column := (p.boxWidth + boxGap) / 2
	places := t.Place((pictureWidth-2*border-p.boxWidth)/column + 1)
	for i, n := range p.a.Nodes {
		x, y := border+p.boxWidth/2+places[i].Column*column, border+boxHeight/2+places[i].Row*rowStep
		p.at[n] = [2]int{x, y}
		p.width, p.height = max(p.width, x+p.boxWidth/2+border), max(p.height, y+boxHeight/2+border)
	}
	return p
}

// legend explains what is marked, if anything is: the mark and what it means, for each line.
func (p *picture) legend() (lines [][2]string) {
	if len(p.a.Bridges) > 0 {
		lines = append(lines, [2]string{`<path class="link weak" d="M0 0h32" fill="none"/>`, "a link without which the herd falls apart"})
	}
	if len(p.a.CutVertices) > 0 {
		lines = append(lines, [2]string{`<rect class="box weak" x="2" y="-7" width="28" height="14" rx="5"/>`, "a server without which the others fall apart"})
	}
	return lines
}

// textWidth is about how many pixels a name takes, and rather more: its letters are those of node names.
func textWidth(name string) int {
	tenths := 0
	for _, r := range name {
		switch {
		case strings.ContainsRune("ijlIft-", r):
			tenths += 56
		case strings.ContainsRune("mwMW", r):
			tenths += 134
		case r >= 'A' && r <= 'Z' || r == '_':
			tenths += 102
		default:
			tenths += 88
		}
	}
	return tenths/10 + 1
}

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
	"herd/node/topology"
)

// topology returns the commands about the links between servers.
func (p *program) topology() *cobra.Command {
	c := &cobra.Command{
		Use:   "topology",
		Short: "Check, draw and simulate the links between servers",
	}
	c.AddCommand(p.topologyCheck(), p.topologyDraw(), p.topologySimulate())
	return parent(c)
}

func (p *program) topologyCheck() *cobra.Command {
	var asJSON bool
	var d demand
	c := &cobra.Command{
		Use:   "check",
		Short: "Find the faults and weak points of the topology",
		Long: `Check the servers and links of the configuration. Faults are errors: names given twice, links to nowhere, servers that
no link joins to the rest. For a sound topology, see how far a report travels, what it costs, and which links and servers
the herd cannot do without.

With --clients, see what each link carries, and each server's uplink, so that you can size one. The smaller number is what it takes to
keep up: reports wait, and share messages. With the larger, none waits: each is sent at once. Clients are spread evenly over the servers.`,
		Example: `  herd topology check
  herd topology check --clients 500 --every 10s
  herd topology check --config configs/ring.yaml --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := d.check(c.Flags().Changed("every")); err != nil {
				return &usageError{err}
			}
			config, err := p.load(c)
			if err != nil {
				return err
			}
			report := assess(config.Topology())
			report.Traffic = d.traffic(config.Topology())
			return p.show(asJSON, report, append(report.text(), report.Traffic.text()...))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().IntVar(&d.clients, "clients", 0, "of the whole herd, for which to see what links carry")
	c.Flags().DurationVar(&d.every, "every", 10*time.Second, "a report of each client")
	return c
}

// assessment is what there is to know of a sound topology.
type assessment struct {
	Nodes       []line.NodeName    `json:"nodes"`
	Links       [][2]line.NodeName `json:"links"`
	Every       []every            `json:"every,omitempty"`
	Diameter    int                `json:"diameter"` // links between the two servers farthest apart
	Messages    int                `json:"messages"` // that bring one report to every server
	Bridges     []topology.Loss    `json:"bridges"`
	CutVertices []topology.Loss    `json:"cut_vertices"`
	Traffic     *traffic           `json:"traffic,omitempty"`
}

// every is how often at most a server sends a neighbour a report of one client.
type every struct {
	From    line.NodeName `json:"from"`
	To      line.NodeName `json:"to"`
	Seconds float64       `json:"seconds"`
}

func assess(t *topology.Topology) assessment {
	a := assessment{
		Nodes: t.Nodes(), Links: append([][2]line.NodeName{}, t.Links()...), Diameter: t.Diameter(), Messages: t.FloodCost(),
		Bridges: []topology.Loss{}, CutVertices: []topology.Loss{},
	}
	for _, l := range a.Links {
		for i := range l {
			if d := t.Every(l[i], l[1-i]); d > 0 {
				a.Every = append(a.Every, every{l[i], l[1-i], d.Seconds()})
			}
		}
	}
	bridges, vertices := t.Weak()
	a.Bridges, a.CutVertices = append(a.Bridges, bridges...), append(a.CutVertices, vertices...)
	return a
}

// text puts an assessment in words.
func (a assessment) text() []byte {
	var text bytes.Buffer
	row := func(what string, n int, meaning string) { fmt.Fprintf(&text, "%s\t%d\t%s\n", what, n, meaning) }
	links := make([]string, len(a.Links))
	for i, l := range a.Links {
		links[i] = linkName(l)
	}
	row("servers", len(a.Nodes), names(a.Nodes))
	row("links", len(a.Links), strings.Join(links, ", "))
	row("diameter", a.Diameter, "links from a server to the farthest other, at most")
	row("messages", a.Messages, "between servers to bring one report to all, when the herd is idle")
	for _, e := range a.Every {
		fmt.Fprintf(&text, "every\t%s\tfrom %s to %s, a report of each client at most\n", seconds(e.Seconds), e.From, e.To)
	}
	for _, b := range a.Bridges {
		fmt.Fprintf(&text, "weak: without the link %s, %s cut off from the others\n", linkName(*b.Link), are(b.CutOff))
	}
	for _, v := range a.CutVertices {
		fmt.Fprintf(&text, "weak: without the server %s, %s cut off from the others\n", v.Node, are(v.CutOff))
	}
	if len(a.Bridges)+len(a.CutVertices) == 0 {
		text.WriteString("sound: without any one link or server, the others still reach each other\n")
	}
	return terminal.Align(text.Bytes())
}

// seconds returns a number of seconds as a duration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func linkName(l [2]line.NodeName) string { return string(l[0]) + "–" + string(l[1]) }

func names(nodes []line.NodeName) string { return strings.Join(texts(nodes), ", ") }

// are returns servers as the subject of a sentence, by name unless they are many.
func are(nodes []line.NodeName) string {
	switch {
	case len(nodes) == 1:
		return string(nodes[0]) + " is"
	case len(nodes) <= 8:
		return names(nodes) + " are"
	default:
		return strconv.Itoa(len(nodes)) + " servers are"
	}
}

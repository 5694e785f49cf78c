package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/process"
	"herd/cmd/herd/internal/terminal"
	"herd/cmd/herd/internal/watch"
)

// colourMode is when a command colours what it prints.
type colourMode string

// watch returns the command that shows reports travel.
func (p *program) watch() *cobra.Command {
	w := watch.Config{Stdout: p.stdout, Stderr: p.stderr, Terminal: terminal.Is(p.stdout)}
	var from, to string
	var colour colourMode
	var raw, json bool
	c := &cobra.Command{
		Use:   "watch",
		Short: "See reports travel between servers",
		Long: `See reports travel between servers: a line for each report and link, with the time now, the link, the client, its
position, and the server that received the report from it, with its skew. A client ID that is not printable is quoted. It ends with
Ctrl-C, and outlasts a bus that goes away and comes back.

On a terminal each server that received a report from a client has a colour, unless TERM is dumb or NO_COLOR is set; in a pipe there are none.

With --path the flood of each report of one client is shown as a tree, from the server that received it from
the client, when it is over: when as many messages were observed as a flood takes, or none for a second. Each
line is a message: its receiver, and the time since the first message and since the one by which its sender
received the report. All times are when the messages were observed here.

With --json each line is an object. What is not UTF-8 is in base64 instead, as client_base64, line_base64 or
subject_base64; a line that is no report is under line.`,
		Example: `  herd watch
  herd watch --to Welsh --client kiwi.cs.ucla.edu
  herd watch --path kiwi.cs.ucla.edu                         # how its reports spread
  herd watch --json | jq -r 'select(.lat > 60) | .client'
  herd watch --color always | less -R
  herd watch --raw --bus-url nats://nats.example:4222
  herd watch --bus-url tls://nats.example:4222 --keys keys   # as the observer`,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case raw && json, raw && w.Path != "", json && w.Path != "":
				return &usageError{errors.New("--raw, --json and --path exclude each other; give one of them")}
			case w.Path != "" && from+to+w.Client != "":
				return &usageError{errors.New("--path follows a client over all links; leave out --from, --to and --client")}
			case raw:
				w.Form = watch.Raw
			case json:
				w.Form = watch.JSON
			}
			return p.runWatch(c, w, from, to, colour)
		},
	}
	p.nodeFlag(c, &from, "from", "only what the node `NAME` sends")
	p.nodeFlag(c, &to, "to", "only what the node `NAME` receives")
	c.Flags().StringVar(&w.Client, "client", "", "only reports of the client `ID`")
	c.Flags().StringVar(&w.Path, "path", "", "the path of each report of the client `ID`, link by link")
	c.Flags().BoolVar(&raw, "raw", false, "subjects and lines as they are on the bus, in a pipe whatever bytes they hold")
	c.Flags().BoolVar(&json, "json", false, "as JSON, an object a line")
	wordFlag(c, &colour, "color", []colourMode{"auto", "always", "never"}, "`WHEN` to colour: auto, always or never; --raw and --json never do")
	busFlags(c, "herd", "bus")
	return c
}

// runWatch shows what w says of the links from and to the nodes of these names; "" is every node.
func (p *program) runWatch(c *cobra.Command, w watch.Config, from, to string, colour colourMode) error {
	config, err := p.load(c)
	if err != nil {
		return err
	}
	for _, name := range []string{from, to} {
		if _, err := named(config, name); name != "" && err != nil {
			return err
		}
	}
	if w.Observer, err = process.NewObserver(config); err != nil {
		return err
	}
	w.Observer.From, w.Observer.To = from, to
	w.Bus = redacted(config, w.Observer.URL)
	w.Topology = config.Topology()
	w.Ink = terminal.NewInk(p.colourful(colour), p.nodeNames(c))
	return watch.Run(c.Context(), w)
}

// colourful decides whether standard output is to be coloured: by the flag or, if that leaves it open, on a terminal that is not
// dumb, unless its user wants none (no-color.org).
func (p *program) colourful(mode colourMode) bool {
	if mode != "auto" {
		return mode == "always"
	}
	return terminal.Is(p.stdout) && p.variable("NO_COLOR") == "" && p.variable("TERM") != "dumb"
}

// variable returns the value of an environment variable, the last if it is given twice.
func (p *program) variable(name string) (value string) {
	for _, v := range p.environ {
		if of, is, _ := strings.Cut(v, "="); of == name {
			value = is
		}
	}
	return value
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"herd/bus"
	"herd/bus/subject"
	"herd/cmd/herd/internal/process"
	"herd/configs"
	"herd/node/line"
)

const (
	maxWatchPause = time.Second // between two attempts to reach the bus again
	maxColumn     = 40          // a longer client ID is shown, but does not move those of others
)

// watcher shows the reports that travel on a bus.
type watcher struct {
	config           *configs.Config
	from, to, client string // "": any
	path             string // whose reports are followed; "": nobody's
	raw, json        bool
	colour           string // one of colourModes
	stdout, stderr   io.Writer

	form       func(*bytes.Buffer, *sighting) // writes one line
	terminal   bool                           // is what that goes to
	ink        ink
	follower   *follower               // of path, or nil
	fail       context.CancelCauseFunc // ends watching
	widths     [4]int                  // of the columns, which grow with what they hold
	complained time.Time               // last, of messages lost
}

// watch returns the command that shows reports travel.
func (p *program) watch() *cobra.Command {
	w := &watcher{stdout: p.stdout, stderr: p.stderr}
	c := &cobra.Command{
		Use:   "watch",
		Short: "See reports travel between servers",
		Long: `See reports travel between servers: a line for each report and link, with the time now, the link, the client, its
position, and the server that took the report with its skew. A client ID that is not printable is quoted. It ends with
Ctrl-C, and outlasts a bus that goes away and comes back.

On a terminal each server that took a report has a colour, unless TERM is dumb or NO_COLOR is set; in a pipe there are none.

With --path the flood of each report of one client is shown as a tree, from the server that took it, when it is over: when as many
messages were seen as a flood takes, or none for a second. Each line is a message: whom it told, and the time since the first message
and since the one by which its sender learned. All times are when the messages were seen here.

With --json each line is an object. What is not UTF-8 is in base64 instead, as client_base64, line_base64 or
subject_base64; a line that is no report is under line.`,
		Example: `  herd watch
  herd watch --to Welsh --client kiwi.cs.ucla.edu
  herd watch --path kiwi.cs.ucla.edu                              # how its reports spread, hop by hop
  herd watch --json | jq -r 'select(.lat > 60) | .client'
  herd watch --color always | less -R
  herd watch --raw --bus-url nats://nats.example:4222
  herd watch --bus-url tls://nats.example:4222 --keys keys        # as the observer of 'herd bus keys'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := w.check(); err != nil {
				return &usageError{err}
			}
			config, err := p.load(c)
			if err != nil {
				return err
			}
			w.terminal = terminal(p.stdout)
			w.ink = newInk(p.colourful(w.colour), config)
			return w.run(c.Context(), config)
		},
	}
	p.nodeFlag(c, &w.from, "from", "only what the node `NAME` tells")
	p.nodeFlag(c, &w.to, "to", "only what the node `NAME` is told")
	c.Flags().StringVar(&w.client, "client", "", "only reports of the client `ID`")
	c.Flags().StringVar(&w.path, "path", "", "the way of each report of the client `ID`, hop by hop")
	c.Flags().BoolVar(&w.raw, "raw", false, "subjects and lines as they are on the bus, in a pipe whatever bytes they hold")
	c.Flags().BoolVar(&w.json, "json", false, "as JSON, an object a line")
	c.Flags().StringVar(&w.colour, "color", "auto", "`WHEN` to colour: auto, always or never; --raw and --json never do")
	busFlags(c, "herd", "bus")
	if err := c.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colourModes, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // only if there is no such flag
	}
	return c
}

// check finds what is wrong with the flags, and chooses the form.
func (w *watcher) check() error {
	forms := 0
	for _, wanted := range []bool{w.raw, w.json, w.path != ""} {
		if wanted {
			forms++
		}
	}
	switch {
	case forms > 1:
		return errors.New("--raw, --json and --path exclude each other; give one of them")
	case w.path != "" && w.from+w.to+w.client != "":
		return errors.New("--path follows a client over all links; leave out --from, --to and --client")
	case !slices.Contains(colourModes, w.colour):
		return errors.New("--color is one of " + strings.Join(colourModes, ", "))
	}
	switch {
	case w.raw:
		w.form = w.asIs
	case w.json:
		w.form = w.inJSON
	default:
		w.form = w.inColumns
	}
	return nil
}

func (w *watcher) run(ctx context.Context, config *configs.Config) error {
	for _, name := range []string{w.from, w.to} {
		if name == "" {
			continue
		}
		if _, err := named(config, name); err != nil {
			return err
		}
	}
	w.config = config
	for _, n := range config.Nodes {
		w.widths[0] = max(w.widths[0], len(n.Name))
	}
	w.widths[1] = w.widths[0]
	observer, err := process.NewObserver(config)
	if err != nil {
		return err
	}
	watching, fail := context.WithCancelCause(ctx)
	w.fail = fail
	var following sync.WaitGroup
	if w.path != "" {
		w.client, w.follower = w.path, newFollower(config.Topology(), w.ink, w.print)
		following.Go(func() { w.follower.run(watching) })
	}
	err = w.keep(watching, observer)
	fail(nil)
	following.Wait()
	if err != nil || ctx.Err() != nil {
		return err
	}
	return context.Cause(watching)
}

// keep observes until ctx ends, or the bus cannot be observed in the first place.
func (w *watcher) keep(ctx context.Context, o *bus.Observer) error {
	name := func(node string) string {
		if node == "" {
			return "*"
		}
		return node
	}
	where := fmt.Sprintf("%s.%s.%s.%s on %s", w.config.Herd, subject.Propagate, name(w.from), name(w.to), redacted(w.config, o.URL))
	watched := false
	o.From, o.To, o.Receive, o.Fault = w.from, w.to, w.see, w.behind
	o.Ready = func() {
		watched = true
		fmt.Fprintf(w.stderr, "watching %s; end with Ctrl-C\n", where)
	}
	return o.Keep(ctx, maxWatchPause, func(why error, seen bool) error {
		switch {
		case !watched && errors.Is(why, bus.ErrRefused):
			return fmt.Errorf("%w; does the bus let observers in? Give what it asks for with --bus-keys, or user and password in --bus-url", why)
		case !watched:
			return fmt.Errorf("%w; is the herd running? start it with 'herd up', or name its bus with --bus-url", why)
		case seen:
			fmt.Fprintf(w.stderr, "lost the bus, trying again: %v\n", why)
		}
		return nil
	})
}

// behind says that messages were lost on the way to a slow terminal or pipe, at most once a second.
func (w *watcher) behind(err error) {
	if now := time.Now(); now.Sub(w.complained) >= time.Second {
		w.complained = now
		fmt.Fprintf(w.stderr, "not all is shown: %v\n", err)
	}
}

// see shows one message: one or more lines.
func (w *watcher) see(m bus.Observed) {
	var text bytes.Buffer
	now := time.Now()
	for p := range line.Propagations(m.Payload) {
		s := &sighting{at: now, message: m, line: p.Text, report: p.Report, err: p.Err}
		switch {
		case w.client != "" && (s.err != nil || string(s.report.Client()) != w.client):
		case w.follower != nil:
			w.follower.see(hop{now, m.From, m.To, s.report})
		default:
			w.form(&text, s)
		}
	}
	w.print(text.Bytes())
}

func (w *watcher) print(text []byte) {
	if _, err := w.stdout.Write(text); err != nil {
		w.fail(fmt.Errorf("write standard output: %w", err))
	}
}

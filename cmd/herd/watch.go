package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"herd/bus"
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
	url              string
	from, to, client string // "": any
	raw              bool
	stdout, stderr   io.Writer
	fail             context.CancelCauseFunc // ends watching
	widths           [4]int                  // of the columns, which grow with what they hold
	complained       time.Time               // last, of messages lost
}

// watch returns the command that shows reports travel.
func (p *program) watch() *cobra.Command {
	w := &watcher{stdout: p.stdout, stderr: p.stderr}
	c := &cobra.Command{
		Use:   "watch",
		Short: "See reports travel between servers",
		Long: `See reports travel between servers: a line for each report and link, with the time now, the link, the client, its
position, and the server that took the report with its skew. A client ID that is not printable is quoted. It ends with
Ctrl-C, and outlasts a bus that goes away and comes back.`,
		Example: `  herd watch
  herd watch --to Welsh --client kiwi.cs.ucla.edu
  herd watch --raw --bus-url nats://nats.example:4222
  herd watch --bus-url tls://nats.example:4222 --keys keys        # as the observer of 'herd bus keys'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := p.load(c)
			if err != nil {
				return err
			}
			return w.run(c.Context(), config)
		},
	}
	p.nodeFlag(c, &w.from, "from", "only what the node `NAME` tells")
	p.nodeFlag(c, &w.to, "to", "only what the node `NAME` is told")
	c.Flags().StringVar(&w.client, "client", "", "only reports of the client `ID`")
	c.Flags().BoolVar(&w.raw, "raw", false, "subjects and lines as they are on the bus, whatever bytes they hold")
	busFlags(c, "herd", "bus")
	return c
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
	var err error
	if w.url, err = observable(config); err != nil {
		return err
	}
	watching, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w.fail = fail
	if err := w.keep(watching); err != nil || ctx.Err() != nil {
		return err
	}
	return context.Cause(watching)
}

// observable returns the URL of the bus.
func observable(config *configs.Config) (string, error) {
	switch {
	case config.Bus.URL != "":
		return config.Bus.URL, nil
	case config.Bus.Listen == "":
		return "", errors.New("the bus cannot be watched: neither bus.url nor bus.listen says where it is; name it with --bus-url")
	}
	address, err := reach(config.Bus.Listen)
	if err != nil {
		return "", fmt.Errorf("bus.listen: %w; name the bus with --bus-url", err)
	}
	return "nats://" + address, nil
}

// observerCredentials returns how an observer shows the bus who it is: nil if it does not.
func observerCredentials(config *configs.Config) (*bus.Credentials, error) {
	if config.Bus.Keys == "" {
		return nil, nil
	}
	return bus.Keyring(config.Bus.Keys).Observer()
}

// keep observes until ctx ends, or the bus cannot be observed in the first place.
func (w *watcher) keep(ctx context.Context) error {
	identity, err := observerCredentials(w.config)
	if err != nil {
		return err
	}
	name := func(node string) string {
		if node == "" {
			return "*"
		}
		return node
	}
	where := fmt.Sprintf("%s.%s.%s.%s on %s", w.config.Herd, bus.Propagate, name(w.from), name(w.to), redacted(w.config, w.url))
	watched := false
	observer := bus.Observer{
		URL: w.url, Credentials: identity, Herd: w.config.Herd, Kind: bus.Propagate, From: w.from, To: w.to,
		Ready: func() {
			watched = true
			fmt.Fprintf(w.stderr, "watching %s; end with Ctrl-C\n", where)
		},
		See:     w.see,
		Trouble: w.behind,
	}
	return observer.Keep(ctx, maxWatchPause, func(why error, seen bool) error {
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
func (w *watcher) see(m bus.Seen) {
	var text bytes.Buffer
	now := time.Now()
	for l := range strings.Lines(string(m.Payload)) {
		l = strings.TrimSuffix(l, "\n")
		_, r, err := line.ParsePropagate(l)
		switch {
		case w.client != "" && (err != nil || string(r.Client()) != w.client):
		case w.raw:
			fmt.Fprintf(&text, "%s %s\n", m.Subject, l)
		case err != nil:
			fmt.Fprintf(&text, "%s  %s not a report: %q\n", now.Format(timeOfDay), w.link(m), l)
		default:
			w.show(&text, now, m, r)
		}
	}
	if _, err := w.stdout.Write(text.Bytes()); err != nil {
		w.fail(fmt.Errorf("write standard output: %w", err))
	}
}

const timeOfDay = "15:04:05.000"

func (w *watcher) show(text *bytes.Buffer, now time.Time, m bus.Seen, r line.Report) {
	fmt.Fprintf(text, "%s  %s  %s  %s  %s %s\n", now.Format(timeOfDay), w.link(m),
		w.pad(2, legible(string(r.Client()))), w.pad(3, r.Position()), r.Origin(), r.Skew())
}

func (w *watcher) link(m bus.Seen) string {
	return w.pad(0, legible(m.From)) + " → " + w.pad(1, legible(m.To))
}

// pad fills a cell up to the width of its column.
func (w *watcher) pad(column int, cell string) string {
	width := utf8.RuneCountInString(cell)
	w.widths[column] = max(w.widths[column], min(width, maxColumn))
	return cell + strings.Repeat(" ", max(0, w.widths[column]-width))
}

// Package watch shows the reports that travel on a bus: as lines for people or programs, or the path of each report as a tree.
package watch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"herd/bus"
	"herd/bus/subject"
	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
	"herd/node/topology"
)

const (
	maxPause  = time.Second // the longest time between two attempts to reach the bus again
	maxColumn = 40          // characters of a column; a longer client ID is shown, but does not move those of others
)

// Form is how a line of a message is shown.
type Form uint8

// The forms.
const (
	Columns Form = iota // for people
	Raw                 // as it is on the bus
	JSON                // an object
)

// Config says what is shown, and how.
type Config struct {
	Observer       *bus.Observer // whose From and To select links; Run sets its functions
	Bus            string        // how the address of the bus is shown
	Topology       *topology.Topology
	Client         string // only reports of this client; "": of all
	Path           string // of this client the path of each report; "": Form
	Form           Form
	Terminal       bool // Stdout is a terminal
	Ink            terminal.Ink
	Stdout, Stderr io.Writer
}

// watcher is what Run does.
type watcher struct {
	Config
	follower   *follower               // of Path, or nil
	fail       context.CancelCauseFunc // ends watching
	widths     [4]int                  // of the columns, which grow with their cells
	complained time.Time               // when it was last said that messages were lost
}

// Run shows reports until ctx ends, or the bus cannot be observed in the first place.
func Run(ctx context.Context, c Config) error {
	w := &watcher{Config: c}
	for _, n := range c.Topology.Nodes() {
		w.widths[0] = max(w.widths[0], len(n))
	}
	w.widths[1] = w.widths[0]
	watching, fail := context.WithCancelCause(ctx)
	w.fail = fail
	var following sync.WaitGroup
	if w.Path != "" {
		w.Client, w.follower = w.Path, newFollower(w.Topology, w.Ink, w.print)
		following.Go(func() { w.follower.run(watching) })
	}
	err := w.keep(watching)
	fail(nil)
	following.Wait()
	if err != nil || ctx.Err() != nil {
		return err
	}
	return context.Cause(watching)
}

// keep observes until ctx ends, or the bus cannot be observed in the first place.
func (w *watcher) keep(ctx context.Context) error {
	o := w.Observer
	where := fmt.Sprintf("%s.%s.%s.%s on %s", o.Herd, subject.Propagate, cmp.Or(o.From, "*"), cmp.Or(o.To, "*"), w.Bus)
	watched := false
	o.Receive, o.Fault = w.receive, w.behind
	o.Ready = func() {
		watched = true
		fmt.Fprintf(w.Stderr, "watching %s; end with Ctrl-C\n", where)
	}
	return o.Keep(ctx, maxPause, func(why error, seen bool) error {
		switch {
		case !watched && errors.Is(why, bus.ErrRefused):
			return fmt.Errorf("%w; does the bus let observers in? Give what it asks for with --bus-keys, or user and password in --bus-url", why)
		case !watched:
			return fmt.Errorf("%w; is the herd running? start it with 'herd up', or name its bus with --bus-url", why)
		case seen:
			fmt.Fprintf(w.Stderr, "lost the bus, trying again: %v\n", why)
		}
		return nil
	})
}

// behind reports that messages were dropped because the terminal or pipe is slow, at most once a second.
func (w *watcher) behind(err error) {
	if now := time.Now(); now.Sub(w.complained) >= time.Second {
		w.complained = now
		fmt.Fprintf(w.Stderr, "not all is shown: %v\n", err)
	}
}

// receive shows a message, which has one or more lines.
func (w *watcher) receive(m bus.Observed) {
	var text bytes.Buffer
	now := time.Now()
	for p := range line.Propagations(m.Payload) {
		s := &observed{at: now, message: m, line: p.Text, report: p.Report, err: p.Err}
		switch {
		case w.Client != "" && (s.err != nil || string(s.report.Client()) != w.Client):
		case w.follower != nil:
			w.follower.add(message{now, m.From, m.To, s.report})
		default:
			w.show(&text, s)
		}
	}
	w.print(text.Bytes())
}

func (w *watcher) show(text *bytes.Buffer, o *observed) {
	switch w.Form {
	case Raw:
		w.raw(text, o)
	case JSON:
		inJSON(text, o)
	default:
		w.columns(text, o)
	}
}

func (w *watcher) print(text []byte) {
	if _, err := w.Stdout.Write(text); err != nil {
		w.fail(fmt.Errorf("write standard output: %w", err))
	}
}

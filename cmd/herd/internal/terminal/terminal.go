// Package terminal writes for people: text that cannot harm a terminal, colours, and the progress of long work.
package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// progressStep is the least time between two updates of a progress line.
const progressStep = 200 * time.Millisecond

// Progress shows on one line of a terminal how far long work has come. The zero Progress shows nothing.
type Progress struct {
	to    io.Writer // nil: nothing is shown
	shown time.Time // when the line was written last
}

// NewProgress returns a Progress on standard error if that is a terminal, and none of the outputs is.
func NewProgress(stderr io.Writer, outputs ...io.Writer) *Progress {
	if !Is(stderr) || slices.ContainsFunc(outputs, func(w io.Writer) bool { return Is(w) }) {
		return new(Progress)
	}
	return &Progress{to: stderr}
}

// Show writes the line, unless it was written a moment ago.
func (g *Progress) Show(text func() string) {
	if g.to == nil {
		return
	}
	if now := time.Now(); now.Sub(g.shown) >= progressStep {
		fmt.Fprintf(g.to, "\r%s\x1b[K", text())
		g.shown = now
	}
}

// Clear removes the line.
func (g *Progress) Clear() {
	if g.to != nil {
		fmt.Fprint(g.to, "\r\x1b[K")
	}
}

// Is reports whether a standard stream of the program is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Legible returns text from outside as it is or, if it could do more to a terminal than appear on it, quoted.
func Legible(text string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, hidden) {
		return text
	}
	return strconv.Quote(text)
}

// Align returns text whose cells, which end with tabs, stand in columns two blanks apart.
func Align(text []byte) []byte {
	var aligned bytes.Buffer
	table := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	_, _ = table.Write(text)
	_ = table.Flush() // a buffer takes it all
	return aligned.Bytes()
}

// Plural returns a number of things: 1 report, 2 reports.
func Plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// Gauge draws which share of all is done.
func Gauge[N int | int64](done, all N) string {
	const width = 40
	full := int(done * width / all)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// Ink colours text for a terminal, with the colours of its own theme (ECMA-48, SGR). The zero Ink leaves text as it is.
type Ink struct {
	on    bool
	nodes []string // of the configuration: they have different colours, as far as there are any
}

// Codes for [Ink.Paint].
const (
	Bold = 1
	Dim  = 2
)

// palette holds the colours of nodes, those that differ most first.
var palette = []int{36, 33, 35, 32, 34, 31, 96, 93, 95, 92, 94, 91}

// NewInk returns an Ink that colours if on is set, and knows the names of the nodes.
func NewInk(on bool, nodes []string) Ink { return Ink{on, nodes} }

// Paint returns text between the codes of a colour.
func (i Ink) Paint(code int, text string) string {
	if !i.on || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

// Of returns the colour of a node; that of a node outside the configuration follows from its name.
func (i Ink) Of(node string) int {
	at := slices.Index(i.nodes, node)
	if at < 0 {
		at = 0
		for _, b := range []byte(node) {
			at = (31*at + int(b)) % len(palette)
		}
	}
	return palette[at%len(palette)]
}

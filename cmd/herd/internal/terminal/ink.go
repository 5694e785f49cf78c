package terminal

import (
	"fmt"
	"slices"
)

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

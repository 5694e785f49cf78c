package main

import (
	"fmt"
	"slices"
	"strings"

	"herd/configs"
)

// colourModes are when a command colours what it prints.
var colourModes = []string{"auto", "always", "never"}

// colourful decides whether standard output is to be coloured: by the flag or, if that leaves it open, on a terminal that is not
// dumb for a user who has not asked for none (no-color.org).
func (p *program) colourful(mode string) bool {
	if mode != "auto" {
		return mode == "always"
	}
	return terminal(p.stdout) && p.variable("NO_COLOR") == "" && p.variable("TERM") != "dumb"
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

// ink colours text for a terminal, with the colours of its own theme (ECMA-48, SGR). The zero ink leaves text as it is.
type ink struct {
	on      bool
	servers []string // those of the configuration have different colours, as far as there are any
}

const (
	bold = 1
	dim  = 2
)

// palette are the colours of servers: those first that differ most.
var palette = []int{36, 33, 35, 32, 34, 31, 96, 93, 95, 92, 94, 91}

func newInk(on bool, config *configs.Config) ink {
	i := ink{on: on}
	for _, n := range config.Nodes {
		i.servers = append(i.servers, string(n.Name))
	}
	return i
}

// paint returns text, of which nothing is written between the codes but what is there to be read.
func (i ink) paint(code int, text string) string {
	if !i.on || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

// of returns the colour of a server; of one that is not of the configuration it follows from the name.
func (i ink) of(server string) int {
	at := slices.Index(i.servers, server)
	if at < 0 {
		at = 0
		for _, b := range []byte(server) {
			at = (31*at + int(b)) % len(palette)
		}
	}
	return palette[at%len(palette)]
}

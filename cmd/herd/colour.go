package main

import (
	"strings"

	"herd/cmd/herd/internal/terminal"
)

// colourModes are when a command colours what it prints.
var colourModes = []string{"auto", "always", "never"}

// colourful decides whether standard output is to be coloured: by the flag or, if that leaves it open, on a terminal that is not
// dumb for a user who has not asked for none (no-color.org).
func (p *program) colourful(mode string) bool {
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

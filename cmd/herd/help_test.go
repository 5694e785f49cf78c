package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The help of every command fits into 100 columns.
func TestHelpWidth(t *testing.T) {
	var visit func(c *cobra.Command)
	commands := 0
	visit = func(c *cobra.Command) {
		commands++
		code, stdout, stderr := herd(t, "", append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if code != exitDone || stderr != "" || !strings.Contains(stdout, "Usage:\n") {
			t.Errorf("%s: exit code %d, %q", c.CommandPath(), code, stderr)
		}
		for l := range strings.Lines(stdout) {
			if utf8.RuneCountInString(strings.TrimRight(l, "\n")) > helpWidth && c.Parent().Name() != "completion" {
				t.Errorf("%s: %q is too long", c.CommandPath(), l)
			}
		}
		for _, each := range c.Commands() {
			visit(each)
		}
	}
	p := new(program)
	for _, c := range p.root().Commands() {
		visit(c)
	}
	if commands < 20 {
		t.Errorf("only %d commands", commands)
	}
}

// A command or node that does not exist is an error of use, with those that are like it.
func TestUnknownNames(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"wach", "herd: unknown command \"wach\"; did you mean watch? see 'herd --help'\n"},
		{"topology drow", "herd: unknown command \"drow\"; did you mean draw? see 'herd topology --help'\n"},
		{"help nonsense", "herd: unknown command \"nonsense\"; see 'herd --help'\n"},
		{"help topology nonsense", "herd: unknown command \"nonsense\"; see 'herd topology --help'\n"},
		{"completion tcsh", "herd: unknown command \"tcsh\"; did you mean bash or zsh or fish? see 'herd completion --help'\n"},
		{"iamat k +1+1 --node Goleman", "herd: no node is named \"Goleman\"; did you mean Goloman? 'herd topology check' lists them\n"},
		{"iamat k", "herd: too few arguments; usage: herd iamat CLIENT POSITION [TIME] [flags]\n"},
	} {
		if code, stdout, stderr := herd(t, "", strings.Fields(tt.args)...); code != exitUsage || stdout != "" || stderr != tt.want {
			t.Errorf("%s: exit code %d, printed %q, %q, want %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
	if code, stdout, _ := herd(t, "", "--version"); code != exitDone || !strings.HasPrefix(stdout, "herd ") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("--version: exit code %d, %q", code, stdout)
	}
}

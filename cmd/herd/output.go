package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// print writes a command's result.
func (p *program) print(text []byte) error {
	if _, err := p.stdout.Write(text); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// printJSON writes a command's result for programs.
func (p *program) printJSON(result any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(result); err != nil {
		return fmt.Errorf("encode %T: %w", result, err)
	}
	return p.print(text.Bytes())
}

// terminal reports whether a standard stream of the program is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// legible returns text from outside as it is or, if it could do more to a terminal than appear on it, quoted.
func legible(text string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, hidden) {
		return text
	}
	return strconv.Quote(text)
}

// plural returns a number of things: 1 report, 2 reports.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// gauge draws how much of all is done.
func gauge[N int | int64](done, all N) string {
	const width = 40
	full := int(done * width / all)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

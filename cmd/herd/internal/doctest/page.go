// Package doctest runs the console blocks of Markdown pages and compares what the commands print with what the page shows.
//
// A block is fenced and has one of these languages:
//
//	console  lines "$ command", each followed by what it prints; a command that ends in \ goes on in the next line
//	sh       a script that has to succeed; what it prints does not matter
//	yaml     a file, which a comment before the block names; without a name it is an example that is only read
//	text     a form or a diagram: nothing that a program prints
//
// The blocks of a page run in order in one empty directory, which has a copy of the repository's folder configs. In what a command
// prints, … stands for any text within a line, and a line that is … for any number of lines. Times, skews, durations, free ports, digests and
// versions differ from run to run and are compared by their form alone, and runs of blanks by there being one.
//
// An HTML comment on the line before a block changes how it runs, one alone acts at its place:
//
//	<!-- test: background -->        the block's last command stays while the page goes on, once it has printed what the block shows
//	<!-- test: background, later --> the same once it has printed the first line; the others have to come before it ends
//	<!-- test: until -->             each command is repeated until it prints what the block shows
//	<!-- test: TestName -->          a test of that name runs the block, for it needs more than a directory; marks may follow, after a comma
//	<!-- test: end -->               the background commands are interrupted, and have to end (alone)
//	<!-- file: NAME -->              the block is written to a file of that name
package doctest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Page is a Markdown page with its blocks in order.
type Page struct {
	Path  string
	lines []string
	steps []step
}

// step is a block, or a mark that stands alone.
type step struct {
	mark, file string // what the comments before the block say; "" for nothing
	test       string // the name of the test that runs the block; "" for TestDocs
	language   string // "" for a mark alone
	line       int    // of the first line of its text, counted from 0
	text       []string
}

// command is one command of a console block and the lines that it is to print, which begin at line of the page.
type command struct {
	text string
	line int
	want []string
}

var (
	marked   = regexp.MustCompile(`^\s*<!-- (test|file): (.+) -->$`)
	fence    = regexp.MustCompile("^(\\s*)```(.*)$")
	testName = regexp.MustCompile(`^Test[A-Z]\w*$`)
)

// Read reads a page. It fails if a block has a language or a mark that does not exist.
func Read(path string) (*Page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Page{Path: path, lines: strings.Split(string(text), "\n")}
	return p, p.parse()
}

func (p *Page) parse() error {
	var next step // whose block is still to come
	for i := 0; i < len(p.lines); i++ {
		if m := marked.FindStringSubmatch(p.lines[i]); m != nil {
			if m[1] == "file" {
				next.file = m[2]
			} else if next.test, next.mark = byTest(m[2]); next.mark == "end" {
				p.steps = append(p.steps, next)
				next = step{}
			}
			continue
		}
		m := fence.FindStringSubmatch(p.lines[i])
		if m == nil {
			if next.test != "" || next.mark != "" || next.file != "" {
				return fmt.Errorf("%s:%d: the comment before this line is not followed by a block", p.Path, i+1)
			}
			continue
		}
		next.language, next.line = m[2], i+1
		for i++; i < len(p.lines) && strings.TrimSpace(p.lines[i]) != "```"; i++ {
			next.text = append(next.text, strings.TrimPrefix(p.lines[i], m[1]))
		}
		if err := next.check(); err != nil {
			return fmt.Errorf("%s:%d: %w", p.Path, next.line, err)
		}
		p.steps = append(p.steps, next)
		next = step{}
	}
	return nil
}

func (s step) check() error {
	switch s.language {
	case "console":
		if len(s.text) == 0 || !strings.HasPrefix(s.text[0], "$ ") {
			return errors.New("a console block begins with a command")
		}
	case "sh", "yaml", "text":
	default:
		return fmt.Errorf("a block is console, sh, yaml or text, not %q", s.language)
	}
	switch s.mark {
	case "", "background", "background, later", "until":
	default:
		return fmt.Errorf("there is no mark %q", s.mark)
	}
	return nil
}

// byTest takes the name of a test from the beginning of a mark.
func byTest(mark string) (test, rest string) {
	first, rest, _ := strings.Cut(mark, ", ")
	if testName.MatchString(first) {
		return first, rest
	}
	return "", mark
}

// commands returns the commands of a console block.
func (s step) commands() (all []command) {
	for i, l := range s.text {
		text, begins := strings.CutPrefix(l, "$ ")
		switch last := len(all) - 1; {
		case begins:
			all = append(all, command{text: text, line: s.line + i + 1})
		case strings.HasSuffix(all[last].text, "\\") && len(all[last].want) == 0:
			all[last].text += "\n" + l
			all[last].line++
		default:
			all[last].want = append(all[last].want, l)
		}
	}
	for i := range all {
		for n := len(all[i].want); n > 0 && all[i].want[n-1] == ""; n-- {
			all[i].want = all[i].want[:n-1]
		}
	}
	return all
}

// Tests returns the names of the tests that run blocks of the page.
func (p *Page) Tests() (names []string) {
	for _, s := range p.steps {
		if s.test != "" && !slices.Contains(names, s.test) {
			names = append(names, s.test)
		}
	}
	return names
}

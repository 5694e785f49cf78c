package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Error holds every fault of a configuration.
type Error struct {
	faults []fault
}

// fault is one thing that is wrong.
type fault struct {
	source Source
	line   int    // of the file; 0: unknown
	key    string // dotted; empty when the fault is not about a key
	text   string // what is wrong and what to do
}

// Error returns the faults in one line, separated by "; ": file and line, variable or flag, then the key, then what is
// wrong with it.
func (e *Error) Error() string {
	texts := make([]string, len(e.faults))
	for i, f := range e.faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, "; ")
}

// Usage reports whether a flag is among the faults, so that the command was called wrongly.
func (e *Error) Usage() bool {
	return slices.ContainsFunc(e.faults, func(f fault) bool { return f.source.Kind == "flag" })
}

// String puts a fault into one line, whatever file names and libraries bring along.
func (f fault) String() string {
	text := f.source.Name
	if f.line > 0 {
		text = fmt.Sprintf("%s:%d", text, f.line)
	}
	if f.key != "" {
		text += ": " + f.key
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text+": "+f.text)
}

// quote shows text from outside in a fault, cut to a readable length. What stands before an @ may be the password of a
// URL that got into the wrong place.
func quote(text string) string {
	const most = 64
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		text = "***" + text[at:]
	}
	if len(text) <= most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q…", text[:most])
}

// nearest returns the known name that an unknown one is likely to stand for, or "" when none is near; of equals, the
// first. A name without its section counts too: queue is near limits.queue.
func nearest(unknown string, known []string) string {
	best, least := "", (len(unknown)+2)/3+1
	for _, name := range known {
		if len(unknown) > 2*len(name) {
			continue
		}
		short := name[strings.LastIndexByte(name, '.')+1:]
		if d := min(distance(unknown, name), distance(unknown, short)); d < least {
			best, least = name, d
		}
	}
	return best
}

// instead says what to do about an unknown name, given the one it may stand for.
func instead(name string) string {
	if name == "" {
		return "remove it"
	}
	return "did you mean " + name + "?"
}

// distance counts the bytes to insert, remove or replace to get from a to b, case and kind of separator aside
// (Levenshtein distance, one row at a time).
func distance(a, b string) int {
	a, b = plain(a), plain(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// plain drops what people get wrong without meaning another name.
func plain(name string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToLower(name))
}

package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Error has all faults of a configuration.
type Error struct {
	faults []fault
}

// fault is one thing that is wrong.
type fault struct {
	source Source
	line   int    // of the file; 0 if unknown
	key    string // dotted; empty if the fault is not that of a key
	text   string // what is wrong and what to do
}

// Error returns the faults in one line, separated by "; ": file and line, variable or flag, then the key, then what is wrong.
func (e *Error) Error() string {
	texts := make([]string, len(e.faults))
	for i, f := range e.faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, "; ")
}

// Usage reports whether a fault is that of a flag, so that the command was called wrongly.
func (e *Error) Usage() bool {
	return slices.ContainsFunc(e.faults, func(f fault) bool { return f.source.Kind == "flag" })
}

// String returns a fault in one line. Other characters that are not printable become blanks.
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

// quote quotes text from outside for a fault, and cuts it to a readable length. What precedes an @ is hidden: it may be the password of a URL
// in the wrong place.
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

// nearest returns the known name that an unknown one is probably meant to be, or "" if none is similar; of equally similar ones the first.
// The name without its section also counts: rate is similar to limits.rate.
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

// suggest says what to do about an unknown name, which may be meant to be name.
func suggest(name string) string {
	if name == "" {
		return "remove it"
	}
	return "did you mean " + name + "?"
}

// distance returns the Levenshtein distance of normalized names: the number of bytes to insert, remove or replace to get from a to b.
func distance(a, b string) int {
	a, b = normalized(a), normalized(b)
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

// normalized returns a name in lower case with _ as the only separator.
func normalized(name string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToLower(name))
}

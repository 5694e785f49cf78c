package line

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

const propagate = "PROPAGATE "

// MaxPropagate is the longest line that [AppendPropagate] makes, in bytes.
const MaxPropagate = len(propagate) + MaxName + 1 + MaxReport

var errPropagate = errors.New("line: not a PROPAGATE line")

// AppendPropagate appends the line with which from sends r to a neighbour, without an LF.
func AppendPropagate(dst []byte, from NodeName, r Report) []byte {
	dst = append(dst, propagate...)
	dst = append(append(dst, from...), ' ')
	return append(dst, r.text...)
}

// ParsePropagate parses one line of a server, without its LF. Fields are separated by single blanks; nothing may stand before the first
// or after the last. The report shares the memory of line.
func ParsePropagate(line string) (from NodeName, r Report, err error) {
	rest, ok := strings.CutPrefix(line, propagate)
	if !ok {
		return "", Report{}, errPropagate
	}
	name, text, ok := strings.Cut(rest, " ")
	if !ok || !ValidName(name) {
		return "", Report{}, fmt.Errorf("%w: no server name", errPropagate)
	}
	r, err = ParseReport(text)
	return NodeName(name), r, err
}

// Propagated is one line of a message of reports, parsed.
type Propagated struct {
	Text   string // the line, without its LF
	From   NodeName
	Report Report
	Err    error // why Text is not a PROPAGATE line
}

// Propagations ranges over the lines of a message of reports, which an LF separates; another LF may be at the end. Reports share the
// memory of one copy of the payload.
func Propagations(payload []byte) iter.Seq[Propagated] {
	return func(yield func(Propagated) bool) {
		for text := range strings.SplitSeq(strings.TrimSuffix(string(payload), "\n"), "\n") {
			p := Propagated{Text: text}
			p.From, p.Report, p.Err = ParsePropagate(text)
			if !yield(p) {
				return
			}
		}
	}
}

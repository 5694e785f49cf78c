package line

import (
	"errors"
	"fmt"
	"strings"
)

const propagate = "PROPAGATE "

// MaxPropagate is the longest line that [AppendPropagate] makes, in bytes.
const MaxPropagate = len(propagate) + MaxName + 1 + MaxReport

var errPropagate = errors.New("line: not a PROPAGATE line")

// AppendPropagate appends the line by which from tells a neighbour of r, without an LF.
func AppendPropagate(dst []byte, from NodeName, r Report) []byte {
	dst = append(dst, propagate...)
	dst = append(append(dst, from...), ' ')
	return append(dst, r.text...)
}

// ParsePropagate understands one line of a server, without its LF. Fields are separated by single blanks; nothing may
// stand before the first or after the last. The report shares the memory of line.
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

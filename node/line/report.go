// Package line is the grammar of the herd: the lines that clients send and get, and the lines that
// servers pass on. It parses and formats bytes and knows nothing else; the standard library is all it needs.
//
// A client's line ends in LF. White space is exactly space, TAB, LF, VT, FF and CR; input is bytes, not text.
//
//	IAMAT <client> <±lat±lon> <time>
//	WHATSAT <client> <radius km> <bound>
//	AT <server> <skew> <client> <±lat±lon> <time>
//	PROPAGATE <from> <origin> <skew> <client> <±lat±lon> <time>
//
// What a client wrote is never reformatted: numbers are checked and compared as the digits they came in, so
// that times are exact (a float64 is 238 ns coarse) and a position leaves as it arrived.
package line

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Report is what one server received of one client at one moment: the text
//
//	<origin> <skew> <client> <±lat±lon> <time>
//
// with single blanks between. Registry, queue and bus all use this text. A Report is immutable; the zero Report
// is no report.
type Report struct {
	text                         string
	skew, client, position, time uint16 // where each field begins in text
}

// MaxReport is the longest text of a report, in bytes: an origin, a skew and what fits a client's line.
const MaxReport = MaxLine + 64

var errReport = errors.New("line: not a report")

// NewReport makes the report of an IAmAt command that origin received, in nanoseconds since 1970. It copies
// what it needs of the command: one allocation.
func NewReport(origin NodeName, received int64, c *Command) Report {
	var r Report
	text := make([]byte, 0, 256)
	text = append(append(text, origin...), ' ')
	r.skew = uint16(len(text))
	text = append(appendSkew(text, received, c.Nanos), ' ')
	r.client = uint16(len(text))
	text = append(append(text, c.Client...), ' ')
	r.position = uint16(len(text))
	text = append(append(text, c.Position...), ' ')
	r.time = uint16(len(text))
	r.text = string(append(text, c.Time...))
	return r
}

// ParseReport understands the text of a report, which must follow the form to the letter. The report shares
// the memory of text; see [Report.Clone].
func ParseReport(text string) (Report, error) {
	if len(text) > MaxReport {
		return Report{}, errReport
	}
	var begin [5]int
	for field := 1; field < len(begin); field++ {
		blank := strings.IndexByte(text[begin[field-1]:], ' ')
		if blank < 0 {
			return Report{}, errReport
		}
		begin[field] = begin[field-1] + blank + 1
	}
	r := Report{text, uint16(begin[1]), uint16(begin[2]), uint16(begin[3]), uint16(begin[4])}
	if !ValidName(r.Origin()) || !validSkew(r.Skew()) || !ValidClient(r.Client()) || !validPosition(r.Position()) ||
		!validTime(r.Time()) {
		return Report{}, errReport
	}
	return r, nil
}

// String returns the text of the report.
func (r Report) String() string { return r.text }

// Origin returns the server that took the report from its client.
func (r Report) Origin() NodeName { return NodeName(r.text[:r.skew-1]) }

// Skew returns the time of receipt less the client's time: signed seconds with nine decimals.
func (r Report) Skew() string { return r.text[r.skew : r.client-1] }

// Client returns who reported.
func (r Report) Client() ClientID { return ClientID(r.text[r.client : r.position-1]) }

// Position returns where the client said it was: ±lat±lon in decimal degrees, as it wrote them.
func (r Report) Position() string { return r.text[r.position : r.time-1] }

// Time returns when the client said it was there: POSIX seconds, as it wrote them.
func (r Report) Time() string { return r.text[r.time:] }

// Nanos returns the whole nanoseconds of the client's time, since 1970.
func (r Report) Nanos() int64 {
	_, nanos, _ := scanTime(r.text, int(r.time))
	return nanos
}

// Coordinates returns the position in degrees.
func (r Report) Coordinates() (lat, lon float64) { return coordinates(r.Position()) }

// IsZero reports whether r is no report.
func (r Report) IsZero() bool { return r.text == "" }

// Clone returns an equal report with memory of its own, to outlive the text it was parsed from.
func (r Report) Clone() Report {
	r.text = strings.Clone(r.text)
	return r
}

// AppendAt appends the line that answers a client with the report, with its LF.
func (r Report) AppendAt(dst []byte) []byte {
	dst = append(dst, "AT "...)
	dst = append(dst, r.text...)
	return append(dst, '\n')
}

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

// PropagateSize returns how many bytes [AppendPropagate] appends.
func PropagateSize(from NodeName, r Report) int {
	return len(propagate) + len(from) + len(" ") + len(r.text)
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

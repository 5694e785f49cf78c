package watch

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"herd/bus"
	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
)

const timeOfDay = "15:04:05.000"

// observed is one line of a message on the bus.
type observed struct {
	at      time.Time
	message bus.Observed
	line    string // without its LF
	report  line.Report
	err     error // why the line is no report, or nil
}

// raw writes a line as it is on the bus, but quoted where it could harm a terminal.
func (w *watcher) raw(text *bytes.Buffer, o *observed) {
	subject, l := o.message.Subject, o.line
	if w.Terminal {
		subject, l = terminal.Legible(subject), terminal.Legible(l)
	}
	fmt.Fprintf(text, "%s %s\n", subject, l)
}

// columns writes a line for people.
func (w *watcher) columns(text *bytes.Buffer, o *observed) {
	at := w.Ink.Paint(terminal.Dim, o.at.Format(timeOfDay))
	between := w.pad(0, terminal.Legible(o.message.From)) + " → " + w.pad(1, terminal.Legible(o.message.To))
	if o.err != nil {
		fmt.Fprintf(text, "%s  %s not a report: %q\n", at, between, o.line)
		return
	}
	origin := string(o.report.Origin())
	colour := w.Ink.Of(origin)
	fmt.Fprintf(text, "%s  %s  %s  %s  %s %s\n", at, between,
		w.Ink.Paint(colour, w.pad(2, terminal.Legible(string(o.report.Client())))), w.pad(3, o.report.Position()),
		w.Ink.Paint(colour, origin), w.Ink.Paint(terminal.Dim, o.report.Skew()))
}

// pad fills a cell up to the width of its column.
func (w *watcher) pad(column int, cell string) string {
	width := utf8.RuneCountInString(cell)
	w.widths[column] = max(w.widths[column], min(width, maxColumn))
	return cell + strings.Repeat(" ", max(0, w.widths[column]-width))
}

// observedJSON is a line for programs. What is not UTF-8, which JSON cannot hold, is in base64 under another name. Of a line
// that is no report there is the line instead of what follows it.
type observedJSON struct {
	Time          string `json:"time"` // when it was observed: RFC 3339, UTC, always with nanoseconds
	Subject       string `json:"subject,omitempty"`
	SubjectBase64 string `json:"subject_base64,omitempty"`
	From          string `json:"from"`
	To            string `json:"to"`
	Line          string `json:"line,omitempty"`
	LineBase64    string `json:"line_base64,omitempty"`
	*reportJSON
}

// reportJSON is a report: as text what is exact only as text.
type reportJSON struct {
	Origin       line.NodeName `json:"origin"`
	Skew         string        `json:"skew"`
	Client       string        `json:"client,omitempty"`
	ClientBase64 string        `json:"client_base64,omitempty"`
	Position     string        `json:"position"`
	Lat          float64       `json:"lat"`
	Lon          float64       `json:"lon"`
	ReportTime   string        `json:"report_time"`
}

const nanoseconds = "2006-01-02T15:04:05.000000000Z07:00"

// inJSON writes a line for programs.
func inJSON(text *bytes.Buffer, o *observed) {
	form := observedJSON{Time: o.at.UTC().Format(nanoseconds), From: o.message.From, To: o.message.To}
	form.Subject, form.SubjectBase64 = textOrBase64(o.message.Subject)
	if o.err != nil {
		form.Line, form.LineBase64 = textOrBase64(o.line)
	} else {
		r := &reportJSON{Origin: o.report.Origin(), Skew: o.report.Skew(), Position: o.report.Position(), ReportTime: o.report.Time()}
		r.Client, r.ClientBase64 = textOrBase64(string(o.report.Client()))
		r.Lat, r.Lon = o.report.Coordinates()
		form.reportJSON = r
	}
	var encoded bytes.Buffer
	e := json.NewEncoder(&encoded)
	e.SetEscapeHTML(false)
	if err := e.Encode(form); err != nil {
		panic(err) // texts and finite numbers have a form
	}
	text.WriteString(printableJSON(strings.TrimSuffix(encoded.String(), "\n")))
	text.WriteByte('\n')
}

func textOrBase64(s string) (text, base string) {
	if utf8.ValidString(s) {
		return s, ""
	}
	return "", base64.StdEncoding.EncodeToString([]byte(s))
}

// printableJSON returns JSON of the same value in which everything that could do more to a terminal than appear on it is escaped: in
// JSON on one line that is inside strings only.
func printableJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

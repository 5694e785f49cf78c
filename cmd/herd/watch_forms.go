package main

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
	"herd/node/line"
)

const timeOfDay = "15:04:05.000"

// sighting is one line that was seen on the bus.
type sighting struct {
	at      time.Time
	message bus.Observed
	line    string // without its LF
	report  line.Report
	err     error // why it is none
}

// asIs writes a line as it is on the bus; to a terminal only what may appear there.
func (w *watcher) asIs(text *bytes.Buffer, s *sighting) {
	subject, l := s.message.Subject, s.line
	if w.terminal {
		subject, l = legible(subject), legible(l)
	}
	fmt.Fprintf(text, "%s %s\n", subject, l)
}

// inColumns writes a line for people.
func (w *watcher) inColumns(text *bytes.Buffer, s *sighting) {
	at := w.ink.paint(dim, s.at.Format(timeOfDay))
	between := w.pad(0, legible(s.message.From)) + " → " + w.pad(1, legible(s.message.To))
	if s.err != nil {
		fmt.Fprintf(text, "%s  %s not a report: %q\n", at, between, s.line)
		return
	}
	origin := string(s.report.Origin())
	colour := w.ink.of(origin)
	fmt.Fprintf(text, "%s  %s  %s  %s  %s %s\n", at, between,
		w.ink.paint(colour, w.pad(2, legible(string(s.report.Client())))), w.pad(3, s.report.Position()),
		w.ink.paint(colour, origin), w.ink.paint(dim, s.report.Skew()))
}

// pad fills a cell up to the width of its column.
func (w *watcher) pad(column int, cell string) string {
	width := utf8.RuneCountInString(cell)
	w.widths[column] = max(w.widths[column], min(width, maxColumn))
	return cell + strings.Repeat(" ", max(0, w.widths[column]-width))
}

// sightingJSON is a sighting for programs. What is not UTF-8, which JSON cannot hold, is in base64 under another name. Of a line
// that is no report there is the line instead of what follows it.
type sightingJSON struct {
	Time          string `json:"time"` // when it was seen: RFC 3339, UTC, always with nanoseconds
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
func (w *watcher) inJSON(text *bytes.Buffer, s *sighting) {
	form := sightingJSON{Time: s.at.UTC().Format(nanoseconds), From: s.message.From, To: s.message.To}
	form.Subject, form.SubjectBase64 = textOrBase64(s.message.Subject)
	if s.err != nil {
		form.Line, form.LineBase64 = textOrBase64(s.line)
	} else {
		r := &reportJSON{Origin: s.report.Origin(), Skew: s.report.Skew(), Position: s.report.Position(), ReportTime: s.report.Time()}
		r.Client, r.ClientBase64 = textOrBase64(string(s.report.Client()))
		r.Lat, r.Lon = s.report.Coordinates()
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
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch high, low := utf16.EncodeRune(r); {
		case !hidden(r):
			b.WriteRune(r)
		case high != unicode.ReplacementChar:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

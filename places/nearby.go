package places

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Nearby returns the JSON of f's answer to q, its status word and its number of results. It cannot fail: an error of f, also that of a
// done ctx, becomes an answer with the cause in error_message.
//
// Whatever f returns, the JSON has at most q.Bound results, all within q.Radius, and a status that agrees with them. With a bound or
// radius of 0 f is not queried. The JSON is indented by two blanks, without HTML escaping, empty lines or a newline at its end; an empty
// list is [], never null.
func Nearby(ctx context.Context, f Finder, q Query) (body []byte, status string, results int) {
	a := find(ctx, f, q)
	return encode(&a), a.Status, len(a.Results)
}

// find returns f's answer to q, with only the results that q allows and the status that goes with them.
func find(ctx context.Context, f Finder, q Query) Answer {
	if q.Bound <= 0 || !(q.Radius > 0) { // a radius of NaN contains nothing either
		return Answer{Status: ZeroResults}
	}
	a, err := f.Find(ctx, q)
	if err != nil {
		return failure(err)
	}
	a.Results = cut(a.Results, q)
	a.Status = OK
	if len(a.Results) == 0 {
		a.Status = ZeroResults
	}
	return a
}

// cut returns a list of the first q.Bound results that lie within the circle of q. A result with a coordinate of NaN lies nowhere.
func cut(results []Place, q Query) []Place {
	kept := make([]Place, 0, min(q.Bound, len(results)))
	for _, p := range results {
		if len(kept) < q.Bound && Distance(q.At, p.Geometry.Location) <= q.Radius {
			kept = append(kept, p)
		}
	}
	return kept
}

// failure returns the answer for an error.
func failure(err error) Answer {
	a := Answer{Status: UnknownError, ErrorMessage: err.Error()}
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case InvalidRequest, OverQueryLimit, RequestDenied:
			a.Status = e.Status
		}
	}
	return a
}

// Bytes of JSON to reserve room for: an answer without results, and a result. Either may need more.
const (
	sizeOfAnswer = 256
	sizeOfPlace  = 512
)

// encoders bounds how many answers are encoded at a time, to half the processors, so that thousands of answers at once do not delay
// everything else in the process.
var encoders = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

// encode returns the JSON of a: byte for byte what encoding/json writes with an indent of two blanks and without HTML escaping, in a
// sixth of its time. A nil list is []. Numbers have to be finite.
func encode(a *Answer) []byte {
	encoders <- struct{}{}
	defer func() { <-encoders }()
	e := encoder{text: make([]byte, 0, sizeOfAnswer+sizeOfPlace*len(a.Results))}
	e.begin('{')
	e.strings(`"html_attributions": `, a.HTMLAttributions)
	if len(a.InfoMessages) > 0 {
		e.strings(`"info_messages": `, a.InfoMessages)
	}
	e.name(`"results": `)
	e.begin('[')
	for i := range a.Results {
		e.next()
		e.result(&a.Results[i])
	}
	e.end(']')
	e.string(`"status": `, a.Status)
	if a.ErrorMessage != "" {
		e.string(`"error_message": `, a.ErrorMessage)
	}
	e.end('}')
	return e.text
}

// encoder appends indented JSON to text.
type encoder struct {
	text  []byte
	depth int  // number of objects and lists that are open
	empty bool // the innermost of them has no member yet
}

// newLine is a comma, an LF and the deepest indent, that of a viewport's coordinates.
const newLine = ",\n            "

// line returns an LF and the current indent, with a comma before them if there is to be one.
func (e *encoder) line(comma bool) string {
	if comma {
		return newLine[:2+2*e.depth]
	}
	return newLine[1 : 2+2*e.depth]
}

func (e *encoder) begin(bracket byte) {
	e.text = append(e.text, bracket)
	e.depth++
	e.empty = true
}

func (e *encoder) end(bracket byte) {
	e.depth--
	if !e.empty {
		e.text = append(e.text, e.line(false)...)
	}
	e.text = append(e.text, bracket)
	e.empty = false
}

// next starts the line of the next member.
func (e *encoder) next() {
	e.text = append(e.text, e.line(!e.empty)...)
	e.empty = false
}

// name starts the next member of an object. The name is given as it is written, as in `"lat": `.
func (e *encoder) name(name string) {
	e.next()
	e.text = append(e.text, name...)
}

func (e *encoder) string(name, value string) {
	e.name(name)
	e.text = appendString(e.text, value)
}

func (e *encoder) strings(name string, values []string) {
	e.name(name)
	e.begin('[')
	for _, v := range values {
		e.next()
		e.text = appendString(e.text, v)
	}
	e.end(']')
}

func (e *encoder) integer(name string, value int) {
	e.name(name)
	e.text = strconv.AppendInt(e.text, int64(value), 10)
}

func (e *encoder) number(name string, value float64) {
	e.name(name)
	e.text = appendFloat(e.text, value)
}

func (e *encoder) point(name string, p Point) {
	e.name(name)
	e.begin('{')
	e.number(`"lat": `, p.Lat)
	e.number(`"lng": `, p.Lng)
	e.end('}')
}

// result writes p.Raw if it is valid JSON, else the members of p.
func (e *encoder) result(p *Place) {
	if p.Raw == nil || !e.raw(p.Raw) {
		e.place(p)
	}
}

// raw writes value, indented, and reports whether it is valid JSON.
func (e *encoder) raw(value []byte) bool {
	text := bytes.NewBuffer(e.text)
	if json.Indent(text, bytes.TrimRight(value, " \t\r\n"), newLine[2:2+2*e.depth], "  ") != nil {
		return false
	}
	e.text = text.Bytes()
	return true
}

// place writes the members of p in the order of their declaration, as the tags of Place say.
func (e *encoder) place(p *Place) {
	e.begin('{')
	if p.BusinessStatus != "" {
		e.string(`"business_status": `, p.BusinessStatus)
	}
	e.name(`"geometry": `)
	e.begin('{')
	e.point(`"location": `, p.Geometry.Location)
	if v := p.Geometry.Viewport; v != nil {
		e.name(`"viewport": `)
		e.begin('{')
		e.point(`"northeast": `, v.Northeast)
		e.point(`"southwest": `, v.Southwest)
		e.end('}')
	}
	e.end('}')
	e.string(`"name": `, p.Name)
	if p.OpeningHours != nil {
		e.name(`"opening_hours": `)
		e.begin('{')
		e.name(`"open_now": `)
		e.text = strconv.AppendBool(e.text, p.OpeningHours.OpenNow)
		e.end('}')
	}
	e.string(`"place_id": `, p.PlaceID)
	if p.PlusCode.GlobalCode != "" {
		e.name(`"plus_code": `)
		e.begin('{')
		e.string(`"global_code": `, p.PlusCode.GlobalCode)
		e.end('}')
	}
	if p.PriceLevel != nil {
		e.integer(`"price_level": `, *p.PriceLevel)
	}
	if p.Rating != 0 {
		e.number(`"rating": `, p.Rating)
	}
	e.strings(`"types": `, p.Types)
	if p.UserRatingsTotal != 0 {
		e.integer(`"user_ratings_total": `, p.UserRatingsTotal)
	}
	if p.Vicinity != "" {
		e.string(`"vicinity": `, p.Vicinity)
	}
	e.end('}')
}

// appendFloat appends a number as ECMAScript formats it.
func appendFloat(text []byte, f float64) []byte {
	if size := math.Abs(f); size == 0 || size >= 1e-6 && size < 1e21 { // without an exponent, as usual
		return strconv.AppendFloat(text, f, 'f', -1, 64)
	}
	return appendValue(text, f)
}

// appendString appends s in quotes. Bytes that are not UTF-8 become U+FFFD; the line separators of JavaScript are escaped.
func appendString(text []byte, s string) []byte {
	escaped := func(r rune) bool {
		return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError || r == '\u2028' || r == '\u2029'
	}
	if !strings.ContainsFunc(s, escaped) {
		return append(append(append(text, '"'), s...), '"')
	}
	return appendValue(text, s)
}

// appendValue appends a string or a finite number as encoding/json writes it.
func appendValue(text []byte, v any) []byte {
	out := bytes.NewBuffer(text)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // fails for no such value
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

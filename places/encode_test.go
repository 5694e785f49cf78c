package places

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

// reply is an Answer for encoding/json, whose results are Places or json.RawMessages.
type reply struct {
	HTMLAttributions []string `json:"html_attributions"`
	InfoMessages     []string `json:"info_messages,omitempty"`
	Results          []any    `json:"results"`
	Status           string   `json:"status"`
	ErrorMessage     string   `json:"error_message,omitempty"`
}

// encodeSlowly is encode with encoding/json.
func encodeSlowly(a *Answer) ([]byte, error) {
	results := make([]any, len(a.Results))
	for i, p := range a.Results {
		if results[i] = p; p.Raw != nil {
			results[i] = p.Raw
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(reply{a.HTMLAttributions, a.InfoMessages, results, a.Status, a.ErrorMessage})
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

func compareEncoders(t *testing.T, a *Answer) {
	t.Helper()
	want, err := encodeSlowly(a)
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(a); !bytes.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// samples are an answer with all members and one with as few as possible.
func samples() []*Answer {
	price := 0
	full := Place{
		BusinessStatus: "OPERATIONAL", Geometry: Geometry{Point{34, -118.44512699}, &Viewport{Point{1e-7, 2}, Point{-0.5, math.Copysign(0, -1)}}},
		Name: "Royce <Hall> & \"more\"\n\né\u2028", OpeningHours: &OpeningHours{true}, PlaceID: "id", PlusCode: PlusCode{"85633HF5+64"}, PriceLevel: &price,
		Rating: 4.5, Types: []string{"library", "establishment"}, UserRatingsTotal: 17, Vicinity: "Los Angeles, California",
	}
	raw := Place{Raw: json.RawMessage(" {\"a\" : [ 1.50,{ }, [ ],\n \"\\u0041 ]\" ] } \n")}
	return []*Answer{
		{HTMLAttributions: []string{"one", "two"}, InfoMessages: []string{"so"}, Results: []Place{full, raw, {Types: []string{}}}, Status: OK, ErrorMessage: "<err>"},
		{HTMLAttributions: []string{}, Results: []Place{}},
		{HTMLAttributions: []string{}, Results: []Place{{Types: []string{}}}},
	}
}

func TestEncode(t *testing.T) {
	for _, a := range samples() {
		compareEncoders(t, a)
	}
}

// A nil list is encoded as an empty one.
func TestEncodeNil(t *testing.T) {
	empty := &Answer{HTMLAttributions: []string{}, Results: []Place{{Types: []string{}}}}
	if got, want := encode(&Answer{Results: []Place{{}}}), encode(empty); !bytes.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// Every character, alone and among others, and every invalid UTF-8 of two bytes.
func TestAppendString(t *testing.T) {
	check := func(s string) {
		t.Helper()
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, s); string(got)+"\n" != want.String() {
			t.Fatalf("%q becomes %s, want %s", s, got, &want)
		}
	}
	for r := range rune(0x11000) {
		check(string(r))
		check("a" + string(r) + "é")
	}
	for a := range 256 {
		for b := range 256 {
			check(string([]byte{byte(a), byte(b)}))
		}
	}
}

func TestAppendFloat(t *testing.T) {
	check := func(f float64) {
		t.Helper()
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendFloat(nil, f); !bytes.Equal(got, want) {
			t.Fatalf("%v becomes %s, want %s", f, got, want)
		}
	}
	for e := -330; e <= 307; e++ {
		for _, f := range []float64{1, 1.5, 9.999999999, 1.2345678901234567} {
			f *= math.Pow10(e)
			for _, f := range []float64{f, -f, math.Nextafter(f, 0), math.Nextafter(f, 1)} {
				check(f)
			}
		}
	}
	for i := range 100000 {
		check(float64(i*17981-900_000_000) / 1e7)
	}
}

// A Raw that is not JSON, which providers must not return, does not break the answer.
func TestEncodeUnsound(t *testing.T) {
	for _, raw := range []string{"", " ", "{", `{"a":1}}`, "nul", "\xff"} {
		a := &Answer{Results: []Place{{Name: "A", Types: []string{}, Raw: json.RawMessage(raw)}}, Status: OK}
		if body := encode(a); !json.Valid(body) || !strings.Contains(string(body), `"name": "A"`) {
			t.Errorf("%q: %s", raw, body)
		}
	}
}

// Any answer is encoded as encoding/json encodes it.
func FuzzEncode(f *testing.F) {
	f.Add("name", "id", 34.06893, -118.445127, 4.5, 3, uint16(0xffff), `{"a":[1.50,{}]}`)
	f.Add("\u2028\x00\"\\<&>\xff", "\b\f\n\r\t\x7f", 1e-7, 1e21, math.Copysign(0, -1), 0, uint16(0), ` [ ] `)
	f.Fuzz(func(t *testing.T, s, u string, x, y, z float64, n int, has uint16, raw string) {
		if math.IsNaN(x+y+z) || math.IsInf(x+y+z, 0) {
			return
		}
		on := func(bit int) bool { return has>>bit&1 == 1 }
		p := Place{Name: s, PlaceID: u, Geometry: Geometry{Location: Point{x, y}}, Types: []string{}}
		a := &Answer{HTMLAttributions: []string{}, Results: []Place{}, Status: u}
		if on(0) {
			p.BusinessStatus, p.Vicinity = u, s
		}
		if on(1) {
			p.Geometry.Viewport = &Viewport{Point{y, z}, Point{z, x}}
		}
		if on(2) {
			p.OpeningHours = &OpeningHours{on(3)}
		}
		if on(4) {
			p.PlusCode.GlobalCode = s
		}
		if on(5) {
			p.PriceLevel, p.UserRatingsTotal, p.Rating = &n, n, z
		}
		if on(6) {
			p.Types = []string{s, u, ""}
		}
		for range int(has >> 7 & 3) {
			a.Results = append(a.Results, p)
		}
		if on(9) {
			a.HTMLAttributions, a.InfoMessages = []string{u}, []string{s, u}
		}
		if on(10) {
			a.ErrorMessage = s
		}
		if on(11) && json.Valid([]byte(raw)) {
			a.Results = append(a.Results, Place{Raw: json.RawMessage(raw)}, p)
		}
		compareEncoders(t, a)
	})
}

// BenchmarkEncode compares encode with encoding/json, for an answer of five places.
func BenchmarkEncode(b *testing.B) {
	a := &Answer{HTMLAttributions: []string{"Place data © GeoNames (www.geonames.org), CC BY 4.0; modified"}, Status: OK}
	for i := range 5 {
		p := at(fmt.Sprint("University of California ", i), 34.0689+float64(i)/100, -118.445127)
		p.PlusCode.GlobalCode, p.Vicinity, p.Types = "85633HF5+64", "Los Angeles, California", []string{"university", "point_of_interest", "establishment"}
		a.Results = append(a.Results, p)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode(a)
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = encodeSlowly(a)
		}
	})
}

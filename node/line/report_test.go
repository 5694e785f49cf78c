package line

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
)

const example = "Goloman +0.263873386 kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997"

func mustReport(t testing.TB, text string) Report {
	t.Helper()
	r, err := ParseReport(text)
	if err != nil {
		t.Fatalf("ParseReport(%q): %v", text, err)
	}
	return r
}

func TestNewReport(t *testing.T) {
	c := Parse([]byte("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997"))
	r := NewReport("Goloman", 1520023934_918963997+263873386, &c)
	if r.String() != example {
		t.Errorf("report %q, want %q", r, example)
	}
	if r != mustReport(t, example) {
		t.Error("the parsed report differs from the made one")
	}
	if got := string(r.AppendAt([]byte("x"))); got != "xAT "+example+"\n" {
		t.Errorf("AT line %q", got)
	}
	lat, lon := r.Coordinates()
	if lat != 34.068930 || lon != -118.445127 {
		t.Errorf("coordinates %v, %v", lat, lon)
	}
	if n := testing.AllocsPerRun(100, func() { NewReport("Goloman", 1, &c) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func TestSkew(t *testing.T) {
	tests := []struct {
		received, sent int64
		want           string
	}{
		{0, 0, "+0.000000000"},
		{1, 0, "+0.000000001"},
		{0, 1, "-0.000000001"},
		{5_000_000_000, 1_999_999_999, "+3.000000001"},
		{1_520_000_000_000_000_000, 4_102_444_800_000_000_000, "-2582444800.000000000"},
		{0, math.MaxInt64, "-9223372036.854775807"},
		{math.MinInt64, math.MaxInt64, "-18446744073.709551615"},
		{math.MaxInt64, 0, "+9223372036.854775807"},
	}
	for _, tt := range tests {
		got := string(appendSkew(nil, tt.received, tt.sent))
		if got != tt.want || !validSkew(got) {
			t.Errorf("skew of %d − %d is %q, want %q", tt.received, tt.sent, got, tt.want)
		}
	}
}

func TestCompareTime(t *testing.T) {
	ordered := [][]string{
		{"0", "0.0", "000"},
		{"0.0000000001", "00.00000000010"},
		{"1", "1.0", "1.00", "01.000"},
		{"1.0000000000000001"},
		{"9.9999999999999999999999999999"},
		{"10", "010.0"},
		{"1520023934.918963997", "1520023934.9189639970"},
		{"1520023934.9189639971"},
	}
	for i, as := range ordered {
		for j, bs := range ordered {
			for _, a := range as {
				for _, b := range bs {
					if got := compareTime(a, b); got != cmp.Compare(i, j) {
						t.Errorf("compareTime(%s, %s) = %d", a, b, got)
					}
				}
			}
		}
	}
}

func TestParseReportRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "Goloman", example + " ", " " + example, example + "\n", example + "\r",
		strings.Replace(example, " ", "  ", 1), strings.Replace(example, " ", "\t", 1),
		strings.Replace(example, "Goloman", "Gölöman", 1), strings.Replace(example, "Goloman", strings.Repeat("G", 33), 1),
		strings.Replace(example, "+0.263873386", "0.263873386", 1), strings.Replace(example, "+0.263873386", "+0.26387338", 1),
		strings.Replace(example, "+0.263873386", "+0.2638733860", 1), strings.Replace(example, "+0.263873386", "+.263873386", 1),
		strings.Replace(example, "+0.263873386", "+263873386", 1), strings.Replace(example, "+34", "34", 1),
		strings.Replace(example, "kiwi", "ki\vwi", 1), strings.Replace(example, "kiwi", strings.Repeat("k", 1024), 1),
		strings.Replace(example, "1520023934", "-1520023934", 1), example + strings.Repeat("0", MaxReport),
		strings.Replace(example, "kiwi.cs.ucla.edu", "", 1),
	} {
		if r, err := ParseReport(s); err == nil {
			t.Errorf("ParseReport(%.90q) = %q", s, r)
		}
	}
}

// The longest line of a client becomes a report that servers take from each other.
func TestLongestReport(t *testing.T) {
	operands := "k +1-1 1."
	s := "IAMAT " + operands
	s += strings.Repeat("7", MaxLine-len(s))
	c := Parse([]byte(s))
	if c.Verb != IAmAt {
		t.Fatal("the longest line is invalid")
	}
	name := NodeName(strings.Repeat("N", MaxName))
	r := NewReport(name, math.MinInt64, &c)
	if mustReport(t, r.String()) != r {
		t.Error("the longest report changes on its way")
	}
	if l := AppendPropagate(nil, name, r); len(l) > MaxPropagate {
		t.Errorf("line of %d bytes, MaxPropagate is %d", len(l), MaxPropagate)
	}
}

func FuzzPropagate(f *testing.F) {
	f.Add("PROPAGATE Hands " + example)
	f.Add("PROPAGATE a b -12.000000000 \xff -90+180 0")
	f.Fuzz(func(t *testing.T, s string) {
		from, r, err := ParsePropagate(s)
		if err != nil {
			return
		}
		if got := string(AppendPropagate(nil, from, r)); got != s {
			t.Fatalf("%q formats as %q", s, got)
		}
		if r.Compare(r.Clone()) != 0 || r.Later(r) {
			t.Fatalf("%q does not equal itself", r)
		}
		// The fields are a client's: the same line from a client would be taken.
		if Parse([]byte("IAMAT "+string(r.Client())+" "+r.Position()+" "+r.Time())).Verb != IAmAt {
			t.Fatalf("%q could not have come from a client", s)
		}
	})
}

func FuzzCompareTime(f *testing.F) {
	f.Add("1520023934.918963997", "01520023934.9189639970")
	f.Add("0.00000000001", "0")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !validTime(a) || !validTime(b) {
			return
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if got := compareTime(a, b); got != x.Cmp(y) {
			t.Fatalf("compareTime(%s, %s) = %d, as numbers %d", a, b, got, x.Cmp(y))
		}
	})
}

func BenchmarkNewReport(b *testing.B) {
	c := Parse([]byte("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997"))
	b.ReportAllocs()
	for b.Loop() {
		NewReport("Goloman", 1520023935_000000000, &c)
	}
}

func BenchmarkParsePropagate(b *testing.B) {
	s := "PROPAGATE Hands " + example
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParsePropagate(s); err != nil {
			b.Fatal(err)
		}
	}
}

// A message of reports is cut at each LF but the last.
func TestPropagations(t *testing.T) {
	good := "PROPAGATE A B +1.000000000 k +1-1 1"
	for payload, want := range map[string][]string{
		"": {""}, "\n": {""}, good: {good}, good + "\n": {good}, good + "\n\n": {good, ""}, "\n" + good + "\nx": {"", good, "x"},
	} {
		var got []string
		for p := range Propagations([]byte(payload)) {
			got = append(got, p.Text)
			if ok := p.Text == good; ok != (p.Err == nil) || ok && (p.From != "A" || p.Report.String() != good[len("PROPAGATE A "):]) {
				t.Errorf("%q is parsed as %+v", p.Text, p)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", payload, got, want)
		}
		for range Propagations([]byte(payload)) {
			break // which must not go on
		}
	}
}

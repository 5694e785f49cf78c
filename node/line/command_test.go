package line

import (
	"math/big"
	"regexp"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const (
		id  = "kiwi.cs.ucla.edu"
		pos = "+34.068930-118.445127"
		at  = "1520023934.918963997"
	)
	tests := []struct {
		line string
		want Verb
	}{
		{"IAMAT " + id + " " + pos + " " + at, IAmAt},
		{"\v\f\r\t IAMAT\t" + id + " \r " + pos + "\f" + at + "\r", IAmAt},
		{"IAMAT " + strings.Repeat("x", MaxClient) + " " + pos + " " + at, IAmAt},
		{"IAMAT " + strings.Repeat("x", MaxClient+1) + " " + pos + " " + at, Invalid},
		{"WHATSAT " + strings.Repeat("x", MaxClient+1) + " 1 1", Invalid},
		{"IAMAT a\x00b\x85\xa0 " + pos + " " + at, IAmAt},
		{"IAMAT a\x1cb " + pos + " " + at, IAmAt}, // a separator for str.split, not for us
		{"iamat " + id + " " + pos + " " + at, Invalid},
		{"IAMATx " + id + " " + pos + " " + at, Invalid},
		{"AT Goloman +0.1 " + id, Invalid},
		{"", Invalid},
		{"IAMAT a b c d", Invalid},
		{"IAMAT a " + pos + " " + at + " ", IAmAt},
		{"IAMAT a +90-180 0", IAmAt},
		{"IAMAT a +090.000-0180.0000 0", IAmAt},
		{"IAMAT a +90.0000000000000000000000000000001-180 0", Invalid},
		{"IAMAT a +90-180.0000000000000000000000000000001 0", Invalid},
		{"IAMAT a +91-180 0", Invalid},
		{"IAMAT a +99999999999999999999999999-1 0", Invalid},
		{"IAMAT a +9-181 0", Invalid},
		{"IAMAT a +9.-18 0", Invalid},
		{"IAMAT a +9-18. 0", Invalid},
		{"IAMAT a +9 0", Invalid},
		{"IAMAT a +9- 0", Invalid},
		{"IAMAT a +9-1+1 0", Invalid},
		{"IAMAT a 9-1 0", Invalid},
		{"IAMAT a +NaN-1 0", Invalid},
		{"IAMAT a +0x1-1 0", Invalid},
		{"IAMAT a +1_0-1 0", Invalid},
		{"IAMAT a +1-1 .5", Invalid},
		{"IAMAT a +1-1 5.", Invalid},
		{"IAMAT a +1-1 -5", Invalid},
		{"IAMAT a +1-1 1.2.3", Invalid},
		{"IAMAT a +1-1 9223372036.854775807", IAmAt},
		{"IAMAT a +1-1 9223372036.8547758079999", IAmAt},
		{"IAMAT a +1-1 9223372036.854775808", Invalid},
		{"IAMAT a +1-1 9223372037", Invalid},
		{"IAMAT a +1-1 000000000000000000000000000001", IAmAt},
		{"WHATSAT a 10 5", WhatsAt},
		{"WHATSAT a 50 20", WhatsAt},
		{"WHATSAT a 50.000 020", WhatsAt},
		{"WHATSAT a 50.0000000000000000000001 5", Invalid},
		{"WHATSAT a 51 5", Invalid},
		{"WHATSAT a 10 21", Invalid},
		{"WHATSAT a 10 99999999999999999999", Invalid},
		{"WHATSAT a 10 5.0", Invalid},
		{"WHATSAT a -1 5", Invalid},
		{"WHATSAT a .5 5", Invalid},
		{"WHATSAT a 5. 5", Invalid},
		{"WHATSAT a 5", Invalid},
		{"WHATSAT a 5 5 5", Invalid},
	}
	for _, tt := range tests {
		if got := Parse([]byte(tt.line)); got.Verb != tt.want {
			t.Errorf("Parse(%.80q) is of verb %d, want %d", tt.line, got.Verb, tt.want)
		}
	}
}

func TestParseKeepsOperands(t *testing.T) {
	c := Parse([]byte(" IAMAT  kiwi +01.50-2 0001.0000000019 \r"))
	if got := string(c.Client) + "|" + string(c.Position) + "|" + string(c.Time); got != "kiwi|+01.50-2|0001.0000000019" {
		t.Errorf("operands %q", got)
	}
	if c.Nanos != 1_000_000_001 {
		t.Errorf("nanos %d", c.Nanos)
	}
	if c := Parse([]byte("WHATSAT kiwi 10.25 07")); c.Radius != 10.25 || c.Bound != 7 {
		t.Errorf("radius %v, bound %d", c.Radius, c.Bound)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, s := range []string{
		"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997",
		"WHATSAT kiwi.cs.ucla.edu 10.5 5",
		"nonsense",
	} {
		b := []byte(s)
		if n := testing.AllocsPerRun(100, func() { Parse(b) }); n != 0 {
			t.Errorf("Parse(%q): %v allocations", s, n)
		}
	}
}

// The grammar a second time, as regular expressions and big numbers.
var (
	grammar = regexp.MustCompile(`^[ \t\n\v\f\r]*(?:IAMAT[ \t\n\v\f\r]+([^ \t\n\v\f\r]{1,1000}[^ \t\n\v\f\r]{0,24})[ \t\n\v\f\r]+` +
		`([+-][0-9]+(?:\.[0-9]+)?)([+-][0-9]+(?:\.[0-9]+)?)[ \t\n\v\f\r]+([0-9]+(?:\.[0-9]+)?)` +
		`|WHATSAT[ \t\n\v\f\r]+([^ \t\n\v\f\r]{1,1000}[^ \t\n\v\f\r]{0,24})[ \t\n\v\f\r]+([0-9]+(?:\.[0-9]+)?)[ \t\n\v\f\r]+([0-9]+))[ \t\n\v\f\r]*$`)
	maxNanos = big.NewRat(1<<63-1, 1)
)

func within(s string, limit int64) bool {
	n, ok := new(big.Rat).SetString(strings.TrimPrefix(s, "+"))
	return ok && n.Abs(n).Cmp(big.NewRat(limit, 1)) <= 0
}

func reference(s string) Verb {
	// Regular expressions read runes: give every byte that is not ASCII one of its own.
	m := grammar.FindStringSubmatch(latin1(s))
	switch {
	case m == nil:
		return Invalid
	case m[1] != "":
		at, _ := new(big.Rat).SetString(m[4])
		at.Mul(at, big.NewRat(nano, 1))
		whole := new(big.Int).Quo(at.Num(), at.Denom())
		if within(m[2], 90) && within(m[3], 180) && new(big.Rat).SetInt(whole).Cmp(maxNanos) <= 0 {
			return IAmAt
		}
	case within(m[6], MaxRadius) && within(m[7], MaxBound):
		return WhatsAt
	}
	return Invalid
}

func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997")
	f.Add("\tIAMAT \xff -90.0+180.00 9223372036.8547758070 \r")
	f.Add("IAMAT a +89.9-0180 9223372036.854775808")
	f.Add("WHATSAT kiwi.cs.ucla.edu 49.99 020")
	f.Add("WHATSAT \x85 50.0 20")
	f.Fuzz(func(t *testing.T, s string) {
		c := Parse([]byte(s))
		if want := reference(s); c.Verb != want {
			t.Fatalf("Parse(%q) is of verb %d, the reference says %d", s, c.Verb, want)
		}
		if c.Verb != IAmAt {
			return
		}
		r := NewReport("Goloman", 1, &c)
		again, err := ParseReport(r.String())
		if err != nil || again != r {
			t.Fatalf("report %q of %q comes back as %q, %v", r, s, again, err)
		}
		if string(r.Client()) != string(c.Client) || r.Position() != string(c.Position) || r.Time() != string(c.Time) {
			t.Fatalf("report %q changed the client's bytes %q", r, s)
		}
	})
}

func BenchmarkParseIAmAt(b *testing.B) {
	s := []byte("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997")
	b.ReportAllocs()
	for b.Loop() {
		if Parse(s).Verb != IAmAt {
			b.Fatal("invalid")
		}
	}
}

package gazetteer

import (
	"math"
	"strings"
	"testing"

	"herd/places/index"
)

const goodRow = "g5368361\tLos Angeles\t34.05223\t-118.24368\tlocality\tUS\t3820914\tgeonames\tCA"

func TestParseRecord(t *testing.T) {
	got, err := parseRecord([len(columns)]string(strings.Split(goodRow, "\t")))
	if err != nil {
		t.Fatal(err)
	}
	want := record{
		id: "g5368361", name: "Los Angeles", at: index.Point{Lat: 340522300, Lng: -1182436800}, kind: 10,
		country: "US", rank: 3820914, source: "geonames", admin1: "CA",
	}
	if got != want || kinds[got.kind] != "locality" {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestParseRecordFaults(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for _, c := range []struct {
		column int
		value  string
		want   string
	}{
		{0, "", `column #id: "": want "g" and the id within the source`},
		{0, "g", `column #id: "g": want "g" and the id within the source`},
		{0, "o123", `column #id: "o123": want "g" and the id within the source`},
		{0, "g 1", `column #id: "g 1": want "g" and the id within the source`},
		{0, "g" + long, `column #id: "g` + long + `": want "g" and the id within the source`},
		{1, "", `column name: "": want 1 to 255 bytes`},
		{1, long, `column name: "` + long + `": want 1 to 255 bytes`},
		{1, "\xff", `column name: "\xff": want printable UTF-8`},
		{1, "a\rb", `column name: "a\rb": want printable UTF-8`},
		{1, " a", `column name: " a": want no blanks around it`},
		{2, "north", `column lat: "north": want decimal degrees`},
		{2, "90.0000001", `column lat: "90.0000001": want at most 90 degrees`},
		{3, "-180.5", `column lon: "-180.5": want at most 180 degrees`},
		{3, "", `column lon: "": want decimal degrees`},
		{4, "muesum", `column kind: "muesum": unknown`},
		{5, "usa", `column country: "usa": want two capital letters`},
		{5, "U", `column country: "U": want two capital letters`},
		{6, "-1", `column rank: "-1": want a whole number from 0 to 4294967295`},
		{6, "01", `column rank: "01": want a whole number from 0 to 4294967295`},
		{6, "", `column rank: "": want a whole number from 0 to 4294967295`},
		{7, "hearsay", `column source: "hearsay": no attribution known for it`},
		{7, "", `column source: "": no attribution known for it`},
		{8, "c.a", `column admin1: "c.a": want capital letters and digits`},
	} {
		f := [len(columns)]string(strings.Split(goodRow, "\t"))
		f[c.column] = c.value
		if r, err := parseRecord(f); err == nil || err.Error() != c.want {
			t.Errorf("%q: %+v, %v, want %s", f, r, err, c.want)
		}
	}
}

func TestDegrees(t *testing.T) {
	for s, want := range map[string]int32{
		"0": 0, "-0.0000001": -1, "0.5": 5_000_000, "90": 900_000_000, "-90": -900_000_000,
		"180": 1_800_000_000, "-179.9999999": -1_799_999_999, "34.05223": 340_522_300,
	} {
		if got, err := parseDegrees(s, 180); got != want || err != nil {
			t.Errorf("parseDegrees(%q) = %d, %v, want %d", s, got, err, want)
		}
		if got := index.FormatDegrees(want); got != s {
			t.Errorf("index.FormatDegrees(%d) = %q, want %q", want, got, s)
		}
	}
	for _, s := range []string{
		"", "-", "+1", "--1", ".5", "1.", "-0", "-0.0", "00", "01", "1.0", "1.50", "1.12345678", "1e1", "0x1", "1_0", "1.2.3", "1.-2",
		"180.0000001", "-181", "999", "1000", "99999999999999999999", "NaN", "Inf", " 1", "1 ", "١",
	} {
		if got, err := parseDegrees(s, 180); err == nil {
			t.Errorf("parseDegrees(%q) = %d, want an error", s, got)
		}
	}
}

// Whatever is parsed is formatted to the same bytes.
func FuzzParseRecord(f *testing.F) {
	f.Add(goodRow)
	f.Add("c382\tAmundsen–Scott South Pole Station\t-90\t0\tpoint_of_interest\tAQ\t1000000\tcurated\t")
	f.Add("o1\tA\t-0.5\t180\tairport\tXX\t0\tourairports\t01")
	f.Add("g1\t\xff\t1e1\t+0\tx\tUS\t-0\tgeonames\tca")
	f.Fuzz(func(t *testing.T, line string) {
		fields := strings.Split(line, "\t")
		if len(fields) != len(columns) {
			return
		}
		r, err := parseRecord([len(columns)]string(fields))
		if err != nil {
			return
		}
		back := r.fields()
		if got := strings.Join(back[:], "\t"); got != line {
			t.Errorf("%q was formatted as %q", line, got)
		}
		if p := r.at.Degrees(); math.Abs(p.Lat) > 90 || math.Abs(p.Lng) > 180 {
			t.Errorf("%q lies at %v", line, p)
		}
	})
}

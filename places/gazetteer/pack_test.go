package gazetteer

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

const (
	header      = "#id\tname\tlat\tlon\tkind\tcountry\trank\tsource\tadmin1\n"
	smallPlaces = header +
		"g3\tNorth\t80.5\t-180\tlocality\tRU\t10\tgeonames\t99\n" +
		"g2\tEast\t10\t20.1\tmuseum\tAA\t0\tgeonames\t01\n" +
		"o1\tWest\t10.1\t19.9\tairport\tAA\t50000\tourairports\t\n"
	smallSorted = header +
		"o1\tWest\t10.1\t19.9\tairport\tAA\t50000\tourairports\t\n" +
		"g2\tEast\t10\t20.1\tmuseum\tAA\t0\tgeonames\t01\n" +
		"g3\tNorth\t80.5\t-180\tlocality\tRU\t10\tgeonames\t99\n"
	smallRegions = "#code\tname\nBB.02\tBé\nAA.01\tCentre\n"
)

var packedOnce = sync.OnceValues(func() (Packed, error) {
	return Pack(strings.NewReader(smallPlaces), smallRegions)
})

// packSmall returns smallPlaces packed. The compressor takes a while to start.
func packSmall(t *testing.T) Packed {
	t.Helper()
	p, err := packedOnce()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPackRoundTrip(t *testing.T) {
	p := packSmall(t)
	if want := "#code\tname\nAA.01\tCentre\nBB.02\tBé\n"; string(p.Regions) != want {
		t.Errorf("regions %q, want %q", p.Regions, want)
	}
	if p.Named != 2 || len(p.Rows) != 2 || p.Rows["geonames"] != 2 || p.Rows["ourairports"] != 1 {
		t.Errorf("%d regions, rows %v", p.Named, p.Rows)
	}
	var text bytes.Buffer
	if err := Unpack(p.Places, &text); err != nil {
		t.Fatal(err)
	}
	if text.String() != smallSorted {
		t.Errorf("unpacked\n%s\nwant\n%s", &text, smallSorted)
	}
	again, err := Pack(&text, string(p.Regions))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Places, p.Places) || !bytes.Equal(again.Regions, p.Regions) {
		t.Error("rows in another order were packed to other bytes")
	}
	tab, err := load(fstest.MapFS{placesFile: {Data: p.Places}, regionsFile: {Data: p.Regions}})
	if err != nil {
		t.Fatal(err)
	}
	if len(tab.rows) != 3 || tab.name(0) != "West" || tab.id(1) != "g2" || tab.region(1) != (region{"AA", "01", "Centre"}) || tab.region(2).name != "" {
		t.Errorf("%+v", tab)
	}
}

func TestPackFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		places  io.Reader
		regions string
		want    string
	}{
		{"no header", strings.NewReader("g1\tA\n"), "", `places: line 1: want the header "` + `#id\tname\tlat\tlon\tkind\tcountry\trank\tsource\tadmin1"`},
		{"no rows", strings.NewReader(header), "", "places: no rows"},
		{"empty", strings.NewReader(""), "", "places: no rows"},
		{"columns", strings.NewReader(smallPlaces + "g9\tA\t1\n"), "", "places: line 5: 3 columns, want 9"},
		{"fault", strings.NewReader(strings.Replace(smallPlaces, "20.1", "20.10", 1)), "", `places: line 3: column lon: "20.10": want decimal degrees in their shortest spelling`},
		{"id twice", strings.NewReader(strings.Replace(smallPlaces, "g2", "g3", 1)), "", `places: line 3: column #id: "g3": line 2 has it already`},
		{"long line", strings.NewReader(header + strings.Repeat("x", 1<<17)), "", "places: line 2: bufio.Scanner: token too long"},
		{"unreadable", iotest.ErrReader(errors.New("disk gone")), "", "places: line 1: disk gone"},
		{"regions empty", nil, "\n", `regions: line 1: want the header "#code\tname"`},
		{"regions header", nil, "AA.01\tA\n", `regions: line 1: want the header "#code\tname"`},
		{"region code", nil, smallRegions + "CC\tC\n", `regions: line 4: code "CC": want COUNTRY.REGION`},
		{"region name", nil, smallRegions + "CC.1\n", `regions: line 4: name "": want 1 to 255 bytes`},
		{"region twice", nil, smallRegions + "AA.01\tOther\n", `regions: line 4: code "AA.01": there already`},
	} {
		if c.places == nil {
			c.places = strings.NewReader(smallPlaces)
		}
		if c.regions == "" {
			c.regions = smallRegions
		}
		if p, err := Pack(c.places, c.regions); err == nil || err.Error() != c.want {
			t.Errorf("%s: %+v, %v, want %s", c.name, p, err, c.want)
		}
	}
}

// zst compresses a transposed table, valid or not.
func zst(t *testing.T, text string) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	return enc.EncodeAll([]byte(text), nil)
}

func TestUnpackFaults(t *testing.T) {
	const good = "#id\tg1\tg2\nname\tA\tB\nlat\t1\t1\nlon\t1\t2\nkind\tzoo\tzoo\ncountry\tAA\tAA\nrank\t0\t0\nsource\tgeonames\tgeonames\nadmin1\t\t\n"
	for _, c := range []struct {
		name, text, want string
	}{
		{"sound", good, ""},
		{"column missing", strings.Replace(good, "rank\t0\t0\n", "", 1), "line 7: want the column rank"},
		{"column too many", good + "more\t1\t2\n", "more than 9 columns"},
		{"cut off", strings.TrimSuffix(good, "\n"), "line 9: want the column admin1"},
		{"value missing", strings.Replace(good, "zoo\tzoo", "zoo", 1), "column kind: 1 values, but 2 of column #id"},
		{"value too many", strings.Replace(good, "A\tB", "A\tB\tC", 1), "column name: 3 values, but 2 of column #id"},
		{"fault", strings.Replace(good, "A\tB", "A\t", 1), `row 2: column name: "": want 1 to 255 bytes`},
		{"order", strings.Replace(good, "lon\t1\t2", "lon\t2\t1", 1), "row 2: g2 may not follow g1 in the order of a table"},
		{"the same row again", strings.NewReplacer("g2", "g1", "lon\t1\t2", "lon\t1\t1").Replace(good), "row 2: g1 may not follow g1 in the order of a table"},
		{"too large", strings.Repeat("x", maxUnpacked+1), "decompress: decompressed size exceeds configured limit"},
	} {
		data := fstest.MapFS{placesFile: {Data: zst(t, c.text)}, regionsFile: {Data: []byte(smallRegions)}}
		want := "read data/places.zst: " + c.want
		if _, err := load(data); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v, want %s", c.name, err, want)
		}
	}
	if err := Unpack([]byte("no zstd"), io.Discard); err == nil {
		t.Error("no error for bytes that are no zstd")
	}
	if err := Unpack(packSmall(t).Places, failingWriter{}); err == nil || err.Error() != "disk full" {
		t.Errorf("error %v of a writer that fails", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

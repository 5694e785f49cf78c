package file

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"herd/places"
)

const header = "id\tname\tlat\tlon\ttypes\tvicinity\n"

// scripts are names in many scripts, which have to be kept byte for byte.
var scripts = []string{
	"Café", "Cafe\u0301", "Пушкинъ", "東京タワー", "مسجد الحرام", "בית הכנסת", "ร้านอาหาร", "🏔️👩‍👩‍👧", "हिन्दी", "한글", "ტაძარი", "A\u202eB", "\"quoted\", 'too'", "a, b; c", "\\t", "#1 Bar",
}

func place(id, name string, lat, lng float64, vicinity string, types ...string) places.Place {
	return places.Place{PlaceID: id, Name: name, Geometry: places.Geometry{Location: places.Point{Lat: lat, Lng: lng}}, Types: types, Vicinity: vicinity}
}

// sample returns places at the limits of a file.
func sample() []places.Place {
	all := []places.Place{
		place("a", "A", 90, 180, "", "a"),
		place("b", "B", -90, -180, "V", "b", "c_1"),
		place("node/1", "C", 0, 0, strings.Repeat("v", MaxText), strings.Repeat("t", maxType)),
		place(strings.Repeat("i", MaxID), strings.Repeat("ä", MaxText/2), -0.0000001, 42.5080426, "", "x"),
	}
	for _, name := range scripts {
		all = append(all, place("id "+name, name, 1.5, -2.25, name+", "+name, "cafe", "food"))
	}
	return all
}

func written(t testing.TB, o Origin, all []places.Place) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func readAll(r io.Reader) (o Origin, all []places.Place, err error) {
	in, err := NewReader(r)
	if err != nil {
		return Origin{}, nil, err
	}
	defer in.Close()
	for {
		p, err := in.Read()
		if errors.Is(err, io.EOF) {
			return in.Origin, all, nil
		}
		if err != nil {
			return in.Origin, all, err
		}
		all = append(all, p)
	}
}

// What is written is read back unchanged, and the format is that of the package comment.
func TestRoundTrip(t *testing.T) {
	o := Origin{Attribution: `<a href="https://example.org">© Ünser & Co</a>`, Licence: "CC BY 4.0: see", Source: "my # file.csv"}
	data := written(t, o, sample())
	origin, got, err := readAll(bytes.NewReader(data))
	if err != nil || origin != o || !reflect.DeepEqual(got, sample()) {
		t.Errorf("%+v %+v %v, want %+v %+v", origin, got, err, o, sample())
	}
	unpacked := unpack(t, data)
	const head = "# attribution: <a href=\"https://example.org\">© Ünser & Co</a>\n# licence: CC BY 4.0: see\n# source: my # file.csv\n" + header + "a\tA\t90\t180\ta\t\nb\tB\t-90\t-180\tb,c_1\tV\n"
	if !strings.HasPrefix(unpacked, head) {
		t.Errorf("%.300q, want %q", unpacked, head)
	}
	if _, plain, err := readAll(strings.NewReader(unpacked)); err != nil || !reflect.DeepEqual(plain, sample()) {
		t.Errorf("%+v, %v", plain, err)
	}
	if again := written(t, o, sample()); !bytes.Equal(again, data) {
		t.Error("the same places make other bytes")
	}
}

func unpack(t testing.TB, data []byte) string {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := d.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A file written by hand: other remarks, CRLF, more digits than are kept.
func TestByHand(t *testing.T) {
	text := "# my places\r\n#attribution:  Me \r\n# licence:\n" + strings.TrimSuffix(header, "\n") + "\r\n1\tÅ\t1.00000004\t-000.50\tbar\t\r\n2\tB\t1.00000006\t.5\tbar\tX"
	o, got, err := readAll(strings.NewReader(text))
	want := []places.Place{place("1", "Å", 1, -0.5, "", "bar"), place("2", "B", 1.0000001, 0.5, "X", "bar")}
	if err != nil || o != (Origin{Attribution: "Me"}) || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %+v %v, want %+v", o, got, err, want)
	}
}

// Errors name the place of the fault.
func TestFaults(t *testing.T) {
	good := "1\tA\t1\t2\tbar\t\n"
	whole := written(t, Origin{}, sample())
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 0x55
	for _, c := range []struct{ text, want string }{
		{"", `line 1: no header: want "id\tname\tlat\tlon\ttypes\tvicinity"`},
		{"# only a remark\n", `line 2: no header: want "id\tname\tlat\tlon\ttypes\tvicinity"`},
		{"id,name,lat,lon\n", `line 1: want the header "id\tname\tlat\tlon\ttypes\tvicinity"; is this a file of 'herd places import'?`},
		{"# attribution: A\n# attribution: B\n" + header, "line 2: a second attribution"},
		{"# attribution: " + strings.Repeat("x", MaxText+1) + "\n" + header, "line 1: attribution: want 0 to 1023 bytes"},
		{"# licence: \xff\n" + header, "line 1: licence: want printable UTF-8"},
		{header + good + "1\tA\t1\t2\tbar\n", "line 3: 5 columns, want 6"},
		{header + "\n", "line 2: 1 columns, want 6"},
		{header + "\tA\t1\t2\tbar\t\n", `line 2: column id: "": want 1 to 255 bytes`},
		{header + strings.Repeat("x", MaxID+1) + "\tA\t1\t2\tbar\t\n", `line 2: column id: "` + strings.Repeat("x", 100) + `": want 1 to 255 bytes`},
		{header + "1\t\t1\t2\tbar\t\n", `line 2: column name: "": want 1 to 1023 bytes`},
		{header + "1\t A\t1\t2\tbar\t\n", `line 2: column name: " A": want no blanks around it`},
		{header + "1\tA\x1b[31m\t1\t2\tbar\t\n", `line 2: column name: "A\x1b[31m": want printable UTF-8`},
		{header + "1\t\xff\t1\t2\tbar\t\n", `line 2: column name: "\xff": want printable UTF-8`},
		{header + "1\tA\t90.0000001\t2\tbar\t\n", `line 2: column lat: "90.0000001": want at most 90 degrees`},
		{header + "1\tA\tNaN\t2\tbar\t\n", `line 2: column lat: "NaN": want decimal degrees`},
		{header + "1\tA\t1e1\t2\tbar\t\n", `line 2: column lat: "1e1": want decimal degrees`},
		{header + "1\tA\t1\t\tbar\t\n", `line 2: column lon: "": want decimal degrees`},
		{header + "1\tA\t1\t-180.1\tbar\t\n", `line 2: column lon: "-180.1": want at most 180 degrees`},
		{header + "1\tA\t1\t1.2.3\tbar\t\n", `line 2: column lon: "1.2.3": want decimal degrees`},
		{header + "1\tA\t1\t2\t\t\n", `line 2: column types: "": want types of small letters, digits and _, with commas between, as in cafe,food`},
		{header + "1\tA\t1\t2\tbar,Café\t\n", `line 2: column types: "bar,Café": want types of small letters, digits and _, with commas between, as in cafe,food`},
		{header + "1\tA\t1\t2\t" + strings.Repeat("x,", MaxTypes) + "x\t\n", `line 2: column types: "` + strings.Repeat("x,", MaxTypes) + `x": want at most 32 types`},
		{header + "1\tA\t1\t2\tbar\t" + strings.Repeat("v", MaxText+1) + "\n", `line 2: column vicinity: "` + strings.Repeat("v", 100) + `": want 0 to 1023 bytes`},
		{header + good + strings.Repeat("x", maxLine), "line 3: longer than 65536 bytes"},
		{string(whole[:len(whole)-5]), "after line "},
		{string(damaged), ""},
		{string(magic), "after line 0: unexpected EOF"},
	} {
		if _, _, err := readAll(strings.NewReader(c.text)); err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.HasPrefix(c.want, "line") && err.Error() != c.want {
			t.Errorf("%.80q: %v, want %s", c.text, err, c.want)
		}
	}
}

// A Writer refuses what a Reader refuses.
func TestWriterFaults(t *testing.T) {
	w, err := NewWriter(io.Discard, Origin{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, p := range []places.Place{
		place("", "A", 0, 0, "", "bar"), place("1", "", 0, 0, "", "bar"), place("1", "A\tB", 0, 0, "", "bar"), place("1", "A", 90.1, 0, "", "bar"),
		place("1", "A", 0, -181, "", "bar"), place("1", "A", 0, 0, "a\nb", "bar"), place("1", "A", 0, 0, ""), place("1", "A", 0, 0, "", "a,b\t"),
		place("1\n", "A", 0, 0, "", "bar"),
	} {
		if err := w.Write(p); err == nil {
			t.Errorf("wrote %+v", p)
		}
	}
	if w.rows != 0 {
		t.Errorf("%d rows written", w.rows)
	}
	for _, o := range []Origin{{Attribution: "a\nb"}, {Licence: " "}, {Source: "\xff"}} {
		if _, err := NewWriter(io.Discard, o); err == nil {
			t.Errorf("a file that comes from %+v", o)
		}
	}
}

// Whatever is read can be written and read back unchanged, and is found at its position.
func FuzzReader(f *testing.F) {
	f.Add([]byte("# attribution: Ä\n" + header + "1\tÅ\t1.5\t-000.50\tbar,cafe\t\r\n2\tB\t1.00000006\t.5\tbar\tX"))
	f.Add([]byte(header + "x\t\xff\t1e1\t+0\tB\t \n"))
	f.Add([]byte(header + "1\tA\t1\t2\tbar\t\n2\tB\t1\t2\tbar\tX\n"))
	f.Add(written(f, Origin{Attribution: "A", Licence: "L", Source: "S"}, sample()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		o, all, err := readAll(bytes.NewReader(data))
		if err != nil || len(all) > 1000 { // a few compressed bytes may become very many
			return
		}
		again, same, err := readAll(bytes.NewReader(written(t, o, all)))
		if err != nil || again != o || !reflect.DeepEqual(same, all) {
			t.Errorf("%+v %+v %v, want %+v %+v", again, same, err, o, all)
		}
		tab, err := load(bytes.NewReader(data))
		if err != nil {
			return // an id is not unique
		}
		for _, p := range all {
			p.PlusCode.GlobalCode = places.GlobalCode(p.Geometry.Location)
			found := false
			for _, h := range tab.index.Nearest(p.Geometry.Location, 0.001, len(all), nil) {
				found = found || reflect.DeepEqual(tab.Place(h.Row), p)
			}
			if !found {
				t.Errorf("%+v was not found", p)
			}
		}
	})
}

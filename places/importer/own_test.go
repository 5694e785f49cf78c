package importer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"herd/places"
	"herd/places/file"
)

// fromText imports a text in a file of that name.
func fromText(t testing.TB, name, text string) (Result, map[string]places.Place) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return imported(t, Config{Input: path, Attributed: true})
}

// failure returns the error of an import of a text, without the path.
func failure(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Import(t.Context(), Config{Input: path, Output: path + ".out", Attributed: true})
	if err == nil {
		return ""
	}
	if files, _ := filepath.Glob(path + ".out*"); files != nil {
		t.Errorf("left %v", files)
	}
	return strings.TrimPrefix(err.Error(), "read "+path+": ")
}

func own(id, name string, lat, lng float64, vicinity string, types ...string) places.Place {
	return places.Place{PlaceID: id, Name: name, Geometry: places.Geometry{Location: places.Point{Lat: lat, Lng: lng}}, Types: types, Vicinity: vicinity}
}

// generic are the types of a place whose type is unknown.
var generic = []string{"point_of_interest", "establishment"}

func check(t *testing.T, what string, got map[string]places.Place, want ...places.Place) {
	t.Helper()
	for _, w := range want {
		if g, ok := got[w.PlaceID]; !ok || !reflect.DeepEqual(g, w) {
			t.Errorf("%s: %+v, want %+v", what, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d places, want %d: %v", what, len(got), len(want), got)
	}
}

// The same table in all formats.
func TestTable(t *testing.T) {
	want := []places.Place{
		own("1", "Café \"Noir\", Ünter", 42.5, 1.5, "Main St", "cafe", "bar", "point_of_interest", "establishment"),
		own("2", "東京タワー", -90, 180, "", "locality", "political"),
		own("3", "مسجد", 0.1234568, -0.5, "", generic...),
	}
	for name, text := range map[string]string{
		"a.csv":   "id,name,lat,lon,types,vicinity\n1,\"Café \"\"Noir\"\", Ünter\",42.5,1.5,\"cafe, Bar\",Main St\n2,東京タワー,-90,180,locality,\n3,مسجد,0.12345678,-0.5,,\n",
		"b.csv":   "\ufeffNAME;ID;Latitude;LNG;Kind;Address;Other\r\n\"Café \"\"Noir\"\", Ünter\";1; 42.5 ;1.5;Cafe|bar;Main St;x\r\n\r\n東京タワー;2;-90.0;180;Locality;;\r\nمسجد;3;0.12345678;-.5;;;\r\n",
		"c.tsv":   "title\tplace_id\ty\tx\tcategory\taddress\nCafé \"Noir\", Ünter\t1\t42.5\t1.5\tcafe;bar\tMain St\n\n東京タワー\t2\t-90\t180\tlocality\t\nمسجد\t3\t0.12345678\t-0.5\t\t",
		"unnamed": "id\tname\tlat\tlon\ttypes\tvicinity\n1\tCafé \"Noir\", Ünter\t42.5\t1.5\tcafe,bar\tMain St\n2\t東京タワー\t-90\t180\tlocality\t\nمسجد\n3\tمسجد\t0.12345678\t-0.5\t\t\n",
	} {
		r, got := fromText(t, name, text)
		check(t, name, got, want...)
		if bad := r.Skipped[BadRow]; r.Format != CSV || name == "unnamed" != (bad == 1) || name != "unnamed" && len(r.Skipped) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestTableSkipped(t *testing.T) {
	r, got := fromText(t, "a.csv", `id,name,lat,lon,amenity,addr:city
1,A,1,2,,
1,B,1,2,,
2,,1,2,,
3,C,91,2,,
4,D,"1,5",2,,
5,E,,,,
6,F,1,2
,G,1,2,pharmacy,Encamp
,G,1,2,,
,G,1,2.5,,
`+strings.Repeat("x", 300)+`,H,1,2,,
7,`+strings.Repeat("n", 1100)+`,1,2,,
8,`+"\xff"+`,1,2,,
9,"two
lines",1,2,,
`)
	ids := []string{noID("G", places.Point{Lat: 1, Lng: 2}), noID("G", places.Point{Lat: 1, Lng: 2.5})}
	check(
		t, "table", got, own("1", "A", 1, 2, "", generic...), own("9", "two lines", 1, 2, "", generic...), own(ids[1], "G", 1, 2.5, "", generic...),
		own(ids[0], "G", 1, 2, "Encamp", "pharmacy", "store", "health", "point_of_interest", "establishment"),
	)
	if want := (map[Reason]int{Twice: 2, NoName: 1, BadPosition: 3, BadRow: 1, BadID: 1, BadName: 2}); !reflect.DeepEqual(r.Skipped, want) {
		t.Errorf("skipped %v, want %v", r.Skipped, want)
	}
	if ids[0] != "h36htym5rspza7" {
		t.Errorf("the id of what has none is %s: it may never change", ids[0])
	}
	if reasons := r.Reasons(); !slices.Equal(reasons, []Reason{BadPosition, BadName, Twice, BadID, BadRow, NoName}) {
		t.Errorf("reasons %q", reasons)
	}
}

func TestTableFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the table is empty"},
		{"\n\n", "the table is empty"},
		{"a,b\n1,2\n", `line 1: no column for the name (name, title), the latitude (lat, latitude, y), the longitude (lon, lng, long, longitude, x); the header has ["a" "b"]`},
		{"name,lat\n", `line 1: no column for the longitude (lon, lng, long, longitude, x); the header has ["name" "lat"]`},
		{"name,lat,lon\nA,1,2\n\"B,1,2\n", `parse error on line 3, column 8: extraneous or missing " in quoted-field`},
		{"name,lat,lon\nA,1,2\nB\"C,1,2\n", `parse error on line 3, column 2: bare " in non-quoted-field`},
		{"name,lat,lon\n", "no places in it"},
		{"name,lat,lon\nA,1,2,3\n", "no places in it; skipped: 1 with more or fewer columns than the header"},
		{"name,lat,lon\n\"" + strings.Repeat("x\n", maxObject), "after line 1: a feature or a row has more than 16 MiB"},
		{"name\tlat\tlon\nA\t1\t2\n" + strings.Repeat("x", 2*maxObject), "after line 3: a feature or a row has more than 16 MiB"},
	} {
		if got := failure(t, "a.csv", c.text); got != c.want {
			t.Errorf("%.40q: %s, want %s", c.text, got, c.want)
		}
	}
}

const collection = `{"type":"FeatureCollection","name":"x","crs":{"a":[1,{"b":null}]},"features":[
{"type":"Feature","id":"p","properties":{"name":"Point","type":"Coffee Shop","address":"Main St"},"geometry":{"type":"Point","coordinates":[1.5,42.5,900]}},
{"type":"Feature","id":7,"properties":{"Name":"東京 \u00e9\ud83c\udfd4","n":1,"o":{},"l":[],"b":true},"geometry":{"type":"LineString","coordinates":[[0,0],[2,1]]}},
{"type":"Feature","properties":{"@id":"way/5","name":"Park","leisure":"park","type":"multipolygon","addr:street":"S"},"geometry":{"type":"Polygon","coordinates":[[[0,0],[4,0],[4,2],[0,2],[0,0]],[[1,1],[2,1],[1,1]]]}},
{"type":"Feature","properties":{"name":"No id","natural":"peak"},"geometry":{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[-1e1,-1.0E0]},{"type":"MultiPoint","coordinates":[[10,3],[0,0]]}]}}
],"bbox":[0,0,1,1]}`

func TestGeoJSON(t *testing.T) {
	want := []places.Place{
		own("p", "Point", 42.5, 1.5, "Main St", "coffee_shop", "point_of_interest", "establishment"),
		own("7", "東京 é🏔", 0.5, 1, "", generic...),
		own("way/5", "Park", 1, 2, "S", "park", "point_of_interest", "establishment"),
		own(noID("No id", places.Point{Lat: 1}), "No id", 1, 0, "", "natural_feature", "establishment"),
	}
	features := strings.Split(strings.SplitN(strings.SplitN(collection, "[\n", 2)[1], "\n]", 2)[0], ",\n")
	if len(features) != 4 {
		t.Fatalf("%d features", len(features))
	}
	for name, text := range map[string]string{
		"a.geojson":    collection,
		"b.geojsonl":   strings.Join(features, "\n"),
		"c.geojsonseq": "\x1e" + strings.Join(features, "\n\x1e") + "\n",
		"d.json":       `{"features":[` + strings.Join(features[:2], ",") + `],"type":"FeatureCollection"}` + features[2] + `{"type":"FeatureCollection","features":[]}` + features[3],
		"unnamed":      "\n" + collection,
	} {
		r, got := fromText(t, name, text)
		check(t, name, got, want...)
		if r.Format != GeoJSON || len(r.Skipped) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestGeoJSONSkipped(t *testing.T) {
	feature := func(properties, geometry string) string {
		return `{"type":"Feature","properties":` + properties + `,"geometry":` + geometry + `}`
	}
	const point = `{"type":"Point","coordinates":[1,2]}`
	r, got := fromText(t, "a.geojson", `{"features":[`+strings.Join([]string{
		feature(`{"name":"A"}`, point),
		feature(`{"name":"A"}`, point),
		feature(`{"name":null}`, point),
		feature(`null`, point),
		feature(`{"name":"B"}`, `null`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":[]}`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":null}`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":[1]}`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":["1","2"]}`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":[1e999,2]}`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":[2,91]}`),
		feature(`{"name":"B"}`, `{"type":"Point","coordinates":[600000,5700000]}`),
		feature(`{"name":"B"}`, `5`),
		feature(`[]`, point),
		`{"type":"Point","coordinates":[1,2]}`, `null`, `"x"`, `[1]`,
	}, ",")+`]}`)
	check(t, "features", got, own(noID("A", places.Point{Lat: 2, Lng: 1}), "A", 2, 1, "", generic...))
	if want := (map[Reason]int{Twice: 1, NoName: 2, BadPosition: 8, NoFeature: 6}); !reflect.DeepEqual(r.Skipped, want) {
		t.Errorf("skipped %v, want %v", r.Skipped, want)
	}
}

// The limit of 16 MiB holds for a feature or a row, not for all of them together.
func TestLargerThanAnObject(t *testing.T) {
	padding := strings.Repeat("x", 1<<20)
	features, rows := new(strings.Builder), new(strings.Builder)
	features.WriteString(`{"features":[`)
	rows.WriteString("name,lat,lon,more\n")
	const n = maxObject>>20 + 2
	for i := range n {
		fmt.Fprintf(features, `{"type":"Feature","properties":{"name":"%d","more":"%s"},"geometry":{"type":"Point","coordinates":[%d,2]}},`, i, padding, i)
		fmt.Fprintf(rows, "%d,2,%d,%s\n", i, i, padding)
	}
	for name, text := range map[string]string{"a.geojson": strings.TrimSuffix(features.String(), ",") + "]}", "a.csv": rows.String()} {
		if r, _ := fromText(t, name, text); r.Places != n {
			t.Errorf("%s: %d places, want %d", name, r.Places, n)
		}
	}
}

func TestGeoJSONFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "no places in it"},
		{"[]", "at byte 1: not GeoJSON: want an object"},
		{`{"type":"Topology","objects":{}}`, `at byte 32: not GeoJSON: an object of type "Topology" is neither a FeatureCollection nor a Feature`},
		{`{"features":5}`, "at byte 13: not GeoJSON: features is no list"},
		{`{"features":[{"type":"Feature"`, "at byte 13: unexpected EOF"},
		{`{"features":[`, "at byte 13: unexpected EOF"},
		{`{"features":[x]}`, "at byte 13: invalid character 'x' looking for beginning of value"},
		{`{"a":` + strings.Repeat("[", maxDepth+1), "at byte 1006: more than 1000 lists and objects in each other"},
		{`{"features":[{"a":"` + strings.Repeat("x", 2*maxObject), "at byte 13: a feature or a row has more than 16 MiB"},
	} {
		if got := failure(t, "a.geojson", c.text); got != c.want {
			t.Errorf("%.40q: %s, want %s", c.text, got, c.want)
		}
	}
}

// An attribution is known or required.
func TestAttribution(t *testing.T) {
	dir := t.TempDir()
	table := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(table, []byte("name,lat,lon\nA,1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Input: table}, table + ` needs an attribution: who has to be named with these places? Say so, or "" if nobody`},
		{Config{Input: andorra, Origin: file.Origin{Licence: "mine"}}, andorra + " comes from OpenStreetMap, whose attribution and licence are known; do not give others"},
	} {
		c.config.Output = out
		if _, err := Import(t.Context(), c.config); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	r, _ := imported(t, Config{Input: table, Origin: file.Origin{Attribution: "© Me", Licence: "CC0"}})
	if want := (file.Origin{Attribution: "© Me", Licence: "CC0", Source: "a.csv"}); r.Origin != want {
		t.Errorf("%+v, want %+v", r.Origin, want)
	}
	r, _ = imported(t, Config{Input: "standard input", Stdin: strings.NewReader("name,lat,lon\nA,1,2\n"), Attributed: true})
	if r.Origin != (file.Origin{}) || r.Format != CSV {
		t.Errorf("%+v", r)
	}
}

func TestDetect(t *testing.T) {
	pbf, err := os.ReadFile(andorra)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, head string
		want       Format
	}{
		{"A.OSM.PBF", "", OSM},
		{"a.GeoJSON", "id,name", GeoJSON},
		{"a.csv", "{", CSV},
		{"a", string(pbf[:headSize]), OSM},
		{"a", " \n\x1e{", GeoJSON},
		{"a", "\ufeff{", GeoJSON},
		{"a.txt", "name\tlat", CSV},
		{"a", "name\nlat,lon", ""},
		{"a", "PK\x00,", ""},
		{"a", "", ""},
	} {
		if got := detect(c.name, []byte(c.head)); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.name, c.head, got, c.want)
		}
	}
}

func TestOwnTypes(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         generic,
		"Coffee Shop; Bar":         {"coffee_shop", "bar", "point_of_interest", "establishment"},
		"café|!|":                  generic,
		"point_of_interest,museum": {"point_of_interest", "museum", "establishment"},
		"neighborhood":             {"neighborhood", "political"},
		"natural-feature":          {"natural_feature", "establishment"},
		"country,political":        {"country", "political"},
		strings.Repeat("x,", 100):  {"x", "point_of_interest", "establishment"},
	} {
		if got := ownTypes(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint("t", i))
	}
	if got := ownTypes(strings.Join(many, ",")); len(got) != file.MaxTypes {
		t.Errorf("%d types, want %d", len(got), file.MaxTypes)
	}
}

// nowhere returns a writer whose output is discarded. A process has only one, because starting the compressor is slow.
var nowhere = sync.OnceValue(func() *file.Writer {
	w, err := file.NewWriter(io.Discard, file.Origin{})
	if err != nil {
		panic(err) // does not happen
	}
	return w
})

// fuzzText imports a text; what is written must be valid.
func fuzzText(t *testing.T, format Format, data []byte) {
	if len(data) > 16<<10 {
		return
	}
	in, err := open(t.Context(), Config{Format: format, Stdin: bytes.NewReader(data)})
	if err != nil {
		t.Fatal(err)
	}
	s := newSink(nowhere(), in, Config{})
	if format == GeoJSON {
		err = readGeoJSON(in.text, s)
	} else {
		err = readTable(in.text, s)
	}
	if err != nil && strings.Contains(err.Error(), "place ") {
		t.Errorf("took what cannot be written: %v", err)
	}
}

func FuzzGeoJSON(f *testing.F) {
	f.Add([]byte(collection))
	f.Add([]byte("\x1e{\"type\":\"Feature\",\"properties\":{\"name\":\"A\\u0000\\ud800\"},\"geometry\":{\"coordinates\":[[-1e1,2],[3]]}}"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzText(t, GeoJSON, data) })
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("id,name,lat,lon,types,vicinity,amenity\n1,\"A \"\"B\"\"\",42.5,1.5,\"cafe, Bar\",Main St,pub\n"))
	f.Add([]byte("\ufeffName;Latitude;LNG\r\nA;1;2\r\n"))
	f.Add([]byte("name\ty\tx\n\"A\t-90.0\t.5\n"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzText(t, CSV, data) })
}

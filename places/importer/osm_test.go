package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"herd/places"
	"herd/places/file"
	"herd/places/importer/pbf"
	"herd/places/importer/pbf/pbftest"
	"herd/places/placestest"
)

const andorra = "testdata/andorra-poi.osm.pbf"

// imported runs an import and returns the places of its output, by id.
func imported(t testing.TB, c Config) (Result, map[string]places.Place) {
	t.Helper()
	if c.Output == "" {
		c.Output = filepath.Join(t.TempDir(), "places.tsv.zst")
	}
	r, err := Import(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := file.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	all := make(map[string]places.Place)
	for {
		p, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[p.PlaceID]; twice {
			t.Errorf("%s is in the file twice", p.PlaceID)
		}
		all[p.PlaceID] = p
	}
	if len(all) != r.Places {
		t.Errorf("%d places in the file, but %d taken", len(all), r.Places)
	}
	if info, err := f.Stat(); err != nil || info.Size() != r.Bytes || info.Mode().Perm() != 0o644 {
		t.Errorf("a file of %d bytes, mode %v; want %d bytes and one that others can read", info.Size(), info.Mode(), r.Bytes)
	}
	return r, all
}

// The counts are those of another reader of extracts: 1126 objects have a name, 609 have a key of a place but no name.
func TestAndorra(t *testing.T) {
	r, _ := imported(t, Config{Input: andorra})
	want := Result{
		Format: OSM, Places: 1100, Skipped: map[Reason]int{NoName: 609, NotPlace: 26}, Passes: 3, Bytes: r.Bytes,
		Origin: file.Origin{Attribution: "© OpenStreetMap contributors", Licence: "ODbL 1.0, https://www.openstreetmap.org/copyright", Source: "andorra-poi.osm.pbf"},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, want %+v", r, want)
	}
}

// element is an object in an answer of Overpass.
type element struct {
	Type     string
	ID       int64
	Lat, Lon float64
	Center   *struct{ Lat, Lon float64 }
	Tags     map[string]string
}

// An imported file keeps the contract of providers.
func TestConformance(t *testing.T) {
	out := filepath.Join(t.TempDir(), "andorra.tsv.zst")
	imported(t, Config{Input: andorra, Output: out})
	placestest.Test(t, file.Open(out), placestest.Sample{
		At: places.Point{Lat: 42.5078, Lng: 1.5211}, Radius: 10, Least: 20, Nowhere: places.Point{Lat: 30, Lng: -40},
	})
}

// The places that Overpass finds around Andorra la Vella are found in the file, at the same distances.
func TestOverpass(t *testing.T) {
	text, err := os.ReadFile("testdata/andorra_around_1000m.json")
	if err != nil {
		t.Fatal(err)
	}
	var overpass struct{ Elements []element }
	if err := json.Unmarshal(text, &overpass); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "andorra.tsv.zst")
	_, all := imported(t, Config{Input: andorra, Output: out})
	centre := places.Point{Lat: 42.5075, Lng: 1.5218}
	near, err := file.Open(out).Find(t.Context(), places.Query{At: centre, Radius: 1.5, Bound: len(all)})
	if err != nil || !slices.Equal(near.HTMLAttributions, []string{"© OpenStreetMap contributors"}) {
		t.Fatalf("%q, %v", near.HTMLAttributions, err)
	}
	found := make(map[string]float64) // distances
	last := 0.0
	for _, p := range near.Results {
		d := places.Distance(centre, p.Geometry.Location)
		if d < last || d > 1.5 {
			t.Errorf("%s: %v km after %v", p.Name, d, last)
		}
		found[p.PlaceID], last = d, d
	}
	for _, e := range overpass.Elements {
		id := fmt.Sprintf("%s/%d", e.Type, e.ID)
		if e.Center != nil {
			e.Lat, e.Lon = e.Center.Lat, e.Center.Lon
		}
		d, ok := found[id]
		if want := places.Distance(centre, places.Point{Lat: e.Lat, Lng: e.Lon}); !ok || math.Abs(d-want) > 0.00002 { // 2 cm
			t.Errorf("%s, %s: at %v km, %t, want at %v km", id, e.Tags["name"], d, ok, want)
		}
		if p := all[id]; p.Name != strings.TrimSpace(e.Tags["name"]) {
			t.Errorf("%s: %q, want %q", id, p.Name, e.Tags["name"])
		}
	}
	if len(overpass.Elements) != 183 {
		t.Errorf("%d elements, want 183", len(overpass.Elements))
	}
}

// The middles of boxes are those computed with the whole file in memory, however small the limits are.
func TestPositions(t *testing.T) {
	data, err := os.ReadFile(andorra)
	if err != nil {
		t.Fatal(err)
	}
	type point struct{ lat, lng int64 }
	nodes, ways := make(map[int64]point), make(map[int64][]int64)
	want := make(map[string]places.Point)
	scan := pbf.Scan{File: bytes.NewReader(data), Size: int64(len(data)), Want: pbf.Node | pbf.Way | pbf.Relation}
	err = scan.Each(t.Context(), func(o *pbf.Object) error {
		var refs []int64
		switch o.Kind {
		case pbf.Node:
			nodes[o.ID] = point{o.Lat, o.Lng}
			refs = []int64{o.ID}
		case pbf.Way:
			refs = slices.Clone(o.Nodes)
			ways[o.ID] = refs
		case pbf.Relation:
			for _, m := range o.Members {
				switch m.Kind {
				case pbf.Node:
					refs = append(refs, m.ID)
				case pbf.Way:
					refs = append(refs, ways[m.ID]...)
				}
			}
		}
		south, north, west, east := int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64)
		for _, id := range refs {
			south, north = min(south, nodes[id].lat), max(north, nodes[id].lat)
			west, east = min(west, nodes[id].lng), max(east, nodes[id].lng)
		}
		want[fmt.Sprintf("%v/%d", o.Kind, o.ID)] = places.Point{Lat: float64(south+north) / 2e9, Lng: float64(west+east) / 2e9}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]places.Place
	for _, refs := range []int{maxRefs, 1000, 64} {
		got := make(map[string]places.Place)
		r := importOSM(t, data, refs, func(p places.Place) { got[p.PlaceID] = p })
		for id, p := range got {
			if at := p.Geometry.Location; math.Abs(at.Lat-want[id].Lat) > 0.6e-7 || math.Abs(at.Lng-want[id].Lng) > 0.6e-7 {
				t.Errorf("%d at a time: %s at %v, want %v", refs, id, at, want[id])
			}
		}
		if first == nil {
			first = got
		}
		if !reflect.DeepEqual(got, first) || r.Places != 1100 {
			t.Errorf("%d at a time: %d places, not those that there are otherwise", refs, len(got))
		}
		t.Logf("%d at a time: %d passes", refs, r.Passes)
	}
}

// importOSM imports an extract with a limit of refs and returns the places.
func importOSM(t testing.TB, data []byte, refs int, each func(places.Place)) Result {
	t.Helper()
	var text bytes.Buffer
	w, err := file.NewWriter(&text, osmOrigin)
	if err != nil {
		t.Fatal(err)
	}
	s := newSink(w, &input{format: OSM, size: int64(len(data))}, Config{})
	o := newOSM(bytes.NewReader(data), int64(len(data)), s)
	o.maxRefs = refs
	if err := errors.Join(o.run(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	in, err := file.NewReader(&text)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for {
		p, err := in.Read()
		if errors.Is(err, io.EOF) {
			return s.result
		}
		if err != nil {
			t.Fatal(err)
		}
		each(p)
	}
}

func tags(pairs ...string) []pbf.Tag {
	var all []pbf.Tag
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, pbf.Tag{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return all
}

// extract writes an extract to a file and returns its path.
func extract(t testing.TB, blocks ...[]pbf.Object) string {
	t.Helper()
	var out bytes.Buffer
	w := pbftest.New(&out, "OsmSchema-V0.6", "DenseNodes")
	for _, b := range blocks {
		w.Block(b...)
	}
	path := filepath.Join(t.TempDir(), "extract.osm.pbf")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func node(id int64, lat, lng float64, pairs ...string) pbf.Object {
	return pbf.Object{Kind: pbf.Node, ID: id, Lat: int64(math.Round(lat*1e7)) * 100, Lng: int64(math.Round(lng*1e7)) * 100, Tags: tags(pairs...)}
}

// One object for each reason to skip it, and the objects that are written.
func TestSkipped(t *testing.T) {
	bar := []string{"amenity", "bar", "name", "Bar"}
	path := extract(
		t,
		[]pbf.Object{
			node(1, 1, 1, bar...),
			node(2, 1, 3),
			node(3, 2, 1, "amenity", "bar"),
			node(4, 2, 2, "name", "Only a name"),
			node(5, 90.0000001, 0, bar...),
			node(6, 0, -180.5, bar...),
			node(7, 1, 1, "amenity", "bar", "name", " \t "),
			node(8, 1, 1, "amenity", "bar", "name", "\xff"),
			node(9, 1, 1, "amenity", "bar", "name", strings.Repeat("ä", 600)),
			node(10, -1, -1, "amenity", "bar", "name", " a\tb\n", "addr:street", "S\x00t", "addr:city", strings.Repeat("x", 2000)),
			node(11, 89.9999999, 179.9999999, bar...),
			node(11, 0, 0, bar...), // a second version
		},
		[]pbf.Object{
			{Kind: pbf.Way, ID: 1, Nodes: []int64{1, 2, 1}, Tags: tags(bar...)},
			{Kind: pbf.Way, ID: 2, Nodes: []int64{1, 99}, Tags: tags(bar...)},
			{Kind: pbf.Way, ID: 3, Tags: tags(bar...)},
			{Kind: pbf.Way, ID: 4, Nodes: []int64{3, 2}},
		},
		[]pbf.Object{
			{Kind: pbf.Relation, ID: 1, Members: []pbf.Member{{Kind: pbf.Way, ID: 1}, {Kind: pbf.Node, ID: 3}, {Kind: pbf.Relation, ID: 77}, {Kind: pbf.Way, ID: 4}, {Kind: pbf.Way, ID: 4}}, Tags: tags(bar...)},
			{Kind: pbf.Relation, ID: 2, Members: []pbf.Member{{Kind: pbf.Way, ID: 1}, {Kind: pbf.Way, ID: 5}}, Tags: tags(bar...)},
			{Kind: pbf.Relation, ID: 3, Members: []pbf.Member{{Kind: pbf.Relation, ID: 1}}, Tags: tags(bar...)},
		},
	)
	r, all := imported(t, Config{Input: path})
	skipped := map[Reason]int{NoName: 2, NotPlace: 1, BadPosition: 2, BadName: 2, Twice: 1, Incomplete: 4}
	if !reflect.DeepEqual(r.Skipped, skipped) {
		t.Errorf("skipped %v, want %v", r.Skipped, skipped)
	}
	positions := map[string]places.Point{
		"node/1": {Lat: 1, Lng: 1}, "node/10": {Lat: -1, Lng: -1}, "node/11": {Lat: 89.9999999, Lng: 179.9999999},
		"way/1": {Lat: 1, Lng: 2}, "relation/1": {Lat: 1.5, Lng: 2},
	}
	for id, at := range positions {
		if all[id].Geometry.Location != at {
			t.Errorf("%s: %+v, want at %v", id, all[id], at)
		}
	}
	if len(all) != len(positions) {
		t.Errorf("%d places, want %d", len(all), len(positions))
	}
	if p := all["node/10"]; p.Name != "a b" || p.Vicinity != "" {
		t.Errorf("%+v, want tidy texts, and none that is too long", p)
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		blocks [][]pbf.Object
		want   string
	}{
		{[][]pbf.Object{{node(2, 0, 0), node(1, 0, 0)}}, "node 1 comes after node 2; bring it in order first, with 'osmium sort'"},
		{[][]pbf.Object{{{Kind: pbf.Way, ID: 1}}, {node(1, 0, 0)}}, "node 1 comes after way 1; bring it in order first, with 'osmium sort'"},
	} {
		path := extract(t, c.blocks...)
		if _, err := Import(t.Context(), Config{Input: path, Output: path + ".tsv"}); err == nil || err.Error() != "read "+path+": "+c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// An import that is cancelled, fails, or finds nothing leaves the output as it was.
func TestLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "places.tsv.zst")
	if err := os.WriteFile(out, []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken, err := os.ReadFile(andorra)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.osm.pbf")
	if err := os.WriteFile(cut, broken[:len(broken)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		ctx      context.Context
		path     string
		progress func(Progress)
		want     string
	}{
		{t.Context(), cut, nil, "the file is cut off"},
		{t.Context(), extract(t, []pbf.Object{node(1, 0, 0, "name", "Only a name")}), nil, "no places in it; skipped: 1 named, but not a place"},
		{t.Context(), filepath.Join(dir, "nowhere.osm.pbf"), nil, "no such file or directory"},
		{t.Context(), t.TempDir(), nil, "a directory; name a file"},
		{cancelled, andorra, func(Progress) { cancel() }, "context canceled"},
	} {
		if _, err := Import(c.ctx, Config{Input: c.path, Output: out, Progress: c.progress}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.path, err, c.want)
		}
	}
	if _, err := Import(t.Context(), Config{Input: andorra, Output: filepath.Dir(dir)}); err == nil || !strings.HasSuffix(err.Error(), "a directory; name a file") {
		t.Error(err)
	}
	if _, err := Import(t.Context(), Config{Input: out, Output: out, Format: CSV, Attributed: true}); err == nil || !strings.HasSuffix(err.Error(), "it is the input; name another file") {
		t.Error(err)
	}
	stream := Config{Input: "-", Stdin: bytes.NewReader(broken), Output: out}
	if _, err := Import(t.Context(), stream); err == nil || !strings.HasSuffix(err.Error(), "is read several times; it has to be a file that is not empty") {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	if text, _ := os.ReadFile(out); err != nil || len(files) != 1 || string(text) != "as it was" {
		t.Errorf("%v, %q, %v; want only what was there", files, text, err)
	}
}

// Importing any extract ends, and what is written can be read.
func FuzzOSM(f *testing.F) {
	var seed bytes.Buffer
	w := pbftest.New(&seed)
	w.Raw = true
	bar := tags("amenity", "bar", "name", "Bar")
	w.Block(node(1, 1, 1, "amenity", "bar", "name", "東京"), node(2, 3, 3))
	w.Block(pbf.Object{Kind: pbf.Way, ID: 1, Nodes: []int64{1, 2}, Tags: bar})
	w.Block(pbf.Object{Kind: pbf.Relation, ID: 1, Members: []pbf.Member{{Kind: pbf.Way, ID: 1}, {Kind: pbf.Node, ID: 2}}, Tags: bar})
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		o := newOSM(bytes.NewReader(data), int64(len(data)), newSink(nowhere(), &input{format: OSM}, Config{}))
		o.maxRefs = 3
		if err := o.run(t.Context()); err != nil && strings.Contains(err.Error(), "place ") {
			t.Errorf("took what cannot be written: %v", err)
		}
	})
}

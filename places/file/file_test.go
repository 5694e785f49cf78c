package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"herd/places"
)

var _ places.Finder = (*File)(nil)

// opened writes places to a file and opens it.
func opened(t testing.TB, o Origin, all []places.Place) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "places.tsv.zst")
	if err := os.WriteFile(path, written(t, o, all), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Open(path)
	if err := f.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// random returns places where searches are difficult, with texts of all lengths.
func random(rng *rand.Rand, n int) []places.Place {
	centres := []places.Point{{Lat: 90}, {Lat: -90}, {Lat: 0, Lng: 180}, {Lat: -17, Lng: -179.9}, {Lat: 51.25, Lng: 7}, {Lat: 42.5, Lng: 1.5}}
	all := make([]places.Place, n)
	for i := range all {
		c := centres[i%len(centres)]
		lat := math.Round(max(-90, min(90, c.Lat+0.6*rng.Float64()-0.3))*1e3) / 1e3
		lng := math.Round(math.Remainder(c.Lng+0.6*rng.Float64()-0.3, 360)*1e3) / 1e3
		types := []string{"bar", fmt.Sprintf("t%d", rng.IntN(50))}
		all[i] = place(fmt.Sprint("id", i), scripts[i%len(scripts)]+strings.Repeat("x", rng.IntN(300)), lat, lng, strings.Repeat("v", rng.IntN(3)*rng.IntN(100)), types...)
	}
	return all
}

// Answers are equal to those of brute force.
func TestFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	all := random(rng, 9000)
	f := opened(t, Origin{Attribution: "©"}, all)
	results, empty, cut := 0, 0, 0
	for i := range 600 {
		q := places.Query{At: all[rng.IntN(len(all))].Geometry.Location, Radius: 0.01 * math.Pow(5000, rng.Float64()), Bound: rng.IntN(21)}
		if i%4 == 0 {
			q.At = places.Point{Lat: max(-90, min(90, q.At.Lat+2*rng.Float64()-1)), Lng: math.Remainder(q.At.Lng+2*rng.Float64()-1, 360)}
		}
		type hit struct {
			place    places.Place
			distance float64
		}
		var hits []hit
		for _, p := range all {
			if d := places.Distance(q.At, p.Geometry.Location); d <= q.Radius {
				p.PlusCode.GlobalCode = places.GlobalCode(p.Geometry.Location)
				hits = append(hits, hit{p, d})
			}
		}
		slices.SortFunc(hits, func(a, b hit) int {
			return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.place.PlaceID, b.place.PlaceID))
		})
		want := places.Answer{HTMLAttributions: []string{}, Results: []places.Place{}, Status: places.ZeroResults}
		for _, h := range hits[:min(q.Bound, len(hits))] {
			want.Results = append(want.Results, h.place)
			want.HTMLAttributions, want.Status = []string{"©"}, places.OK
		}
		got, err := f.Find(t.Context(), q)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v: %+v, %v, want %+v", q, got, err, want)
		}
		results += len(got.Results)
		if len(hits) == 0 {
			empty++
		}
		if len(hits) > q.Bound {
			cut++
		}
	}
	if results < 3000 || empty < 20 || cut < 100 {
		t.Errorf("%d results, %d empty, %d cut: too few to have seen anything", results, empty, cut)
	}
	table, err := load(bytes.NewReader(written(t, Origin{Attribution: "©"}, all)))
	if err != nil || table.index.Len() != len(all) || table.origin.Attribution != "©" {
		t.Errorf("%+v, %v", table, err)
	}
}

// An answer has an attribution only if the file does.
func TestNoAttribution(t *testing.T) {
	f := opened(t, Origin{}, sample())
	a, err := f.Find(t.Context(), places.Query{At: places.Point{Lat: 1.5, Lng: -2.25}, Radius: 1, Bound: 3})
	if err != nil || len(a.Results) != 3 || a.HTMLAttributions == nil || len(a.HTMLAttributions) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// Errors name the file and say what to do.
func TestOpenFaults(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	many := new(strings.Builder)
	for i := range math.MaxUint16 + 2 {
		fmt.Fprintf(many, "%d\tA\t1\t2\tt%d\t\n", i, i)
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "open " + filepath.Join(dir, "none") + ": no such file or directory; 'herd places import' makes one"},
		{dir, "a directory; name the file in it"},
		{write("csv", "name,lat,lon\nA,1,2\n"), `line 1: want the header "id\tname\tlat\tlon\ttypes\tvicinity"; is this a file of 'herd places import'?`},
		{write("twice", "# x\n"+header+"1\tA\t1\t2\tbar\t\n2\tB\t1\t2\tbar\t\n1\tC\t3\t4\tbar\t\n"), `line 5: column id: "1": line 3 has it already`},
		{write("types", header+many.String()), "line 65538: more than 65536 different lists of types"},
	} {
		f := Open(c.path)
		err := f.Wait(t.Context())
		if want := "file " + c.path + ": " + c.want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if _, again := f.Find(t.Context(), places.Query{Radius: 1, Bound: 1}); again == nil || again.Error() != err.Error() {
			t.Errorf("asked: %v, want %v", again, err)
		}
	}
}

func TestFindFaults(t *testing.T) {
	f := opened(t, Origin{}, sample())
	for _, at := range []places.Point{{Lat: 91}, {Lng: -181}, {Lat: math.NaN()}} {
		_, err := f.Find(t.Context(), places.Query{At: at, Radius: 1, Bound: 1})
		if e, ok := errors.AsType[*places.Error](err); !ok || e.Status != places.InvalidRequest {
			t.Errorf("%v: %v", at, err)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Find(done, places.Query{Radius: 1, Bound: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
}

// Texts that fill a part of table.texts to its end, and rows whose last text is empty.
func TestTextParts(t *testing.T) {
	for extra := range 3 {
		var all []places.Place
		size := 0
		for i := 0; size < 2*textPart; i++ {
			p := place(fmt.Sprintf("%06d", i), strings.Repeat("n", 1018), 1, 2, "", "bar")
			if i == 0 {
				p.Name = p.Name[extra:]
			}
			size += len(p.PlaceID) + len(p.Name)
			all = append(all, p)
		}
		tab, err := load(bytes.NewReader(written(t, Origin{}, all)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			p := tab.Place(int32(i))
			if n := slices.IndexFunc(all, func(q places.Place) bool { return q.PlaceID == p.PlaceID }); n < 0 || all[n].Name != p.Name || p.Vicinity != "" {
				t.Fatalf("%+v, want a row as it was", p)
			}
		}
	}
}

// BenchmarkLoad reads a million places with names of 20 bytes and vicinities of 30. heap-B/place is the memory that they keep.
func BenchmarkLoad(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var out bytes.Buffer
	w, err := NewWriter(&out, Origin{})
	if err != nil {
		b.Fatal(err)
	}
	const n = 1_000_000
	for i := range n {
		p := place(fmt.Sprintf("node/%d", 1_000_000_000+i), fmt.Sprintf("The place no. %06d", i), 40+10*rng.Float64(), 10*rng.Float64(), fmt.Sprintf("Avinguda Meritxell %04d, Ciutat", i%5000), "bar", "point_of_interest", "establishment")
		if err := w.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	w = nil // so that its memory is not counted
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // frees what is in pools
	runtime.ReadMemStats(&before)
	var t *table
	for b.Loop() {
		if t, err = load(bytes.NewReader(out.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/place")
	runtime.KeepAlive(t)
	runtime.KeepAlive(&out)
}

// BenchmarkFind searches 20 of 9,000 places.
func BenchmarkFind(b *testing.B) {
	f := opened(b, Origin{}, random(rand.New(rand.NewPCG(3, 4)), 9000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Find(b.Context(), places.Query{At: places.Point{Lat: 42.5, Lng: 1.5}, Radius: 10, Bound: 20}); err != nil {
			b.Fatal(err)
		}
	}
}

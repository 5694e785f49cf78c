package gazetteer

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"herd/places"
	"herd/places/index"
)

// radii from 10 m to 50 km, as often small as large.
func randomRadius(rng *rand.Rand) float64 { return 0.01 * math.Pow(5000, rng.Float64()) }

// opened holds the embedded table, loaded once for all tests.
var opened = sync.OnceValue(Open)

// loaded is the same table, for tests of the table itself.
var loaded = sync.OnceValues(func() (*table, error) { return load(embedded) })

func worldTable(t testing.TB) *table {
	t.Helper()
	w, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// tableOf builds a table of records in any order.
func tableOf(t testing.TB, records []record, names map[string]string) *table {
	t.Helper()
	slices.SortFunc(records, compareRecords)
	tab, err := newTable(names, len(records), 0, func(yield func(record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// Searches of the embedded table, around its own places and anywhere, are equal to those by brute force. Equally distant places are in the order of their ids.
func TestNearestWorld(t *testing.T) {
	w := worldTable(t)
	rng := rand.New(rand.NewPCG(3, 4))
	hits, ties := 0, 0
	check := func(at places.Point, radius float64, bound int) {
		t.Helper()
		var want []index.Hit
		for i := range int32(len(w.rows)) {
			if p := w.point(i); math.Abs(p.Lat-at.Lat) < 0.5 { // 56 km
				if d := places.Distance(at, p); d <= radius {
					want = append(want, index.Hit{Row: i, Distance: d})
				}
			}
		}
		slices.SortFunc(want, func(a, b index.Hit) int {
			return cmp.Or(cmp.Compare(a.Distance, b.Distance), strings.Compare(w.id(a.Row), w.id(b.Row)))
		})
		want = want[:min(bound, len(want))]
		if got := w.index.Nearest(at, radius, bound, nil); !slices.Equal(got, want) {
			t.Fatalf("Nearest(%v, %v km, %d) = %v, want %v", at, radius, bound, got, want)
		}
		hits += len(want)
		for i := range want {
			if i > 0 && want[i].Distance == want[i-1].Distance {
				ties++
			}
		}
	}
	for range 150 {
		at := w.point(int32(rng.IntN(len(w.rows)))) // so mostly where places are dense
		at.Lat = max(-90, min(90, at.Lat+0.1*rng.NormFloat64()))
		at.Lng = max(-180, min(180, at.Lng+0.1*rng.NormFloat64()))
		check(at, randomRadius(rng), 1+rng.IntN(20))
		check(places.Point{Lat: 180*rng.Float64() - 90, Lng: 360*rng.Float64() - 180}, 50, 20)
	}
	for _, at := range []places.Point{
		{Lat: 90}, {Lat: -90}, {Lat: -89.9, Lng: 77}, // the poles
		{Lat: 63.06, Lng: -179.9}, {Lat: 63.06, Lng: 180}, {Lat: 63.06, Lng: -180}, // Beringovskiy, across the antimeridian
		{Lat: -7.3251, Lng: 108.2681}, // Java, where most are within 50 km
		{Lat: 48.8566, Lng: 2.3522}, {Lat: 34.06893, Lng: -118.445127}, {Lat: 28.6139, Lng: 77.209}, {Lat: 35.6762, Lng: 139.6503},
	} {
		for _, radius := range []float64{0.01, 0.5, 10, 50} {
			check(at, radius, 20)
			check(at, radius, len(w.rows))
		}
	}
	if hits < 3000 || ties < 8 {
		t.Errorf("exercised %d hits and %d ties", hits, ties)
	}
}

// A table is sorted and has all rows, and the offsets of its texts are contiguous.
func TestWorldTable(t *testing.T) {
	w := worldTable(t)
	ids := make(map[string]bool, len(w.rows))
	sources := make(map[byte]int)
	for i := range w.rows {
		id := w.id(int32(i))
		if ids[id] {
			t.Fatalf("id %s comes twice", id)
		}
		ids[id] = true
		sources[id[0]]++
	}
	if g, o, c := sources['g'], sources['o'], sources['c']; len(w.rows) != 205117 || g != 199524 || o != 5210 || c != 383 {
		t.Errorf("%d rows: %d of GeoNames, %d of OurAirports, %d curated", len(w.rows), g, o, c)
	}
}

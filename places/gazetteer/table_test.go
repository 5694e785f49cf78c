package gazetteer

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"herd/places"
)

// opened holds the embedded table, loaded once for all tests.
var opened = sync.OnceValue(Open)

func worldTable(t testing.TB) *table {
	t.Helper()
	if err := opened().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return opened().table
}

// tableOf builds a table of records in any order.
func tableOf(t testing.TB, records []record, names map[string]string) *table {
	t.Helper()
	slices.SortFunc(records, compareRecords)
	b := newBuilder(names, len(records), 0)
	for _, r := range records {
		if err := b.add(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.build()
}

// plain is a table without an index. Its rows are only told apart by half degrees
// (56 km) of latitude, so that a search need not look at all of them.
type plain struct {
	*table
	byLat map[int][]int32
}

func halfDegree(p places.Point) int { return int(math.Floor(2 * p.Lat)) }

func plainOf(t *table) plain {
	p := plain{t, make(map[int][]int32)}
	for i := range int32(len(t.rows)) {
		lat := halfDegree(t.point(i))
		p.byLat[lat] = append(p.byLat[lat], i)
	}
	return p
}

// nearest is table.nearest by brute force, for a radius of at most 50 km.
func (p plain) nearest(at places.Point, radius float64, bound int) []hit {
	var hits []hit
	for lat := halfDegree(at) - 1; lat <= halfDegree(at)+1; lat++ {
		for _, i := range p.byLat[lat] {
			if d := places.Distance(at, p.point(i)); d <= radius {
				hits = append(hits, hit{i, d})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(p.id(a.row), p.id(b.row)))
	})
	return hits[:min(bound, len(hits))]
}

// probes compares searches with brute force and counts what they exercised.
type probes struct {
	hits, empty, cut, ties, antimeridian, pole int
}

func (c *probes) compare(t *testing.T, tab plain, at places.Point, radius float64, bound int) {
	t.Helper()
	got, want := tab.table.nearest(at, radius, bound, every), tab.nearest(at, radius, bound)
	if !slices.Equal(got, want) {
		t.Fatalf("nearest(%v, %v km, %d) = %v, want %v", at, radius, bound, got, want)
	}
	c.hits += len(got)
	if len(got) == 0 {
		c.empty++
	}
	if len(got) == bound {
		c.cut++
	}
	for i, h := range got {
		p := tab.point(h.row)
		if math.Abs(p.Lng-at.Lng) > 180 {
			c.antimeridian++
		}
		if math.Abs(p.Lng-at.Lng) > 90 && math.Abs(p.Lng-at.Lng) < 270 {
			c.pole++
		}
		if i > 0 && h.distance == got[i-1].distance {
			c.ties++
		}
	}
}

// wantAtLeast fails the test if the probes exercised less than least.
func (c *probes) wantAtLeast(t *testing.T, least probes) {
	t.Helper()
	t.Logf("exercised %+v", *c)
	for _, n := range [][2]int{
		{c.hits, least.hits},
		{c.empty, least.empty},
		{c.cut, least.cut},
		{c.ties, least.ties},
		{c.antimeridian, least.antimeridian},
		{c.pole, least.pole},
	} {
		if n[0] < n[1] {
			t.Errorf("exercised %+v, want at least %+v", *c, least)
			return
		}
	}
}

// radii from 10 m to 50 km, as often small as large.
func randomRadius(rng *rand.Rand) float64 { return 0.01 * math.Pow(5000, rng.Float64()) }

// A synthetic table, crowded where a search can go wrong: at both poles, on both
// sides of the antimeridian and on it, at borders of bands, with several places at
// one point.
func TestNearestSynthetic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	centres := []places.Point{
		{Lat: 90},
		{Lat: -90},
		{Lat: 89.8, Lng: 33},
		{Lat: -89.6, Lng: -120},
		{Lat: 89.9, Lng: 180},
		{Lat: 0, Lng: 180},
		{Lat: 0, Lng: -180},
		{Lat: -17, Lng: 179.9},
		{Lat: 66, Lng: -179.8},
		{Lat: 84, Lng: 179},
		{Lat: 51.25, Lng: 7},
		{Lat: 0, Lng: 0},
		{Lat: -33.75, Lng: 18},
	}
	// scatter returns a point near centre, on a coarse lattice so that some coincide.
	scatter := func(centre places.Point, spread float64) (lat, lng int32) {
		const step = perDegree / 100
		wide := min(spread/max(math.Cos(centre.Lat*math.Pi/180), 0.003), 180)
		y := centre.Lat + spread*(2*rng.Float64()-1)
		x := math.Remainder(centre.Lng+wide*(2*rng.Float64()-1), 360)
		lat = int32(math.Round(max(-90, min(90, y))*100)) * step
		lng = int32(math.Round(x*100)) * step
		if lng == -180*perDegree && rng.IntN(2) == 0 {
			lng = 180 * perDegree
		}
		return lat, lng
	}
	var records []record
	for i := range 2000 {
		lat, lng := scatter(centres[i%len(centres)], 0.5)
		records = append(records, record{id: fmt.Sprintf("c%d", i), name: "x", lat: lat, lng: lng, country: "XX"})
	}
	tab := plainOf(tableOf(t, records, nil))

	var c probes
	for i := range 1500 {
		at := point(scatter(centres[i%len(centres)], 0.7))
		if i%3 > 0 { // off the lattice
			at.Lat = max(-90, min(90, at.Lat+0.01*rng.Float64()))
			at.Lng = max(-180, min(180, at.Lng+0.01*rng.Float64()))
		}
		c.compare(t, tab, at, randomRadius(rng), 1+rng.IntN(20))
		if i%10 == 0 { // all that is in the circle, not only the nearest
			c.compare(t, tab, at, 50, len(records))
		}
	}
	c.wantAtLeast(t, probes{hits: 10000, empty: 300, cut: 100, ties: 500, antimeridian: 1000, pole: 1000})
}

// A place on the edge of the circle is in it, once, wherever the edge lies.
func TestNearestEdge(t *testing.T) {
	for _, c := range []struct{ at, place places.Point }{
		{places.Point{Lat: 0, Lng: 179.75}, places.Point{Lat: 0, Lng: -180}},
		{places.Point{Lat: 0, Lng: 179.75}, places.Point{Lat: 0, Lng: 180}},
		{places.Point{Lat: 0, Lng: -179.75}, places.Point{Lat: 0, Lng: 180}},
		{places.Point{Lat: 0, Lng: -179.75}, places.Point{Lat: 0, Lng: -180}},
		{places.Point{Lat: 61.3, Lng: 179.9}, places.Point{Lat: 61.3, Lng: -179.4}},
		{places.Point{Lat: 89.9, Lng: 33}, places.Point{Lat: 89.9, Lng: -147}}, // beyond the pole
		{places.Point{Lat: -89.9, Lng: 0}, places.Point{Lat: -89.8, Lng: 180}},
		{places.Point{Lat: -89.9, Lng: -180}, places.Point{Lat: -89.8, Lng: 0}},
		{places.Point{Lat: 89.75, Lng: 10}, places.Point{Lat: 90, Lng: -170}},
		{places.Point{Lat: 10.3, Lng: 20}, places.Point{Lat: 10.5, Lng: 20}}, // on the border of a band
		{places.Point{Lat: 10.6, Lng: 20}, places.Point{Lat: 10.5, Lng: 20}},
		{places.Point{Lat: 47, Lng: 8.25}, places.Point{Lat: 47.0003, Lng: 8.0001}},
	} {
		tab := tableOf(t, []record{{
			id: "c1", name: "x", lat: int32(math.Round(c.place.Lat * perDegree)), lng: int32(math.Round(c.place.Lng * perDegree)),
		}}, nil)
		radius := places.Distance(c.at, c.place)
		if got := tab.nearest(c.at, radius, 9, every); !slices.Equal(got, []hit{{0, radius}}) {
			t.Errorf("within %v km of %v: %v, want %v once", radius, c.at, got, c.place)
		}
		if got := tab.nearest(c.at, math.Nextafter(radius, 0), 9, every); len(got) > 0 {
			t.Errorf("within less than %v km of %v: %v, want nothing", radius, c.at, got)
		}
	}
}

// The embedded table, around its own places and anywhere. Few lie near
// a pole or the antimeridian.
func TestNearestWorld(t *testing.T) {
	w := plainOf(worldTable(t))
	rng := rand.New(rand.NewPCG(3, 4))
	var c probes
	check := func(at places.Point, radius float64, bound int) { c.compare(t, w, at, radius, bound) }
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
	c.wantAtLeast(t, probes{hits: 3000, empty: 100, cut: 25, ties: 8, antimeridian: 4})
}

// A table stays in order, without a row lost, and its parts add up.
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
	for b := range bandCount {
		for i := w.bands[b]; i < w.bands[b+1]; i++ {
			if bandOf(w.rows[i].lat) != b {
				t.Fatalf("row %d at %v lies in band %d", i, w.point(i), b)
			}
		}
	}
	if w.bands[0] != 0 || int(w.bands[bandCount]) != len(w.rows) {
		t.Errorf("the bands hold rows %d to %d of %d", w.bands[0], w.bands[bandCount], len(w.rows))
	}
}

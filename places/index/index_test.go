package index

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"herd/places"
)

// backwards orders equally distant rows by descending row.
func backwards(a, b int32) int { return cmp.Compare(b, a) }

// indexOf builds an index of points in any order.
func indexOf(t testing.TB, points []Point) *Index {
	t.Helper()
	slices.SortFunc(points, Point.Compare)
	x, err := New(points, backwards)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// bruteForce is Nearest for a radius of at most 50 km. It tests all points less than 56 km to the north or the south.
func bruteForce(x *Index, at places.Point, radius float64, bound int, keep func(int32) bool) []Hit {
	var hits []Hit
	for i := range int32(x.Len()) {
		p := x.Point(i).Degrees()
		if math.Abs(p.Lat-at.Lat) > 0.5 || keep != nil && !keep(i) {
			continue
		}
		if d := places.Distance(at, p); d <= radius {
			hits = append(hits, Hit{i, d})
		}
	}
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(a.Distance, b.Distance), backwards(a.Row, b.Row)) })
	return hits[:min(bound, len(hits))]
}

// probes compares searches with brute force and counts the cases that they covered.
type probes struct {
	hits, empty, cut, ties, antimeridian, pole int
}

func (c *probes) compare(t *testing.T, x *Index, at places.Point, radius float64, bound int, keep func(int32) bool) {
	t.Helper()
	got, want := x.Nearest(at, radius, bound, keep), bruteForce(x, at, radius, bound, keep)
	if !slices.Equal(got, want) {
		t.Fatalf("Nearest(%v, %v km, %d) = %v, want %v", at, radius, bound, got, want)
	}
	c.hits += len(got)
	if len(got) == 0 {
		c.empty++
	}
	if len(got) == bound {
		c.cut++
	}
	for i, h := range got {
		p := x.Point(h.Row).Degrees()
		if math.Abs(p.Lng-at.Lng) > 180 {
			c.antimeridian++
		}
		if math.Abs(p.Lng-at.Lng) > 90 && math.Abs(p.Lng-at.Lng) < 270 {
			c.pole++
		}
		if i > 0 && h.Distance == got[i-1].Distance {
			c.ties++
		}
	}
}

// wantAtLeast fails the test if the probes covered less than least.
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

// Points where searches are difficult: at both poles, on both
// sides of the antimeridian and on it, at borders of bands, several of them at
// one place.
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
	scatter := func(centre places.Point, spread float64) (p Point) {
		const step = PerDegree / 100
		wide := min(spread/max(math.Cos(centre.Lat*math.Pi/180), 0.003), 180)
		y := centre.Lat + spread*(2*rng.Float64()-1)
		x := math.Remainder(centre.Lng+wide*(2*rng.Float64()-1), 360)
		p.Lat = int32(math.Round(max(-90, min(90, y))*100)) * step
		p.Lng = int32(math.Round(x*100)) * step
		if p.Lng == -180*PerDegree && rng.IntN(2) == 0 {
			p.Lng = 180 * PerDegree
		}
		return p
	}
	var points []Point
	for i := range 2000 {
		points = append(points, scatter(centres[i%len(centres)], 0.5))
	}
	x := indexOf(t, points)
	third := func(row int32) bool { return row%3 == 0 }

	var c probes
	for i := range 1500 {
		at := scatter(centres[i%len(centres)], 0.7).Degrees()
		if i%3 > 0 { // off the lattice
			at.Lat = max(-90, min(90, at.Lat+0.01*rng.Float64()))
			at.Lng = max(-180, min(180, at.Lng+0.01*rng.Float64()))
		}
		c.compare(t, x, at, randomRadius(rng), 1+rng.IntN(20), nil)
		if i%10 == 0 { // all points in the circle, not only the nearest
			c.compare(t, x, at, 50, len(points), nil)
			c.compare(t, x, at, 50, 20, third)
		}
	}
	c.wantAtLeast(t, probes{hits: 10000, empty: 300, cut: 100, ties: 500, antimeridian: 1000, pole: 1000})
}

// A place on the edge of the circle is found, once, wherever the edge lies.
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
		x := indexOf(t, []Point{PointOf(c.place)})
		radius := places.Distance(c.at, c.place)
		if got := x.Nearest(c.at, radius, 9, nil); !slices.Equal(got, []Hit{{0, radius}}) {
			t.Errorf("within %v km of %v: %v, want %v once", radius, c.at, got, c.place)
		}
		if got := x.Nearest(c.at, math.Nextafter(radius, 0), 9, nil); len(got) > 0 {
			t.Errorf("within less than %v km of %v: %v, want nothing", radius, c.at, got)
		}
	}
}

// Circles without anything in them.
func TestNearestNothing(t *testing.T) {
	x := indexOf(t, []Point{{0, 0}, {90 * PerDegree, 0}})
	for _, c := range []struct {
		radius float64
		bound  int
	}{{0, 1}, {-1, 1}, {math.NaN(), 1}, {50, 0}, {50, -1}} {
		if hits := x.Nearest(places.Point{}, c.radius, c.bound, nil); len(hits) > 0 {
			t.Errorf("radius %v, bound %d: %v", c.radius, c.bound, hits)
		}
	}
	if hits := indexOf(t, nil).Nearest(places.Point{}, 50, 20, nil); len(hits) > 0 {
		t.Errorf("no points, but %v", hits)
	}
}

func TestNewFaults(t *testing.T) {
	for _, c := range []struct {
		points []Point
		want   string
	}{
		{[]Point{{0, 1}, {0, 1}, {-1, 0}}, "index: row 2: {-1 0} may not follow {0 1}"},
		{[]Point{{1, 0}, {0, 0}}, "index: row 1: {0 0} may not follow {1 0}"},
		{[]Point{{90*PerDegree + 1, 0}}, "index: row 0: {900000001 0} is not on Earth"},
		{[]Point{{-90*PerDegree - 1, 0}}, "index: row 0: {-900000001 0} is not on Earth"},
		{[]Point{{0, 180*PerDegree + 1}}, "index: row 0: {0 1800000001} is not on Earth"},
		{[]Point{{0, -180*PerDegree - 1}}, "index: row 0: {0 -1800000001} is not on Earth"},
	} {
		if x, err := New(c.points, backwards); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, %v, want %s", c.points, x, err, c.want)
		}
	}
}

func TestPoint(t *testing.T) {
	for _, p := range []Point{{0, 0}, {900000000, 1800000000}, {-900000000, -1800000000}, {340689300, -1184451270}, {1, -1}} {
		if q := PointOf(p.Degrees()); q != p {
			t.Errorf("%v in degrees is %v, which is %v", p, p.Degrees(), q)
		}
	}
	if p := PointOf(places.Point{Lat: 1.23456784, Lng: -1.23456786}); p != (Point{12345678, -12345679}) {
		t.Errorf("%v, want the nearest", p)
	}
}

// Every band has its points and no others.
func TestBands(t *testing.T) {
	x := indexOf(t, []Point{{-900000000, 5}, {-900000000, 9}, {-2500001, 0}, {-2500000, 0}, {-1, 7}, {0, -7}, {2499999, 3}, {2500000, 0}, {900000000, 0}})
	if x.bands[0] != 0 || int(x.bands[bandCount]) != x.Len() {
		t.Errorf("the bands hold rows %d to %d of %d", x.bands[0], x.bands[bandCount], x.Len())
	}
	for b := range bandCount {
		for i := x.bands[b]; i < x.bands[b+1]; i++ {
			if bandOf(x.Point(i).Lat) != b {
				t.Errorf("row %d at %v lies in band %d", i, x.Point(i), b)
			}
		}
	}
}

// BenchmarkNearest searches 20 of a million points of one country, within 10 km.
func BenchmarkNearest(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	points := make([]Point, 1_000_000)
	for i := range points {
		points[i] = PointOf(places.Point{Lat: 50 + 5*rng.Float64(), Lng: 5 + 10*rng.Float64()})
	}
	x := indexOf(b, points)
	b.ReportAllocs()
	for b.Loop() {
		x.Nearest(places.Point{Lat: 52.5, Lng: 10}, 10, 20, nil)
	}
}

package places

import (
	"math"
	"testing"
)

func TestDistance(t *testing.T) {
	const degree = EarthRadius * math.Pi / 180 // of a great circle: 111.195 km
	for _, c := range []struct {
		name string
		a, b Point
		want float64 // km
	}{
		{"same point", Point{34.06893, -118.445127}, Point{34.06893, -118.445127}, 0},
		{"a degree of the equator", Point{0, 0}, Point{0, 1}, degree},
		{"a degree of a meridian", Point{51, 7}, Point{52, 7}, degree},
		{"pole to pole", Point{90, 12}, Point{-90, -99}, 180 * degree},
		{"antipodes", Point{30, 20}, Point{-30, -160}, 180 * degree},
		{"the pole has every longitude", Point{90, 0}, Point{90, 77}, 0},
		{"across the pole", Point{89, 10}, Point{89, -170}, 2 * degree},
		{"across the antimeridian", Point{0, 179.75}, Point{0, -179.75}, degree / 2},
		{"180 is -180", Point{-17, 180}, Point{-17, -180}, 0},
		{"half the longitude at 60 degrees, a little less by the great circle", Point{60, 0}, Point{60, 1}, 55.59701},
		{"a quarter of the Earth, over land and sea", Point{0, 0}, Point{60, 90}, 90 * degree},
		{"the smallest step of a stored coordinate", Point{45, 9}, Point{45.0000001, 9}, degree * 1e-7},
	} {
		if got := Distance(c.a, c.b); math.Abs(got-c.want) > 1e-4*min(1, c.want)+1e-9 {
			t.Errorf("%s: Distance(%v, %v) = %v, want %v", c.name, c.a, c.b, got, c.want)
		}
		if there, back := Distance(c.a, c.b), Distance(c.b, c.a); there != back {
			t.Errorf("%s: %v km there, %v km back", c.name, there, back)
		}
	}
}

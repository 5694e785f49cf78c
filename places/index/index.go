// Package index finds, of a set of points that does not change, those nearest to any point on Earth.
//
// The points are sorted by bands of latitude, 0.25° (27.8 km) high, from south to north, and within a band by longitude. So a circle covers
// one run of the points of a band, between two longitudes, which binary search finds; there is no other data structure.
package index

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"herd/places"
)

// PerDegree is the number of units of a Point's coordinate in a degree. A unit is 1.1 cm on the ground, 180° fit an int32, and n/1e7 is
// the float64 nearest to the decimal number that n stands for.
const PerDegree = 10_000_000

// Point is a point on Earth in units of 1e-7 degrees: Lat from -90° to 90°, Lng from -180° to 180°.
type Point struct{ Lat, Lng int32 }

// PointOf returns the Point nearest to p, which has to lie on Earth.
func PointOf(p places.Point) Point {
	return Point{Lat: int32(math.Round(p.Lat * PerDegree)), Lng: int32(math.Round(p.Lng * PerDegree))}
}

// Degrees returns p in degrees.
func (p Point) Degrees() places.Point {
	return places.Point{Lat: float64(p.Lat) / PerDegree, Lng: float64(p.Lng) / PerDegree}
}

// Compare is the order of the points of an Index: by band, longitude and latitude.
func (p Point) Compare(q Point) int {
	return cmp.Or(cmp.Compare(bandOf(p.Lat), bandOf(q.Lat)), cmp.Compare(p.Lng, q.Lng), cmp.Compare(p.Lat, q.Lat))
}

const (
	bandHeight = PerDegree / 4
	bandCount  = 180 * PerDegree / bandHeight
)

// bandOf returns the number of the band of a latitude, 0 to bandCount-1. The north pole belongs to the last one.
func bandOf(lat int32) int { return min((int(lat)+90*PerDegree)/bandHeight, bandCount-1) }

// Index is a set of points in the order of Compare. The row of a point is its number in that order, from 0. It is immutable.
type Index struct {
	points []Point
	bands  [bandCount + 1]int32 // points[bands[b]:bands[b+1]] lie in band b
	tie    func(a, b int32) int // the order of rows equally far from a point
}

// New returns an index of points, which have to lie on Earth and be sorted by Compare. The index owns them. tie is the order of rows that
// are equally far from a point.
func New(points []Point, tie func(a, b int32) int) (*Index, error) {
	if len(points) > math.MaxInt32 {
		return nil, fmt.Errorf("index: %d points, more than %d", len(points), math.MaxInt32)
	}
	x := &Index{points: points, tie: tie}
	for i, p := range points {
		switch {
		case p.Lat < -90*PerDegree || p.Lat > 90*PerDegree || p.Lng < -180*PerDegree || p.Lng > 180*PerDegree:
			return nil, fmt.Errorf("index: row %d: %v is not on Earth", i, p)
		case i > 0 && points[i-1].Compare(p) > 0:
			return nil, fmt.Errorf("index: row %d: %v may not follow %v", i, p, points[i-1])
		}
		x.bands[bandOf(p.Lat)+1] = int32(i + 1)
	}
	for b := range bandCount {
		x.bands[b+1] = max(x.bands[b+1], x.bands[b]) // a band without points ends where the one before does
	}
	return x, nil
}

// Len returns the number of points.
func (x *Index) Len() int { return len(x.points) }

// Point returns the point of a row.
func (x *Index) Point(row int32) Point { return x.points[row] }

// Hit is a row and its distance in km from the point of the search.
type Hit struct {
	Row      int32
	Distance float64
}

// firstRadius is the radius in km of the first circle that a search tries.
const firstRadius = 3

// Nearest returns the rows within radius km of at that keep accepts (nil: all), nearest first and at most bound. Within a radius of 0 or
// less, or of NaN, there are none.
//
// It doubles a small circle until it holds enough rows, so that the time depends on bound rather than on the number of rows within radius.
func (x *Index) Nearest(at places.Point, radius float64, bound int, keep func(row int32) bool) []Hit {
	if bound <= 0 || !(radius > 0) {
		return nil
	}
	s := search{index: x, at: at, bound: bound, keep: keep, hits: make([]Hit, 0, min(bound, 20))}
	for r := min(radius, firstRadius); ; r = min(radius, 2*r) {
		s.within(r)
		if len(s.hits) == bound || r == radius {
			return s.hits
		}
	}
}

// search is the state of a call of Nearest.
type search struct {
	index *Index
	at    places.Point
	bound int
	keep  func(row int32) bool
	hits  []Hit // the nearest so far, nearest first; at most bound
}

// within sets hits to the nearest rows within radius km.
func (s *search) within(radius float64) {
	s.hits = s.hits[:0]
	points := s.index.points
	lat, lngs := box(s.at, radius)
	for band := bandOf(lat.low); band <= bandOf(lat.high); band++ {
		start, end := s.index.bands[band], s.index.bands[band+1]
		for _, lng := range lngs {
			first, _ := slices.BinarySearchFunc(points[start:end], lng.low, func(p Point, low int32) int { return cmp.Compare(p.Lng, low) })
			for i := start + int32(first); i < end && points[i].Lng <= lng.high; i++ {
				if !lat.holds(points[i].Lat) || s.keep != nil && !s.keep(i) {
					continue
				}
				if d := places.Distance(s.at, points[i].Degrees()); d <= radius {
					s.hits = places.InsertNearest(s.hits, Hit{i, d}, s.bound, s.compare)
				}
			}
		}
	}
}

func (s *search) compare(a, b Hit) int {
	if a.Distance != b.Distance {
		return cmp.Compare(a.Distance, b.Distance)
	}
	return s.index.tie(a.Row, b.Row)
}

// span is a range of coordinates in units, both ends in it; empty if low > high.
type span struct{ low, high int32 }

func (s span) holds(v int32) bool { return s.low <= v && v <= s.high }

// box returns the latitudes and the longitudes between which the circle of radius km around at lies. A circle across the antimeridian has
// two ranges of longitudes, any other has one and an empty one.
//
// A circle of angular radius r without a pole in it reaches asin(sin r / cos lat) to the east and the west of its centre, by Napier's
// rules for the right-angled triangle of the centre, the pole and the point where a meridian touches the circle. A circle with a pole in
// it, or nearly, has all longitudes. The box is two units wider than the circle, because of rounding.
func box(at places.Point, radius float64) (lat span, lngs [2]span) {
	const all, margin = 180.0, 2.0 / PerDegree
	r := radius / places.EarthRadius
	south, north := at.Lat-r*(180/math.Pi)-margin, at.Lat+r*(180/math.Pi)+margin
	reach := all
	if south > -90 && north < 90 {
		reach = math.Asin(min(1, math.Sin(r)/math.Cos(at.Lat*(math.Pi/180))))*(180/math.Pi) + margin
	}
	empty := span{low: 0, high: -1}
	west, east := at.Lng-reach, at.Lng+reach
	switch {
	case reach > 179:
		lngs = [2]span{spanOf(-all, all, all), empty}
	case west < -all:
		lngs = [2]span{spanOf(west+360, all, all), spanOf(-all, east, all)}
	case east > all:
		lngs = [2]span{spanOf(west, all, all), spanOf(-all, east-360, all)}
	default:
		lngs = [2]span{spanOf(west, east, all), empty}
	}
	return spanOf(south, north, 90), lngs
}

// spanOf returns the span from low to high degrees, cut to limit degrees on either side of 0.
func spanOf(low, high, limit float64) span {
	return span{low: int32(max(low, -limit) * PerDegree), high: int32(min(high, limit) * PerDegree)}
}

// FormatDegrees returns units in decimal degrees, in the shortest spelling.
func FormatDegrees(units int32) string {
	return strconv.FormatFloat(float64(units)/PerDegree, 'f', -1, 64)
}

// Package index finds, of a set of points that does not change, those nearest to any point on Earth.
//
// The points lie in bands of latitude, 0.25° (27.8 km) high, from south to north, and within a band by longitude. What a
// circle covers of a band is then one run of points between two longitudes, found by binary search: the search tree is the
// order of the points itself. Cells of longitude would add memory and sharpen nothing.
package index

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"herd/places"
)

// PerDegree is the number of units of a Point's coordinate in a degree. A unit is 1.1 cm on the ground, 180° fit an int32, and
// n/1e7 is the float64 nearest to the decimal number n stands for, so that it is printed as it was written.
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
	return cmp.Or(cmp.Compare(p.band(), q.band()), cmp.Compare(p.Lng, q.Lng), cmp.Compare(p.Lat, q.Lat))
}

const (
	bandHeight = PerDegree / 4
	bandCount  = 180 * PerDegree / bandHeight
)

// band returns the number of p's band, 0 to bandCount-1. The north pole belongs to the last one.
func (p Point) band() int { return bandOf(p.Lat) }

func bandOf(lat int32) int { return min((int(lat)+90*PerDegree)/bandHeight, bandCount-1) }

// Index is a set of points, each of which is known by its row: its number, from 0, in their order. It is immutable.
type Index struct {
	points []Point
	bands  [bandCount + 1]int32 // points[bands[b]:bands[b+1]] lie in band b
	tie    func(a, b int32) int
}

// New returns an index of points, which have to lie on Earth and in order, as Compare says, and belong to the index from now on.
// Rows equally far from a point are in the order that tie gives them.
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
		x.bands[p.band()+1] = int32(i + 1)
	}
	for b := range bandCount {
		x.bands[b+1] = max(x.bands[b+1], x.bands[b]) // a band without points ends where it begins
	}
	return x, nil
}

// Len returns the number of points.
func (x *Index) Len() int { return len(x.points) }

// Point returns the point of a row.
func (x *Index) Point(row int32) Point { return x.points[row] }

// Hit is a row and its distance in km from the point asked for.
type Hit struct {
	Row      int32
	Distance float64
}

// firstRadius is the radius in km of the first circle that a search tries.
const firstRadius = 3

// Nearest returns the rows that keep accepts, or all if it is nil, within radius km of at: the bound nearest of them, nearest
// first. A radius of 0 or less, or none that is a number, holds nothing.
//
// It searches a small circle first and grows it until it holds enough, so that the time follows the number of rows wanted and
// not the number in the circle.
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

// search is what a call of Nearest looks for and has found.
type search struct {
	index *Index
	at    places.Point
	bound int
	keep  func(row int32) bool
	hits  []Hit // the nearest so far, nearest first
}

// within finds what is within radius km anew.
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
					s.add(Hit{i, d})
				}
			}
		}
	}
}

// add takes h if it is among the nearest.
func (s *search) add(h Hit) {
	if len(s.hits) == s.bound {
		if s.compare(h, s.hits[s.bound-1]) > 0 {
			return
		}
		s.hits = s.hits[:s.bound-1]
	}
	i, _ := slices.BinarySearchFunc(s.hits, h, s.compare)
	s.hits = slices.Insert(s.hits, i, h)
}

func (s *search) compare(a, b Hit) int {
	if a.Distance != b.Distance {
		return cmp.Compare(a.Distance, b.Distance)
	}
	return s.index.tie(a.Row, b.Row)
}

// FormatDegrees returns units in decimal degrees, in their shortest spelling.
func FormatDegrees(units int32) string {
	return strconv.FormatFloat(float64(units)/PerDegree, 'f', -1, 64)
}

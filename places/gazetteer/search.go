package gazetteer

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"

	"herd/places"
)

// firstRadius is the radius in km of the first circle that a search tries.
const firstRadius = 3

// hit is a row and its distance in km from the point asked for.
type hit struct {
	row      int32 // index into table.rows
	distance float64
}

// nearest returns the rows that keep accepts within radius km of at: the bound
// nearest of them, nearest first, those equally far by id.
//
// It searches a small circle first and grows it until it holds enough, so that
// the time follows the number of rows wanted and not the number in the circle.
func (t *table) nearest(at places.Point, radius float64, bound int, keep func(row int32) bool) []hit {
	if bound <= 0 || !(radius > 0) { // a radius that is no number holds nothing either
		return nil
	}
	var hits []hit
	for r := min(radius, firstRadius); ; r = min(radius, 2*r) {
		hits = hits[:0]
		for h := range t.within(at, r) {
			if keep(h.row) {
				hits = append(hits, h)
			}
		}
		if len(hits) >= bound || r == radius {
			break
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(t.id(a.row), t.id(b.row)))
	})
	return hits[:min(bound, len(hits))]
}

// every is the filter of nearest that accepts all rows.
func every(int32) bool { return true }

// within yields the rows at most radius km from at, in no order of distance.
func (t *table) within(at places.Point, radius float64) iter.Seq[hit] {
	return func(yield func(hit) bool) {
		lat, lngs := box(at, radius)
		for band := bandOf(lat.low); band <= bandOf(lat.high); band++ {
			start, end := t.bands[band], t.bands[band+1]
			for _, lng := range lngs {
				first, _ := slices.BinarySearchFunc(t.rows[start:end], lng.low, func(r row, low int32) int { return cmp.Compare(r.lng, low) })
				for i := start + int32(first); i < end && t.rows[i].lng <= lng.high; i++ {
					if !lat.holds(t.rows[i].lat) {
						continue
					}
					if d := places.Distance(at, t.point(i)); d <= radius && !yield(hit{i, d}) {
						return
					}
				}
			}
		}
	}
}

// span is a range of coordinates in units, both ends in it; empty if low > high.
type span struct{ low, high int32 }

func (s span) holds(v int32) bool { return s.low <= v && v <= s.high }

// box returns the latitudes and the longitudes between which the circle of radius
// km around at lies. A circle across the antimeridian has two ranges of
// longitudes, any other has one and an empty one.
//
// A circle of angular radius r that holds no pole reaches asin(sin r / cos lat) to
// the east and the west of its centre, by Napier's rules for the right-angled
// triangle of the centre, the pole and the point where a meridian touches the
// circle. One that holds a pole, or nearly does, has all longitudes. The box is
// wider than the circle by two units, against errors of rounding.
func box(at places.Point, radius float64) (lat span, lngs [2]span) {
	const all, margin = 180.0, 2.0 / perDegree
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

// spanOf returns the span from low to high degrees, cut to limit degrees on either
// side of 0.
func spanOf(low, high, limit float64) span {
	return span{low: int32(max(low, -limit) * perDegree), high: int32(min(high, limit) * perDegree)}
}

package index

import (
	"math"

	"herd/places"
)

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

// spanOf returns the span from low to high degrees, cut to limit degrees on either
// side of 0.
func spanOf(low, high, limit float64) span {
	return span{low: int32(max(low, -limit) * PerDegree), high: int32(min(high, limit) * PerDegree)}
}

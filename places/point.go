package places

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Point is a place on Earth in WGS 84 degrees: Lat from -90 to 90, Lng from -180 to 180.
type Point struct {
	Lat float64 `json:"lat"`
	Lng float64 `json:"lng"`
}

// OnEarth reports whether the coordinates are numbers in range.
func (p Point) OnEarth() bool { return math.Abs(p.Lat) <= 90 && math.Abs(p.Lng) <= 180 }

// Check returns an error with the status InvalidRequest if p is not on Earth.
func (p Point) Check() error {
	if p.OnEarth() {
		return nil
	}
	return &Error{Status: InvalidRequest, Err: fmt.Errorf("no such point: latitude %v, longitude %v", p.Lat, p.Lng)}
}

// ParseDegrees reads decimal degrees from -limit to limit, as files and commands have them: an optional sign, digits and at most one
// point, of any precision and without an exponent.
func ParseDegrees(text string, limit float64) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || len(text) > 33 || strings.Trim(text, "+-0123456789.") != "":
		return 0, errors.New("want decimal degrees")
	case math.Abs(v) > limit:
		return 0, fmt.Errorf("want at most %v degrees", limit)
	}
	return v, nil
}

// EarthRadius is the mean radius R1 = (2a + b) / 3 of the GRS 80 ellipsoid in km
// (H. Moritz, "Geodetic Reference System 1980", Journal of Geodesy 74, 2000).
const EarthRadius = 6371.0088

// Distance returns the length in km of the great circle from a to b on a sphere of EarthRadius. It differs from the distance on the
// WGS 84 ellipsoid by at most 0.6 %.
//
// The haversine formula stays exact for small distances, where the cosine law does not
// (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984).
func Distance(a, b Point) float64 {
	lat := math.Sin(radians(b.Lat-a.Lat) / 2)
	lng := math.Sin(radians(b.Lng-a.Lng) / 2)
	h := lat*lat + math.Cos(radians(a.Lat))*math.Cos(radians(b.Lat))*lng*lng
	return 2 * EarthRadius * math.Asin(math.Sqrt(min(1, h)))
}

func radians(degrees float64) float64 { return degrees * (math.Pi / 180) }

// InsertNearest inserts hit into the hits found so far, which are sorted by compare and at most bound, 1 or more. When there are bound
// already, the last of all is dropped.
func InsertNearest[H any](hits []H, hit H, bound int, compare func(a, b H) int) []H {
	if len(hits) == bound {
		if compare(hit, hits[bound-1]) > 0 {
			return hits
		}
		hits = hits[:bound-1]
	}
	i, _ := slices.BinarySearchFunc(hits, hit, compare)
	return slices.Insert(hits, i, hit)
}

// codeAlphabet holds the twenty digits of an Open Location Code.
const codeAlphabet = "23456789CFGHJMPQRVWX"

// cellsPerDegree is the number of cells of a ten-digit code along a degree: the first of its five pairs of digits counts 20°, each next
// one a twentieth of that.
const cellsPerDegree = 8000

// GlobalCode returns the full Open Location Code ("plus code") of ten digits of the cell, 1/8000° wide and high, that holds p, as in
// "8FVC2222+22".
//
// It follows https://github.com/google/open-location-code/blob/main/Documentation/Specification/specification.md: a latitude beyond a
// pole counts as the pole, the pole belongs to the cell beside it, and longitudes are taken modulo 360°, so that 180 is -180.
func GlobalCode(p Point) string {
	const rows, columns = 180 * cellsPerDegree, 360 * cellsPerDegree
	row := min(max(cell(p.Lat)+rows/2, 0), rows-1)
	column := ((cell(p.Lng)+columns/2)%columns + columns) % columns

	var pairs [10]byte
	for i := 8; i >= 0; i -= 2 {
		pairs[i], pairs[i+1] = codeAlphabet[row%20], codeAlphabet[column%20]
		row, column = row/20, column/20
	}
	return string(pairs[:8]) + "+" + string(pairs[8:])
}

// cell returns the number of whole cells from 0 to degrees, rounded down. The product is first rounded to a millionth of a cell:
// 2.01 * 8000 has to be 16080, but is a little less as a float64.
func cell(degrees float64) int {
	return int(math.Floor(math.Round(degrees*cellsPerDegree*1e6) / 1e6))
}

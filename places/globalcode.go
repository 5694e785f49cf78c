package places

import "math"

// codeAlphabet holds the twenty digits of an Open Location Code: none of them
// looks like another and few words can be spelt with them.
const codeAlphabet = "23456789CFGHJMPQRVWX"

// cellsPerDegree is the number of cells of a ten-digit code along a degree: the
// first of its five pairs of digits counts 20°, each next one a twentieth of that.
const cellsPerDegree = 8000

// GlobalCode returns the full Open Location Code ("plus code") of ten digits of
// the cell, 1/8000° wide and high, that holds p, as in "8FVC2222+22".
//
// It follows the specification at
// https://github.com/google/open-location-code/blob/main/Documentation/Specification/specification.md:
// a latitude beyond a pole counts as the pole, which itself belongs to the cell
// beside it, and longitudes are taken modulo 360°, so that 180 is -180.
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

// cell returns the number of whole cells from 0 to degrees, rounded down. The
// product is first rounded to a millionth of a cell: 2.01 * 8000 has to be 16080,
// but is a little less as a float64.
func cell(degrees float64) int {
	return int(math.Floor(math.Round(degrees*cellsPerDegree*1e6) / 1e6))
}

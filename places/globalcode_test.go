package places

import (
	"math"
	"testing"
)

// The points and codes of ten digits, or the first ten of longer ones, are cases
// of test_data/encoding.csv in https://github.com/google/open-location-code.
func TestGlobalCode(t *testing.T) {
	for _, c := range []struct {
		at   Point
		want string
	}{
		{Point{20.3700625, 2.7821875}, "7FG49QCJ+2V"},
		{Point{47.0000625, 8.0000625}, "8FVC2222+22"},
		{Point{-41.2730625, 174.7859375}, "4VCPPQGP+Q9"},
		{Point{-89.9999375, -179.9999375}, "22222222+22"},
		{Point{1, 1}, "6FH32222+22"},
		{Point{37.539669125, -122.375069724}, "849VGJQF+VX"},
		{Point{80.0100000001, 58.57}, "CHGW2H6C+22"}, // 80.01 has no exact float64
		{Point{80.0099999999, 58.57}, "CHGW2H5C+X2"},
		{Point{-80.0099999999, 58.57}, "2HFWXHRC+22"},
		{Point{-80.0100000001, 58.57}, "2HFWXHQC+X2"},
		// decimals whose multiples are easily rounded the wrong way
		{Point{1.2, 3.4}, "6FH56C22+22"},
		{Point{35.6, 3.033}, "8F75J22M+26"},
		{Point{66.89, -106}, "95RPV2R2+22"},
		{Point{2.5, -64.23}, "67JQGQ2C+22"},
		{Point{-2.804, 7.003}, "6F9952W3+C6"},
		{Point{70.3, -87.64}, "C62J8926+22"},
		{Point{-37.014, -159.936}, "43J2X3P7+CJ"},
		{Point{58.66, 149.17}, "9RCFM56C+22"},
		{Point{-5.6, -54.5}, "6867CG22+22"},
		{Point{-25.798, -59.812}, "5862652Q+R6"},
		{Point{-18.32, 96.397}, "5MHRM9JW+2R"},
		{Point{59.32, -157.21}, "93F48QCR+22"},
		// the pole belongs to the cell beside it, and so does all beyond it
		{Point{90, 1}, "CFX3X2X2+X2"},
		{Point{92, 1}, "CFX3X2X2+X2"},
		{Point{-90, -180}, "22222222+22"},
		{Point{-91, -180}, "22222222+22"},
		// longitudes go round
		{Point{1, 180}, "62H22222+22"},
		{Point{1, -180}, "62H22222+22"},
		{Point{1, 181}, "62H32222+22"},
		{Point{47.0000625, 728.0000625}, "8FVC2222+22"},
		{Point{-41.2730625, -905.2140625}, "4VCPPQGP+Q9"},
	} {
		if got := GlobalCode(c.at); got != c.want {
			t.Errorf("GlobalCode(%v) = %s, want %s", c.at, got, c.want)
		}
	}
}

// What is no point has no meaningful code, but must not panic.
func TestGlobalCodeOfNoPoint(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64} {
		for _, p := range []Point{{v, 0}, {0, v}} {
			if got := GlobalCode(p); len(got) != len("8FVC2222+22") {
				t.Errorf("GlobalCode(%v) = %q, want ten digits", p, got)
			}
		}
	}
}

package places

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
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

// The points and the codes, of which longer ones are cut to ten digits, are cases
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
		// the pole and latitudes beyond it belong to the cell beside it
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

// The code of coordinates that are not numbers is meaningless, but there is no panic.
func TestGlobalCodeOfNoPoint(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64} {
		for _, p := range []Point{{v, 0}, {0, v}} {
			if got := GlobalCode(p); len(got) != len("8FVC2222+22") {
				t.Errorf("GlobalCode(%v) = %q, want ten digits", p, got)
			}
		}
	}
}

func TestParseDegrees(t *testing.T) {
	for text, want := range map[string]float64{
		"0": 0, "-000.50": -0.5, "+34.068930": 34.06893, ".5": 0.5, "5.": 5, "90": 90, "-90": -90, "1.00000000000000000000000000004": 1,
	} {
		if got, err := ParseDegrees(text, 90); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "want decimal degrees", "-": "want decimal degrees", "1e1": "want decimal degrees", "NaN": "want decimal degrees", "-Inf": "want decimal degrees",
		"0x1p-2": "want decimal degrees", "1_0": "want decimal degrees", "1.2.3": "want decimal degrees", " 1": "want decimal degrees", "--1": "want decimal degrees",
		"1-2": "want decimal degrees", "١": "want decimal degrees", "0.00000000000000000000000000000000001": "want decimal degrees",
		"90.0000001": "want at most 90 degrees", "-91": "want at most 90 degrees",
	} {
		if got, err := ParseDegrees(text, 90); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
}

// The nearest so far are those that sorting all would put first, whatever the order they come in.
func TestInsertNearest(t *testing.T) {
	for range 200 {
		bound := 1 + rand.IntN(5)
		var hits, all []int
		for range rand.IntN(12) {
			n := rand.IntN(10)
			all = append(all, n)
			hits = InsertNearest(hits, n, bound, cmp.Compare)
		}
		slices.Sort(all)
		if want := all[:min(bound, len(all))]; !slices.Equal(hits, want) {
			t.Fatalf("%v, want %v of %v", hits, want, all)
		}
	}
}

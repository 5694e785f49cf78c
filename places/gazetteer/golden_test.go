package gazetteer

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"testing"

	"herd/places"
)

// The replies to 2,000 queries, mostly where places are, do not change by a byte.
func TestGolden(t *testing.T) {
	w := worldTable(t)
	rng := rand.New(rand.NewPCG(5, 6))
	all, bytes, results := sha256.New(), 0, 0
	for i := range 2000 {
		at := w.point(int32(rng.IntN(len(w.rows))))
		at.Lat = max(-90, min(90, at.Lat+0.1*rng.NormFloat64()))
		at.Lng = max(-180, min(180, at.Lng+0.1*rng.NormFloat64()))
		if i%8 == 0 {
			at = places.Point{Lat: 180*rng.Float64() - 90, Lng: 360*rng.Float64() - 180}
		}
		radius := math.Round(50 * rng.Float64())
		if i%4 == 0 {
			radius = randomRadius(rng)
		}
		body, status, n := places.Nearby(t.Context(), opened(), places.Query{At: at, Radius: radius, Bound: rng.IntN(21)})
		all.Write(body)
		all.Write([]byte(status))
		bytes, results = bytes+len(body), results+n
	}
	const want = "483da5eb4925c862c8abcd4338c2be7a2bb1eebb4b5c904a443c14eb2c3723a3"
	if got := hex.EncodeToString(all.Sum(nil)); got != want {
		t.Errorf("%d bytes with %d results have the hash %s, want %s", bytes, results, got, want)
	}
}

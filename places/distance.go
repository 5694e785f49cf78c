package places

import "math"

// EarthRadius is the mean radius R1 = (2a + b) / 3 of the GRS 80 ellipsoid in km
// (H. Moritz, "Geodetic Reference System 1980", Journal of Geodesy 74, 2000).
const EarthRadius = 6371.0088

// Distance returns the length in km of the great circle from a to b on a sphere
// of EarthRadius. It differs from the distance on the WGS 84 ellipsoid by at most
// 0.6 %.
//
// The haversine formula stays exact for small distances, where the cosine law
// does not (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984).
func Distance(a, b Point) float64 {
	lat := math.Sin(radians(b.Lat-a.Lat) / 2)
	lng := math.Sin(radians(b.Lng-a.Lng) / 2)
	h := lat*lat + math.Cos(radians(a.Lat))*math.Cos(radians(b.Lat))*lng*lng
	return 2 * EarthRadius * math.Asin(math.Sqrt(min(1, h)))
}

func radians(degrees float64) float64 { return degrees * (math.Pi / 180) }

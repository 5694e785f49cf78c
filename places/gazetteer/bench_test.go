package gazetteer

import (
	"fmt"
	"runtime"
	"testing"

	"herd/places"
)

// BenchmarkLoad decompresses and indexes the embedded table. heap-MB is the memory
// that the table keeps.
func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var t *table
	for b.Loop() {
		var err error
		if t, err = load(embedded); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.GC() // frees what is in pools
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "heap-MB")
	runtime.KeepAlive(t)
}

// BenchmarkFind searches 20 places at the campus, in the densest part of the
// table, where all rows of the circle would be many, and where there is nothing.
func BenchmarkFind(b *testing.B) {
	for _, at := range []struct {
		name  string
		point places.Point
	}{
		{"campus", places.Point{Lat: 34.068930, Lng: -118.445127}},
		{"java", places.Point{Lat: -7.3251, Lng: 108.2681}},
		{"atlantic", places.Point{Lat: 30, Lng: -40}},
	} {
		for _, radius := range []struct {
			name string
			km   float64
		}{{"10km", 10}, {"50km", 50}} {
			b.Run(at.name+"/"+radius.name, func(b *testing.B) {
				q := places.Query{At: at.point, Radius: radius.km, Bound: 20}
				g := Open()
				if err := g.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := g.Find(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkNearby is the cost of a WHATSAT without the network.
func BenchmarkNearby(b *testing.B) {
	g := opened()
	for _, q := range []places.Query{{At: campus, Radius: 10, Bound: 5}, {At: campus, Radius: 50, Bound: 20}} {
		b.Run(fmt.Sprintf("%vkm/%d", q.Radius, q.Bound), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				places.Nearby(b.Context(), g, q)
			}
		})
	}
}

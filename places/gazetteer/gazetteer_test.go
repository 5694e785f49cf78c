package gazetteer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"herd/places"
	"herd/places/index"
)

var _ places.Finder = (*Gazetteer)(nil)

var campus = places.Point{Lat: 34.068930, Lng: -118.445127}

func find(t *testing.T, g *Gazetteer, q places.Query) places.Answer {
	t.Helper()
	a, err := g.Find(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFindCampus(t *testing.T) {
	w := worldTable(t)
	q := places.Query{At: campus, Radius: 10, Bound: 20}
	var got []string
	a := find(t, opened(), q)
	for _, p := range a.Results[:5] {
		got = append(got, fmt.Sprintf("%s %.2f", p.Name, places.Distance(campus, p.Geometry.Location)))
	}
	want := []string{
		"University of California, Los Angeles 0.01", "Pauley Pavilion 0.22", "Ronald Reagan UCLA Medical Center 0.30",
		"Fowler Museum at UCLA 0.48", "Royce Hall 0.53",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if a.Status != places.OK || len(a.Results) != 20 {
		t.Errorf("%s with %d results, want OK with 20", a.Status, len(a.Results))
	}
	if line := []string{"Place data © GeoNames (www.geonames.org), CC BY 4.0; modified"}; !slices.Equal(a.HTMLAttributions, line) {
		t.Errorf("attributions %q, want %q", a.HTMLAttributions, line)
	}
	if all := w.index.Nearest(campus, 10, len(w.rows), nil); len(all) != 27 {
		t.Errorf("%d places within 10 km, want 27", len(all))
	}
}

func TestFindNothing(t *testing.T) {
	for _, q := range []places.Query{
		{At: places.Point{Lat: 30, Lng: -40}, Radius: 50, Bound: 20}, // the middle of the Atlantic
		{At: campus, Radius: 0, Bound: 20},
		{At: places.Point{Lat: -90}, Radius: 0, Bound: 20}, // where two places are
		{At: campus, Radius: 50, Bound: 0},
		{At: campus, Radius: math.NaN(), Bound: 20},
	} {
		want := places.Answer{HTMLAttributions: []string{}, Results: []places.Place{}, Status: places.ZeroResults}
		if a := find(t, opened(), q); !reflect.DeepEqual(a, want) {
			t.Errorf("%+v: %+v, want %+v", q, a, want)
		}
	}
}

func TestFindNoPoint(t *testing.T) {
	for _, p := range []places.Point{
		{Lat: 90.0001},
		{Lat: -91},
		{Lng: 180.0001},
		{Lng: -181},
		{Lat: math.NaN()},
		{Lng: math.NaN()},
		{Lat: math.Inf(1)},
		{Lng: math.Inf(-1)},
	} {
		_, err := opened().Find(t.Context(), places.Query{At: p, Radius: 1, Bound: 1})
		if e, ok := errors.AsType[*places.Error](err); !ok || e.Status != places.InvalidRequest {
			t.Errorf("%v: error %v, want INVALID_REQUEST", p, err)
		}
	}
}

func TestNearbyBytes(t *testing.T) {
	body, status, n := places.Nearby(t.Context(), opened(), places.Query{At: places.Point{Lat: 48.8566, Lng: 2.3522}, Radius: 0.6, Bound: 2})
	const want = `{
  "html_attributions": [
    "Place data © GeoNames (www.geonames.org), CC BY 4.0; modified"
  ],
  "results": [
    {
      "geometry": {
        "location": {
          "lat": 48.8534,
          "lng": 2.3488
        }
      },
      "name": "Paris",
      "place_id": "g2988507",
      "plus_code": {
        "global_code": "8FW4V83X+9G"
      },
      "types": [
        "locality",
        "political"
      ],
      "vicinity": "Paris, Île-de-France"
    },
    {
      "geometry": {
        "location": {
          "lat": 48.853,
          "lng": 2.3499
        }
      },
      "name": "Notre-Dame de Paris",
      "place_id": "c162",
      "plus_code": {
        "global_code": "8FW4V83X+6X"
      },
      "types": [
        "church",
        "point_of_interest",
        "establishment"
      ],
      "vicinity": "Paris, Île-de-France"
    }
  ],
  "status": "OK"
}`
	if string(body) != want || status != places.OK || n != 2 {
		t.Errorf("%s\n%s, %d results", body, status, n)
	}
}

// small returns a table with one place of each kind that is treated differently.
func small(t *testing.T) *table {
	at := func(id string, lat, lng float64, kind, country, admin1 string) record {
		k, known := slices.BinarySearch(kinds, kind)
		if !known {
			t.Fatalf("no kind %q", kind)
		}
		return record{
			id: id, name: "The " + id, at: index.PointOf(places.Point{Lat: lat, Lng: lng}),
			kind: uint8(k), country: country, admin1: admin1,
		}
	}
	return tableOf(t, []record{
		at("town", 10, 20, "locality", "AA", "01"),
		at("twin", 10, 20, "locality", "AA", "01"), // at the same point
		at("quarter", 10.01, 20, "neighborhood", "AA", "01"),
		at("museum", 10.02, 20, "museum", "AA", "01"),
		at("foreign", 10.021, 20, "locality", "BB", "01"), // nearer to the museum, across a border
		at("sight", 10.022, 20, "point_of_interest", "AA", ""),
		at("village", 10.3, 20, "locality", "AA", "02"),      // of a region without a name
		at("falls", 10.7, 20, "natural_feature", "AA", "02"), // 44 km from its village
		at("tower", 10.8, 20, "airport", "AA", "01"),         // 89 km from its town
		at("station", -80, 20, "point_of_interest", "AQ", ""),
	}, map[string]string{"AA.01": "North", "BB.01": "South"})
}

func TestPlace(t *testing.T) {
	tab := small(t)
	got := make(map[string]string)
	for i := range tab.rows {
		p := tab.Place(int32(i))
		got[p.PlaceID] = strings.Join(p.Types, " ") + " | " + p.Vicinity
		if p.Name != "The "+p.PlaceID || p.Geometry.Location != tab.point(int32(i)) || p.PlusCode.GlobalCode != places.GlobalCode(tab.point(int32(i))) {
			t.Errorf("row %d: %+v", i, p)
		}
	}
	want := map[string]string{
		"town":    "locality political | The town, North",
		"twin":    "locality political | The twin, North",
		"quarter": "neighborhood political | The town, North",
		"museum":  "museum point_of_interest establishment | The town, North",
		"foreign": "locality political | The foreign, South",
		"sight":   "point_of_interest establishment | The town, North",
		"village": "locality political | The village",
		"falls":   "natural_feature establishment | The village",
		"tower":   "airport point_of_interest establishment | North",
		"station": "point_of_interest establishment | ",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// gate is a file system that blocks until it is opened.
type gate struct {
	fs.FS
	open chan struct{}
}

func (g gate) Open(name string) (fs.File, error) {
	<-g.open
	return g.FS.Open(name)
}

func TestFindWaitsForTheTable(t *testing.T) {
	packed := packSmall(t)
	synctest.Test(t, func(t *testing.T) {
		data := gate{fstest.MapFS{placesFile: {Data: packed.Places}, regionsFile: {Data: packed.Regions}}, make(chan struct{})}
		g := open(data)
		q := places.Query{At: places.Point{Lat: 10, Lng: 20}, Radius: 50, Bound: 20}

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := g.Find(ctx, q)
		if took := time.Since(start); took != 2*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v, want the deadline", took, err)
		}
		want := "gazetteer: wait until it is loaded: context deadline exceeded"
		if err != nil && err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}

		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				if a, err := g.Find(t.Context(), q); err != nil || len(a.Results) != 2 {
					t.Errorf("%+v, %v, want two results", a, err)
				}
			})
		}
		synctest.Wait()
		close(data.open)
		waiting.Wait()
		if _, err := g.Find(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v with a ctx that is done, want its error", err)
		}
	})
}

func TestBrokenData(t *testing.T) {
	packed := packSmall(t)
	flipped := slices.Clone(packed.Places)
	flipped[len(flipped)/2] ^= 0x10
	for _, c := range []struct {
		name string
		data fstest.MapFS
		want string
	}{
		{"nothing", fstest.MapFS{}, "gazetteer: read the embedded data: open data/admin1.tsv: file does not exist"},
		{"no places", fstest.MapFS{regionsFile: {Data: packed.Regions}}, "gazetteer: read the embedded data: open data/places.zst: file does not exist"},
		{"empty places", fstest.MapFS{regionsFile: {Data: packed.Regions}, placesFile: {}}, "gazetteer: read data/places.zst: line 1: want the column #id"},
		{"flipped bit", fstest.MapFS{regionsFile: {Data: packed.Regions}, placesFile: {Data: flipped}}, "gazetteer: read data/places.zst: decompress: "},
		{"cut off", fstest.MapFS{regionsFile: {Data: packed.Regions}, placesFile: {Data: flipped[:20]}}, "gazetteer: read data/places.zst: decompress: "},
		{"no regions", fstest.MapFS{regionsFile: {}, placesFile: {Data: packed.Places}}, "gazetteer: read data/admin1.tsv: line 1: want the header \"#code\\tname\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := open(c.data)
			for range 2 {
				_, err := g.Find(t.Context(), places.Query{At: campus, Radius: 10, Bound: 20})
				if err == nil || !strings.HasPrefix(err.Error(), c.want) {
					t.Errorf("error %v, want %s", err, c.want)
				}
			}
			if body, status, _ := places.Nearby(t.Context(), g, places.Query{At: campus, Radius: 10, Bound: 20}); status != places.UnknownError {
				t.Errorf("status %s: %s", status, body)
			}
		})
	}
}

func TestAttributions(t *testing.T) {
	text, err := os.ReadFile("data/LICENSES.md")
	if err != nil {
		t.Fatal(err)
	}
	all := Attributions()
	if len(all) != 3 {
		t.Errorf("%d attributions, want 3", len(all))
	}
	for _, a := range all {
		for _, part := range []string{"`" + a.Source + "`", a.Licence, a.URL, a.Text} {
			if part == "``" || part == "" || !strings.Contains(string(text), part) {
				t.Errorf("data/LICENSES.md does not name %q of %s", part, a.Source)
			}
		}
	}
	all[0].Text = "changed"
	if Attributions()[0].Text == "changed" {
		t.Error("the attributions can be changed from outside")
	}
}

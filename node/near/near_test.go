package near

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"herd/node/line"
	"herd/places"
)

// reported makes the report of a client at a point.
func reported(t testing.TB, id string, at places.Point, second int) line.Report {
	t.Helper()
	position := fmt.Sprintf("%+.6f%+.6f", at.Lat, at.Lng)
	r, err := line.ParseReport("A +0.000000000 " + id + " " + position + " " + strconv.Itoa(second))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// model is what an index is held against: all reports, looked at one by one.
type model map[line.ClientID]line.Report

func (m model) nearest(at places.Point, radius float64, limit int) (hits []Hit) {
	for _, r := range m {
		lat, lng := r.Coordinates()
		if d := places.Distance(at, places.Point{Lat: lat, Lng: lng}); d <= radius {
			hits = append(hits, Hit{r, d})
		}
	}
	slices.SortFunc(hits, Hit.compare)
	return hits[:min(limit, len(hits))]
}

// world deals points: crowds, poles, both sides of the antimeridian, the same again, and anywhere.
type world struct {
	*rand.Rand
	before []places.Point
}

func (w *world) point() places.Point {
	around := func(lat, lng, spread float64) places.Point {
		lat = min(max(lat+spread*w.NormFloat64(), -90), 90)
		lng = math.Remainder(lng+spread*w.NormFloat64(), 360)
		return places.Point{Lat: lat, Lng: lng}
	}
	var p places.Point
	switch w.IntN(8) {
	case 0:
		p = around(90, 0, 0.01)
		p.Lng = 360*w.Float64() - 180
	case 1:
		p = around(-90, 0, 5)
		p.Lng = 360*w.Float64() - 180
	case 2:
		p = around(12, 180, 0.2)
	case 3:
		p = around(34.07, -118.44, 0.001)
	case 4:
		p = []places.Point{{Lat: 90}, {Lat: -90}, {Lng: 180}, {Lng: -180}, {Lat: 45, Lng: 180}, {}}[w.IntN(6)]
	case 5:
		if len(w.before) > 0 {
			return w.before[w.IntN(len(w.before))]
		}
		fallthrough
	default:
		p = places.Point{Lat: 180*w.Float64() - 90, Lng: 360*w.Float64() - 180}
	}
	p.Lat, _ = strconv.ParseFloat(fmt.Sprintf("%.6f", p.Lat), 64) // as it is reported
	p.Lng, _ = strconv.ParseFloat(fmt.Sprintf("%.6f", p.Lng), 64)
	w.before = append(w.before, p)
	return p
}

// moves returns which clients report next: some, each somewhere, or in a herd all at one point.
func (w *world) moves(clients int, herd bool) iter.Seq2[int, *places.Point] {
	return func(yield func(int, *places.Point) bool) {
		if herd {
			at := w.point()
			for c := range min(clients, 50) {
				if !yield(c, &at) {
					return
				}
			}
		}
		for range w.IntN(1 + clients/4) {
			if !yield(w.IntN(clients), nil) {
				return
			}
		}
	}
}

func (w *world) radius() float64 {
	switch w.IntN(6) {
	case 0:
		return 0
	case 1:
		return math.Pi * places.EarthRadius * (0.5 + w.Float64()) // more than half of the Earth
	case 2:
		return math.Inf(1)
	default:
		return math.Exp(w.Float64()*17 - 7) // 1 m to 22,000 km
	}
}

// An index finds what a search of all clients finds, whatever has come, moved and gone before.
func TestNearestProperty(t *testing.T) {
	exercised := make(map[string]int)
	for seed := range uint64(60) {
		w := &world{Rand: rand.New(rand.NewPCG(seed, 7))}
		x, m := New(0), make(model)
		clients := 1 + w.IntN(1500)
		for step := range 100 {
			for c, together := range w.moves(clients, seed%6 == 0) {
				at := together
				if at == nil {
					at = new(w.point())
				}
				r := reported(t, "c"+strconv.Itoa(c), *at, step)
				x.Put(r)
				m[r.Client()] = r
			}
			if w.IntN(20) == 0 {
				oldest := strconv.Itoa(step - w.IntN(10))
				keep := func(r line.Report) bool {
					return len(r.Time()) > len(oldest) || len(r.Time()) == len(oldest) && r.Time() >= oldest
				}
				x.Keep(keep)
				for id, r := range m {
					if !keep(r) {
						delete(m, id)
						exercised["forgotten"]++
					}
				}
			}
			at, radius, limit := w.point(), w.radius(), 1+w.IntN(20)
			if w.IntN(10) == 0 {
				limit = 10 * clients
			}
			got, want := x.Nearest(at, radius, limit), m.nearest(at, radius, limit)
			if !slices.Equal(got, want) || len(x.ids) != len(m) {
				t.Fatalf("seed %d step %d: %d clients, %d nearest within %v km of %v:\ngot  %v\nwant %v", seed, step, len(x.ids), limit, radius, at, got, want)
			}
			exercised["asked"]++
			count(exercised, at, radius, limit, got, len(m))
		}
		exercised["cubes made anew"] += min(x.built, 1)
	}
	t.Log(exercised)
	for what, least := range map[string]int{
		"asked": 6000, "forgotten": 1000, "none": 200, "cut": 2000, "all": 100, "radius 0 hit": 50, "tie": 1000, "tie over the cut": 50,
		"over the antimeridian": 1000, "over a pole": 1000, "more than half of the Earth": 500, "cubes made anew": 3,
	} {
		if exercised[what] < least {
			t.Errorf("%s: %d times, less than %d", what, exercised[what], least)
		}
	}
}

func count(exercised map[string]int, at places.Point, radius float64, limit int, got []Hit, clients int) {
	for what, is := range map[string]bool{
		"none": len(got) == 0, "cut": len(got) == limit, "all": len(got) == clients && clients > 0, "radius 0 hit": radius == 0 && len(got) > 0,
		"more than half of the Earth": radius > math.Pi/2*places.EarthRadius && len(got) > 1,
	} {
		if is {
			exercised[what]++
		}
	}
	for i, h := range got {
		_, lng := h.Report.Coordinates()
		switch apart := math.Abs(lng - at.Lng); {
		case apart > 270:
			exercised["over the antimeridian"]++
		case apart > 90:
			exercised["over a pole"]++
		}
		if i > 0 && h.Distance == got[i-1].Distance {
			exercised["tie"]++
			if i == limit-1 {
				exercised["tie over the cut"]++
			}
		}
	}
}

// Of many clients at one point those with the least IDs are found, and cubes do not grow without end.
func TestManyAtOnePoint(t *testing.T) {
	x := New(0)
	at := places.Point{Lat: 34.06893, Lng: -118.445127}
	for i := range 20_000 {
		x.Put(reported(t, fmt.Sprintf("c%05d", (i*7919)%20_000), at, 1))
	}
	var ids []line.ClientID
	for _, h := range x.Nearest(at, 0, 3) {
		ids = append(ids, h.Report.Client())
	}
	if want := []line.ClientID{"c00000", "c00001", "c00002"}; !slices.Equal(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
	if n := len(x.cubes); n > 2*maxDepth {
		t.Errorf("%d cubes", n)
	}
	for round := range 50 { // all move together, again and again
		for i := range 200 {
			x.Put(reported(t, fmt.Sprintf("c%05d", i), places.Point{Lat: float64(round), Lng: float64(round)}, 2))
		}
	}
	if n := len(x.cubes); n > 2*x.built+1024 {
		t.Errorf("%d cubes, %d when they were made anew", n, x.built)
	}
}

// Questions that make no sense have no answer.
func TestNearestNothing(t *testing.T) {
	x := New(0)
	if hits := x.Nearest(places.Point{}, math.Inf(1), 5); hits != nil {
		t.Errorf("an empty index finds %v", hits)
	}
	x.Put(reported(t, "c", places.Point{}, 1))
	for _, radius := range []float64{-1, math.NaN(), math.Inf(-1)} {
		if hits := x.Nearest(places.Point{}, radius, 5); hits != nil {
			t.Errorf("within %v km: %v", radius, hits)
		}
	}
	if hits := x.Nearest(places.Point{}, 1, 0); hits != nil {
		t.Errorf("none of them: %v", hits)
	}
}

// BenchmarkNearest searches for the ten clients nearest to a point within 50 km, a fifth of them anywhere and the others in 200 towns, and for the
// same by looking at all. It reports the ratio, what the index takes for each client beside the report, and how long it takes to make.
func BenchmarkNearest(b *testing.B) {
	for _, clients := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			w := rand.New(rand.NewPCG(1, 2))
			towns := make([]places.Point, 200)
			for i := range towns {
				towns[i] = places.Point{Lat: 140*w.Float64() - 70, Lng: 360*w.Float64() - 180}
			}
			point := func() places.Point {
				if w.IntN(5) == 0 {
					return places.Point{Lat: 180*w.Float64() - 90, Lng: 360*w.Float64() - 180}
				}
				p := towns[w.IntN(len(towns))]
				return places.Point{Lat: p.Lat + 0.1*w.NormFloat64(), Lng: math.Remainder(p.Lng+0.1*w.NormFloat64(), 360)}
			}
			reports := make([]line.Report, clients)
			for i := range reports {
				reports[i] = reported(b, "client"+strconv.Itoa(i), point(), 1)
			}
			before := heap()
			began := time.Now()
			x := New(clients)
			for _, r := range reports {
				x.Put(r)
			}
			made, taken := time.Since(began), heap()-before
			all := func(at places.Point) (hits []Hit) {
				for _, r := range reports {
					lat, lng := r.Coordinates()
					if d := places.Distance(at, places.Point{Lat: lat, Lng: lng}); d <= 50 {
						hits = places.InsertNearest(hits, Hit{r, d}, 10, Hit.compare)
					}
				}
				return hits
			}
			var index, brute time.Duration
			questions := 0
			for b.Loop() {
				at := point()
				start := time.Now()
				got := x.Nearest(at, 50, 10)
				index += time.Since(start)
				if questions < 5 {
					start = time.Now()
					want := all(at)
					brute += time.Since(start)
					if !slices.Equal(got, want) {
						b.Fatalf("around %v: %v, want %v", at, got, want)
					}
				}
				questions++
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(made.Nanoseconds())/float64(clients), "ns-to-make/client")
			b.ReportMetric(float64(taken)/float64(clients), "B/client")
			b.ReportMetric(float64(index.Nanoseconds())/float64(questions), "ns/question")
			b.ReportMetric(float64(brute.Nanoseconds())/float64(min(questions, 5)), "ns/brute")
			b.ReportMetric(float64(brute)/float64(min(questions, 5))/(float64(index)/float64(questions)), "brute/index")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Clients that come after others were removed take their rows, so that an index from which clients come and go does not grow.
func TestRowsReused(t *testing.T) {
	x := New(0)
	for generation := range 10 {
		for c := range 1000 {
			x.Put(reported(t, fmt.Sprintf("%d-%d", generation, c), places.Point{Lat: 1, Lng: 1}, 1))
		}
		x.Keep(func(r line.Report) bool { return strings.HasSuffix(string(r.Client()), "0") })
	}
	if got, most := len(x.rows), 1+1000+9*100; got > most {
		t.Errorf("%d rows for %d clients, want at most %d", got, len(x.ids), most)
	}
}

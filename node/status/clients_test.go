package status

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/places"
)

func (s *engineSource) Cutoff() int64 { return s.Engine.Cutoff() }

// nearest queries a server, and compares with all that its node holds.
func nearest(t *testing.T, server *Server, lat, lon, radius float64, limit int) (got, want []string) {
	t.Helper()
	exact := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) } // without an exponent
	w := answer(server.mux, "GET", fmt.Sprintf("/api/v1/clients?near=%s,%s&radius=%s&limit=%d", exact(lat), exact(lon), exact(radius), limit))
	var found Nearest
	if err := json.Unmarshal(w.Body.Bytes(), &found); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, c := range found.Clients {
		got = append(got, fmt.Sprint(c.ID, " ", c.Distance, " ", c.Line))
	}
	type hit struct {
		id       line.ClientID
		distance float64
		text     string
	}
	var all []hit
	for r := range server.config.Source.Registry().All() {
		lat2, lon2 := r.Coordinates()
		if d := places.Distance(places.Point{Lat: lat, Lng: lon}, places.Point{Lat: lat2, Lng: lon2}); d <= radius {
			all = append(all, hit{r.Client(), d, r.String()})
		}
	}
	slices.SortFunc(all, func(a, b hit) int { return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.id, b.id)) })
	if more := len(all) > limit; more != found.More {
		t.Errorf("more: %v, of %d with a limit of %d", found.More, len(all), limit)
	}
	for _, h := range all[:min(limit, len(all))] {
		want = append(want, fmt.Sprint(h.id, " ", h.distance, " AT ", h.text))
	}
	return got, want
}

func somewhere(t testing.TB, client string, second int) line.Report {
	t.Helper()
	position := fmt.Sprintf("%+.4f%+.4f", 170*rand.Float64()-85, 359*rand.Float64()-179.5)
	r, err := line.ParseReport(fmt.Sprintf("B +1.000000000 %s %s %d", client, position, second))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is near is exact at the time of the question, however the registry changes, and costs nothing without queries.
func TestNear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		server := New(Config{Source: s})
		check := func(when string) {
			t.Helper()
			for range 20 {
				lat, lon := 180*rand.Float64()-90, 360*rand.Float64()-180
				if got, want := nearest(t, server, lat, lon, 20_016*math.Pow(rand.Float64(), 2), 1+rand.IntN(30)); !slices.Equal(got, want) {
					t.Fatalf("%s: got %q, want %q", when, got, want)
				}
			}
		}
		state := func() (subscriptions int, made bool) {
			server.nearest.mu.Lock()
			defer server.nearest.mu.Unlock()
			return s.subscriptions, server.nearest.index != nil
		}
		check("empty")
		for round := range 20 {
			for range 200 {
				s.Apply(somewhere(t, fmt.Sprint("c", rand.IntN(1000)), epoch+round), "B")
			}
			check("changed")
		}
		if subscriptions, _ := state(); subscriptions != 1 {
			t.Errorf("%d subscriptions", subscriptions)
		}
		for i := range 2 * s.mostChanged {
			s.Apply(somewhere(t, fmt.Sprint("d", i), epoch), "B")
		}
		check("too much changed")
		time.Sleep(indexTime - time.Second)
		check("after a while")
		time.Sleep(indexTime - 1)
		synctest.Wait()
		if subscriptions, made := state(); subscriptions != 1 || !made {
			t.Error("the index is given back too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if subscriptions, made := state(); subscriptions != 0 || made {
			t.Error("the index is not given back")
		}
		check("again")
		server.nearest.release()
		if subscriptions, _ := state(); subscriptions != 0 {
			t.Error("the server stops, and is still subscribed")
		}
		time.Sleep(time.Hour)
	})
}

// What retention has forgotten is near nothing.
func TestNearForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		s.Engine = flood.NewEngine(flood.Config{Name: "A", Topology: s.topology.Load(), Retention: time.Minute})
		server := New(Config{Source: s})
		for i := range 100 {
			s.Apply(somewhere(t, fmt.Sprint("c", i), epoch+i), "B")
		}
		for second := range 200 {
			s.Tick(time.Now())
			got, want := nearest(t, server, 0, 0, 30_000, 1000)
			if !slices.Equal(got, want) {
				t.Fatalf("second %d: got %d, want %d", second, len(got), len(want))
			}
			if second == 150 && len(want) >= 100 || second == 0 && len(want) != 100 || second == 199 && len(want) != 0 {
				t.Errorf("second %d: %d clients", second, len(want))
			}
			time.Sleep(time.Second)
		}
		server.nearest.release()
	})
}

// Questions and reports at the same time do not disturb each other.
func TestNearConcurrently(t *testing.T) {
	s := newEngineSource(t)
	server := New(Config{Source: s})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for i := range 300 {
				s.Apply(somewhere(t, fmt.Sprint("c", rand.IntN(50)), epoch+i), "B")
			}
		})
		all.Go(func() {
			for range 50 {
				if w := answer(server.mux, "GET", "/api/v1/clients?near=0,0"); w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				server.nearest.release()
			}
		})
	}
	all.Wait()
	if got, want := nearest(t, server, 0, 0, 30_000, 1000); !slices.Equal(got, want) {
		t.Errorf("in the end: got %d, want %d", len(got), len(want))
	}
}

// A client is found by its ID, byte for byte, and malformed queries are refused.
func TestClients(t *testing.T) {
	s := newEngineSource(t)
	server := New(Config{Source: s})
	for _, id := range []string{"a", "%41", "a/b", "a//b", "..", ".", "<script>", "k\xff\x00", "ä?#", "a+b", strings.Repeat("x", line.MaxClient)} {
		s.apply(t, id, 1)
		w := answer(server.mux, "GET", "/api/v1/clients/"+url.PathEscape(id))
		if id == "." || id == ".." {
			w = answer(server.mux, "GET", "/api/v1/clients/"+strings.Repeat("%2E", len(id)))
		}
		var c Client
		if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 || c.ID != strings.ToValidUTF8(id, "\ufffd") ||
			(c.IDBase64 != nil) != (id == "k\xff\x00") || c.IDBase64 != nil && string(c.IDBase64) != id || c.Lat != 34.5 || c.Lon != -118.25 {
			t.Errorf("%q: %d %s", id, w.Code, w.Body)
		}
	}
	for path, want := range map[string]string{
		"/api/v1/clients/a%20b":             "that is no client ID: 1 to 1024 bytes, none of them white space",
		"/api/v1/clients/nobody":            "no report of a client with that ID is held",
		"/api/v1/clients/a?near=1":          `there is no parameter "near"`,
		"/api/v1/clients":                   "near must be a point, LAT,LON in degrees, as in near=34.06893,-118.445127",
		"/api/v1/clients?near=1,2&near=3,4": "near is there twice",
	} {
		var e Error
		if w := answer(server.mux, "GET", path); json.Unmarshal(w.Body.Bytes(), &e) != nil || w.Code < 400 || e.Error != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, query := range []string{
		"near=", "near=1", "near=1,", "near=91,0", "near=0,180.1", "near=NaN,0", "near=1e1,0", "near=0x1,0", "near=1,2,3", "near=1;2", "near= 1, 2x",
		"near=1,2&radius=", "near=1,2&radius=-1", "near=1,2&radius=Inf", "near=1,2&radius=1e3", "near=1,2&radius=x",
		"near=1,2&limit=", "near=1,2&limit=0", "near=1,2&limit=1001", "near=1,2&limit=-1", "near=1,2&limit=9999999999999999999",
	} {
		if w := answer(server.mux, "GET", "/api/v1/clients?"+strings.ReplaceAll(query, " ", "%20")); w.Code != 400 {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	for _, query := range []string{"near=90,180", "near=-90,-180", "near=+1.5,+2", "near=%2B1.5,-2&radius=0&limit=1000", "near=0,0&radius=99999999999"} {
		if w := answer(server.mux, "GET", "/api/v1/clients?"+query); w.Code != 200 {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

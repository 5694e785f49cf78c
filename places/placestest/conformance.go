package placestest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/places"
)

// Sample says what the places of a Finder under test have in common with the real ones.
type Sample struct {
	At      places.Point // there are at least Least places within Radius of it
	Radius  float64      // km
	Least   int          // 1 or more
	Nowhere places.Point // there is no place within 1 km of it
}

// most is the largest bound of a Query.
const most = 20

// Test checks that f keeps the contract of places.Finder: order, bound, radius, errors, and the same answer to concurrent queries.
func Test(t *testing.T, f places.Finder, s Sample) {
	t.Helper()
	whole := places.Query{At: s.At, Radius: s.Radius, Bound: most}
	all := find(t, f, whole)
	if len(all.Results) < s.Least || s.Least < 1 {
		t.Fatalf("%d places within %v km, want %d or more", len(all.Results), s.Radius, s.Least)
	}
	t.Run("answer", func(t *testing.T) { checkAnswer(t, all, whole) })
	t.Run("bound", func(t *testing.T) {
		for bound := 1; bound <= most; bound++ {
			q := whole
			q.Bound = bound
			same(t, find(t, f, q).Results, all.Results[:min(bound, len(all.Results))])
		}
	})
	t.Run("radius", func(t *testing.T) {
		for n := range all.Results {
			q := whole
			q.Radius = math.Nextafter(distance(q, all.Results[n]), math.Inf(1))
			if q.Radius > s.Radius || n+1 < len(all.Results) && distance(q, all.Results[n+1]) <= q.Radius {
				continue
			}
			same(t, find(t, f, q).Results, all.Results[:n+1])
		}
	})
	t.Run("nothing", func(t *testing.T) {
		for _, q := range []places.Query{
			{At: s.At, Radius: s.Radius},
			{At: s.At, Bound: most},
			{At: s.Nowhere, Radius: 1, Bound: most},
		} {
			if a, err := f.Find(t.Context(), q); err != nil || a.Status != places.ZeroResults || len(a.Results) != 0 {
				t.Errorf("%+v: %+v, %v; want %s", q, a, err, places.ZeroResults)
			}
		}
	})
	t.Run("errors", func(t *testing.T) { checkErrors(t, f, whole) })
	t.Run("together", func(t *testing.T) {
		var queries sync.WaitGroup
		for range 8 {
			queries.Go(func() {
				if a, err := f.Find(t.Context(), whole); err != nil || !reflect.DeepEqual(a, all) {
					t.Errorf("%+v, %v; want the first answer, %+v", a, err, all)
				}
			})
		}
		queries.Wait()
	})
}

// checkErrors checks that queries for a point that is not on Earth, and queries whose ctx is done, fail.
func checkErrors(t *testing.T, f places.Finder, whole places.Query) {
	t.Run("not on Earth", func(t *testing.T) {
		for _, at := range []places.Point{{Lat: 90.1}, {Lng: -180.1}, {Lat: math.NaN()}, {Lng: math.Inf(1)}} {
			a, err := f.Find(t.Context(), places.Query{At: at, Radius: 1, Bound: 1})
			e, ok := errors.AsType[*places.Error](err)
			if !ok || e.Status != places.InvalidRequest || e.Retryable || strings.ContainsAny(e.Error(), "\r\n") || len(a.Results) != 0 {
				t.Errorf("%v: %+v, %v; want %s", at, a, err, places.InvalidRequest)
			}
		}
	})
	t.Run("done", func(t *testing.T) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		for _, ctx := range []context.Context{gone, late} {
			if a, err := f.Find(ctx, whole); !errors.Is(err, ctx.Err()) || len(a.Results) != 0 {
				t.Errorf("%+v, %v; want %v", a, err, ctx.Err())
			}
		}
	})
}

// find returns f's answer to q and fails the test if there is an error.
func find(t *testing.T, f places.Finder, q places.Query) places.Answer {
	t.Helper()
	a, err := f.Find(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return a
}

// checkAnswer checks an answer to q that has results, and its JSON.
func checkAnswer(t *testing.T, a places.Answer, q places.Query) {
	t.Helper()
	if a.Status != places.OK || a.ErrorMessage != "" || len(a.Results) > q.Bound {
		t.Errorf("%s, %q, %d places", a.Status, a.ErrorMessage, len(a.Results))
	}
	before, ids := 0.0, make(map[string]bool)
	for _, p := range a.Results {
		d := distance(q, p)
		if !(d >= before && d <= q.Radius) {
			t.Errorf("%s is %v km away, after one %v km away; the radius is %v km", p.Name, d, before, q.Radius)
		}
		before = d
		if p.Name == "" || p.Raw == nil && (p.PlaceID == "" || len(p.Types) == 0 || ids[p.PlaceID]) || p.Raw != nil && !json.Valid(p.Raw) {
			t.Errorf("%+v lacks a member, or has the id of another", p)
		}
		ids[p.PlaceID] = true
	}
	body, status, n := places.Nearby(t.Context(), result{answer: a}, q)
	var read struct {
		HTMLAttributions []string `json:"html_attributions"`
		Results          []places.Place
		Status           string
	}
	if err := json.Unmarshal(body, &read); err != nil || status != places.OK || n != len(a.Results) || len(read.Results) != n || read.HTMLAttributions == nil {
		t.Errorf("%v, %s, %d places in %s", err, status, n, body)
	}
	for i, p := range read.Results {
		if want := a.Results[i]; p.Name != want.Name || p.Geometry.Location != want.Geometry.Location || p.PlaceID == "" {
			t.Errorf("%+v in the JSON, want %+v", p, want)
		}
	}
}

// result is a Finder with a fixed result.
type result struct {
	answer places.Answer
	err    error
}

// Find implements places.Finder.
func (r result) Find(context.Context, places.Query) (places.Answer, error) { return r.answer, r.err }

func same(t *testing.T, got, want []places.Place) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d places, %q; want the first %d of the larger answer, %q", len(got), names(got), len(want), names(want))
	}
}

func names(all []places.Place) []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return names
}

func distance(q places.Query, p places.Place) float64 {
	return places.Distance(q.At, p.Geometry.Location)
}

package places

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counted Counters
		var queries []Query
		east, west := at("east", 10.00003, 20.00009), at("west", 10.00003, 19.99995)
		var fail error
		c := Cache("cached", finderFunc(func(_ context.Context, q Query) (Answer, error) {
			queries = append(queries, q)
			return Answer{Results: []Place{west, east}, HTMLAttributions: []string{"who"}}, fail
		}), counted.Watch)
		query := func(lat, lng, radius float64, bound int) Query { return Query{Point{lat, lng}, radius, bound} }
		find := func(q Query, want ...Place) {
			t.Helper()
			a, err := c.Find(t.Context(), q)
			if err != nil || !reflect.DeepEqual(a.Results, want) || a.HTMLAttributions[0] != "who" {
				t.Errorf("%v: %v, %v", q, a, err)
			}
		}
		find(query(10.00003, 20.00004, 5, 3), east, west) // 5 m to the east, 9 m to the west
		find(query(10.00004, 19.99996, 5, 3), west, east) // in the same cell, that of 10 and 20
		find(query(10.00003, 20.00006, 5, 3), east, west) // in another cell
		find(query(10, 20, 6, 3), west, east)
		find(query(10, 20, 5, 2), west, east)
		find(query(10.00003, 20.00004, 0.09, 3), west, east) // not cached
		want := []Query{query(10, 20, 5, 3), query(10, 20.0001, 5, 3), query(10, 20, 6, 3), query(10, 20, 5, 2), query(10.00003, 20.00004, 0.09, 3)}
		if !reflect.DeepEqual(queries, want) {
			t.Errorf("queries %v, want %v", queries, want)
		}
		time.Sleep(CacheTTL - 1)
		find(query(10, 20, 5, 3), west, east)
		time.Sleep(time.Nanosecond)
		fail = errors.New("gone")
		if _, err := c.Find(t.Context(), query(10, 20, 5, 3)); !errors.Is(err, fail) {
			t.Errorf("%v for an expired answer", err)
		}
		fail = nil
		find(query(10, 20, 5, 3), west, east)
		if hits := counted.Counts()["cached"].CacheHits; hits != 2 || len(queries) != 7 {
			t.Errorf("%d hits, %d queries", hits, len(queries))
		}
		for i := range 2 * CacheSize { // in different cells
			_, _ = c.Find(t.Context(), query(float64(i)/1000, 0, 5, 3))
		}
		if n := c.(*cache).answers.Len(); n != CacheSize {
			t.Errorf("%d cached", n)
		}
	})
}

// Cache hits sort a copy of the results: what an earlier hit returned does not change.
func TestCacheHitsShareNothing(t *testing.T) {
	east, west := at("east", 10, 20.00004), at("west", 10, 19.99996)
	c := Cache("cached", gives(Answer{Results: []Place{west, east}}), func(Event) {})
	find := func(lng float64) []Place {
		a, err := c.Find(t.Context(), Query{Point{10, lng}, 5, 3})
		if err != nil {
			t.Fatal(err)
		}
		return a.Results
	}
	find(20)
	fromEast := find(20.00003)
	fromWest := find(19.99997)
	if !reflect.DeepEqual(fromEast, []Place{east, west}) || !reflect.DeepEqual(fromWest, []Place{west, east}) {
		t.Errorf("%v from the east, %v from the west", fromEast, fromWest)
	}
}

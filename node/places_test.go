package node

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"herd/node/status"
	"herd/places"
)

// A provider that fails is complained of once a minute for each way of failing, and all is counted.
func TestPlacesLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, entries := observer.New(zap.InfoLevel)
		watch := PlacesLog(zap.New(core))
		call := func(status, text string) {
			watch(places.Event{Provider: "google", Kind: places.Called, Status: status, Err: errors.New(text)})
		}
		watch(places.Event{Provider: "google", Kind: places.Called, Status: places.OK})
		watch(places.Event{Provider: "google", Kind: places.CacheHit})
		for range 3 {
			call(places.RequestDenied, "google: denied")
		}
		call(places.UnknownError, "google: torn")
		time.Sleep(complaintGap)
		call(places.RequestDenied, "google: denied again")
		watch(places.Event{Provider: "google", Kind: places.BreakerTurned, State: places.Open, Err: errors.New("google: denied")})
		watch(places.Event{Provider: "google", Kind: places.BreakerTurned, State: places.HalfOpen})
		watch(places.Event{Provider: "google", Kind: places.BreakerTurned, State: places.Closed})

		type entry struct {
			level, text string
			fields      map[string]any
		}
		var got []entry
		for _, e := range entries.All() {
			got = append(got, entry{e.Level.String(), e.Message, e.ContextMap()})
		}
		const failed = "provider of places failed"
		want := []entry{
			{"warn", failed, map[string]any{"provider": "google", "status": "REQUEST_DENIED", "error": "google: denied"}},
			{"warn", failed, map[string]any{"provider": "google", "status": "UNKNOWN_ERROR", "error": "google: torn"}},
			{"warn", failed, map[string]any{"provider": "google", "status": "REQUEST_DENIED", "error": "google: denied again", "others": int64(2)}},
			{"warn", "provider of places not asked for a while", map[string]any{"provider": "google", "error": "google: denied"}},
			{"info", "provider of places", map[string]any{"provider": "google", "breaker": "half-open"}},
			{"info", "provider of places", map[string]any{"provider": "google", "breaker": "closed"}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestProvidersInHealth(t *testing.T) {
	var c places.Counters
	for _, e := range []places.Event{
		{Kind: places.Called, Status: places.OK, Took: 1500 * time.Millisecond},
		{Kind: places.Retried},
		{Kind: places.CacheHit},
		{Kind: places.CacheHit},
		{Kind: places.Joined},
		{Kind: places.FellBack},
		{Kind: places.BreakerTurned, State: places.HalfOpen},
	} {
		e.Provider = "overpass"
		c.Watch(e)
	}
	want := map[string]status.Provider{
		"overpass": {Calls: 1, Statuses: map[string]uint64{"OK": 1}, CallSeconds: 1.5, Retries: 1, CacheHits: 2, Joined: 1, Fallbacks: 1, Breaker: "half-open"},
	}
	if got := providers(c.Counts()); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

package node

import (
	"reflect"
	"testing"
	"time"

	"herd/node/status"
	"herd/places"
)

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

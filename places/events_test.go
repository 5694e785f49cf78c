package places

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func TestCounters(t *testing.T) {
	var c Counters
	for _, e := range []Event{
		{Provider: "a", Kind: Called, Status: OK, Took: time.Second},
		{Provider: "a", Kind: Called, Status: ZeroResults, Took: 2 * time.Second},
		{Provider: "a", Kind: Called, Status: OK},
		{Provider: "a", Kind: Retried},
		{Provider: "a", Kind: BreakerTurned, State: Open},
		{Provider: "b", Kind: CacheHit},
		{Provider: "b", Kind: Joined},
		{Provider: "b", Kind: FellBack},
	} {
		c.Watch(e)
	}
	want := map[string]Count{
		"a": {Calls: 3, Statuses: map[string]uint64{OK: 2, ZeroResults: 1}, CallTime: 3 * time.Second, Retries: 1, Breaker: Open},
		"b": {Statuses: map[string]uint64{}, CacheHits: 1, Joined: 1, Fallbacks: 1},
	}
	got := c.Counts()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	got["a"].Statuses[OK] = 9
	if !reflect.DeepEqual(c.Counts(), want) {
		t.Error("what was given out can be changed")
	}
}

func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := &Error{Status: RequestDenied, Err: errors.New("denied")}
		var got []Event
		for _, f := range []Finder{gives(Answer{}), &slow{takes: time.Second}, fails(denied), fails(errors.New("torn"))} {
			_, _ = Measure("google", f, func(e Event) { got = append(got, e) }).Find(t.Context(), campus)
		}
		want := []Event{
			{Provider: "google", Kind: Called, Status: ZeroResults},
			{Provider: "google", Kind: Called, Status: OK, Took: time.Second},
			{Provider: "google", Kind: Called, Status: RequestDenied, Err: denied},
			{Provider: "google", Kind: Called, Status: UnknownError, Err: errors.New("torn")},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

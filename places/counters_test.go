package places

import (
	"reflect"
	"testing"
	"time"
)

func TestCounters(t *testing.T) {
	var c Counters
	for _, e := range []Event{
		{Provider: "a", What: Call, Status: OK, Took: time.Second},
		{Provider: "a", What: Call, Status: ZeroResults, Took: 2 * time.Second},
		{Provider: "a", What: Call, Status: OK},
		{Provider: "a", What: Retry},
		{Provider: "a", What: Turn, State: Open},
		{Provider: "b", What: Hit},
		{Provider: "b", What: Joined},
		{Provider: "b", What: Fall},
	} {
		c.Watch(e)
	}
	want := map[string]Count{
		"a": {Calls: 3, Statuses: map[string]uint64{OK: 2, ZeroResults: 1}, Took: 3 * time.Second, Retries: 1, Breaker: Open},
		"b": {Statuses: map[string]uint64{}, Hits: 1, Joined: 1, Fell: 1},
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

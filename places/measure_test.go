package places

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := &Error{Status: RequestDenied, Err: errors.New("denied")}
		var got []Event
		for _, f := range []Finder{gives(Answer{}), &slow{takes: time.Second}, fails(denied), fails(errors.New("torn"))} {
			_, _ = Measure("google", f, func(e Event) { got = append(got, e) }).Find(t.Context(), campus)
		}
		want := []Event{
			{Provider: "google", What: Call, Status: ZeroResults},
			{Provider: "google", What: Call, Status: OK, Took: time.Second},
			{Provider: "google", What: Call, Status: RequestDenied, Err: denied},
			{Provider: "google", What: Call, Status: UnknownError, Err: errors.New("torn")},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

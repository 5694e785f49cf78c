package places

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

func TestFallback(t *testing.T) {
	denied := &Error{Status: RequestDenied, Err: errors.New("google: denied")}
	second := gives(Answer{Results: []Place{at("near", 34.07, -118.44)}, InfoMessages: []string{"own"}})
	for _, c := range []struct {
		name      string
		first     Finder
		second    Finder
		status    string
		info      []string
		err       string
		when      time.Duration
		fallbacks uint64
	}{
		{"not needed", gives(Answer{}), second, ZeroResults, nil, "", 0, 0},
		{"first fails", fails(denied), second, OK, []string{"google: denied; these are places of the gazetteer", "own"}, "", 0, 1},
		{
			"first is slow", &slow{takes: time.Hour}, second, OK,
			[]string{"slow: gave up: context deadline exceeded; these are places of the gazetteer", "own"},
			"", 1800 * time.Millisecond, 1,
		},
		{"both fail", fails(denied), fails(errors.New("broken")), RequestDenied, nil, "google: denied; broken", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var counted Counters
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				began := time.Now()
				a := find(ctx, Fallback("google", c.first, "gazetteer", c.second, counted.Watch), campus)
				if a.Status != c.status || !reflect.DeepEqual(a.InfoMessages, c.info) || a.ErrorMessage != c.err {
					t.Errorf("%+v", a)
				}
				if took := time.Since(began); took != c.when {
					t.Errorf("after %v, want %v", took, c.when)
				}
				if n := counted.Counts()["google"].Fallbacks; n != c.fallbacks {
					t.Errorf("%d fallbacks, want %d", n, c.fallbacks)
				}
			})
		})
	}
}

// A query whose caller has left does not reach the second.
func TestFallbackForNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	second := finderFunc(func(context.Context, Query) (Answer, error) {
		t.Error("the second was queried")
		return Answer{}, nil
	})
	if _, err := Fallback("google", fails(ctx.Err()), "gazetteer", second, func(Event) {}).Find(ctx, campus); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

package places

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// gives returns a Finder that always gives a.
func gives(a Answer) Finder {
	return finderFunc(func(context.Context, Query) (Answer, error) { return a, nil })
}

// fails returns a Finder that always fails with err.
func fails(err error) Finder {
	return finderFunc(func(context.Context, Query) (Answer, error) { return Answer{}, err })
}

// at returns a place of that name.
func at(name string, lat, lng float64) Place {
	return Place{Name: name, PlaceID: "id-" + name, Geometry: Geometry{Location: Point{lat, lng}}, Types: []string{"park"}}
}

// campus is a query for everything within 10 km.
var campus = Query{At: Point{34.06893, -118.445127}, Radius: 10, Bound: 20}

func TestNearbyBytes(t *testing.T) {
	hall := at("Royce <Hall> & \"more\"\n\né\u2028", 34.073, -118.4422)
	hall.Types = []string{"tourist_attraction", "establishment"}
	hall.Vicinity = "Los Angeles, California"
	hall.PlusCode = PlusCode{"85633HF5+64"}
	bare := Place{Name: "Bare", PlaceID: "b"}
	bare.Geometry.Location = Point{34, -118.44512699}

	body, status, results := Nearby(t.Context(), gives(Answer{
		HTMLAttributions: []string{`<a href="https://example.org">©</a>`},
		Results:          []Place{hall, bare},
	}), campus)
	const want = `{
  "html_attributions": [
    "<a href=\"https://example.org\">©</a>"
  ],
  "results": [
    {
      "geometry": {
        "location": {
          "lat": 34.073,
          "lng": -118.4422
        }
      },
      "name": "Royce <Hall> & \"more\"\n\né\u2028",
      "place_id": "id-Royce <Hall> & \"more\"\n\né\u2028",
      "plus_code": {
        "global_code": "85633HF5+64"
      },
      "types": [
        "tourist_attraction",
        "establishment"
      ],
      "vicinity": "Los Angeles, California"
    },
    {
      "geometry": {
        "location": {
          "lat": 34,
          "lng": -118.44512699
        }
      },
      "name": "Bare",
      "place_id": "b",
      "types": []
    }
  ],
  "status": "OK"
}`
	if string(body) != want {
		t.Errorf("body:\n%s\nwant:\n%s", body, want)
	}
	if status != OK || results != 2 {
		t.Errorf("status %s, %d results, want OK, 2", status, results)
	}
}

// zero is the reply without results.
const zero = `{
  "html_attributions": [],
  "results": [],
  "status": "ZERO_RESULTS"
}`

func TestNearbyNotQueried(t *testing.T) {
	never := finderFunc(func(_ context.Context, q Query) (Answer, error) {
		t.Errorf("queried %+v", q)
		return Answer{}, nil
	})
	for _, q := range []Query{
		{At: campus.At, Radius: 0, Bound: 20},
		{At: campus.At, Radius: 50, Bound: 0},
		{At: campus.At},
		{At: campus.At, Radius: math.NaN(), Bound: 20},
		{At: campus.At, Radius: -1, Bound: -1},
	} {
		if body, status, n := Nearby(t.Context(), never, q); string(body) != zero || status != ZeroResults || n != 0 {
			t.Errorf("%+v: %s, %s, %d", q, body, status, n)
		}
	}
}

func TestNearbyCuts(t *testing.T) {
	near := []Place{at("a", 34.07, -118.44), at("b", 34.08, -118.44), at("c", 34.09, -118.44)}
	far := at("far", 34.16, -118.44) // 10.1 km
	nowhere := []Place{at("nan", math.NaN(), -118.44), at("inf", 34.07, math.Inf(1))}
	many := make([]Place, 25)
	for i := range many {
		many[i] = at(fmt.Sprint(i), 34.07, -118.44)
	}
	for _, c := range []struct {
		name    string
		given   []Place
		bound   int
		want    []Place
		attribs []string
	}{
		{name: "nothing", bound: 20},
		{name: "all", given: near, bound: 20, want: near},
		{name: "as many as allowed", given: near, bound: 3, want: near},
		{name: "overlong", given: near, bound: 2, want: near[:2]},
		{name: "more than twenty", given: many, bound: 20, want: many[:20]},
		{name: "only outside the circle", given: []Place{far}, bound: 20},
		{name: "outside does not count", given: append([]Place{far}, near...), bound: 3, want: near},
		{name: "no coordinates", given: append(nowhere, near[0]), bound: 20, want: near[:1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := Answer{Results: c.given, Status: UnknownError}
			before := fmt.Sprintf("%+v", given)
			q := campus
			q.Bound = c.bound
			body, status, n := Nearby(t.Context(), gives(given), q)
			var got Answer
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			wantStatus := OK
			if len(c.want) == 0 {
				wantStatus = ZeroResults
				if string(body) != zero {
					t.Errorf("%s\nwant %s", body, zero)
				}
			} else if !reflect.DeepEqual(got.Results, c.want) {
				t.Errorf("%+v\nwant %+v", got.Results, c.want)
			}
			if status != wantStatus || got.Status != wantStatus || n != len(c.want) {
				t.Errorf("status %s, in the body %s, %d results; want %s, %d", status, got.Status, n, wantStatus, len(c.want))
			}
			if after := fmt.Sprintf("%+v", given); after != before {
				t.Errorf("the finder's answer was changed to %s", after)
			}
		})
	}
}

// Nearby does not change the answer, which a cache may share.
func TestNearbyLeavesTheAnswer(t *testing.T) {
	shared := Answer{Results: []Place{{Name: "no types", Geometry: Geometry{Location: campus.At}}}}
	body, _, _ := Nearby(t.Context(), gives(shared), campus)
	if !bytes.Contains(body, []byte(`"types": []`)) {
		t.Errorf("want an empty list of types in %s", body)
	}
	if shared.Results[0].Types != nil || shared.Status != "" || shared.HTMLAttributions != nil {
		t.Errorf("the finder's answer was changed to %+v", shared)
	}
}

// A raw result keeps its members, their order, and the spelling of numbers and strings; info_messages precede the results.
func TestNearbyRaw(t *testing.T) {
	raw := `{"zzz":1.50,"name":"\u0041 <b>\/&\u2028","geometry":{"location":{"lat":34.070,"lng":-1.18440e2}},"empty":{},"list":[ ]}`
	a := Answer{InfoMessages: []string{"so & so"}, Results: []Place{{Name: "A", Geometry: Geometry{Location: campus.At}, Raw: json.RawMessage(raw)}}}
	const want = `{
  "html_attributions": [],
  "info_messages": [
    "so & so"
  ],
  "results": [
    {
      "zzz": 1.50,
      "name": "\u0041 <b>\/&\u2028",
      "geometry": {
        "location": {
          "lat": 34.070,
          "lng": -1.18440e2
        }
      },
      "empty": {},
      "list": []
    }
  ],
  "status": "OK"
}`
	if body, _, _ := Nearby(t.Context(), gives(a), campus); string(body) != want {
		t.Errorf("%s\nwant\n%s", body, want)
	}
}

func TestNearbyFails(t *testing.T) {
	plain := errors.New("no route to <host> & \"co\"\n\n")
	for _, c := range []struct {
		err    error
		status string
	}{
		{plain, UnknownError},
		{&Error{Status: OverQueryLimit, Err: plain}, OverQueryLimit},
		{&Error{Status: RequestDenied, Err: plain}, RequestDenied},
		{&Error{Status: InvalidRequest, Err: plain}, InvalidRequest},
		{&Error{Status: UnknownError, Err: plain}, UnknownError},
		{&Error{Status: OK, Err: plain}, UnknownError},
		{&Error{Status: ZeroResults, Err: plain}, UnknownError},
		{&Error{Status: "", Err: plain}, UnknownError},
	} {
		const message = `query failed: no route to <host> & \"co\"\n\n`
		body, status, n := Nearby(t.Context(), fails(fmt.Errorf("query failed: %w", c.err)), campus)
		want := "{\n  \"html_attributions\": [],\n  \"results\": [],\n  \"status\": \"" + c.status + "\",\n  \"error_message\": \"" + message + "\"\n}"
		if string(body) != want || status != c.status || n != 0 {
			t.Errorf("%#v:\n%s\nstatus %s, %d results; want\n%s", c.err, body, status, n, want)
		}
		if wrapped := fmt.Errorf("query failed: %w", c.err); !errors.Is(wrapped, plain) {
			t.Errorf("%#v does not unwrap to its cause", c.err)
		}
	}
	body, _, _ := Nearby(t.Context(), fails(errors.New("bytes \xff\xfe")), campus)
	if !json.Valid(body) {
		t.Errorf("not JSON: %q", body)
	}
}

func TestNearbySlow(t *testing.T) {
	slow := finderFunc(func(ctx context.Context, _ Query) (Answer, error) {
		<-ctx.Done()
		return Answer{}, fmt.Errorf("slow: %w", ctx.Err())
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		body, status, n := Nearby(ctx, slow, campus)
		const want = `{
  "html_attributions": [],
  "results": [],
  "status": "UNKNOWN_ERROR",
  "error_message": "slow: context deadline exceeded"
}`
		if took := time.Since(start); took != 2*time.Second || string(body) != want || status != UnknownError || n != 0 {
			t.Errorf("after %v: %s, status %s, %d results", took, body, status, n)
		}
	})
}

package status

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// mapOf returns the IDs on the map.
func mapOf(t testing.TB, s *Server, query string) map[string]bool {
	t.Helper()
	_, ids := mapped(t, s, query)
	return ids
}

func mapped(t testing.TB, s *Server, query string) (leftOut int, ids map[string]bool) {
	t.Helper()
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("GET", "/api/v1/map"+query, nil)
	r.Host = "localhost"
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	var got struct {
		LeftOut int      `json:"left_out"`
		Origins []string `json:"origins"`
		Clients [][]any  `json:"clients"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	ids = make(map[string]bool)
	for _, c := range got.Clients {
		id := c[0].(string)
		if len(c) == 6 {
			exact, err := base64.StdEncoding.DecodeString(c[5].(string))
			if err != nil {
				t.Fatal(err)
			}
			id = string(exact)
		}
		ids[id] = true
		if got.Origins[int(c[1].(float64))] != "B" || c[2] != 34.5 || c[3] != -118.25 || c[4] != "946684800" {
			t.Errorf("row %v", c)
		}
	}
	if len(ids) != len(got.Clients) {
		t.Errorf("%d rows of %d clients", len(got.Clients), len(ids))
	}
	return got.LeftOut, ids
}

// deadlines is a recorder that takes deadlines, as a connection does.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetWriteDeadline(time.Time) error { return nil }

// Each of the items is in a sample with the same chance, whenever it was added.
func TestReservoir(t *testing.T) {
	const limit, all, rounds = 3, 6, 20_000
	var times [all]int
	for range rounds {
		r := reservoir[int]{limit: limit}
		for i := range all {
			r.add(i)
		}
		if len(r.items) != limit || r.seen != all {
			t.Fatalf("%d of %d", len(r.items), r.seen)
		}
		for _, i := range r.items {
			times[i]++
		}
	}
	// Each count is binomial with mean 10,000 and deviation 71. Six deviations are exceeded once in some hundred million runs.
	for i, n := range times {
		if n < 10_000-425 || n > 10_000+425 {
			t.Errorf("item %d is in %d of %d samples, want about %d", i, n, rounds, rounds*limit/all)
		}
	}
}

func TestMap(t *testing.T) {
	s := newEngineSource(t)
	server := New(Config{Source: s, Open: true})
	if left, ids := mapped(t, server, ""); left != 0 || len(ids) != 0 {
		t.Errorf("an empty node shows %d clients and leaves %d out", len(ids), left)
	}
	for i := range 1000 {
		s.apply(t, fmt.Sprint(i), epoch)
	}
	for query, want := range map[string]int{"": 1000, "?limit=100000": 1000, "?limit=1000": 1000, "?limit=999": 999, "?limit=1": 1} {
		if left, ids := mapped(t, server, query); left != 1000-want || len(ids) != want {
			t.Errorf("%s shows %d clients and leaves %d out", query, len(ids), left)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=100001", "?limit=-1", "?limit=x", "?limit=1e3"} {
		if w := answer(server, "GET", "/api/v1/map"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

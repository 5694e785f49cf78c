package status

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"herd/node/flood"
)

// told is a node that says what is written there.
type told struct{ health *Health }

func (t told) Health() Health                    { return *t.health }
func (t told) Registry() *flood.Registry         { return flood.NewRegistry() }
func (t told) Herd() []Node                      { return nil }
func (t told) Topology() *flood.Topology         { return nil }
func (t told) Follow(int) (*flood.Queue, func()) { return flood.NewQueue(1), func() {} }
func (t told) Watch(Watch) func()                { return func() {} }

func TestHandler(t *testing.T) {
	h := Health{Node: "Goloman", Bus: "connected", Clients: 3, Links: []Link{{Peer: "Hands", Told: 7}}, Refused: map[string]uint64{"x": 1}}
	handler := New(Config{Source: told{&h}})
	get := func(method, path string) (int, Health) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		var got Health
		if w.Code == http.StatusOK || w.Code == http.StatusServiceUnavailable {
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v in %q", path, err, w.Body)
			}
		}
		return w.Code, got
	}
	for _, ready := range []bool{false, true} {
		h.Ready = ready
		want := map[bool]int{false: 503, true: 200}[ready]
		if code, got := get("GET", "/readyz"); code != want || !reflect.DeepEqual(got, h) {
			t.Errorf("ready %v: /readyz says %d %+v", ready, code, got)
		}
		if code, got := get("GET", "/healthz"); code != 200 || !reflect.DeepEqual(got, h) {
			t.Errorf("ready %v: /healthz says %d %+v", ready, code, got)
		}
	}
	if code, _ := get("GET", "/other"); code != 404 {
		t.Errorf("/other says %d", code)
	}
	if code, _ := get("POST", "/healthz"); code != 405 {
		t.Errorf("POST says %d", code)
	}
}

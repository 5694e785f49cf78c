package status

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"herd/node/admit"
	"herd/node/flood"
)

// fixedSource is a node with a fixed health and counts.
type fixedSource struct {
	Source
	health *Health
	counts Counts
}

func (t *fixedSource) Health() Health            { return *t.health }
func (t *fixedSource) Counts() Counts            { return t.counts }
func (t *fixedSource) Registry() *flood.Registry { return flood.NewRegistry() }
func (t *fixedSource) Herd() []Node              { return nil }

// answer returns what a server says to a request that comes to an address of its own machine.
func answer(s http.Handler, method, path string, adjust ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "localhost:8125"
	for _, a := range adjust {
		a(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// header has a request come with a header.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestHandler(t *testing.T) {
	h := Health{Node: "Goloman", Bus: "connected", Clients: 3, Links: []Link{{Peer: "Hands", ReportsSent: 7}}, Refused: map[string]uint64{"x": 1}}
	handler := New(Config{Source: &fixedSource{health: &h}, Open: true})
	get := func(method, path string) (int, Health) {
		w := answer(handler, method, path)
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
	for _, c := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"GET", "/other", 404, "there is no /other; /openapi.json lists what there is"},
		{"GET", "/api/v1/other", 404, "there is no /api/v1/other; /openapi.json lists what there is"},
		{"POST", "/healthz", 405, "/healthz takes no POST, but GET, HEAD"},
		{"GET", "/readyz?verbose=1", 400, `there is no parameter "verbose"`},
		{"GET", "/readyz?%zz", 400, "the query cannot be read; write special characters of a value as %XX"},
		{"GET", "/debug/pprof/", 404, "there is no /debug/pprof/; /openapi.json lists what there is"},
	} {
		w := answer(handler, c.method, c.path)
		var got Error
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != c.code || got.Error != c.text {
			t.Errorf("%s %s says %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}

func TestProfiles(t *testing.T) {
	s := New(Config{Source: &fixedSource{health: &Health{}}, Open: true, Pprof: true})
	if w := answer(s, "GET", "/debug/pprof/goroutine?debug=1"); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "goroutine profile: ") {
		t.Errorf("%d %.80s", w.Code, w.Body)
	}
	if w := answer(s, "GET", "/debug/pprof/cmdline"); w.Code != 200 || !strings.Contains(w.Body.String(), "status.test") {
		t.Errorf("%d %.80s", w.Code, w.Body)
	}
}

// Every answer keeps a browser from what it need not do.
func TestHeaders(t *testing.T) {
	s := New(Config{Source: &fixedSource{health: &Health{}}, Open: true})
	for _, path := range []string{"/healthz", "/nowhere"} {
		got := answer(s, "GET", path).Header()
		got.Del("Content-Type")
		want := http.Header{
			"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
				"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
			"X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"},
			"Cross-Origin-Resource-Policy": {"same-origin"}, "Cache-Control": {"no-store"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %v", path, got)
		}
	}
}

// A server answers to its own names only.
func TestHosts(t *testing.T) {
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST.:8125": 200, "127.0.0.1:8125": 200, "127.1.2.3": 200, "[::1]:8125": 200, "[::1]": 200, "": 200,
		"[::ffff:127.0.0.1]:1": 200, "herd.example": 200, "Herd.Example:443": 200, "192.0.2.9:80": 200, "192.0.2.1:8125": 200,
		"192.0.2.2:8125": 421, "evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:8125": 421, "[fe80::1]:1": 421, "localhost:x:y": 421,
	} {
		s := New(Config{Source: &fixedSource{health: &Health{}}, Admit: newController(), Open: true, Hosts: []string{"herd.example", "192.0.2.9"}})
		w := answer(s, "GET", "/healthz", func(r *http.Request) { r.Host = host }, at("192.0.2.1:8125"))
		if w.Code != want || (want == 421) != refusedOnly(s, admit.WrongHost) {
			t.Errorf("%q: %d %s %v", host, w.Code, w.Body, s.config.Admit.Counts())
		}
	}
}

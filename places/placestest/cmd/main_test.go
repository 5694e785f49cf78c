package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"herd/places/placestest"
)

func TestHandler(t *testing.T) {
	h := handler(new(placestest.Server))
	const query = "data=nwr%28around%3A100%2C42.5078%2C1.5211%29"
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/api/interpreter", query, "200 Papanico"},
		{"POST", "/behave?fault=503", "", "200 "},
		{"POST", "/api/interpreter", query, "503 Service Unavailable"},
		{"POST", "/behave?fault=bad", "", `400 no such fault: "bad"; want well or one of [400 403 `},
		{"POST", "/api/interpreter", query, "503 "},
		{"POST", "/behave?fault=well", "", "200 "},
		{"POST", "/api/interpreter", "data=nothing", "400 parse error"},
		{"GET", "/elsewhere", "", "404 Not Found"},
		{"GET", "/seen", "", "200 5\n"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		status, text, _ := strings.Cut(c.want, " ")
		if fmt.Sprint(w.Code) != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s %s: %d %s, want %s", c.method, c.path, w.Code, w.Body, c.want)
		}
	}
	if known(string(placestest.Well)) != nil || known("") == nil {
		t.Error("well is known, and the empty fault is not")
	}
}

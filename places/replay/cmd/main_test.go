package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"herd/places/replay"
)

func TestHandler(t *testing.T) {
	h := handler(new(replay.Server))
	const query = "data=nwr%28around%3A100%2C42.5078%2C1.5211%29"
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/api/interpreter", query, "200 Papanico"},
		{"POST", "/behave?way=503", "", "200 "},
		{"POST", "/api/interpreter", query, "503 Service Unavailable"},
		{"POST", "/behave?way=bad", "", `400 replay: no such way: "bad"; there are well and [400 403 `},
		{"POST", "/api/interpreter", query, "503 "},
		{"POST", "/behave?way=well", "", "200 "},
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
	if known(string(replay.Well)) != nil || known("") == nil {
		t.Error("well is a way, and nothing is none")
	}
}

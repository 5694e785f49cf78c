package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A herd sends its traces to a collector, the last of them when it ends.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	spans, ids, nodes := 0, make(map[string]bool), make(map[string]int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent collector.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err != nil || proto.Unmarshal(body, &sent) != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %q, %v", r.URL, body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, from := range sent.ResourceSpans {
			for _, a := range from.Resource.Attributes {
				if a.Key == "service.instance.id" {
					nodes[a.Value.GetStringValue()]++
				}
			}
			for _, scope := range from.ScopeSpans {
				for _, span := range scope.Spans {
					spans++
					ids[string(span.TraceId)] = true
				}
			}
		}
	}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "herd.yaml")
	topology := `nodes: [{name: Elm, listen: "127.0.0.1:0", http: ""}, {name: Oak, listen: "127.0.0.1:0", http: ""}]
links: [[Elm, Oak]]
bus: {listen: ""}
log: {level: info}
`
	if err := os.WriteFile(path, []byte(topology), 0o600); err != nil {
		t.Fatal(err)
	}
	h := start(t, strings.NewReader(""), "up", "--config", path, "--trace-endpoint", s.URL, "--trace-one-in", "1")
	address := ""
	for address == "" {
		if fields := strings.Fields(h.next(h.stdout)); fields[0] == "Elm" {
			address = fields[1]
		}
	}
	received := make(chan struct{})
	go func() {
		for { // the log is to be read, or the herd waits
			l, err := h.stderr.ReadString('\n')
			if strings.Contains(l, "  Oak  received  ") {
				close(received)
			}
			if err != nil {
				return
			}
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, h.stdout) }()
	if code, out, err := herd(t, "", "iamat", "kiwi", "+34.068930-118.445127", "1520023934", "--addr", address); code != 0 {
		t.Fatal(out, err)
	}
	<-received
	h.stop()
	if code := <-h.code; code != 0 {
		t.Fatal(code)
	}
	mu.Lock()
	defer mu.Unlock()
	if spans != 3 || len(ids) != 1 || len(nodes) != 2 {
		t.Errorf("%d spans of %d traces, from %v", spans, len(ids), nodes)
	}
}

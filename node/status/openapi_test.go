package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"herd/node/flood"
)

// described is the document, and which of its answers have been seen.
type described struct {
	compiler *jsonschema.Compiler
	Paths    map[string]map[string]struct {
		Responses map[string]response
	}
	Components struct {
		Responses map[string]response
	}
	seen map[string]bool // operation and code
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema json.RawMessage }
}

func readDocument(t *testing.T) *described {
	t.Helper()
	d := &described{compiler: jsonschema.NewCompiler(), seen: make(map[string]bool)}
	if err := json.Unmarshal(openAPI, d); err != nil {
		t.Fatal(err)
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err == nil {
		err = d.compiler.AddResource("doc.json", whole)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	return d
}

// codes returns every operation with every code of its answers.
func (d *described) codes() (all []string) {
	for path, operations := range d.Paths {
		for method, o := range operations {
			for code := range o.Responses {
				all = append(all, strings.ToUpper(method)+" "+path+" "+code)
			}
		}
	}
	slices.Sort(all)
	return all
}

// check compares an answer with the document.
func (d *described) check(t *testing.T, method, path string, answer *http.Response, body []byte) {
	t.Helper()
	what := fmt.Sprintf("%s %s %d", method, path, answer.StatusCode)
	o, known := d.Paths[path][strings.ToLower(method)].Responses[fmt.Sprint(answer.StatusCode)]
	if !known {
		t.Errorf("%s is not in the document: %.300s", what, body)
		return
	}
	d.seen[what] = true
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	place := fmt.Sprintf("doc.json#/paths/%s/%s/responses/%d", escape.Replace(path), strings.ToLower(method), answer.StatusCode)
	if name, ok := strings.CutPrefix(o.Ref, "#/components/responses/"); ok {
		o, place = d.Components.Responses[name], "doc.json"+o.Ref
	}
	kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if _, known := o.Content[kind]; !known {
		t.Errorf("%s: %s is not in the document", what, kind)
		return
	}
	if kind != "application/json" {
		return
	}
	schema, err := d.compiler.Compile(place + "/content/" + escape.Replace(kind) + "/schema")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: %v in %.500s", what, err, body)
	}
}

// fullSource is a node with something in every field.
type fullSource struct {
	*engineSource
	health      Health
	serveClient func(context.Context, net.Conn) error
	counting    chan struct{} // not nil: who counts waits for its end
}

func (f *fullSource) Counts() Counts {
	if f.counting != nil {
		<-f.counting
	}
	return Counts{}
}

func (f *fullSource) Health() Health            { return f.health }
func (f *fullSource) Cutoff() int64             { return f.Engine.Cutoff() }
func (f *fullSource) Registry() *flood.Registry { return f.Engine.Registry() }

func (f *fullSource) ServeClient(ctx context.Context, c net.Conn) error { return f.serveClient(ctx, c) }

func (f *fullSource) Herd() []Node {
	return []Node{{
		Name: "A", Self: true, Version: "1", Incarnation: strings.Repeat("0f", 16), AgeSeconds: 0, UptimeSeconds: 1, Clients: 2, Digest: "0123456789abcdef",
		Links: []LinkState{{"B", "catching up"}},
	}}
}

func newFullSource(t *testing.T) *fullSource {
	f := &fullSource{engineSource: newEngineSource(t)}
	f.health = Health{
		Node: "A", Missing: []string{"catching up with B"}, Bus: "connected", Clients: 1, Digest: "0123456789abcdef", Store: &Store{Mode: "always", State: "ok"},
		Links: []Link{{
			Peer: "B", State: "down", Syncing: true, DuplicateName: true, NeverReceived: true, Topology: "differs", Lacking: []string{"C"}, DigestComparedSeconds: new(float64(1)), DigestEqual: new(true), ReportsSent: 3,
		}},
		OneSided: []string{"D"}, Refused: map[string]uint64{"x": 1}, Places: map[string]Provider{"gazetteer": {Statuses: map[string]uint64{"OK": 1}, Breaker: "open"}},
	}
	f.serveClient = func(_ context.Context, c net.Conn) error {
		_, err := io.Copy(c, c)
		return err
	}
	f.apply(t, "a b"[:1], 1)
	f.apply(t, "k\xff/..", 1)
	return f
}

// Everything that a server answers to programs is as its document says, which says nothing that it was not seen to answer.
func TestAnswersAsDocumented(t *testing.T) {
	d, source := readDocument(t), newFullSource(t)
	server := New(Config{Source: source, Admit: newController(), Node: "A", Herd: "h"})
	address, _ := serve(t, server)
	guarded, _ := serve(t, New(Config{Source: source, Admit: newController(), Token: token}))
	request := func(address, method, path, query string, body io.Reader, adjust ...func(*http.Request)) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path+query, body)
		if err != nil {
			t.Fatal(err)
		}
		if template, ok := strings.CutPrefix(path, "/api/v1/clients/"); ok && template != "" {
			path = "/api/v1/clients/{id}"
		}
		for _, a := range adjust {
			a(r)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var text []byte
		if answer.Header.Get("Content-Type") != "text/event-stream" {
			text, err = io.ReadAll(answer.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
		d.check(t, method, path, answer, text)
	}
	for path, operations := range d.Paths {
		real := strings.Replace(path, "{id}", "a", 1)
		for method := range operations {
			method = strings.ToUpper(method)
			request(address, method, real, "", nil)
			request(guarded, method, real, "", nil)
			request(address, method, real, "?none=1&limit=0&client=%20", nil)
			request(address, method, real, "", nil, header("Sec-Fetch-Site", "cross-site"))
			request(address, method, real, "", nil, func(r *http.Request) { r.Host = "evil.example" })
			// A method that is not allowed is answered with those that are.
			r, _ := http.NewRequestWithContext(t.Context(), "DELETE", "http://"+address+real, nil)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			d.check(t, method, path, answer, text)
		}
	}
	for _, query := range []string{"?near=34,-118", "?near=34,-118&radius=0&limit=1", "?near=%2B34.5,-118.25&radius=1.5"} {
		request(address, "GET", "/api/v1/clients", query, nil)
	}
	request(address, "GET", "/api/v1/clients/k%FF%2F..", "", nil)
	request(address, "GET", "/api/v1/clients/unknown", "", nil)
	request(address, "GET", "/api/v1/map", "", nil)
	request(address, "POST", "/api/v1/reports", "", strings.NewReader(strings.Repeat("x", maxReports+1)))
	source.health.Ready = true
	request(address, "GET", "/readyz", "", nil)
	server.pool.mu.Lock()
	server.pool.streams += maxStreams
	server.pool.mu.Unlock()
	request(address, "GET", "/api/v1/events", "", nil)
	source.counting = make(chan struct{})
	var scraping sync.WaitGroup
	for range maxScrapes {
		scraping.Go(func() { answer(server.mux, "GET", "/metrics") })
	}
	for !d.seen["GET /metrics 503"] && !t.Failed() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/metrics", nil)
		if answer, err := http.DefaultClient.Do(r); err == nil { // else it is one of those that wait
			d.check(t, "GET", "/metrics", answer, nil)
			_ = answer.Body.Close()
		}
		cancel()
	}
	close(source.counting)
	scraping.Wait()
	for _, err := range []error{ErrCertificates, errors.New("too many clients are connected")} {
		source.serveClient = func(context.Context, net.Conn) error { return err }
		request(address, "POST", "/api/v1/reports", "", strings.NewReader("x\n"))
	}
	w := answer(server, "POST", "/api/v1/reports", at("127.0.0.1:1")) // where nothing can be both read and written
	d.check(t, "POST", "/api/v1/reports", w.Result(), w.Body.Bytes())
	ends := New(Config{Source: source, Admit: newController()})
	ended, stop := serve(t, ends)
	source.serveClient = func(ctx context.Context, _ net.Conn) error {
		go func() { _ = stop() }()
		<-ctx.Done()
		return errors.New("the node ends")
	}
	request(ended, "POST", "/api/v1/reports", "", strings.NewReader("x\n"))
	if got, want := slices.Sorted(maps.Keys(d.seen)), d.codes(); !slices.Equal(got, want) {
		for _, w := range want {
			if !d.seen[w] {
				t.Errorf("%s was not seen", w)
			}
		}
	}
}

// The document has the routes for programs, and no others.
func TestRoutesAsDocumented(t *testing.T) {
	var routes, documented []string
	for _, p := range New(Config{Source: newFullSource(t)}).mux.patterns {
		_, path, _ := strings.Cut(p, " ")
		if !slices.ContainsFunc([]string{"/{$}", "/assets/", "/login", "/logout"}, func(own string) bool { return strings.HasPrefix(path, own) }) {
			routes = append(routes, p)
		}
	}
	for path, operations := range readDocument(t).Paths {
		for method := range operations {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(documented)
	if !slices.Equal(routes, documented) {
		t.Errorf("there is   %q\ndocumented %q", routes, documented)
	}
}

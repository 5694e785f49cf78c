package upstream

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/places"
)

// fetch requests a URL of the script's server, with the secret in the query and in a header.
func (b *bench) fetch(t *testing.T, address string) (Response, error) {
	t.Helper()
	var got Response
	r := Request{
		Method: http.MethodGet, URL: address + "?key=" + url.QueryEscape(secret), Header: http.Header{"X-Key": {secret}},
	}
	err := b.Do(t.Context(), r, func(r Response) error {
		got = r
		if r.Status != http.StatusOK {
			return Failed(r.Status, string(r.Body))
		}
		return nil
	})
	return got, err
}

func TestRedirects(t *testing.T) {
	to := func(code int, where string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", where)
			w.WriteHeader(code)
		}
	}
	for _, c := range []struct {
		name, from string
		next       []http.HandlerFunc
		requests   int
		err        string
	}{
		{"same host", "http://a.example/", []http.HandlerFunc{to(307, "/1"), to(302, "http://a.example/2"), to(308, "3"), fine}, 4, ""},
		{"too often", "http://a.example/", []http.HandlerFunc{to(307, "/1")}, 4, "redirected more than 3 times"},
		{"other host", "http://a.example/", []http.HandlerFunc{to(302, "http://b.example/")}, 1, "redirected to another host, b.example"},
		{"other port", "http://a.example/", []http.HandlerFunc{to(302, "http://a.example:81/")}, 1, "redirected to another host, a.example:81"},
		{"part of the host", "http://a.example/", []http.HandlerFunc{to(302, "//sub.a.example/")}, 1, "redirected to another host, sub.a.example"},
		{"back and forth", "http://a.example/", []http.HandlerFunc{to(302, "/x"), to(302, "http://b.example/")}, 2, "redirected to another host, b.example"},
		{"key in the address", "http://a.example/", []http.HandlerFunc{to(302, "http://"+secret)}, 1, "redirected to another host"},
		{"nowhere", "http://a.example/", []http.HandlerFunc{to(302, "")}, 1, "status 302: Found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, Config{Secret: secret}, func(t *testing.T, b *bench) {
				_, err := b.fetch(t, c.from)
				if text := fmt.Sprint(err); (c.err == "") != (err == nil) || err != nil && text != c.err {
					t.Errorf("%v, want %q", err, c.err)
				}
				if n := b.server.requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			}, c.next...)
		})
	}
}

// Redirects are checked on TLS too.
func TestStay(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"https://a.example/1", "https://a.example/2", "<nil>"},
		{"http://a.example/1", "https://a.example/2", "<nil>"},
		{"https://a.example/1", "http://a.example/2", "redirected from https to http"},
		{"https://a.example/1", "https://b.example/1", "redirected to another host, b.example"},
		{"https://a.example/1", "https://a.example.b.example/1", "redirected to another host, a.example.b.example"},
	} {
		request := func(address string) *http.Request {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			return &http.Request{URL: u}
		}
		if got := fmt.Sprint(New(Config{}).checkRedirect(request(c.to), []*http.Request{request(c.from)})); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

// counted is a body that counts the bytes read.
type counted struct {
	io.Reader
	read int
	shut bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func (c *counted) Close() error {
	c.shut = true
	return nil
}

// transportFunc makes an http.RoundTripper of its RoundTrip.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endless is JSON without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, blanks), nil }

var blanks = bytes.Repeat([]byte(" "), 64<<10)

// A body that is too long is read no further than necessary to know that.
func TestBodyLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		length int64 // as the header says
		body   io.Reader
		read   int
		err    string
	}{
		{"4 MiB", 200, -1, io.LimitReader(endless{}, longestBody), longestBody, "<nil>"},
		{"more", 200, -1, io.LimitReader(endless{}, longestBody+1), longestBody + 1, "malformed answer: more than 4 MiB"},
		{"50 MB", 200, -1, io.LimitReader(endless{}, 50e6), longestBody + 1, "malformed answer: more than 4 MiB"},
		{"50 MB, as announced", 200, 50e6, io.LimitReader(endless{}, 50e6), 0, "malformed answer: more than 4 MiB"},
		{"without an end", 200, -1, endless{}, longestBody + 1, "malformed answer: more than 4 MiB"},
		{"an error", 500, -1, endless{}, longestError + 1, "status 500: Internal Server Error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := &counted{Reader: c.body}
			b := &bench{Client: New(Config{Provider: "test", Attempts: 1, Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: c.status, ContentLength: c.length, Header: http.Header{}, Body: body, Request: r}, nil
			})})}
			_, err := b.fetch(t, "http://a.example/")
			if text := fmt.Sprint(err); text != c.err {
				t.Errorf("%s, want %s", text, c.err)
			}
			if body.read != c.read || !body.shut {
				t.Errorf("%d bytes read, closed %t; want %d", body.read, body.shut, c.read)
			}
		})
	}
}

// The limit of a body holds for its decompressed size.
func TestBodyLimitCompressed(t *testing.T) {
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	if _, err := io.Copy(w, io.LimitReader(endless{}, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, Config{Secret: secret}, func(t *testing.T, b *bench) {
		if _, err := b.fetch(t, "http://a.example/"); fmt.Sprint(err) != "malformed answer: more than 4 MiB" {
			t.Error(err)
		}
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bytes.Repeat(small.Bytes(), 50)) // is the compressed form of 50 times as much
	})
}

func TestUTF8(t *testing.T) {
	answer := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, text)
		}
	}
	run(t, Config{}, func(t *testing.T, b *bench) {
		if _, err := b.fetch(t, "http://a.example/"); fmt.Sprint(err) != "malformed answer: not UTF-8" {
			t.Error(err)
		}
		if _, err := b.fetch(t, "http://a.example/"); fmt.Sprint(err) != "status 403: Caf\ufffd" {
			t.Error(err)
		}
	}, answer(200, "Caf\xe9"), answer(403, "Caf\xe9"))
}

// Connections are reused, also after an error.
func TestReuse(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *bench) {
		for range 3 {
			if err := b.query(t, 10*time.Second); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if n := b.net.Open(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		}
	}, fine, status(503), status(503), fine)
}

func TestClean(t *testing.T) {
	c := New(Config{Provider: "test", Secret: secret})
	long := strings.Repeat("é", longestText)
	for text, want := range map[string]string{
		"":                                       "",
		"plain":                                  "plain",
		" a\r\n\tb\x00c\u2028d\u202e e\xff ":     "a b c d e\ufffd",
		"the key " + secret + ".":                "the key [key].",
		secret + secret:                          "[key][key]",
		strings.ToUpper(secret):                  "[key]",
		"?key=" + url.QueryEscape(secret) + "&b": "?key=[key]&b",
		"/" + url.PathEscape(secret) + "/":       "/[key]/",
		strings.ToLower(url.QueryEscape(secret)): "[key]",
		url.QueryEscape(url.QueryEscape(url.QueryEscape(strings.ReplaceAll(secret, " ", "%20")))): "[key]",
		"AIza%2FSy+0.é=%24+x":             "[key]", // some of it escaped
		"AIza/Sy+0Xé=$ x":                 "AIza/Sy+0Xé=$ x",
		long:                              long,
		long + "e":                        long[:2*(longestText-1)] + "…",
		long[:2*(longestText-3)] + secret: long[:2*(longestText-3)] + "[k…",
		strings.Repeat(" ", 60_000) + "a": "a",
		strings.Repeat("a", longestInput-5) + secret + "and": fmt.Sprintf("a message of %d bytes", longestInput-5+len(secret)+3),
	} {
		if got := c.clean(text); got != want {
			t.Errorf("%.300q: %q, want %q", text, got, want)
		}
	}
}

// The secret is in no error, and in none that an error wraps.
func TestSecret(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"echo": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.RequestURI+" "+r.Header.Get("X-Key")+" "+r.FormValue("key"), http.StatusForbidden)
		},
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://b.example"+r.RequestURI, http.StatusFound)
		},
		"to the key": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://"+secret+"/")
			w.WriteHeader(http.StatusFound)
		},
		"not a URL": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://%zz"+secret)
			w.WriteHeader(http.StatusFound)
		},
		"not chunked": func(w http.ResponseWriter, r *http.Request) {
			raw(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+secret+"\r\n\r\n")
		},
		"not HTTP": func(w http.ResponseWriter, r *http.Request) { raw(w, "key="+secret+"\r\n\r\n") },
		"silence":  silent,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{Secret: secret, Attempts: 1, Budget: time.Second}, func(t *testing.T, b *bench) {
				_, err := b.Find(t.Context(), near, func(ctx context.Context) (places.Answer, error) {
					return places.Answer{}, b.Do(ctx, Request{
						Method: http.MethodGet, URL: "http://a.example/?key=" + url.QueryEscape(secret), Header: http.Header{"X-Key": {secret}},
					}, func(r Response) error { return Failed(r.Status, string(r.Body)) })
				})
				if err == nil {
					t.Fatal("no error")
				}
				texts := []string{fmt.Sprintf("%v %+v %#v", err, err, err)}
				for e := err; e != nil; {
					texts = append(texts, fmt.Sprintf("%+v %#v", e, e))
					inner, ok := e.(interface{ Unwrap() error })
					if !ok {
						break
					}
					e = inner.Unwrap()
				}
				for _, text := range texts {
					if strings.Contains(strings.ToLower(text), "aiza") {
						t.Errorf("the key is in %s", text)
					}
				}
				t.Log(err)
			}, h)
		})
	}
}

// raw answers with that text instead of HTTP.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprint(conn, text)
	_ = conn.Close()
}

func TestEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example":                 "https://a.example",
		"http://127.0.0.1:8080/api/":        "http://127.0.0.1:8080/api",
		"":                                  "",
		"a.example":                         "",
		"ftp://a.example":                   "",
		"https://":                          "",
		"https://a.example?key=x":           "",
		"https://a.example#x":               "",
		"https://user:pass\x00@a.example/%": "",
	} {
		got, err := Endpoint(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
		if err != nil && err.Error() != "the endpoint has to be a URL as in https://places.example/api" {
			t.Error(err)
		}
	}
}

func TestDecode(t *testing.T) {
	type item struct{ A string }
	for text, want := range map[string]string{
		`{"list":[{"a":"b"}]}`:           "[{b}] <nil>",
		`{"list":null}`:                  "[] <nil>",
		`{}`:                             "[] <nil>",
		`null`:                           "[] <nil>",
		`{"list":{}}`:                    "[] malformed answer: not JSON: a list is missing",
		`{"list":[{"a":1}]}`:             `[] malformed answer: unexpected JSON: "a" is a number`,
		`[]`:                             `[] malformed answer: unexpected JSON: "" is a array`,
		`<html>`:                         `[] malformed answer: not JSON: invalid character '<' looking for beginning of value`,
		`{"list":[{"a":"b"}`:             `[] malformed answer: not JSON: unexpected end of JSON input`,
		``:                               `[] malformed answer: not JSON: unexpected end of JSON input`,
		`{"list":[]} x`:                  `[] malformed answer: not JSON: invalid character 'x' after top-level value`,
		`{"list":[{"a":"1"},{"a":"2"}]}`: "[{1} {2}] <nil>",
	} {
		var v struct{ List List[item] }
		err := Decode([]byte(text), &v)
		if got := fmt.Sprint(v.List, err); got != want && fmt.Sprint(v.List, " ", err) != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth):               "<nil>",
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1):           "malformed answer: JSON more than 32 deep",
		`{"\\":"` + strings.Repeat("[", 99) + `\"` + strings.Repeat("{", 99) + `"}`: "<nil>",
		"[" + strings.Repeat("[],{},", 99) + "1]":                                   "<nil>",
	} {
		var v any
		if err := Decode([]byte(text), &v); fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	var v List[int]
	if err := Decode([]byte("["+strings.Repeat("1,", 100_000)+"1]"), &v); err != nil || len(v) != maxItems {
		t.Errorf("%d items, %v", len(v), err)
	}
}

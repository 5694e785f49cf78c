package placestest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault names how the answer to a request is wrong.
type Fault string

// Well is the absence of a fault: the server answers as the provider would.
const Well Fault = "well"

// Faults returns all faults, sorted. Well is none of them.
func Faults() []Fault { return slices.Sorted(maps.Keys(faults)) }

// misbehaviour answers r wrongly; good returns the status, content type and body of the right answer.
type misbehaviour func(w http.ResponseWriter, r *http.Request, good func() (int, string, []byte))

var faults = map[Fault]misbehaviour{
	"400":           failing(http.StatusBadRequest, ""),
	"403":           failing(http.StatusForbidden, ""),
	"404":           failing(http.StatusNotFound, ""),
	"429":           failing(http.StatusTooManyRequests, ""),
	"429-after-1":   failing(http.StatusTooManyRequests, "1"),
	"429-after-60":  failing(http.StatusTooManyRequests, "60"),
	"429-after-day": failing(http.StatusTooManyRequests, "date"),
	"500":           failing(http.StatusInternalServerError, ""),
	"503":           failing(http.StatusServiceUnavailable, ""),
	"504":           failing(http.StatusGatewayTimeout, ""),

	"html":  answer(asHTML, "<!DOCTYPE html>\n<html><body><h1>It works!</h1></body></html>\n"),
	"empty": answer(asJSON, "{}"),
	"null":  answer(asJSON, "null"),
	"latin": answer(asJSON, "{\"status\":\"Caf\xe9\"}"),
	"remark": answer(asJSON, `{"version":0.6,"elements":[{"type":"node","id":1,"lat":42.507,"lon":1.521,"tags":{"name":"Half","amenity":"bar"}}],`+
		`"remark":"runtime error: Query timed out in \"query\" at line 1 after 26 seconds."}`),
	"over-query-limit": answer(asJSON, string(Fixture("legacy_over_query_limit.json"))),
	"request-denied":   answer(asJSON, string(Fixture("legacy_request_denied.json"))),
	"invalid-request":  answer(asJSON, `{"html_attributions":[],"results":[],"status":"INVALID_REQUEST"}`),
	"unknown-error":    answer(asJSON, `{"html_attributions":[],"results":[],"status":"UNKNOWN_ERROR"}`),
	"zero-results":     answer(asJSON, string(Fixture("legacy_zero_results.json"))),

	"truncated":    truncated, // a whole answer of half a text
	"huge":         huge,
	"huge-chunked": hugeChunked,
	"slow-headers": func(_ http.ResponseWriter, r *http.Request, _ func() (int, string, []byte)) { <-r.Context().Done() },
	"slow-body":    slowBody,
	"reset":        reset,
	"reset-body":   resetBody,
	"echo":         echo,

	"redirect": func(w http.ResponseWriter, r *http.Request, _ func() (int, string, []byte)) {
		http.Redirect(w, r, "http://elsewhere.example"+r.RequestURI, http.StatusTemporaryRedirect)
	},
	"redirect-loop": func(w http.ResponseWriter, r *http.Request, _ func() (int, string, []byte)) {
		http.Redirect(w, r, r.RequestURI, http.StatusTemporaryRedirect)
	},
}

// failing answers with that status and the body that each provider has for it. A header Retry-After has the value after, if there is
// one; "date" stands for the date a day from now.
func failing(status int, after string) misbehaviour {
	return func(w http.ResponseWriter, r *http.Request, _ func() (int, string, []byte)) {
		switch after {
		case "":
		case "date":
			w.Header().Set("Retry-After", time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))
		default:
			w.Header().Set("Retry-After", after)
		}
		overpass := strings.HasSuffix(r.URL.Path, "/interpreter")
		kind, file := asHTML, ""
		switch {
		case overpass && (status == http.StatusBadRequest || status == http.StatusTooManyRequests || status == http.StatusGatewayTimeout):
			file = "overpass_" + strconv.Itoa(status) + ".html"
		case overpass: // a web server in front of it says no more
		case status == http.StatusBadRequest:
			kind, file = asJSON, "new_error_400_fieldmask.json"
		case status == http.StatusForbidden || status == http.StatusTooManyRequests:
			kind, file = asJSON, "new_error_"+strconv.Itoa(status)+".json"
		}
		text := []byte("<html><body>" + http.StatusText(status) + "</body></html>\n")
		if file != "" {
			text = Fixture(file)
		}
		reply(w)(status, kind, text)
	}
}

// answer is an answer with that text.
func answer(kind, text string) misbehaviour {
	return func(w http.ResponseWriter, _ *http.Request, _ func() (int, string, []byte)) {
		reply(w)(http.StatusOK, kind, []byte(text))
	}
}

func truncated(w http.ResponseWriter, _ *http.Request, good func() (int, string, []byte)) {
	status, kind, text := good()
	reply(w)(status, kind, text[:len(text)/2])
}

const (
	hugeSize  = 50 << 20
	hugeChunk = 1 << 20
)

// huge begins an answer with a Content-Length of 50 MiB.
func huge(w http.ResponseWriter, r *http.Request, good func() (int, string, []byte)) {
	w.Header().Set("Content-Length", strconv.Itoa(hugeSize))
	hugeChunked(w, r, good)
}

// hugeChunked sends up to 50 MiB of blanks, without a Content-Length, until the client stops reading.
func hugeChunked(w http.ResponseWriter, _ *http.Request, _ func() (int, string, []byte)) {
	w.Header().Set("Content-Type", asJSON)
	blanks := bytes.Repeat([]byte(" "), hugeChunk)
	for range hugeSize / hugeChunk {
		if _, err := w.Write(blanks); err != nil {
			return
		}
	}
}

// slowBody sends half an answer and then waits until the client has gone.
func slowBody(w http.ResponseWriter, r *http.Request, good func() (int, string, []byte)) {
	half(w, good)
	<-r.Context().Done()
}

// half sends the first half of an answer.
func half(w http.ResponseWriter, good func() (int, string, []byte)) {
	status, kind, text := good()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text[:len(text)/2])
	_ = http.NewResponseController(w).Flush()
}

// reset closes the connection instead of answering; over TCP it sends a reset.
func reset(w http.ResponseWriter, _ *http.Request, _ func() (int, string, []byte)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// resetBody closes the connection in the middle of an answer.
func resetBody(w http.ResponseWriter, _ *http.Request, good func() (int, string, []byte)) {
	half(w, good)
	panic(http.ErrAbortHandler)
}

// echo fails with a message of several lines that holds the API key, plain and as it is escaped in the URL.
func echo(w http.ResponseWriter, r *http.Request, _ func() (int, string, []byte)) {
	key := cmp.Or(r.Header.Get("X-Goog-Api-Key"), r.FormValue("key"))
	text, err := json.Marshal(fmt.Sprintf("no\x00 such\r\nkey: %s, %s, %s", key, r.RequestURI, url.QueryEscape(key)))
	check(err)
	reply(w)(http.StatusForbidden, asJSON, fmt.Appendf(nil, `{"error":{"code":403,"message":%s,"status":"PERMISSION_DENIED"}}`, text))
}

package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"herd/places"
)

const (
	longestBody  = 4 << 20  // bytes of an answer, decompressed
	longestError = 64 << 10 // bytes read of an answer that says that something failed
	redirects    = 3        // at most, and all to the same host
	mostItems    = 1000     // of a List
)

// transport returns the way to the network: through a proxy if the environment names one, with as many idle
// connections as there may be requests in flight. What takes time ends with the request's context; the times here
// bound what goes on without a request.
func transport(inFlight int) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		// HTTP/2 has one connection for all: when it is dead, all questions would run out of time until TCP notices
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
		MaxIdleConns:           inFlight,
		MaxIdleConnsPerHost:    inFlight,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: longestError,
	}
}

// stay is the policy of redirects: only on the same host, never from TLS to plain text, and not for long.
func (c *Client) stay(r *http.Request, via []*http.Request) error {
	switch from := via[0].URL; {
	case r.URL.Host != from.Host && c.secret != nil && c.secret.MatchString(r.URL.Host+r.URL.EscapedPath()):
		return errors.New("redirected to another host") // part of whose name may be part of the secret
	case r.URL.Host != from.Host:
		return fmt.Errorf("redirected to another host, %s", r.URL.Host)
	case r.URL.Scheme != from.Scheme && r.URL.Scheme != "https":
		return fmt.Errorf("redirected from %s to %s", from.Scheme, r.URL.Scheme)
	case len(via) > redirects:
		return fmt.Errorf("redirected more than %d times", redirects)
	}
	return nil
}

// send sends r and returns the response with its header.
func (c *Client) send(ctx context.Context, r Request) (Response, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return Response{}, nil, errors.New("the request cannot be made; is the endpoint a URL?") // the error has the URL
	}
	request.Header = r.Header.Clone()
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	request.Header.Set("User-Agent", c.config.Agent)
	answer, err := c.http.Do(request)
	if err != nil {
		// after a redirect that was refused there is an answer, too, but its body is closed
		return Response{}, nil, c.lost(ctx, err, answer == nil)
	}
	defer answer.Body.Close()
	response := Response{Status: answer.StatusCode}
	limit := int64(longestBody)
	if answer.StatusCode != http.StatusOK {
		limit = longestError
	} else if answer.ContentLength > limit {
		return response, answer.Header, tooLong()
	}
	// one byte more than allowed tells that there is more; the connection is not used again then
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil && answer.StatusCode == http.StatusOK:
		return response, answer.Header, c.lost(ctx, err, true)
	case answer.StatusCode != http.StatusOK:
		response.Body = body[:min(len(body), longestError)]
		return response, answer.Header, nil
	case int64(len(body)) > limit:
		return response, answer.Header, tooLong()
	case !utf8.Valid(body):
		return response, answer.Header, Nonsense("not UTF-8")
	}
	response.Body = body
	if c.config.Secret != "" {
		response.Body = bytes.ReplaceAll(body, []byte(c.config.Secret), []byte("[key]"))
	}
	return response, answer.Header, nil
}

func tooLong() *places.Error { return Nonsense(fmt.Sprintf("more than %d MiB", longestBody>>20)) }

// lost returns the error of a request that failed on its way. What says nothing to a reader is left out: the URL, which
// may hold the secret, and the two ends of a connection that was made.
func (c *Client) lost(ctx context.Context, err error, again bool) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &cause{"no answer in time", context.DeadlineExceeded}
	}
	if ctx.Err() != nil {
		return &places.Error{Status: places.UnknownError, Err: ctx.Err()}
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	if inner, ok := errors.AsType[*net.OpError](err); ok && inner.Op != "dial" {
		err = inner.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the connection was closed before the end of the answer")
	}
	// the text alone: a dialer's time-out says that it is context.DeadlineExceeded
	return &places.Error{Status: places.UnknownError, Err: errors.New(err.Error()), Again: again}
}

// deepest is how many objects and lists of an answer may be in each other. Those of providers are in six; and what is passed on as it
// came is indented, so that a few KiB of brackets would become hundreds of MB.
const deepest = 32

// deep reports whether JSON text is deeper than that. Of what is no JSON it may say anything.
func deep(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > deepest {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Decode reads the JSON text into v.
func Decode(text []byte, v any) error {
	if deep(text) {
		return Nonsense(fmt.Sprintf("JSON more than %d deep", deepest))
	}
	err := json.Unmarshal(text, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		member := strings.ToLower(wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]) // of a path in the words of Go
		return Nonsense(fmt.Sprintf("not the JSON expected: %q is a %s", member, wrong.Value))
	}
	if err != nil {
		return Nonsense("not JSON: " + err.Error())
	}
	return nil
}

// List is a list in JSON of which only the first thousand items are read: a text of a few MiB can have so many that
// they need a hundred times its memory.
type List[T any] []T

// UnmarshalJSON reads text, which is JSON, as json.Unmarshal would.
func (l *List[T]) UnmarshalJSON(text []byte) error {
	*l = nil
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return errors.New("a list is missing")
	}
	for d.More() && len(*l) < mostItems {
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		*l = append(*l, item)
	}
	return nil
}

// Endpoint returns the URL of a server without a slash at its end, or an error that does not show it: it may hold a
// password.
func Endpoint(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the endpoint has to be a URL as in https://places.example/api")
	}
	return strings.TrimRight(text, "/"), nil
}

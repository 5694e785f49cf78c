package upstream

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
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"herd/places"
)

const (
	longestBody  = 4 << 20  // bytes of a response, decompressed
	longestError = 64 << 10 // bytes read of a response that is an error
	maxRedirects = 3        // all to the same host
	maxItems     = 1000     // of a List
	maxDepth     = 32       // of JSON: what is passed on is indented, so that a few KiB of brackets would become hundreds of MB
)

// transport returns a transport to the network, through a proxy if the environment names one. Requests end with their context; the times
// here bound dials and idle connections, which have none.
func transport(inFlight int) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		// all requests share one HTTP/2 connection: until TCP noticed that it is dead, all of them would time out
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
		MaxIdleConns:           inFlight,
		MaxIdleConnsPerHost:    inFlight,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: longestError,
	}
}

// checkRedirect allows redirects to the same host, but not from TLS to plain text.
func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	switch from := via[0].URL; {
	case r.URL.Host != from.Host && c.secret != nil && c.secret.MatchString(r.URL.Host+r.URL.EscapedPath()):
		return errors.New("redirected to another host") // whose name would show a part of the secret
	case r.URL.Host != from.Host:
		return fmt.Errorf("redirected to another host, %s", r.URL.Host)
	case r.URL.Scheme != from.Scheme && r.URL.Scheme != "https":
		return fmt.Errorf("redirected from %s to %s", from.Scheme, r.URL.Scheme)
	case len(via) > maxRedirects:
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	return nil
}

// send sends r once and returns the response and its header.
func (c *Client) send(ctx context.Context, r Request) (Response, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return Response{}, nil, errors.New("the request cannot be made; is the endpoint a URL?") // err shows the URL
	}
	maps.Copy(request.Header, r.Header)
	request.Header.Set("User-Agent", "herd")
	answer, err := c.http.Do(request)
	if err != nil {
		// a refused redirect also gives an answer, whose body is closed
		return Response{}, nil, c.transportError(ctx, err, answer == nil)
	}
	defer answer.Body.Close()
	response := Response{Status: answer.StatusCode}
	limit := int64(longestBody)
	if answer.StatusCode != http.StatusOK {
		limit = longestError
	} else if answer.ContentLength > limit {
		return response, answer.Header, tooLong()
	}
	// one byte more than allowed shows that there is more; the connection is not used again then
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil && answer.StatusCode == http.StatusOK:
		return response, answer.Header, c.transportError(ctx, err, true)
	case answer.StatusCode != http.StatusOK:
		response.Body = body[:min(len(body), longestError)]
		return response, answer.Header, nil
	case int64(len(body)) > limit:
		return response, answer.Header, tooLong()
	case !utf8.Valid(body):
		return response, answer.Header, Malformed("not UTF-8")
	}
	response.Body = body
	if c.config.Secret != "" {
		response.Body = bytes.ReplaceAll(body, []byte(c.config.Secret), []byte("[key]"))
	}
	return response, answer.Header, nil
}

func tooLong() *places.Error { return Malformed(fmt.Sprintf("more than %d MiB", longestBody>>20)) }

// transportError returns the error of a request that got no whole response. Its text lacks the URL, which may hold the secret, and the
// addresses of a connection.
func (c *Client) transportError(ctx context.Context, err error, retryable bool) error {
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
	// not wrapped: the time-out of a dial matches context.DeadlineExceeded
	return &places.Error{Status: places.UnknownError, Err: errors.New(err.Error()), Retryable: retryable}
}

// deep reports whether the objects and lists of a JSON text are nested deeper than maxDepth. The result for other texts is undefined.
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
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Decode reads a JSON text into v.
func Decode(text []byte, v any) error {
	if deep(text) {
		return Malformed(fmt.Sprintf("JSON more than %d deep", maxDepth))
	}
	err := json.Unmarshal(text, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		member := strings.ToLower(wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]) // Field is a path of Go names
		return Malformed(fmt.Sprintf("unexpected JSON: %q is a %s", member, wrong.Value))
	}
	if err != nil {
		return Malformed("not JSON: " + err.Error())
	}
	return nil
}

// List is a JSON list of which only the first 1,000 items are read: those of a text of a few MiB can need a hundred times its memory.
type List[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *List[T]) UnmarshalJSON(text []byte) error {
	*l = nil
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return errors.New("a list is missing")
	}
	for d.More() && len(*l) < maxItems {
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		*l = append(*l, item)
	}
	return nil
}

// Endpoint returns the URL of a server without slashes at its end, or an error that does not show it: it may hold a password.
func Endpoint(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the endpoint has to be a URL as in https://places.example/api")
	}
	return strings.TrimRight(text, "/"), nil
}

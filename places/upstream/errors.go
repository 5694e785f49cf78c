package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"herd/places"
)

const (
	longestText  = 200      // runes of an error's text that are shown
	longestInput = 64 << 10 // bytes; the text of a longer error is not shown
)

// cause is an error that does not wrap those it came from, because they may hold the secret.
type cause struct {
	text string
	is   error // context.Canceled, context.DeadlineExceeded or nil
}

func (c *cause) Error() string { return c.text }
func (c *cause) Unwrap() error { return c.is }

// Failed returns the error for a response with that HTTP status and the message in it, if any.
func Failed(code int, message string) *places.Error {
	text := cmp.Or(strings.TrimSpace(message), http.StatusText(code))
	e := &places.Error{Status: places.UnknownError, Err: fmt.Errorf("status %d: %s", code, text)}
	switch code {
	case http.StatusBadRequest:
		e.Status = places.InvalidRequest
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Status = places.RequestDenied
	case http.StatusTooManyRequests:
		e.Status, e.Retryable = places.OverQueryLimit, true
	case http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Retryable = true
	}
	return e
}

// Malformed returns the error for a response that cannot be understood, for that reason. It is not retryable.
func Malformed(reason string) *places.Error {
	return &places.Error{Status: places.UnknownError, Err: errors.New("malformed answer: " + reason)}
}

// spellings returns an expression that matches the secret with each of its characters plain or escaped as in a URL, once or repeatedly.
func spellings(secret string) *regexp.Regexp {
	if secret == "" {
		return nil
	}
	var pattern strings.Builder
	pattern.WriteString("(?i)")
	for _, r := range secret {
		plain, escaped := regexp.QuoteMeta(string(r)), ""
		if r == ' ' {
			plain += `|\+`
		}
		for _, b := range []byte(string(r)) {
			escaped += fmt.Sprintf("%%(?:25)*%02x", b)
		}
		fmt.Fprintf(&pattern, "(?:%s|%s)", plain, escaped)
	}
	return regexp.MustCompile(pattern.String())
}

// clean returns text as one line without control characters and without the secret, of bounded length.
func (c *Client) clean(text string) string {
	if len(text) > longestInput {
		return fmt.Sprintf("a message of %d bytes", len(text))
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	text = strings.Join(strings.Fields(text), " ")
	if c.secret != nil {
		text = c.secret.ReplaceAllLiteralString(text, "[key]")
	}
	if runes := []rune(text); len(runes) > longestText {
		text = string(runes[:longestText-1]) + "…"
	}
	return text
}

// sanitized returns err with its text cleaned, and without the errors that it wraps. The text begins with prefix.
func (c *Client) sanitized(prefix string, err error) *places.Error {
	w := &places.Error{Status: places.UnknownError}
	if e, ok := errors.AsType[*places.Error](err); ok {
		w.Status, w.Retryable, w.RetryAfter = e.Status, e.Retryable, e.RetryAfter
	}
	text := &cause{text: prefix + c.clean(err.Error())}
	for _, is := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, is) {
			text.is = is
		}
	}
	w.Err = text
	return w
}

// named returns err sanitized, with the provider's name before it.
func (c *Client) named(err error) *places.Error { return c.sanitized(c.config.Provider+": ", err) }

// explain returns the error of a query that began at start. If its time was up, the text says so.
func (c *Client) explain(ctx context.Context, err error, start time.Time) *places.Error {
	w := c.named(err)
	if deadline, ok := ctx.Deadline(); ok && errors.Is(err, context.DeadlineExceeded) {
		text := "not requested: no time left"
		if most := deadline.Sub(start); most > 0 {
			text = fmt.Sprintf("no answer within %v", about(most))
		}
		w.Err = &cause{c.config.Provider + ": " + text, context.DeadlineExceeded}
	}
	return w
}

// about rounds d to two or three digits.
func about(d time.Duration) time.Duration {
	for _, most := range []time.Duration{time.Second, 100 * time.Millisecond} {
		if d >= most {
			return d.Round(most / 10)
		}
	}
	return d.Round(time.Millisecond)
}

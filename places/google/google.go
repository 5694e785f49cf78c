// Package google is the providers that ask Google: New for the Places API (New),
// NewLegacy for the Nearby Search before it, which new projects cannot have any more.
//
// Google's terms forbid to keep its answers. Neither provider does, and neither has
// more than one request made for a question unless one fails.
package google

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"herd/places"
	"herd/places/upstream"
)

// Config says how to ask Google.
type Config struct {
	Key      string          // of the API; required
	Endpoint string          // URL of a server to ask instead of Google's, without the path of the API
	Fields   []string        // of New: what to ask for besides the basics, out of Fields; each has its price
	Upstream upstream.Config // its Provider and Secret are set here
}

const (
	most   = 20     // results of one request
	metres = 1000   // in a kilometre
	widest = 50_000 // radius in metres
)

// client returns the client of a provider and the URL of its API, whose path is given.
func client(c Config, provider, server, path string) (*upstream.Client, string, error) {
	if c.Key == "" {
		return nil, "", fmt.Errorf("%s: there is no key", provider)
	}
	endpoint, err := upstream.Endpoint(cmp.Or(c.Endpoint, server))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", provider, err)
	}
	c.Upstream.Provider, c.Upstream.Secret = provider, c.Key
	return upstream.New(c.Upstream), endpoint + path, nil
}

// refusal is an error in an answer of any of Google's newer APIs (https://google.aip.dev/193).
type refusal struct {
	Error struct {
		Message string
		Details upstream.List[struct{ Reason string }]
	}
}

// refused returns the error of an answer with another status than 200.
func refused(r upstream.Response) error {
	var answer refusal
	if upstream.Decode(r.Body, &answer) != nil {
		return upstream.Failed(r.Status, "") // a proxy's page, perhaps
	}
	err := upstream.Failed(r.Status, answer.Error.Message)
	if slices.ContainsFunc(answer.Error.Details, func(d struct{ Reason string }) bool { return strings.HasPrefix(d.Reason, "API_KEY_") }) {
		err.Status = places.RequestDenied // a key that is wrong is a bad request for Google
	}
	return err
}

// Fields are the fields that may be asked for besides the basics.
var Fields = []string{"rating", "userRatingCount", "priceLevel", "currentOpeningHours"}

// basics are the fields that are always asked for. The dearest field sets the price of all.
const basics = "places.id,places.displayName,places.location,places.types,places.businessStatus," +
	"places.shortFormattedAddress,places.plusCode,places.viewport,places.attributions"

// mask returns the field mask with these fields besides the basics.
func mask(fields []string) (string, error) {
	var errs []error
	parts := []string{basics}
	for _, f := range fields {
		if !slices.Contains(Fields, f) {
			errs = append(errs, fmt.Errorf("google: no such field: %q; there are %s", f, strings.Join(Fields, ", ")))
		}
		parts = append(parts, "places."+f)
	}
	return strings.Join(parts, ","), errors.Join(errs...)
}

// escape returns values as the query of a URL.
func escape(pairs ...string) string {
	v := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

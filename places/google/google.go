// Package google is the providers that query Google: New for the Places API (New), NewLegacy for the Nearby Search before it, which new
// projects cannot have any more.
//
// Google's terms forbid caching its answers: neither provider does. Both make one request for a query, unless it fails.
package google

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"herd/places"
	"herd/places/upstream"
)

// Config says how to query Google.
type Config struct {
	Key      string          // of the API; required
	Endpoint string          // URL of a server to use instead of Google's, without the path of the API
	Fields   []string        // of New: the fields to request besides the basic ones, out of Fields; each may raise the price
	Upstream upstream.Config // its Provider and Secret are ignored
}

const (
	maxResults = 20     // of one request
	metres     = 1000   // in a kilometre
	maxRadius  = 50_000 // metres
)

// client returns the client of a provider and the URL of its API, from the URL of Google's server and the path of the API.
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

// refusal is an error of any of Google's newer APIs (https://google.aip.dev/193).
type refusal struct {
	Error struct {
		Message string
		Details upstream.List[struct{ Reason string }]
	}
}

// refused returns the error of a response whose status is not 200.
func refused(r upstream.Response) error {
	var answer refusal
	if upstream.Decode(r.Body, &answer) != nil {
		return upstream.Failed(r.Status, "") // perhaps the page of a proxy
	}
	err := upstream.Failed(r.Status, answer.Error.Message)
	if slices.ContainsFunc(answer.Error.Details, func(d struct{ Reason string }) bool { return strings.HasPrefix(d.Reason, "API_KEY_") }) {
		err.Status = places.RequestDenied // Google answers a wrong key with the status of a bad request
	}
	return err
}

// Fields are the fields that may be requested besides the basic ones.
var Fields = []string{"rating", "userRatingCount", "priceLevel", "currentOpeningHours"}

// basics are the fields that are always requested. The most expensive field sets the price of a request.
const basics = "places.id,places.displayName,places.location,places.types,places.businessStatus," +
	"places.shortFormattedAddress,places.plusCode,places.viewport,places.attributions"

// mask returns the field mask for these fields and the basics.
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

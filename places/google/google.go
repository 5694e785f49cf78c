// Package google is the providers that query Google: New for the Places API (New), NewLegacy for the Nearby Search before it, which new
// projects cannot have any more.
//
// Google's terms forbid caching its answers: neither provider does. Both make one request for a query, unless it fails.
package google

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
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
	names := []string{basics}
	for _, f := range fields {
		if !slices.Contains(Fields, f) {
			errs = append(errs, fmt.Errorf("google: no such field: %q; there are %s", f, strings.Join(Fields, ", ")))
		}
		names = append(names, "places."+f)
	}
	return strings.Join(names, ","), errors.Join(errs...)
}

// Finder queries the Places API (New): https://developers.google.com/maps/documentation/places/web-service/nearby-search.
// It implements places.Finder.
type Finder struct {
	client *upstream.Client
	url    string
	header http.Header
}

// New returns a Finder. It fails without a key, with an endpoint that is not a URL, or with an unknown field.
func New(c Config) (*Finder, error) {
	fields, err := mask(c.Fields)
	if err != nil {
		return nil, err
	}
	client, url, err := client(c, "google", "https://places.googleapis.com", "/v1/places:searchNearby")
	if err != nil {
		return nil, err
	}
	return &Finder{client, url, http.Header{
		"Content-Type":     {"application/json"},
		"X-Goog-Api-Key":   {c.Key},
		"X-Goog-Fieldmask": {fields},
	}}, nil
}

// Close closes the idle connections.
func (f *Finder) Close() { f.client.Close() }

// Find returns the places in the circle of q, nearest first.
func (f *Finder) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	return f.client.Find(ctx, q, func(ctx context.Context) (a places.Answer, err error) {
		body, err := search(q)
		if err != nil {
			return a, err
		}
		r := upstream.Request{Method: http.MethodPost, URL: f.url, Header: f.header, Body: string(body)}
		err = f.client.Do(ctx, r, func(r upstream.Response) (err error) {
			if r.Status != http.StatusOK {
				return refused(r)
			}
			a, err = decode(r.Body)
			return err
		})
		return a, err
	})
}

// point is a point of the API.
type point struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

func (p point) place() places.Point { return places.Point{Lat: p.Latitude, Lng: p.Longitude} }

// search returns the body of a request.
func search(q places.Query) ([]byte, error) {
	type object map[string]any
	return json.Marshal(object{
		"maxResultCount": min(q.Bound, maxResults),
		"rankPreference": "DISTANCE",
		"locationRestriction": object{"circle": object{
			"center": point{q.At.Lat, q.At.Lng},
			"radius": min(q.Radius*metres, maxRadius), // metres
		}},
	})
}

// found is an answer of the API, as far as it is used.
type found struct {
	Places *upstream.List[struct {
		ID          string
		DisplayName struct{ Text string }
		Location    *point
		Viewport    *struct{ Low, High *point }
		Types       []string
		PlusCode    struct{ GlobalCode string }
		Rating      float64
		PriceLevel  string

		ShortFormattedAddress string
		UserRatingCount       int
		BusinessStatus        string
		CurrentOpeningHours   *struct{ OpenNow *bool }
		Attributions          []attribution
	}]
}

type attribution struct{ Provider, ProviderURI string }

// prices are the values of priceLevel, whose indexes are the price levels of the legacy API.
var prices = []string{
	"PRICE_LEVEL_FREE", "PRICE_LEVEL_INEXPENSIVE", "PRICE_LEVEL_MODERATE", "PRICE_LEVEL_EXPENSIVE", "PRICE_LEVEL_VERY_EXPENSIVE",
}

// decode returns the places of an answer that have a location, in its order.
func decode(text []byte) (places.Answer, error) {
	var in found
	if err := upstream.Decode(text, &in); err != nil {
		return places.Answer{}, err
	}
	if in.Places == nil { // an answer without places is {}
		if strings.Join(strings.Fields(string(text)), "") != "{}" {
			return places.Answer{}, upstream.Malformed("no places")
		}
		return places.Answer{}, nil
	}
	var a places.Answer
	for _, p := range *in.Places {
		if p.Location == nil {
			continue
		}
		out := places.Place{
			BusinessStatus:   p.BusinessStatus,
			Geometry:         places.Geometry{Location: p.Location.place()},
			Name:             p.DisplayName.Text,
			PlaceID:          p.ID,
			PlusCode:         places.PlusCode{GlobalCode: p.PlusCode.GlobalCode},
			Rating:           p.Rating,
			Types:            p.Types,
			UserRatingsTotal: p.UserRatingCount,
			Vicinity:         p.ShortFormattedAddress,
		}
		if p.BusinessStatus == "BUSINESS_STATUS_UNSPECIFIED" {
			out.BusinessStatus = ""
		}
		if v := p.Viewport; v != nil && v.Low != nil && v.High != nil {
			out.Geometry.Viewport = &places.Viewport{Northeast: v.High.place(), Southwest: v.Low.place()}
		}
		if level := slices.Index(prices, p.PriceLevel); level >= 0 {
			out.PriceLevel = &level
		}
		if h := p.CurrentOpeningHours; h != nil && h.OpenNow != nil {
			out.OpeningHours = &places.OpeningHours{OpenNow: *h.OpenNow}
		}
		a.Results = append(a.Results, out)
		for _, by := range p.Attributions {
			if shown := by.html(); shown != "" && !slices.Contains(a.HTMLAttributions, shown) {
				a.HTMLAttributions = append(a.HTMLAttributions, shown)
			}
		}
	}
	return a, nil
}

// html returns a as HTML.
func (a attribution) html() string {
	name := html.EscapeString(a.Provider)
	if name == "" || !strings.HasPrefix(a.ProviderURI, "https://") && !strings.HasPrefix(a.ProviderURI, "http://") {
		return name
	}
	return `<a href="` + html.EscapeString(a.ProviderURI) + `">` + name + `</a>`
}

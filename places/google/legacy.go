package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"herd/places"
	"herd/places/upstream"
)

// Legacy queries the Nearby Search: https://developers.google.com/maps/documentation/places/web-service/search-nearby.
// It implements places.Finder.
type Legacy struct {
	client *upstream.Client
	url    string
	key    string
}

// NewLegacy returns a Legacy. It fails without a key, with an endpoint that is not a URL, or with fields.
func NewLegacy(c Config) (*Legacy, error) {
	if len(c.Fields) > 0 {
		return nil, errors.New("google-legacy: fields cannot be chosen, it always sends all")
	}
	client, endpoint, err := client(c, "google-legacy", "https://maps.googleapis.com", "/maps/api/place/nearbysearch/json")
	if err != nil {
		return nil, err
	}
	return &Legacy{client, endpoint, c.Key}, nil
}

// Close closes the idle connections.
func (l *Legacy) Close() { l.client.Close() }

// Find returns those of the places sent by Google that lie in the circle of q, nearest first, each in the JSON that Google sent. Google sends
// the 20 most prominent places, and treats the radius as a hint.
func (l *Legacy) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	return l.client.Find(ctx, q, func(ctx context.Context) (a places.Answer, err error) {
		number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		parameters := url.Values{
			"key": {l.key}, "location": {number(q.At.Lat) + "," + number(q.At.Lng)}, "radius": {number(min(q.Radius*metres, maxRadius))},
		}
		r := upstream.Request{Method: http.MethodGet, URL: l.url + "?" + parameters.Encode()}
		err = l.client.Do(ctx, r, func(r upstream.Response) (err error) {
			if r.Status != http.StatusOK {
				return refused(r)
			}
			a, err = decodeLegacy(r.Body)
			return err
		})
		return a, err
	})
}

// legacy is an answer of the API, with each result undecoded.
type legacy struct {
	HTMLAttributions upstream.List[string] `json:"html_attributions"`
	InfoMessages     upstream.List[string] `json:"info_messages"`
	Results          upstream.List[json.RawMessage]
	Status           string
	ErrorMessage     string `json:"error_message"`
}

// maxResult is the greatest number of bytes of a result; Google's have 1 to 3 KB.
const maxResult = 64 << 10

// decodeLegacy returns the results that have a location, or the error that the answer stands for.
func decodeLegacy(text []byte) (places.Answer, error) {
	var in legacy
	if err := upstream.Decode(text, &in); err != nil {
		return places.Answer{}, err
	}
	if err := in.failure(); err != nil {
		return places.Answer{}, err
	}
	a := places.Answer{HTMLAttributions: in.HTMLAttributions, InfoMessages: in.InfoMessages}
	for _, raw := range in.Results {
		var p struct {
			Name     string
			Geometry struct{ Location struct{ Lat, Lng *float64 } }
		}
		if err := upstream.Decode(raw, &p); err != nil {
			return places.Answer{}, err
		}
		if at := p.Geometry.Location; len(raw) <= maxResult && at.Lat != nil && at.Lng != nil {
			place := places.Place{Name: p.Name, Raw: raw}
			place.Geometry.Location = places.Point{Lat: *at.Lat, Lng: *at.Lng}
			a.Results = append(a.Results, place)
		}
	}
	return a, nil
}

// failure returns the error that the status word stands for, or nil.
func (l legacy) failure() error {
	e := &places.Error{Status: l.Status}
	switch l.Status {
	case places.OK, places.ZeroResults:
		return nil
	case places.InvalidRequest, places.RequestDenied, places.OverQueryLimit:
	case "OVER_DAILY_LIMIT": // the key's own limit, or no billing account
		e.Status = places.OverQueryLimit
	case places.UnknownError:
		e.Retryable = true
	case "":
		return upstream.Malformed("no status")
	default:
		return upstream.Malformed(fmt.Sprintf("status %q", l.Status))
	}
	text := l.Status
	if l.ErrorMessage != "" {
		text += ": " + l.ErrorMessage
	}
	e.Err = errors.New(text)
	return e
}

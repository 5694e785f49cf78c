package google

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"slices"
	"strings"

	"herd/places"
	"herd/places/upstream"
)

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
		body, err := json.Marshal(search(q))
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

type circle struct {
	Center point   `json:"center"`
	Radius float64 `json:"radius"` // metres
}

type restriction struct {
	Circle circle `json:"circle"`
}

type nearby struct {
	MaxResultCount      int         `json:"maxResultCount"`
	RankPreference      string      `json:"rankPreference"`
	LocationRestriction restriction `json:"locationRestriction"`
}

// search returns the body of a request.
func search(q places.Query) nearby {
	return nearby{min(q.Bound, maxResults), "DISTANCE", restriction{circle{point{q.At.Lat, q.At.Lng}, min(q.Radius*metres, maxRadius)}}}
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

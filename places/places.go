// Package places answers what is near a point.
//
// A provider is a Finder: the embedded gazetteer in places/gazetteer, a user's file in places/file, or a service behind a network. All
// take the same Query and return the same Answer, which has the shape of Google's legacy Nearby Search
// (https://developers.google.com/maps/documentation/places/web-service/search-nearby). Cache, Share, Fallback and Measure make a Finder
// of another one. Nearby turns an Answer, or the failure to get one, into the JSON that a client receives.
package places

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Query is a request for the places near a point.
type Query struct {
	At     Point   // centre of the circle
	Radius float64 // of the circle in km, 0 to 50; no place lies in a circle of radius 0
	Bound  int     // the greatest number of results, 0 to 20
}

// Finder is a provider of places.
//
// Find returns the places in the circle of q, nearest first and at most q.Bound. If there are none, the Answer has the status
// ZeroResults; if the provider cannot answer there is an error, an *Error if its status word is known. Find returns soon after ctx is
// done. It is safe for concurrent use, and neither side changes an Answer after it was returned.
type Finder interface {
	Find(ctx context.Context, q Query) (Answer, error)
}

// finderFunc makes a Finder of its Find.
type finderFunc func(context.Context, Query) (Answer, error)

func (f finderFunc) Find(ctx context.Context, q Query) (Answer, error) { return f(ctx, q) }

// Status words of an Answer, as Google defines them.
const (
	OK             = "OK"               // there are results
	ZeroResults    = "ZERO_RESULTS"     // there are no places in the circle
	InvalidRequest = "INVALID_REQUEST"  // the query is wrong
	OverQueryLimit = "OVER_QUERY_LIMIT" // the provider's quota is used up
	RequestDenied  = "REQUEST_DENIED"   // the provider refuses this caller
	UnknownError   = "UNKNOWN_ERROR"    // the provider failed; another request may succeed
)

// Answer is a reply in the shape of Google's legacy Nearby Search.
type Answer struct {
	HTMLAttributions []string // to be shown with the results
	InfoMessages     []string // remarks on the results
	Results          []Place
	Status           string
	ErrorMessage     string
}

// Place is one result of an Answer. Members that the provider does not know are omitted.
type Place struct {
	BusinessStatus   string        `json:"business_status,omitempty"` // OPERATIONAL, CLOSED_TEMPORARILY, …
	Geometry         Geometry      `json:"geometry"`
	Name             string        `json:"name"`
	OpeningHours     *OpeningHours `json:"opening_hours,omitempty"`
	PlaceID          string        `json:"place_id"` // unique within its provider
	PlusCode         PlusCode      `json:"plus_code,omitzero"`
	PriceLevel       *int          `json:"price_level,omitempty"` // 0, free, to 4, very expensive
	Rating           float64       `json:"rating,omitempty"`      // 1 to 5
	Types            []string      `json:"types"`                 // most specific first
	UserRatingsTotal int           `json:"user_ratings_total,omitempty"`
	Vicinity         string        `json:"vicinity,omitempty"` // as in "Los Angeles, California"

	// Raw is the result's JSON as received from a provider that uses this shape itself, or nil. Clients get it unchanged except for its
	// white space; only the name and the location of the members above have to be set then.
	Raw json.RawMessage `json:"-"`
}

// Geometry says where a Place is.
type Geometry struct {
	Location Point     `json:"location"`
	Viewport *Viewport `json:"viewport,omitempty"`
}

// Viewport is the part of a map that shows a Place well.
type Viewport struct {
	Northeast Point `json:"northeast"`
	Southwest Point `json:"southwest"`
}

// OpeningHours says whether a Place is open at the time of the answer.
type OpeningHours struct {
	OpenNow bool `json:"open_now"`
}

// PlusCode is the Open Location Code of a Place.
type PlusCode struct {
	GlobalCode string `json:"global_code"` // ten digits, as in "85632HC3+9W"; see GlobalCode
}

// Error is the failure of a provider with the status word for it.
type Error struct {
	Status     string        // InvalidRequest, OverQueryLimit, RequestDenied or UnknownError
	Err        error         // the cause, which names the provider
	Retryable  bool          // another attempt may succeed
	RetryAfter time.Duration // how long the provider wants no requests; 0 if it does not say
}

// Error returns the text of the cause.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CheckText checks that a text of a place, such as its name, has least to most bytes, is printable and has no blanks around it.
func CheckText(s string, least, most int) error {
	switch {
	case len(s) < least || len(s) > most:
		return fmt.Errorf("want %d to %d bytes", least, most)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("want printable UTF-8")
	case strings.TrimSpace(s) != s:
		return errors.New("want no blanks around it")
	}
	return nil
}

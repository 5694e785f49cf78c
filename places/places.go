// Package places answers what is near a point.
//
// A provider is a Finder: the embedded gazetteer in places/gazetteer, or a
// service behind a network. Every provider is asked by the same Query and gives
// the same Answer, which has the shape of Google's legacy Nearby Search
// (https://developers.google.com/maps/documentation/places/web-service/search-nearby);
// a Finder made of other Finders (one that caches, one that falls back to
// another) is a Finder again. Nearby turns an Answer, or the failure to get one,
// into the JSON that a client reads.
package places

import (
	"context"
	"encoding/json"
	"math"
	"time"
)

// Point is a place on Earth in WGS 84 degrees: Lat from -90 to 90, Lng from -180 to 180.
type Point struct {
	Lat float64 `json:"lat"`
	Lng float64 `json:"lng"`
}

// OnEarth reports whether there is such a point.
func (p Point) OnEarth() bool { return math.Abs(p.Lat) <= 90 && math.Abs(p.Lng) <= 180 }

// Query asks for the places around a point.
type Query struct {
	At     Point   // centre of the circle
	Radius float64 // of the circle in km, 0 to 50; no place lies in a circle of radius 0
	Bound  int     // results at most, 0 to 20
}

// Finder is a provider of places.
//
// Find returns the places in the circle of q, nearest first and at most q.Bound.
// To find none is an Answer with the status ZeroResults; a provider that cannot
// answer gives an error, an *Error if it knows the status word. Find returns
// soon after ctx is done. It is safe for concurrent use, and neither side
// changes an Answer once it is given.
type Finder interface {
	Find(ctx context.Context, q Query) (Answer, error)
}

// Status words of an Answer, as Google defines them.
const (
	OK             = "OK"               // there are results
	ZeroResults    = "ZERO_RESULTS"     // there is nothing in the circle
	InvalidRequest = "INVALID_REQUEST"  // the query is at fault
	OverQueryLimit = "OVER_QUERY_LIMIT" // the provider's quota is used up
	RequestDenied  = "REQUEST_DENIED"   // the provider refuses this caller
	UnknownError   = "UNKNOWN_ERROR"    // the provider failed; asking again may help
)

// Answer is a reply in the shape of Google's legacy Nearby Search.
type Answer struct {
	HTMLAttributions []string // to be shown with the results
	InfoMessages     []string // what else there is to know of the results
	Results          []Place
	Status           string
	ErrorMessage     string
}

// Place is one result of an Answer. What a provider does not know is left out.
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

	// Raw is the result's JSON as it came from a provider that speaks this shape itself, or nil. It is what a client gets then,
	// but for its white space; of the members above only the name and the location have to be set.
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

// Error is the failure of a provider that knows which status word fits it.
type Error struct {
	Status string        // InvalidRequest, OverQueryLimit, RequestDenied or UnknownError
	Err    error         // the cause, which names the provider
	Again  bool          // asking again may help
	After  time.Duration // how long not to ask again, as the provider says; 0 if it does not
}

// Error returns the text of the cause.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

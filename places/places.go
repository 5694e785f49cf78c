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

import "context"

// Point is a place on Earth in WGS 84 degrees: Lat from -90 to 90, Lng from -180 to 180.
type Point struct {
	Lat float64 `json:"lat"`
	Lng float64 `json:"lng"`
}

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
	HTMLAttributions []string `json:"html_attributions"` // to be shown with the results
	Results          []Place  `json:"results"`
	Status           string   `json:"status"`
	ErrorMessage     string   `json:"error_message,omitempty"`
}

// Place is one result of an Answer.
type Place struct {
	Geometry Geometry `json:"geometry"`
	Name     string   `json:"name"`
	PlaceID  string   `json:"place_id"` // unique within its provider
	PlusCode PlusCode `json:"plus_code,omitzero"`
	Types    []string `json:"types"`              // most specific first
	Vicinity string   `json:"vicinity,omitempty"` // as in "Los Angeles, California"
}

// Geometry says where a Place is.
type Geometry struct {
	Location Point `json:"location"`
}

// PlusCode is the Open Location Code of a Place.
type PlusCode struct {
	GlobalCode string `json:"global_code"` // ten digits, as in "85632HC3+9W"; see GlobalCode
}

// Error is the failure of a provider that knows which status word fits it.
type Error struct {
	Status string // InvalidRequest, OverQueryLimit, RequestDenied or UnknownError
	Err    error  // the cause
}

// Error returns the text of the cause.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

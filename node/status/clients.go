package status

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"herd/node/line"
	"herd/places"
)

const (
	maxNearest     = 1000 // clients in an answer
	defaultNearest = 100
)

// Nearest is the answer to who is near a point.
type Nearest struct {
	Clients []Neighbour `json:"clients"` // nearest first
	More    bool        `json:"more"`    // there are others within the radius, beyond the limit
}

// Neighbour is a client near a point.
type Neighbour struct {
	Client
	Distance float64 `json:"distance"` // km
}

// clients adds /api/v1/clients and what is below it.
func (s *Server) clients() {
	s.mux.HandleFunc("GET /api/v1/clients/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := query(w, r); !ok {
			return
		}
		id := r.PathValue("id")
		if !line.ValidClient(id) {
			fail(w, http.StatusBadRequest, "that is no client's ID: 1 to %d bytes, none of them white space", line.MaxClient)
			return
		}
		report, known := s.Source.Registry().Get(line.ClientID(id))
		if !known {
			fail(w, http.StatusNotFound, "no client with that ID has been heard of")
			return
		}
		reply(w, http.StatusOK, clientOf(report, time.Now()))
	})
	s.mux.HandleFunc("GET /api/v1/clients", func(w http.ResponseWriter, r *http.Request) {
		values, ok := query(w, r, "near", "radius", "limit")
		if !ok {
			return
		}
		at, ok := pointOf(values.Get("near"))
		if !ok {
			fail(w, http.StatusBadRequest, "near is to be a point, LAT,LON in degrees, as in near=34.06893,-118.445127")
			return
		}
		radius, limit := math.Inf(1), defaultNearest
		if values.Has("radius") {
			if radius, ok = numberOf(values.Get("radius"), math.MaxFloat64); !ok || radius < 0 {
				fail(w, http.StatusBadRequest, "radius is to be in km, 0 or more, as in radius=2.5")
				return
			}
		}
		if values.Has("limit") {
			n, err := strconv.Atoi(values.Get("limit"))
			if err != nil || n < 1 || n > maxNearest {
				fail(w, http.StatusBadRequest, "limit is to be a whole number from 1 to %d", maxNearest)
				return
			}
			limit = n
		}
		answer, now := Nearest{Clients: []Neighbour{}}, time.Now()
		for i, h := range s.around.nearest(at, radius, limit+1) {
			if answer.More = i == limit; !answer.More {
				answer.Clients = append(answer.Clients, Neighbour{clientOf(h.Report, now), h.Distance})
			}
		}
		reply(w, http.StatusOK, answer)
	})
}

// decimal is how numbers in a query are written. A + is a blank there, unless it is written as %2B.
var decimal = regexp.MustCompile(`^[+\- ]?[0-9]{1,20}(\.[0-9]{1,40})?$`)

// numberOf returns a number of at most so much on either side of 0.
func numberOf(text string, most float64) (float64, bool) {
	if !decimal.MatchString(text) {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimPrefix(text, " "), 64)
	return n, err == nil && math.Abs(n) <= most
}

func pointOf(text string) (p places.Point, ok bool) {
	lat, lng, _ := strings.Cut(text, ",")
	var north, east bool
	p.Lat, north = numberOf(lat, 90)
	p.Lng, east = numberOf(lng, 180)
	return p, north && east
}

package status

import (
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/near"
	"herd/places"
)

const (
	maxNearest     = 1000 // clients in an answer
	defaultNearest = 100
)

// Client is the report that a node holds of a client.
type Client struct {
	ID         string        `json:"id"`                  // with U+FFFD where its bytes are not UTF-8
	IDBase64   []byte        `json:"id_base64,omitempty"` // its bytes, if they are not UTF-8
	Origin     line.NodeName `json:"origin"`
	Skew       string        `json:"skew"`
	Position   string        `json:"position"` // as the client wrote it
	Lat        float64       `json:"lat"`      // degrees
	Lon        float64       `json:"lon"`
	Time       string        `json:"time"`        // the client's, in POSIX seconds, as it wrote them
	AgeSeconds float64       `json:"age_seconds"` // since the origin received it, by its clock
	Line       string        `json:"line"`        // as WHATSAT answers it
}

func clientOf(r line.Report, now time.Time) Client {
	c := Client{
		Origin: r.Origin(), Skew: r.Skew(), Position: r.Position(), Time: r.Time(), Line: "AT " + r.String(),
		AgeSeconds: float64(now.UnixNano()-r.Received()) / 1e9,
	}
	c.ID, c.IDBase64 = idText(r.Client())
	c.Lat, c.Lon = r.Coordinates()
	return c
}

// Nearest is the answer to which clients are nearest to a point.
type Nearest struct {
	Clients []NearClient `json:"clients"` // nearest first
	More    bool         `json:"more"`    // others are within the radius, beyond the limit
}

// NearClient is a client near a point.
type NearClient struct {
	Client
	Distance float64 `json:"distance"` // km
}

// addClients adds /api/v1/clients/{id}, a client's last report, and /api/v1/clients, those nearest to a point.
func (s *Server) addClients() {
	s.mux.query("GET /api/v1/clients/{id}", nil, func(w http.ResponseWriter, r *http.Request, _ url.Values) {
		id := r.PathValue("id")
		if !line.ValidClient(id) {
			fail(w, http.StatusBadRequest, "that is no client ID: 1 to %d bytes, none of them white space", line.MaxClient)
			return
		}
		report, known := s.config.Source.Registry().Get(line.ClientID(id))
		if !known {
			fail(w, http.StatusNotFound, "no report of a client with that ID is held")
			return
		}
		reply(w, http.StatusOK, clientOf(report, time.Now()))
	})
	s.mux.query("GET /api/v1/clients", []string{"near", "radius", "limit"}, func(w http.ResponseWriter, _ *http.Request, values url.Values) {
		at, ok := pointOf(values.Get("near"))
		if !ok {
			fail(w, http.StatusBadRequest, "near must be a point, LAT,LON in degrees, as in near=34.06893,-118.445127")
			return
		}
		radius := math.Inf(1)
		if values.Has("radius") {
			if radius, ok = numberOf(values.Get("radius"), math.MaxFloat64); !ok || radius < 0 {
				fail(w, http.StatusBadRequest, "radius must be in km, 0 or more, as in radius=2.5")
				return
			}
		}
		limit, ok := limitOf(w, values, maxNearest, defaultNearest)
		if !ok {
			return
		}
		answer, now := Nearest{Clients: []NearClient{}}, time.Now()
		for i, h := range s.nearest.find(at, radius, limit+1) {
			if answer.More = i == limit; !answer.More {
				answer.Clients = append(answer.Clients, NearClient{clientOf(h.Report, now), h.Distance})
			}
		}
		reply(w, http.StatusOK, answer)
	})
}

// decimal is the form of numbers in a query. A + arrives as a blank, unless it is written as %2B.
var decimal = regexp.MustCompile(`^[+\- ]?[0-9]{1,20}(\.[0-9]{1,40})?$`)

// numberOf parses a number between -most and most.
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

const (
	indexTime  = time.Minute // for which the index is kept after the last question
	maxPending = 1 << 18     // clients that have changed since; if more have, the index is rebuilt
)

// nearestClients finds the clients nearest to a point. It takes no memory until the first question, which builds an index of the registry
// and subscribes to its changes; each further question applies those. A minute after the last question all is released.
type nearestClients struct {
	source Source

	mu          sync.Mutex
	index       *near.Index // nil: none
	changed     *flood.Queue
	unsubscribe func()
	buffer      []line.Report // for the next swap of changed
	cutoff      int64         // up to which the index has been cleared
	lastQuery   time.Time
	timer       *time.Timer
}

// find searches the registry as it is now: of the clients at most radius km from a point, the limit nearest.
func (n *nearestClients) find(at places.Point, radius float64, limit int) []near.Hit {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.index == nil || !n.update() {
		n.build()
	}
	n.lastQuery = time.Now()
	if n.timer == nil {
		n.timer = time.AfterFunc(indexTime, n.expire)
	}
	return n.index.Nearest(at, radius, limit)
}

// build makes the index of the registry.
func (n *nearestClients) build() {
	n.reset()
	n.changed, n.unsubscribe = n.source.Subscribe(maxPending)
	registry := n.source.Registry()
	n.cutoff = n.source.Cutoff()
	all := make([]line.Report, 0, registry.Len())
	for r := range registry.All() { // which locks parts of it: the index is built afterwards
		all = append(all, r)
	}
	n.index = near.New(len(all))
	for _, r := range all {
		n.index.Put(r)
	}
}

// update applies what changed in the registry. It returns false if changes were dropped.
func (n *nearestClients) update() bool {
	n.buffer = n.changed.Swap(n.buffer)
	if n.changed.Dropped() > 0 {
		return false
	}
	cutoff := n.source.Cutoff()
	for _, r := range n.buffer {
		if r.Received() >= cutoff {
			n.index.Put(r)
		}
	}
	if cutoff != n.cutoff {
		n.cutoff = cutoff
		n.index.Keep(func(r line.Report) bool { return r.Received() >= cutoff })
	}
	return true
}

// expire releases all if the last question is long ago.
func (n *nearestClients) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer == nil {
		return
	}
	if left := indexTime - time.Since(n.lastQuery); left > 0 {
		n.timer.Reset(left)
		return
	}
	n.reset()
}

// release gives all memory back.
func (n *nearestClients) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reset()
}

func (n *nearestClients) reset() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	if n.unsubscribe != nil {
		n.unsubscribe()
	}
	n.index, n.changed, n.unsubscribe, n.buffer = nil, nil, nil, nil
}

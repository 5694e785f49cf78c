package status

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"herd/node/topology"

	"herd/node/line"
)

const (
	maxHops = 200       // told in a tick
	maxPath = 1000      // of a client that somebody follows, in a tick
	maxText = 256 << 10 // bytes of what one event lists: IDs and times may be long
)

// hops collects what travels on links, from one tick to the next: how many reports on each, a fair sample of them, and all of the clients
// that somebody follows.
type hops struct {
	mu       sync.Mutex
	known    map[way]bool // the topology has; nothing else is counted, for who sends on other ways chooses their names
	counts   map[way]int
	seen     int
	sample   []hop                    // of what was seen: each with the same chance (Vitter, Random Sampling with a Reservoir, algorithm R)
	followed map[line.ClientID]*trail // nil: none
}

// way is a link, as one of its ends tells the other.
type way struct{ from, to line.NodeName }

// hop is a report on a way.
type hop struct {
	at time.Time
	way
	report line.Report
}

// trail is what is collected of a client.
type trail struct {
	viewers int
	hops    []hop
	leftOut int
}

// path is what was collected of a client, as events.
type path struct {
	text          []byte
	told, leftOut int
}

func newHops() *hops { return &hops{counts: make(map[way]int)} }

// know has these links count.
func (h *hops) know(t *topology.Topology) {
	known := make(map[way]bool, 2*len(t.Links()))
	for _, l := range t.Links() {
		known[way{l[0], l[1]}], known[way{l[1], l[0]}] = true, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = known
}

func (h *hops) follow(id line.ClientID) {
	if id == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followed == nil {
		h.followed = make(map[line.ClientID]*trail)
	}
	if h.followed[id] == nil {
		h.followed[id] = new(trail)
	}
	h.followed[id].viewers++
}

func (h *hops) unfollow(id line.ClientID) {
	if id == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followed[id].viewers--; h.followed[id].viewers == 0 {
		delete(h.followed, id)
	}
}

// add takes reports that travel.
func (h *hops) add(from, to line.NodeName, reports []line.Report) {
	now, w := time.Now(), way{from, to}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known[w] || len(reports) == 0 {
		return
	}
	h.counts[w] += len(reports)
	for _, r := range reports {
		switch h.seen++; {
		case len(h.sample) < maxHops:
			h.sample = append(h.sample, hop{now, w, r})
		default:
			if i := rand.IntN(h.seen); i < maxHops {
				h.sample[i] = hop{now, w, r}
			}
		}
		if len(h.followed) == 0 {
			continue
		}
		if t := h.followed[r.Client()]; t != nil {
			if len(t.hops) < maxPath {
				t.hops = append(t.hops, hop{now, w, r})
			} else {
				t.leftOut++
			}
		}
	}
}

// take returns what was collected, and begins anew.
func (h *hops) take() (counts map[way]int, seen int, sample []hop) {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts, seen, sample = h.counts, h.seen, h.sample
	if seen > 0 {
		h.counts, h.seen, h.sample = make(map[way]int, len(counts)), 0, nil
	}
	return counts, seen, sample
}

// Hop is a report that travelled.
type Hop struct {
	At       float64       `json:"at"` // milliseconds since 1970, by the clock of the node that tells
	From     line.NodeName `json:"from"`
	To       line.NodeName `json:"to"`
	Client   string        `json:"client,omitempty"`
	IDBase64 []byte        `json:"id_base64,omitempty"` // of a client whose ID is not UTF-8
	Origin   line.NodeName `json:"origin"`
	Time     string        `json:"time"` // of the report
}

// Traffic is what travelled on a way.
type Traffic struct {
	From    line.NodeName `json:"from"`
	To      line.NodeName `json:"to"`
	Reports int           `json:"reports"`
}

// append appends the event of what travelled since the last time, if anything did.
func (h *hops) append(dst []byte) (text []byte, reports int) {
	counts, seen, sample := h.take()
	if seen == 0 {
		return dst, 0
	}
	links := make([]Traffic, 0, len(counts))
	for w, n := range counts {
		links = append(links, Traffic{w.from, w.to, n})
	}
	slices.SortFunc(links, func(a, b Traffic) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	slices.SortStableFunc(sample, func(a, b hop) int { return a.at.Compare(b.at) })
	var list list
	for _, s := range sample {
		t := s.told()
		t.Client, t.IDBase64 = idText(s.report.Client())
		list.add(t)
	}
	head, _ := json.Marshal(links)
	return appendRaw(dst, "hops", []byte(`{"left_out":`), strconv.AppendInt(nil, int64(seen-list.n), 10),
		[]byte(`,"links":`), head, []byte(`,"hops":[`), list.text, []byte(`]}`)), seen
}

// paths returns what was collected of each client that is followed, as events.
func (h *hops) paths() map[line.ClientID]path {
	h.mu.Lock()
	trails := make(map[line.ClientID]trail, len(h.followed))
	for id, t := range h.followed {
		trails[id] = *t
		t.hops, t.leftOut = nil, 0
	}
	h.mu.Unlock()
	paths := make(map[line.ClientID]path, len(trails))
	for id, t := range trails {
		var p path
		for _, s := range t.hops {
			if len(p.text) > maxText {
				break
			}
			p.text = appendEvent(p.text, "path", s.told())
			p.told++
		}
		p.leftOut = t.leftOut + len(t.hops) - p.told
		paths[id] = p
	}
	return paths
}

// told returns a hop without its client.
func (s hop) told() Hop {
	return Hop{At: milliseconds(s.at), From: s.from, To: s.to, Origin: s.report.Origin(), Time: s.report.Time()}
}

func milliseconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1000 }

// idText returns an ID as text; if it is not UTF-8, the bytes as well.
func idText(id line.ClientID) (text string, exact []byte) {
	if !utf8.ValidString(string(id)) {
		exact = []byte(id)
	}
	return string(id), exact // the encoder puts U+FFFD where the text is none
}

// list is the inside of a JSON array of bounded size.
type list struct {
	text []byte
	n    int
}

// add adds a value if there is room for it.
func (l *list) add(what any) {
	if len(l.text) > maxText {
		return
	}
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // see appendEvent
	}
	if l.n++; l.n > 1 {
		l.text = append(l.text, ',')
	}
	l.text = append(l.text, text...)
}

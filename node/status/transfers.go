package status

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"herd/node/line"
)

const (
	maxTransfers = 200  // in the event of a tick
	maxPath      = 1000 // events of a followed client in a tick
)

// Transfer is a report that a message carried over a link.
type Transfer struct {
	At       float64       `json:"at"` // milliseconds since 1970, by the clock of the node that streams
	From     line.NodeName `json:"from"`
	To       line.NodeName `json:"to"`
	Client   string        `json:"client,omitempty"`
	IDBase64 []byte        `json:"id_base64,omitempty"` // of a client whose ID is not UTF-8
	Origin   line.NodeName `json:"origin"`
	Time     string        `json:"time"` // of the report
}

// Traffic is how many reports one end of a link sent to the other.
type Traffic struct {
	From    line.NodeName `json:"from"`
	To      line.NodeName `json:"to"`
	Reports int           `json:"reports"`
}

// transfers collects what messages carry, from one tick to the next: the number of reports in each direction of each link, a fair sample of
// them, and all of the clients that are followed.
type transfers struct {
	mu       sync.Mutex
	links    map[direction]bool // of the topology; others are not counted, for their sender chooses the names
	counts   map[direction]int
	sample   reservoir[transfer]
	followed map[line.ClientID]*trail
}

// direction is a link from one of its ends to the other.
type direction struct{ from, to line.NodeName }

type transfer struct {
	at time.Time
	direction
	report line.Report
}

// trail is what is collected of a followed client.
type trail struct {
	viewers   int
	transfers []transfer
	leftOut   int
}

// path is what was collected of a followed client, as events.
type path struct {
	text            []byte
	events, leftOut int
}

func newTransfers() *transfers {
	return &transfers{
		counts: make(map[direction]int), sample: reservoir[transfer]{limit: maxTransfers}, followed: make(map[line.ClientID]*trail),
	}
}

func (t *transfers) setLinks(links [][2]line.NodeName) {
	directions := make(map[direction]bool, 2*len(links))
	for _, l := range links {
		directions[direction{l[0], l[1]}], directions[direction{l[1], l[0]}] = true, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.links = directions
}

func (t *transfers) follow(id line.ClientID) {
	if id == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.followed[id] == nil {
		t.followed[id] = new(trail)
	}
	t.followed[id].viewers++
}

func (t *transfers) unfollow(id line.ClientID) {
	if id == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.followed[id].viewers--; t.followed[id].viewers == 0 {
		delete(t.followed, id)
	}
}

// add collects the reports of a message.
func (t *transfers) add(from, to line.NodeName, reports []line.Report) {
	now, d := time.Now(), direction{from, to}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.links[d] || len(reports) == 0 {
		return
	}
	t.counts[d] += len(reports)
	for _, r := range reports {
		t.sample.add(transfer{now, d, r})
		if len(t.followed) == 0 {
			continue
		}
		if trail := t.followed[r.Client()]; trail != nil {
			if len(trail.transfers) < maxPath {
				trail.transfers = append(trail.transfers, transfer{now, d, r})
			} else {
				trail.leftOut++
			}
		}
	}
}

// append appends the event of the messages since the last tick, if there were any.
func (t *transfers) append(dst []byte) (text []byte, reports int) {
	t.mu.Lock()
	counts, sample := t.counts, t.sample
	t.counts, t.sample = make(map[direction]int, len(counts)), reservoir[transfer]{limit: maxTransfers}
	t.mu.Unlock()
	if sample.seen == 0 {
		return dst, 0
	}
	links := make([]Traffic, 0, len(counts))
	for d, n := range counts {
		links = append(links, Traffic{d.from, d.to, n})
	}
	slices.SortFunc(links, func(a, b Traffic) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	slices.SortStableFunc(sample.items, func(a, b transfer) int { return a.at.Compare(b.at) })
	var list list
	for _, each := range sample.items {
		shown := each.withoutClient()
		shown.Client, shown.IDBase64 = idText(each.report.Client())
		list.add(shown)
	}
	return appendRaw(dst, "messages", []byte(`{"left_out":`), strconv.AppendInt(nil, int64(sample.seen-list.n), 10),
		[]byte(`,"links":`), encoded(links), []byte(`,"reports":[`), list.text, []byte(`]}`)), sample.seen
}

// paths returns what was collected of each followed client, as events.
func (t *transfers) paths() map[line.ClientID]path {
	t.mu.Lock()
	trails := make(map[line.ClientID]trail, len(t.followed))
	for id, trail := range t.followed {
		trails[id] = *trail
		trail.transfers, trail.leftOut = nil, 0
	}
	t.mu.Unlock()
	paths := make(map[line.ClientID]path, len(trails))
	for id, trail := range trails {
		var p path
		for _, each := range trail.transfers {
			if len(p.text) > maxList {
				break
			}
			p.text = appendEvent(p.text, "path", each.withoutClient())
			p.events++
		}
		p.leftOut = trail.leftOut + len(trail.transfers) - p.events
		paths[id] = p
	}
	return paths
}

func (t transfer) withoutClient() Transfer {
	return Transfer{At: milliseconds(t.at), From: t.from, To: t.to, Origin: t.report.Origin(), Time: t.report.Time()}
}

func milliseconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1000 }

// idText returns an ID as text and, if it is not UTF-8, its bytes.
func idText(id line.ClientID) (text string, exact []byte) {
	if !utf8.ValidString(string(id)) {
		exact = []byte(id)
	}
	return string(id), exact // the JSON encoder replaces what is not UTF-8 by U+FFFD
}

// reservoir keeps a sample of at most limit of the items added, in which each is with the same chance (Vitter, "Random Sampling with a
// Reservoir", algorithm R).
type reservoir[T any] struct {
	limit, seen int
	items       []T
}

func (r *reservoir[T]) add(item T) {
	r.seen++
	if len(r.items) < r.limit {
		r.items = append(r.items, item)
	} else if i := rand.IntN(r.seen); i < r.limit {
		r.items[i] = item
	}
}

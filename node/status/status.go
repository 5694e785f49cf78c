// Package status tells over HTTP how a node is: alive, ready, and what its links do.
package status

// Health is what a node says of itself.
type Health struct {
	Node     string            `json:"node"`
	Ready    bool              `json:"ready"`             // once true it stays so: lost links do not end it
	Missing  []string          `json:"missing,omitempty"` // for it to be ready
	Bus      string            `json:"bus"`               // "connected", or why not
	Uptime   float64           `json:"uptime"`            // seconds
	Clients  int               `json:"clients"`           // devices whose last place is known
	Digest   string            `json:"digest"`            // 16 hexadecimal digits: nodes with the same know the same of them
	Sessions int               `json:"sessions"`          // clients connected now
	Store    *Store            `json:"store,omitempty"`
	Links    []Link            `json:"links"`   // one for each neighbour
	Refused  map[string]uint64 `json:"refused"` // how often, by reason

	Places map[string]Provider `json:"places,omitempty"` // of all nodes in the process, by provider
}

// Provider is what has happened between a process and one of its providers of places.
type Provider struct {
	Calls    uint64            `json:"calls"`             // questions
	Statuses map[string]uint64 `json:"statuses"`          // how they ended, in Google's status words
	Seconds  float64           `json:"seconds"`           // that they took together
	Retries  uint64            `json:"retries"`           // attempts beyond the first of each
	Hits     uint64            `json:"hits"`              // answers that were remembered, without a call
	Joined   uint64            `json:"joined"`            // questions that waited for the same one, which was under way
	Fell     uint64            `json:"fell"`              // answers of the fallback in its place
	Breaker  string            `json:"breaker,omitempty"` // closed, half-open or open; left out if it never turned
}

// Store is how a node's disk does.
type Store struct {
	Mode    string  `json:"mode"`    // interval or always
	State   string  `json:"state"`   // ok, behind, or why it fails
	Waiting int     `json:"waiting"` // reports that wait for it
	Lag     float64 `json:"lag"`     // seconds for which the first of them has been waiting, at most
}

// Link is what a node knows of the way to one neighbour. What counts does so from the start of the node.
type Link struct {
	Peer       string   `json:"peer"`
	State      string   `json:"state"`              // "down", "catching up" or "up"
	Silent     float64  `json:"silent"`             // seconds since the last heartbeat, or since the node is connected
	Twin       bool     `json:"twin,omitempty"`     // in the last minute two nodes had one name: the neighbour's or this one's
	Unheard    bool     `json:"unheard,omitempty"`  // nothing came since the node is connected: does the neighbour run, and know of the link?
	Topology   string   `json:"topology,omitempty"` // how the neighbour's differs from this node's
	Lacking    []string `json:"lacking,omitempty"`  // other neighbours whose topology has no such link
	Compared   *float64 `json:"compared,omitempty"` // seconds since digests could be compared last; left out if they never could
	Equal      *bool    `json:"equal,omitempty"`    // they were, then
	Queued     int      `json:"queued"`             // reports waiting to be told
	Told       uint64   `json:"told"`               // reports sent
	Messages   uint64   `json:"messages"`           // in so many messages
	Heard      uint64   `json:"heard"`              // reports received
	Old        uint64   `json:"old"`                // of these, not news
	Duplicates uint64   `json:"duplicates"`         // of these, exactly what was known
	Conflated  uint64   `json:"conflated"`          // reports replaced by a newer one of the same client while they waited
	Emptied    uint64   `json:"emptied"`            // reports not told, because too many waited or the bus was away: repair brings them
	Gaps       uint64   `json:"gaps"`               // messages of reports that were missing
	Repeated   uint64   `json:"repeated"`           // messages of reports that were heard before
	Walks      uint64   `json:"walks"`              // repairs
	GivenUp    uint64   `json:"given_up"`           // repairs that got no answers; they are begun anew
	Pulled     uint64   `json:"pulled"`             // reports that they brought
	PulledNew  uint64   `json:"pulled_new"`         // of these, news
	RepairIn   uint64   `json:"repair_in"`          // bytes of repair heard
	RepairOut  uint64   `json:"repair_out"`         // bytes of repair sent
	Unread     uint64   `json:"unread"`             // the neighbour's questions thrown away because too many waited
	Twins      uint64   `json:"twins"`              // signs that two nodes have one name: the neighbour's or this one's
}

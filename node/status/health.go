package status

import (
	"net/http"
	"net/url"
)

// addHealth adds /healthz, which is always 200, and /readyz, which is 503 until the node is ready. Both answer everybody, for the probes
// of a container have no token; only an authorized request gets the details.
func (s *Server) addHealth() {
	for pattern, notReady := range map[string]int{"GET /healthz": http.StatusOK, "GET /readyz": http.StatusServiceUnavailable} {
		s.mux.query(pattern, nil, func(w http.ResponseWriter, r *http.Request, _ url.Values) {
			h, code := s.config.Source.Health(), http.StatusOK
			if !h.Ready {
				code = notReady
			}
			if s.authorized(r) {
				reply(w, code, h)
			} else {
				reply(w, code, map[string]bool{"ready": h.Ready})
			}
		})
	}
}

// Health is how a node is at one moment. Counters count from its start. A number has the name that it has at /metrics, there after
// herd_, herd_link_, herd_store_ or herd_places_, and before _total if it is a counter.
type Health struct {
	Node                   string            `json:"node"`
	Ready                  bool              `json:"ready"`             // it has caught up with its neighbours; once true it stays true, also while links are down
	Missing                []string          `json:"missing,omitempty"` // what it waits for before it is ready
	Bus                    string            `json:"bus"`               // "connected", or why not
	UptimeSeconds          float64           `json:"uptime_seconds"`
	Clients                int               `json:"clients"`                  // whose last report is held
	Digest                 string            `json:"digest"`                   // 16 hexadecimal digits; equal for nodes that hold the same reports
	Sessions               int               `json:"sessions"`                 // open connections of clients
	ClockCorrectionSeconds float64           `json:"clock_correction_seconds"` // by which receipts are stamped ahead of the node's own clock, which is wrong; 0 if it is not
	Store                  *Store            `json:"store,omitempty"`
	Links                  []Link            `json:"links"`               // one for each neighbour
	OneSided               []string          `json:"one_sided,omitempty"` // nodes that have a link to this one, which its topology lacks
	Refused                map[string]uint64 `json:"refused"`             // how often, by reason

	Places map[string]Provider `json:"places,omitempty"` // shared by all nodes of the process, by provider
}

// Provider counts what a process has requested of one of its providers of places.
type Provider struct {
	Calls       uint64            `json:"calls"`             // requests sent
	Statuses    map[string]uint64 `json:"statuses"`          // how they ended, in Google's status words
	CallSeconds float64           `json:"call_seconds"`      // sum of their durations
	Retries     uint64            `json:"retries"`           // attempts beyond the first of each call
	CacheHits   uint64            `json:"cache_hits"`        // answers from the cache, without a call
	Joined      uint64            `json:"joined"`            // questions that shared the call of an equal one in flight
	Fallbacks   uint64            `json:"fallbacks"`         // answers of the fallback provider in its place
	Breaker     string            `json:"breaker,omitempty"` // closed, half-open or open; left out if it has never changed
}

// Store is how the durable log of a node is.
type Store struct {
	Mode           string  `json:"mode"`            // interval or always
	State          string  `json:"state"`           // ok, behind, or the error for which it fails
	WaitingReports int     `json:"waiting_reports"` // not yet on the disk
	LagSeconds     float64 `json:"lag_seconds"`     // how long the first of them has waited
}

// Link is what a node knows of one neighbour and of what both have sent each other.
type Link struct {
	Peer                  string   `json:"peer"`
	State                 string   `json:"state"`                             // "down", "catching up" or "up"
	Syncing               bool     `json:"syncing,omitempty"`                 // a sync with the neighbour is to start or runs, in either direction
	SilentSeconds         float64  `json:"silent_seconds"`                    // since the neighbour's last sign of life, or since the node connected
	DuplicateName         bool     `json:"duplicate_name,omitempty"`          // in the last minute two nodes used one name: the neighbour's or this node's
	NeverReceived         bool     `json:"never_received,omitempty"`          // nothing has come from the neighbour since the node connected
	Topology              string   `json:"topology,omitempty"`                // how the neighbour's differs from this node's; empty if it does not
	Lacking               []string `json:"lacking,omitempty"`                 // neighbours of this node whose topology lacks this link, the peer included
	DigestComparedSeconds *float64 `json:"digest_compared_seconds,omitempty"` // since digests were last compared; nil if they never were
	DigestEqual           *bool    `json:"digest_equal,omitempty"`            // the result of that comparison
	ClockOffsetSeconds    *float64 `json:"clock_offset_seconds,omitempty"`    // the neighbour's clock less this node's, as of its last heartbeat; nil if it never said
	ReportsOwed           int      `json:"reports_owed"`                      // that the neighbour may lack and that wait to be sent
	ReportsHeld           int      `json:"reports_held,omitempty"`            // that the neighbour may lack and that every keeps from being sent yet
	EverySeconds          float64  `json:"every_seconds,omitempty"`           // a report of each client is sent at most once in so long; 0: each at once
	InFlightBytes         int      `json:"in_flight_bytes"`                   // sent and not acknowledged
	WindowBytes           int      `json:"window_bytes"`                      // that may be in flight
	RoundTripSeconds      *float64 `json:"round_trip_seconds,omitempty"`      // from a message to its acknowledgement; nil if it was not measured on this connection
	DrainBytesPerSecond   *int     `json:"drain_bytes_per_second,omitempty"`  // what the link carries, as last measured while more was owed; nil if it never was
	ReportsSent           uint64   `json:"reports_sent"`
	MessagesSent          uint64   `json:"messages_sent"` // that carried them
	ReportsReceived       uint64   `json:"reports_received"`
	ReportsStale          uint64   `json:"reports_stale"`         // received, and not newer than what was held
	ReportsDuplicate      uint64   `json:"reports_duplicate"`     // the stale ones that were exactly what was held
	ReportsConflated      uint64   `json:"reports_conflated"`     // replaced by a newer one of the same client while they waited
	ReportsRetransmitted  uint64   `json:"reports_retransmitted"` // owed again, because the message that had them was lost
	MessagesMissing       uint64   `json:"messages_missing"`      // of the neighbour, which were lost
	MessagesRepeated      uint64   `json:"messages_repeated"`     // received more than once
	Syncs                 uint64   `json:"syncs"`                 // from this neighbour, that ended
	SyncsAbandoned        uint64   `json:"syncs_abandoned"`       // for want of answers; another one starts later
	SyncReports           uint64   `json:"sync_reports"`          // received while a sync ran
	SyncReportsNew        uint64   `json:"sync_reports_new"`      // those of them that were newer than what was held
	SyncReceivedBytes     uint64   `json:"sync_received_bytes"`   // requests and answers
	SyncSentBytes         uint64   `json:"sync_sent_bytes"`       // requests and answers
	SyncRequestsDropped   uint64   `json:"sync_requests_dropped"` // requests of the neighbour, because too many waited
	DuplicateNameSigns    uint64   `json:"duplicate_name_signs"`  // signs that two nodes use one name: the neighbour's or this node's
}

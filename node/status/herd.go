package status

// Node is the record of a node of the herd, which it sends along the links every 5 s: so from a part of the herd that is cut off no newer
// one arrives. A record is forgotten after 10 minutes.
type Node struct {
	Name          string      `json:"name"`
	Self          bool        `json:"self"` // it is the node that answers, and the record is of this moment
	Version       string      `json:"version"`
	Incarnation   string      `json:"incarnation"`    // of its start: 32 hexadecimal digits
	AgeSeconds    float64     `json:"age_seconds"`    // of the record
	UptimeSeconds float64     `json:"uptime_seconds"` // of the node when it made the record
	Clients       int         `json:"clients"`        // whose last report it held
	Digest        string      `json:"digest"`         // 16 hexadecimal digits
	Links         []LinkState `json:"links"`
}

// LinkState is the state of a link as the node at one end sees it.
type LinkState struct {
	Peer  string `json:"peer"`
	State string `json:"state"` // "down", "catching up" or "up"
}

package status

// Node is how a node of the herd was when it last told all others, which it does every 5 s. It comes along the links, so from a part of the herd that is cut
// off nothing newer comes; after 10 minutes it is forgotten.
type Node struct {
	Name        string      `json:"name"`
	Self        bool        `json:"self"` // it is the node that was asked, now
	Version     string      `json:"version"`
	Incarnation string      `json:"incarnation"` // of its start: 32 hexadecimal digits
	Age         float64     `json:"age"`         // seconds since it was so
	Uptime      float64     `json:"uptime"`      // seconds, then
	Clients     int         `json:"clients"`
	Digest      string      `json:"digest"` // 16 hexadecimal digits
	Links       []LinkState `json:"links"`
}

// LinkState is how a node says that a link of its own is.
type LinkState struct {
	Peer  string `json:"peer"`
	State string `json:"state"` // "down", "catching up" or "up"
}

package status

import (
	"fmt"
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

const maxNotices = 100 // events in a tick

// Notice is the event of something that happened at the node.
type Notice struct {
	At      float64       `json:"at"` // milliseconds since 1970
	Kind    string        `json:"kind"`
	Peer    line.NodeName `json:"peer"` // at the other end of the link that it is about; "" if it is about none
	Text    string        `json:"text"`
	LeftOut int           `json:"left_out,omitempty"` // in the last one of a tick: how many more there were
}

// notices collects notices, from one tick to the next.
type notices struct {
	mu      sync.Mutex
	waiting []Notice
	more    int
}

func (n *notices) add(e flood.Notice) {
	kind, text := describe(e)
	n.put(kind, e.Peer, text)
}

func (n *notices) put(kind string, peer line.NodeName, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == maxNotices {
		n.more++
		return
	}
	n.waiting = append(n.waiting, Notice{At: milliseconds(time.Now()), Kind: kind, Peer: peer, Text: text})
}

// append appends an event for each notice, and returns how many notices there were.
func (n *notices) append(dst []byte) (text []byte, count int) {
	n.mu.Lock()
	waiting, more := n.waiting, n.more
	n.waiting, n.more = nil, 0
	n.mu.Unlock()
	for i, each := range waiting {
		if i == len(waiting)-1 {
			each.LeftOut = more
		}
		dst = appendEvent(dst, "notice", each)
	}
	return dst, len(waiting) + more
}

// describe returns a notice in words.
func describe(e flood.Notice) (kind, text string) {
	switch e.Kind {
	case flood.LinkUp:
		return "link returned", "heartbeats are received; a sync fetches what was missed"
	case flood.LinkDown:
		return "link down", e.Detail
	case flood.NeverReceived:
		return "never received", "no heartbeat has been received: is it running, and does its topology have this link?"
	case flood.CaughtUp:
		return "link up", "all that the neighbour held has been fetched"
	case flood.MessagesMissing:
		return "messages missing", fmt.Sprintf("%d messages are missing", e.Reports)
	case flood.Synced:
		return "synced", fmt.Sprintf("%s: %d reports came, %d of them new, in %d bytes and %s", e.Detail, e.Reports, e.New, e.Bytes, e.Duration.Round(time.Millisecond))
	case flood.SyncAbandoned:
		return "sync abandoned", fmt.Sprintf("%s after %s", e.Detail, e.Duration.Round(time.Millisecond))
	case flood.Expired:
		return "expired", fmt.Sprintf("%d reports are older than the retention", e.Reports)
	case flood.DuplicateNeighbourName:
		return "duplicate name", "two nodes have the name of this neighbour"
	case flood.DuplicateName:
		return "duplicate name", "another node has the name of this one"
	case flood.OtherTopology:
		return "other topology", "the neighbour has another topology: " + e.Detail
	case flood.SameTopology:
		return "same topology", "the neighbour has the same topology"
	case flood.OtherRetention:
		return "other retention", fmt.Sprintf("the neighbour keeps reports for %s", e.Duration)
	case flood.CutoffAhead:
		return "cut-off ahead", fmt.Sprintf("the neighbour has forgotten what this node is to keep: %s ahead", e.Duration)
	default:
		return "other", e.Detail
	}
}

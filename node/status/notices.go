package status

import (
	"fmt"
	"sync"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

const maxNotices = 100 // told in a tick

// Notice is something that happened at the node.
type Notice struct {
	At      float64       `json:"at"` // milliseconds since 1970
	Kind    string        `json:"kind"`
	Peer    line.NodeName `json:"peer"` // at the other end of the link that it is about; "": about none
	Text    string        `json:"text"`
	LeftOut int           `json:"left_out,omitempty"` // of the last one: how many more there were
}

// notices collects what happens, from one tick to the next.
type notices struct {
	mu      sync.Mutex
	waiting []Notice
	more    int
}

func (n *notices) take(e flood.Notice) {
	kind, text := words(e)
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

// append appends an event for each.
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

// words says in words what happened.
func words(e flood.Notice) (kind, text string) {
	switch e.Kind {
	case flood.LinkUp:
		return "link returned", "heartbeats come; what was missed is pulled"
	case flood.LinkDown:
		return "link down", e.Detail
	case flood.NeverReceived:
		return "never heard", "no heartbeat has come: is it running, and does its topology have this link?"
	case flood.CaughtUp:
		return "link up", "all that the neighbour knew has been pulled"
	case flood.MessagesMissing:
		return "gap", fmt.Sprintf("%d messages are missing", e.Reports)
	case flood.Synced:
		return "repaired", fmt.Sprintf("%s: %d reports came, %d of them news, in %d bytes and %s", e.Detail, e.Reports, e.New, e.Bytes, e.Duration.Round(time.Millisecond))
	case flood.SyncAbandoned:
		return "repair given up", fmt.Sprintf("%s after %s", e.Detail, e.Duration.Round(time.Millisecond))
	case flood.Expired:
		return "forgotten", fmt.Sprintf("%d reports are older than the retention", e.Reports)
	case flood.DuplicateNeighbourName:
		return "twin", "two nodes have the name of this neighbour"
	case flood.DuplicateName:
		return "twin", "another node has the name of this one"
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

package flood

import (
	"time"

	"herd/node/line"
)

// Notice is something that happened at an engine.
type Notice struct {
	Peer     line.NodeName // of the link, if the notice is about one
	Kind     NoticeKind
	Detail   string        // LinkDown, Synced, SyncAbandoned: why; OtherTopology: the differences, as far as they are known
	Reports  int           // Expired: reports removed; MessagesMissing: messages; Synced: reports received
	New      int           // Synced: those of Reports that changed the registry
	Bytes    int           // Synced: of replies
	Duration time.Duration // Synced, SyncAbandoned: since the sync started; OtherRetention: the neighbour's; CutoffAhead: by how much
}

// NoticeKind is what a notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	LinkUp                 NoticeKind = iota // heartbeats are received
	LinkDown                                 // none are received any more
	NeverReceived                            // no heartbeat was received on this connection to the bus
	CaughtUp                                 // what the neighbour held when the link came up has been received
	MessagesMissing                          // messages of reports were lost
	Synced                                   // a sync has finished
	SyncAbandoned                            // a sync was abandoned, the first since one finished
	Expired                                  // reports older than the cut-off were removed
	DuplicateNeighbourName                   // two nodes have the neighbour's name
	DuplicateName                            // two nodes have this node's name
	OtherTopology                            // the neighbour is configured with another topology
	SameTopology                             // the neighbour's topology is this node's again
	OtherRetention                           // the neighbour keeps reports for another time
	CutoffAhead                              // the neighbour removes reports that this node is to keep
)

// Silent is the Detail of LinkDown when the neighbour fell silent; otherwise this node lost its connection to the bus.
const Silent = "silent"

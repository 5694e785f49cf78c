package flood

import (
	"time"

	"herd/node/line"
)

// Notice is something that happened at an engine.
type Notice struct {
	Peer     line.NodeName // of the link, if it is about one
	Kind     NoticeKind
	Detail   string        // more about it
	Reports  int           // Expired; MessagesMissing: messages; Synced: those that came
	New      int           // Synced: of these
	Bytes    int           // Synced: of answers
	Duration time.Duration // Synced, SyncAbandoned
}

// What is what a Notice is about.
type NoticeKind uint8

// What happens.
const (
	LinkUp                 NoticeKind = iota // heartbeats come
	LinkDown                                 // none come any more
	NeverReceived                            // no heartbeat has come since the beginning of the connection
	CaughtUp                                 // what the neighbour knew has been pulled, since then
	MessagesMissing                          // messages are missing
	Synced                                   // a walk has ended
	SyncAbandoned                            // a walk was given up, the first since one ended
	Expired                                  // reports are older than the cut-off
	DuplicateNeighbourName                   // two nodes have the neighbour's name
	DuplicateName                            // two nodes have this node's name
	OtherTopology                            // the neighbour is configured with another topology
	SameTopology                             // that is over
	OtherRetention                           // the neighbour keeps reports for another time
	CutoffAhead                              // the neighbour forgets what this node is to keep
)

// Silent is the Text of LinkDown when no heartbeats came, rather than that the node itself has lost its connection.
const Silent = "silent"

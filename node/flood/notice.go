package flood

import (
	"time"

	"herd/node/line"
)

// Notice is something that happened at an engine.
type Notice struct {
	Peer    line.NodeName // of the link, if it is about one
	What    What
	Text    string        // more about it
	Reports int           // Forgot; Gap: messages; Walked: those that came
	News    int           // Walked: of these
	Bytes   int           // Walked: of answers
	Took    time.Duration // Walked, Gaveup
}

// What is what a Notice is about.
type What uint8

// What happens.
const (
	LinkUp         What = iota // heartbeats come
	LinkDown                   // none come any more
	NeverHeard                 // no heartbeat has come since the beginning of the connection
	CaughtUp                   // what the neighbour knew has been pulled, since then
	Gap                        // messages are missing
	Walked                     // a walk has ended
	GaveUp                     // a walk was given up, the first since one ended
	Forgot                     // reports are older than the cut-off
	NeighbourTwin              // two nodes have the neighbour's name
	Twin                       // two nodes have this node's name
	OtherTopology              // the neighbour is configured with another topology
	SameTopology               // that is over
	OtherRetention             // the neighbour keeps reports for another time
	CutoffAhead                // the neighbour forgets what this node is to keep
)

// Silent is the Text of LinkDown when no heartbeats came, rather than that the node itself has lost its connection.
const Silent = "silent"

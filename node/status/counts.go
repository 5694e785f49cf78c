package status

// Counts is what a node has counted since its start that its Health does not tell.
type Counts struct {
	Opened       uint64                // connections of clients that were let in
	Commands     []Command             // each way in which one can end
	Reasons      []string              // for which something can be refused, as in [Health]
	ClientLag    *Histogram            // own clock less the client's time, of reports that clients brought
	NeighbourLag *Histogram            // the same, of those that neighbours brought
	LinkLag      map[string]*Histogram // own clock less the time of receipt at the origin, by neighbour
}

// Command is how often a command of clients ended in one way.
type Command struct {
	Name    string // IAMAT, WHATSAT, or other: not understood
	Outcome string
	Times   uint64
}

// How commands end.
const (
	Admitted = "admitted" // IAMAT: the report is news
	Stale    = "stale"    // IAMAT: its time is not later than that of the report held
	Refused  = "refused"  // IAMAT: by a limit or a certificate
	Found    = "found"    // WHATSAT: places
	Nothing  = "nothing"  // WHATSAT: there are no places, or none were asked for
	Failed   = "failed"   // WHATSAT: the provider did
	Unknown  = "unknown"  // WHATSAT: the client is
	Invalid  = "invalid"  // other: no command
	TooLong  = "too_long" // other: a line of more bytes than may be
)

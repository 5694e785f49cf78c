// Package bench makes load on a server that speaks over TCP, and measures how it bears it. Clients move about at random and report where
// they are, over connections that each have some requests in flight at a time.
//
// Load is closed or open. Closed: each connection sends as many requests as it may have in flight, awaits the replies to all of
// them, and starts over. So it finds the most a server can do; the latencies are those at that load, and a server that stalls gets fewer
// requests. Open: requests are due at times that a rate gives in advance. When the server stalls they wait, and what is measured is the time
// from when each was due, not from when it could leave at last: nothing is omitted (Gil Tene, "How not to measure latency").
//
// Requests and replies are those of a [Protocol], so that the same generator drives herd and those it is compared with. A request costs no
// allocation, and little else, since the server has to share the processors with it. A closed connection is one goroutine, an open
// one two; [Run] waits for all of them.
package bench

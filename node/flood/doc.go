// Package flood decides which report of each client a node holds, to which neighbours it sends a newer one, and what it fetches from a
// neighbour that holds more. It does no I/O, starts no goroutine and reads no clock, so that tests, a simulator and the server run the
// same code.
//
// # The rules
//
// For each client a [Registry] holds the greatest report it has been given, in the order of [line.Report.Compare]. A report of a node's
// own client is admitted only if its time is later than that of the report held; a report of a neighbour is merged if it is greater. Both
// say whether the registry changed, and only a report that changed it is sent on, to every neighbour but the one it came from. So a flood
// ends, after at most 2E − (N − 1) messages for a report in a graph of N nodes and E links: each node but the first receives it once over
// the link that brought it first, and every other link carries it at most once each way.
//
// What a link loses, a sync brings: see sync.go.
//
// # Concurrency
//
// [Engine], [Registry] and [Queue] are safe for concurrent use and block on nothing but short locks. Two reports of one client may reach a
// queue in either order; the queue keeps the greater one.
package flood

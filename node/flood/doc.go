// Package flood decides: which report of a client a node holds, whom it tells of a newer one, and in what graph. It
// does no I/O, starts no goroutine and reads no clock, so that tests, a simulator and the server run the same code.
//
// # The rules
//
// For each client a [Registry] holds the greatest report it has been given, in the order of
// [line.Report.Compare]. What a node's own client says is admitted, only if its time is later than the one held; what a
// neighbour says is merged, whenever it is greater. Both answer whether the registry changed, and only what changed it
// travels on, to every neighbour but the one it came from. So a flood ends, after at most 2E − (N − 1) messages
// for a report in a graph of N nodes and E links: each node but the first is told once by the
// link that brought the news, and every other link carries it at most once each way.
//
// # Concurrency
//
// [Engine], [Registry] and [Queue] are safe for concurrent use and never block on anything but short locks. Two
// reports of one client may reach a queue in either order; the queue keeps the greater.
package flood

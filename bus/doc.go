// Package bus carries bytes between neighbours. It knows nodes by name and messages by kind; what is in them is for
// others to know.
//
// A node has one connection at a time, kept by [Run]: connect, subscribe, run until an error, back off, again. On it, each neighbour is
// one subscription, so that whatever kinds of messages a neighbour sends arrive in the order they were sent in.
// Delivery is at most once: what is sent while the other side is away is gone, and nobody is told.
//
// There are two buses with the same behaviour, which one suite of tests holds them to: [NATS] for real, and [Memory] within a
// process, with faults on demand. [Server] is a NATS server within the process.
//
// # Blocking and ownership
//
// Publish copies its payload and never waits for a neighbour. A [Handler] is called from one goroutine per neighbour; while
// it runs, that neighbour's messages wait, in a bounded queue. After Close has returned it is not called any more.
package bus

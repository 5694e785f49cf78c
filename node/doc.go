// Package node is one server of a herd. It wires sessions of clients, the replication engine, the links to its neighbours on the bus, the
// store and HTTP together.
//
//	client → session → line.Parse → engine.ApplyBatch → link queues → bus
//	                                 bus → link.Receive → link queues → bus
//
// # Ownership
//
// [Node.Run] owns everything: the listeners, the sessions (package session), one goroutine per link while the bus is connected, one for the
// connection to the bus, one for the engine's clock and one for the log of refusals. When Run returns, all of them have ended. Sessions and
// links share only the engine, which never blocks.
//
// A node with a [store.Store] has two more: one writes to disk what changes the registry, one checks whether it keeps up (store_writer.go).
//
// # Shutdown
//
// When its context ends, a node stops accepting, answers the lines it has read, sends what is queued to its neighbours for at most a second,
// leaves the bus, and writes to disk what waits for that.
package node

// Package node is one server of a herd. It serves clients over TCP, floods what they report to its neighbours over a bus,
// and takes in what these tell.
//
//	client → session → line.Parse → engine.ApplyBatch → link queues → bus
//	                                bus → engine.ApplyBatch → link queues → bus
//
// # Ownership
//
// [Node.Run] owns everything: the listeners, one goroutine per client connection (and one for each WHATSAT that is
// being answered), one per link while the bus is connected, one for the connection to the bus. When Run returns, all of them have
// ended. Sessions and links share only the engine, which never blocks.
//
// A node with a [store.Store] has two more: one writes to disk what changes the registry, one looks whether it keeps up (store_writer.go).
//
// Who watches the node over HTTP is told by a goroutine of [status.Server], which is there only meanwhile (events.go).
//
// # Shutdown
//
// When its context ends, a node stops accepting, finishes the lines it has read, sends their replies, tells its
// neighbours what is queued for at most a second, leaves the bus, and writes to disk what waits for that.
package node

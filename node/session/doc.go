// Package session serves the clients of a node over TCP and TLS: it accepts connections, reads lines, and answers them in order.
//
//	Serve → accept → session → line.Parse → limits → Apply → reply
//
// # Ownership
//
// [Server.Serve] owns the listener and one goroutine for each connection, and one for each WHATSAT that is being answered. When it returns,
// all of them have ended. What a session needs of its node is in [Config], as functions; it knows neither links, nor store, nor traces.
//
// # How a session ends
//
// When its context ends, a session reads nothing more, answers the lines it has read within a second, and lets its client take the replies.
package session

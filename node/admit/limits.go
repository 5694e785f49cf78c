// Package admit decides what a node takes from outside: how many connections and new clients of one address, within the limits in force,
// and it counts and logs what is refused, by reason. Sessions, POST over HTTP and links share one [Controller].
package admit

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits bound what clients, providers and neighbours can cost. A zero means no limit, but for Places.
type Limits struct {
	Future      time.Duration // that a client's time may be ahead of the node's clock
	Idle        time.Duration // for which a client may be silent between two lines
	Line        time.Duration // from the first byte of a line to its LF
	Write       time.Duration // for a client to take its replies
	Connections int           // open at a time, in all
	PerAddress  int           // open at a time, of one address
	Rate        int           // lines a second on one connection
	NewClients  int           // client IDs unknown so far that one address may introduce in a minute
	Places      time.Duration // for a provider of places to answer
}

const (
	maxAddresses = 1 << 16 // that a quota distinguishes; the others share one
	maxLogins    = 10      // attempts to log in, from one address in a minute
)

// Controller holds a node's limits, and applies those that span connections. It is safe for concurrent use.
type Controller struct {
	Refusals
	limits     atomic.Pointer[Limits]
	newClients quota
	logins     quota

	mu        sync.Mutex
	open      int            // connections
	byAddress map[string]int // open connections; an address without any has no entry
	accepted  uint64         // connections so far
}

// New returns a controller with these limits, which hands what is to be logged to log.
func New(limits Limits, log Log) *Controller {
	c := &Controller{Refusals: Refusals{log: log, peers: make(map[string]*peer)}, byAddress: make(map[string]int)}
	c.limits.Store(&limits)
	return c
}

// Limits returns the limits in force. They must not be changed.
func (c *Controller) Limits() *Limits { return c.limits.Load() }

// SetLimits replaces the limits. Connections that are open stay open, also if there may be fewer now.
func (c *Controller) SetLimits(limits Limits) { c.limits.Store(&limits) }

// Connect counts a new connection of an address, until Disconnect; or it refuses the connection and returns false.
func (c *Controller) Connect(address string) bool {
	why, ok := c.accept(address)
	if !ok {
		c.Refuse(why, address)
	}
	return ok
}

// accept counts a connection, or returns why there may not be another one.
func (c *Controller) accept(address string) (why Reason, ok bool) {
	limits := c.Limits()
	c.mu.Lock()
	defer c.mu.Unlock()
	if limits.Connections > 0 && c.open >= limits.Connections {
		return TooManyConnections, false
	}
	if limits.PerAddress > 0 && c.byAddress[address] >= limits.PerAddress {
		return TooManyFromAddress, false
	}
	c.open++
	c.byAddress[address]++
	c.accepted++
	return 0, true
}

// Disconnect counts a connection of an address as closed.
func (c *Controller) Disconnect(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byAddress[address]--; c.byAddress[address] == 0 {
		delete(c.byAddress, address)
	}
}

// Connections returns how many connections are open, and how many have ever been accepted.
func (c *Controller) Connections() (open int, accepted uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.accepted
}

// MayIntroduce reports whether an address may introduce another client, and counts it.
func (c *Controller) MayIntroduce(address string, now time.Time) bool {
	return c.newClients.use(address, c.Limits().NewClients, now)
}

// MayLogIn reports whether an address may try to log in once more, and counts the attempt.
func (c *Controller) MayLogIn(address string, now time.Time) bool {
	return c.logins.use(address, maxLogins, now)
}

// quota counts what each address has used in the current minute.
type quota struct {
	mu      sync.Mutex
	started time.Time // of the minute
	used    map[string]int
}

// use counts one more for an address, unless it has used up its limit.
func (q *quota) use(address string, limit int, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.started) >= time.Minute {
		q.started, q.used = now, make(map[string]int)
	}
	if _, known := q.used[address]; !known && len(q.used) >= maxAddresses {
		address = "others"
	}
	if q.used[address] >= limit {
		return false
	}
	q.used[address]++
	return true
}

// Address returns what limits take for one address: the IP address without its port. Of IPv6 it is the network of 64 bits that one
// subscriber has, whose addresses are too many to be counted one by one.
func Address(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	return addressOf(tcp.AddrPort())
}

// ParseAddress is [Address] of a text HOST:PORT. What is none is returned as it is.
func ParseAddress(hostPort string) string {
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return hostPort
	}
	return addressOf(a)
}

func addressOf(a netip.AddrPort) string {
	ip := a.Addr().Unmap().WithZone("")
	if network, err := ip.Prefix(64); ip.Is6() && err == nil {
		return network.String()
	}
	return ip.String()
}

package configs

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"herd/node/flood"
)

// connect builds the topology, and returns what is wrong with it and with the addresses taken together.
func (c *Config) connect() []fault {
	faults := c.clashes()
	names := make([]flood.NodeName, len(c.Nodes))
	for i, n := range c.Nodes {
		names[i] = n.Name
	}
	var err error
	c.topology, err = flood.NewTopology(names, c.Links)
	for _, e := range parts(err) {
		faults = append(faults, fault{source: c.sources["links"], key: "nodes and links", text: e.Error()})
	}
	return faults
}

// clashes reports every address that is given to two servers.
func (c *Config) clashes() []fault {
	var faults []fault
	taken := make(map[string]string)
	claim := func(at, address string) {
		place := canonical(address)
		other, clash := taken[place]
		switch {
		case place == "":
		case clash:
			text := fmt.Sprintf("%s is the address of %s too; give each its own", quote(address), other)
			faults = append(faults, fault{source: c.sources["nodes"], key: at, text: text})
		default:
			taken[place] = at
		}
	}
	for i, n := range c.Nodes {
		claim(fmt.Sprintf("nodes[%d].listen", i), n.Listen)
		claim(fmt.Sprintf("nodes[%d].http", i), n.HTTP)
	}
	return faults
}

// canonical returns an address in the one form that equal addresses have, or "" if nobody else can want it: there is none,
// or its port is 0, any free one.
func canonical(address string) string {
	host, port, err := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port) // what is not a number has been reported
	if err != nil || number == 0 {
		return ""
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.Itoa(number))
}

// parts returns the errors that were joined into one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

package configs

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"herd/node/topology"

	"herd/node/line"
)

// connect builds the topology, and returns what is wrong with it and with the addresses taken together.
func (c *Config) connect() []fault {
	faults := c.clashes()
	names := make([]line.NodeName, len(c.Nodes))
	for i, n := range c.Nodes {
		names[i] = n.Name
	}
	var err error
	c.topology, err = topology.New(names, c.Links)
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

// halves reports what is given without what it needs, unless a value of its section is faulty itself.
func (c *Config) halves(known []fault) []fault {
	return slices.Concat(c.placesHalves(known), c.tlsHalves(known))
}

func (c *Config) placesHalves(known []fault) []fault {
	p := c.Places
	at, text := "", ""
	switch {
	case slices.ContainsFunc(known, func(f fault) bool { return strings.HasPrefix(f.key, "places.") }):
		return nil
	case p.Provider == "overpass" && p.Endpoint == "":
		at, text = "places.endpoint", "overpass needs one, for public instances are not meant for this; give the URL of yours, which ends in /api"
	case p.Provider == "file" && p.File == "":
		at, text = "places.file", "the provider file needs one; make it with 'herd places import'"
	default:
		return nil
	}
	return []fault{{source: c.sources["places.provider"], key: at, text: text}}
}

func (c *Config) tlsHalves(known []fault) []fault {
	if slices.ContainsFunc(known, func(f fault) bool { return strings.HasPrefix(f.key, "tls.") }) {
		return nil
	}
	var faults []fault
	lacks := func(at, text string) {
		faults = append(faults, fault{source: c.sources[at], key: at, text: text})
	}
	if c.TLS.Cert != "" && c.TLS.Key == "" {
		lacks("tls.cert", "has no private key; give its file as tls.key too")
	}
	if c.TLS.Key != "" && c.TLS.Cert == "" {
		lacks("tls.key", "has no certificate; give its file as tls.cert too")
	}
	require := c.TLS.Clients == "require"
	if require && c.TLS.Cert == "" {
		lacks("tls.clients", "require needs TLS; give the server's certificate and key as tls.cert and tls.key")
	}
	if require && c.TLS.CA == "" {
		lacks("tls.clients", "require needs to know whose certificates count; give the file of their CAs as tls.ca")
	}
	if !require && c.TLS.CA != "" {
		lacks("tls.ca", "has no effect while no client needs a certificate; set tls.clients to require, or remove it")
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

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"herd/bus"
	"herd/configs"
	"herd/node"
	"herd/node/line"
	"herd/node/topology"
)

// fleet is what this process runs.
type fleet struct {
	load    func() (*configs.Config, error) // the configuration as it is now
	started *configs.Config                 // that of the start
	config  *configs.Config                 // that in force
	logs    *node.Logs
	server  *bus.Server // nil: there is no embedded one
	members []*member
}

// member is one node, and how it connects to the bus.
type member struct {
	*node.Node
	dialer *bus.NATS
}

// followHangups reloads the configuration on SIGHUP, and has log files opened anew, until the function it returns is called. On
// a terminal SIGHUP means that the terminal is gone, and ends the program as usual.
func (f *fleet) followHangups(stdin io.Reader) (stop func()) {
	if terminal(stdin) {
		return func() {}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ended := make(chan struct{})
	log := f.logs.For("herd.config").Sugar()
	go func() {
		defer close(ended)
		for range hangups {
			f.logs.Reopen()
			fixed, err := f.reload()
			for _, what := range fixed {
				log.Warnw("not changed while running", "what", what)
			}
			if err != nil {
				log.Errorw("not reloaded", "error", err.Error())
			} else {
				log.Infow("reloaded")
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-ended
	}
}

// reload has everything follow the configuration as it is now, but for what cannot change while the process runs: that it
// names. After an error nothing has changed, unless the error is that an embedded server keeps the permissions of links that are
// gone.
func (f *fleet) reload() (fixed []string, err error) {
	next, err := f.load()
	if err != nil {
		return nil, err
	}
	fixed, err = f.fixed(next)
	if err != nil {
		return nil, err
	}
	secure, err := portTLS(next)
	if err != nil {
		return nil, err
	}
	identities := make([]*bus.Credentials, len(f.members))
	for i, m := range f.members {
		if identities[i], err = credentials(f.started, m.Name()); err == nil {
			err = apart(secure, identities[i])
		}
		if err != nil {
			return nil, err
		}
	}
	for i, m := range f.members {
		if identities[i] != nil { // before an embedded server ends the connections of keys that were replaced
			m.dialer.Identify(identities[i])
		}
	}
	// An embedded server permits what was and what will be, while the nodes change.
	will := neighbours(next.Topology())
	if err := f.permit(both(neighbours(f.config.Topology()), will)); err != nil {
		return nil, err
	}
	for _, m := range f.members {
		m.Relink(next.Topology())
		m.SetLimits(limits(next))
		_ = m.SetTLS(secure) // refused where it is among what is fixed
	}
	f.config = next
	return fixed, errors.Join(f.permit(will), f.logs.SetLevel(next.Log.Level))
}

// fixed lists what is configured otherwise than before and cannot follow. That a node is gone which runs here is an error.
func (f *fleet) fixed(next *configs.Config) (fixed []string, err error) {
	fixed = f.started.Fixed(next)
	if (next.TLS.Cert == "") != (f.started.TLS.Cert == "") {
		fixed = append(fixed, "whether clients speak TLS")
	}
	for _, m := range f.members {
		was, _ := f.started.Node(m.Name())
		now, there := next.Node(m.Name())
		switch {
		case !there:
			err = errors.Join(err, fmt.Errorf("node %s runs here and is missing in the configuration; restart without it", m.Name()))
		case was != now:
			fixed = append(fixed, "addresses of node "+string(m.Name()))
		}
	}
	all := len(f.members) == len(f.started.Nodes)
	for _, n := range next.Nodes {
		if _, known := f.started.Node(n.Name); all && !known {
			fixed = append(fixed, "node "+string(n.Name)+" is new; restart to run it here")
		}
	}
	return fixed, err
}

// both returns the links that were or will be, of nodes that stay: the key of another may be gone as well.
func both(was, will map[string][]string) map[string][]string {
	links := maps.Clone(will)
	for node, peers := range was {
		if _, stays := will[node]; stays {
			links[node] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(peers, will[node]))))
		}
	}
	return links
}

func (f *fleet) permit(neighbours map[string][]string) error {
	if f.server == nil {
		return nil
	}
	return f.server.Permit(neighbours)
}

// dialer returns how a node connects.
func (f *fleet) dialer(name line.NodeName, identity *bus.Credentials) *bus.NATS {
	if f.server != nil {
		return f.server.Dialer(string(name))
	}
	d := &bus.NATS{URL: f.config.Bus.URL, Herd: f.config.Herd, Node: string(name)}
	d.Identify(identity)
	return d
}

// credentials returns how a node shows the configured bus who it is: nil if it does not.
func credentials(config *configs.Config, name line.NodeName) (*bus.Credentials, error) {
	if config.Bus.Keys == "" {
		return nil, nil
	}
	return bus.Keyring(config.Bus.Keys).Node(string(name))
}

// neighbours returns the topology in the bus's terms.
func neighbours(t *topology.Topology) map[string][]string {
	all := make(map[string][]string)
	for _, n := range t.Nodes() {
		all[string(n)] = nil
		for _, peer := range t.Neighbours(n) {
			all[string(n)] = append(all[string(n)], string(peer))
		}
	}
	return all
}

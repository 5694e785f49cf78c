package process

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"herd/bus"
	"herd/bus/keys"
	"herd/configs"
	"herd/node/admit"
	"herd/node/line"
	"herd/node/session"
	"herd/node/topology"
)

// ReloadOnHangup reloads the configuration on SIGHUP, and has log files opened anew, until the function it returns is called.
func (p *Process) ReloadOnHangup() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ended := make(chan struct{})
	log := p.logs.For("herd.config").Sugar()
	go func() {
		defer close(ended)
		for range hangups {
			p.logs.Reopen()
			fixed, err := p.reload()
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

// reload applies the configuration as it is now, and lists what differs and cannot change while the process runs. After an error
// nothing has changed, unless the error is that an embedded server keeps the permissions of links that are gone.
func (p *Process) reload() (fixed []string, err error) {
	next, err := p.Reload()
	if err != nil {
		return nil, err
	}
	fixed, err = p.fixed(next)
	if err != nil {
		return nil, err
	}
	secure, err := portTLS(next)
	if err != nil {
		return nil, err
	}
	identities := make([]*keys.Credentials, len(p.servers))
	for i, s := range p.servers {
		if identities[i], err = credentials(p.Config.Config, s.Name); err == nil {
			err = checkAuthorities(secure, identities[i])
		}
		if err != nil {
			return nil, err
		}
	}
	for i, s := range p.servers {
		if identities[i] != nil { // before an embedded server ends the connections of keys that were replaced
			s.dialer.Identify(identities[i])
		}
	}
	// An embedded server permits the links of both configurations while the nodes change.
	neighbours := Neighbours(next.Topology())
	if err := p.permit(union(Neighbours(p.current.Topology()), neighbours)); err != nil {
		return nil, err
	}
	for _, s := range p.servers {
		s.node.Relink(next.Topology())
		s.node.SetLimits(limits(next))
		_ = s.node.SetTLS(secure) // refused only where fixed lists it
	}
	p.current = next
	return fixed, errors.Join(p.permit(neighbours), p.logs.SetLevel(next.Log.Level))
}

// fixed lists what differs from the start and cannot change. It is an error if a node that runs here is missing.
func (p *Process) fixed(next *configs.Config) (fixed []string, err error) {
	start := p.Config.Config
	fixed = start.Fixed(next)
	if (next.TLS.Cert == "") != (start.TLS.Cert == "") {
		fixed = append(fixed, "whether clients speak TLS")
	}
	for _, s := range p.servers {
		before, _ := start.Node(s.Name)
		after, ok := next.Node(s.Name)
		switch {
		case !ok:
			err = errors.Join(err, fmt.Errorf("node %s runs here and is missing in the configuration; restart without it", s.Name))
		case before != after:
			fixed = append(fixed, "addresses of node "+string(s.Name))
		}
	}
	all := len(p.servers) == len(start.Nodes)
	for _, n := range next.Nodes {
		if _, known := start.Node(n.Name); all && !known {
			fixed = append(fixed, "node "+string(n.Name)+" is new; restart to run it here")
		}
	}
	return fixed, err
}

// union returns the links of two configurations, without nodes that are missing in the second: an embedded server may have no key for them.
func union(before, after map[string][]string) map[string][]string {
	links := maps.Clone(after)
	for node, peers := range before {
		if _, stays := after[node]; stays {
			links[node] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(peers, after[node]))))
		}
	}
	return links
}

func (p *Process) permit(neighbours map[string][]string) error {
	if p.bus == nil {
		return nil
	}
	return p.bus.Permit(neighbours)
}

// dialer returns how a node connects to the bus.
func (p *Process) dialer(name line.NodeName, identity *keys.Credentials) *bus.NATS {
	if p.bus != nil {
		return p.bus.Dialer(string(name))
	}
	d := &bus.NATS{URL: p.current.Bus.URL, Herd: p.current.Herd, Node: string(name)}
	d.Identify(identity)
	return d
}

// credentials returns how a node authenticates to the configured bus, or nil if it does not.
func credentials(config *configs.Config, name line.NodeName) (*keys.Credentials, error) {
	if config.Bus.Keys == "" {
		return nil, nil
	}
	return keys.Keyring(config.Bus.Keys).Node(string(name))
}

// Neighbours returns the topology in the bus's terms: for each node the names of its neighbours.
func Neighbours(t *topology.Topology) map[string][]string {
	all := make(map[string][]string)
	for _, n := range t.Nodes() {
		all[string(n)] = nil
		for _, peer := range t.Neighbours(n) {
			all[string(n)] = append(all[string(n)], string(peer))
		}
	}
	return all
}

// portTLS returns TLS for the ports of clients, or nil for plain TCP.
func portTLS(config *configs.Config) (*session.TLS, error) {
	if config.TLS.Cert == "" {
		return nil, nil
	}
	return session.LoadTLS(session.TLSFiles{Cert: config.TLS.Cert, Key: config.TLS.Key, CA: config.TLS.CA})
}

// checkAuthorities returns an error if certificates of clients come from the same authority as those of the bus: a client's could pass for
// a node's there.
func checkAuthorities(t *session.TLS, identity *keys.Credentials) error {
	if identity != nil && slices.ContainsFunc(identity.Authorities, t.Trusts) {
		return errors.New("tls.ca has the authority of the bus, so a client could pass for a node there; give clients certificates of another")
	}
	return nil
}

// limits returns the limits of a node.
func limits(config *configs.Config) admit.Limits {
	l := config.Limits
	return admit.Limits{
		Future: l.Future, Idle: l.Idle, Line: l.Line, Write: l.Write,
		Connections: l.Connections, PerAddress: l.PerAddress,
		Rate: l.Rate, NewClients: l.NewClients,
		Places: config.Places.Timeout,
	}
}

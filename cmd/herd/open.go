package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"herd/bus"
	"herd/configs"
	"herd/node"
	"herd/node/admit"
	"herd/node/line"
	"herd/node/session"
	"herd/node/status"
	"herd/node/store"
	"herd/places"
)

// opened is what servers need of the system before any of them runs.
type opened struct {
	logs *node.Logs
	open []*server
}

// server is one server's listeners.
type server struct {
	configs.Node
	clients, http net.Listener // http may be nil
	tls           *session.TLS // for clients, or nil
	store         *store.Store // or nil
	look          status.Options
}

// open takes the addresses of the given nodes, the log files and the stores, or nothing.
func (p *program) open(config *configs.Config, nodes []configs.Node) (*opened, error) {
	secure, err := portTLS(config)
	if err != nil {
		return nil, err
	}
	h := new(opened)
	for _, n := range nodes {
		s := &server{Node: n, tls: secure}
		h.open = append(h.open, s)
		if s.clients, err = listen(n, n.Listen); err == nil && n.HTTP != "" {
			if s.http, err = listen(n, n.HTTP); err == nil {
				s.look, err = looks(config, n, s.http)
			}
		}
		if err != nil {
			h.close()
			return nil, err
		}
	}
	logs, err := node.OpenLogs(node.LogConfig{
		Level: config.Log.Level, Format: config.Log.Format, Dir: config.Log.Dir, Stderr: p.stderr,
	})
	if err != nil {
		h.close()
		return nil, err
	}
	h.logs = logs
	for _, s := range h.open {
		if s.store, err = openStore(config, s.Name, logs.For(string(s.Name)).Sugar()); err != nil {
			h.close()
			return nil, fmt.Errorf("node %s: %w", s.Name, err)
		}
	}
	return h, nil
}

// openStore opens what keeps a node's registry, if anything does.
func openStore(config *configs.Config, name line.NodeName, log store.Logger) (*store.Store, error) {
	if config.Store.Dir == "" {
		return nil, nil
	}
	return store.Open(store.Config{Dir: filepath.Join(config.Store.Dir, string(name)), Herd: config.Herd, Node: name, Log: log})
}

func listen(n configs.Node, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w; is a herd running already? end it, or configure another address", n.Name, err)
	}
	return l, nil
}

// close gives back what has not been taken over by a node that ran.
func (h *opened) close() {
	for _, s := range h.open {
		for _, l := range []net.Listener{s.clients, s.http} {
			if l != nil {
				_ = l.Close() // a node that ran has closed it
			}
		}
		if s.store != nil {
			_ = s.store.Close() // and so it has this
		}
	}
}

// node returns the server, ready to run.
func (s *server) node(config *configs.Config, dialer bus.Dialer, finder places.Finder, counters *places.Counters, tracer *status.Tracer, logs *node.Logs) *node.Node {
	return node.New(node.Config{
		HerdName: config.Herd, Name: s.Name, Topology: config.Topology(),
		Listener: s.clients, HTTP: s.http, Status: s.look, TLS: s.tls, Bus: dialer, Limits: limits(config),
		Places: finder, Providers: counters,
		Store: s.store, Always: config.Store.Mode == "always",
		Retention: config.Limits.Retention, CatchUp: config.Limits.CatchUp,
		Tracer: tracer, Log: logs.For(string(s.Name)), Version: ownVersion(),
	})
}

func limits(config *configs.Config) admit.Limits {
	l := config.Limits
	return admit.Limits{
		Future: l.Future, Idle: l.Idle, Line: l.Line, Write: l.Write,
		Connections: l.Connections, PerAddress: l.PerAddress,
		Rate: l.Rate, NewClients: l.NewClients, Queue: l.Queue,
		Places: config.Places.Timeout,
	}
}

// redacted returns the bus's servers without their passwords.
func redacted(config *configs.Config, url string) string {
	if url != config.Bus.URL {
		return url // of the embedded server, which has none
	}
	for _, v := range config.Values() {
		if v.Key == "bus.url" {
			url = v.Value
		}
	}
	return strings.TrimSpace(url)
}

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"herd/bus"
	"herd/configs"
	"herd/node"
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
}

// open takes the addresses of the given nodes and the log files, or nothing.
func (p *program) open(config *configs.Config, nodes []configs.Node) (*opened, error) {
	h := new(opened)
	for _, n := range nodes {
		s := &server{Node: n}
		h.open = append(h.open, s)
		var err error
		if s.clients, err = listen(n, n.Listen); err == nil && n.HTTP != "" {
			s.http, err = listen(n, n.HTTP)
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
	return h, nil
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
	}
}

// node returns the server, ready to run.
func (s *server) node(config *configs.Config, dialer bus.Dialer, finder places.Finder, logs *node.Logs) *node.Node {
	limits := config.Limits
	return node.New(node.Config{
		Name: s.Name, Neighbours: config.Topology().Neighbours(s.Name),
		Listener: s.clients, HTTP: s.http, Bus: dialer, Places: finder,
		Limits: node.Limits{
			Idle: limits.Idle, Line: limits.Line, Write: limits.Write,
			Connections: limits.Connections, PerAddress: limits.PerAddress,
			Rate: limits.Rate, NewClients: limits.NewClients, Queue: limits.Queue,
			Places: config.Places.Timeout,
		},
		Log: logs.For(string(s.Name)),
	})
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

// reopenOnHangup has log files opened anew on SIGHUP until the function it returns is called. On a terminal SIGHUP means that
// the terminal is gone, and ends the program as usual.
func reopenOnHangup(stdin io.Reader, logs *node.Logs) (stop func()) {
	if terminal(stdin) {
		return func() {}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range hangups {
			logs.Reopen()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-ended
	}
}

package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"herd/bus"
	"herd/configs"
	"herd/node"
	"herd/node/flood"
	"herd/places/gazetteer"
)

// up returns the command that runs a whole topology.
func (p *program) up() *cobra.Command {
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all servers of the topology in this process",
		Long: `Run all servers of the topology in this process, with a NATS server of their own unless --bus-url names another.
They run until the process gets SIGINT or SIGTERM.`,
		Example: `  herd up
  herd up --config configs/ring.yaml --log-level warn
  herd up --bus-url nats://nats.example:4222`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := p.load(c)
			if err != nil {
				return err
			}
			return p.runUp(c.Context(), config)
		},
	}
	configs.AddFlags(c.Flags())
	return c
}

// runUp opens everything first, so that nothing runs when something cannot.
func (p *program) runUp(ctx context.Context, config *configs.Config) error {
	h, err := p.open(config, config.Nodes)
	if err != nil {
		return err
	}
	defer h.close()
	url := config.Bus.URL
	dialer := func(n flood.NodeName) bus.Dialer { return natsDialer(config, n) }
	if url == "" {
		server, err := bus.StartServer(bus.ServerConfig{
			Herd: config.Herd, Neighbours: neighbours(config.Topology()), Listen: config.Bus.Listen,
			Log: node.NewServerLog(h.logs.For("nats.server")),
		})
		if err != nil {
			return fmt.Errorf("%w; free %s or give another address with --bus-listen", err, config.Bus.Listen)
		}
		defer server.Close()
		url = server.URL()
		dialer = func(n flood.NodeName) bus.Dialer { return server.Dialer(string(n)) }
	}
	finder := gazetteer.Open()
	var nodes []*node.Node
	for _, o := range h.open {
		nodes = append(nodes, o.node(config, dialer(o.Name), finder, h.logs))
	}
	return p.serve(ctx, nodes, h.logs, func() { p.greet(config, h, url) })
}

// serve runs nodes until ctx ends, or one fails and ends the others. It greets when all are ready, or after a second all the same.
func (p *program) serve(ctx context.Context, nodes []*node.Node, logs *node.Logs, greet func()) error {
	reopening := reopenOnHangup(p.stdin, logs)
	defer reopening()
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		late := time.After(time.Second)
		for _, n := range nodes {
			select {
			case <-n.Ready():
			case <-late:
				greet()
				return nil
			case <-ctx.Done():
				return nil
			}
		}
		greet()
		return nil
	})
	running.Go(func() error {
		stayLean(ctx)
		return nil
	})
	for _, n := range nodes {
		running.Go(func() error {
			if err := n.Run(ctx); err != nil {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
			return nil
		})
	}
	return running.Wait()
}

// greet says what runs where, and what to try.
func (p *program) greet(config *configs.Config, h *opened, url string) {
	where := "within this process only"
	if url != "" {
		where = redacted(config, url)
	}
	topology := config.Topology()
	fmt.Fprintf(p.stdout, "%d of %d servers of herd %q, %d links, bus %s\n", len(h.open), len(topology.Nodes()), config.Herd, len(topology.Links()), where)
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, o := range h.open {
		health := "-"
		if o.http != nil {
			health = "http://" + o.http.Addr().String() + "/healthz"
		}
		var peers []string
		for _, peer := range topology.Neighbours(o.Name) {
			peers = append(peers, string(peer))
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t↔ %s\n", o.Name, o.clients.Addr(), health, strings.Join(peers, ", "))
	}
	_ = table.Flush()                                      // an error shows with the next line
	address, _ := reach(h.open[0].clients.Addr().String()) // a listener's address can be reached
	host, port, _ := net.SplitHostPort(address)
	fmt.Fprintf(p.stdout, "try: printf 'IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\\n' | nc -q1 %s %s\n", host, port)
}

// neighbours returns the topology in the bus's terms.
func neighbours(t *flood.Topology) map[string][]string {
	all := make(map[string][]string)
	for _, n := range t.Nodes() {
		all[string(n)] = nil
		for _, peer := range t.Neighbours(n) {
			all[string(n)] = append(all[string(n)], string(peer))
		}
	}
	return all
}

// natsDialer returns how a node connects to the configured NATS servers.
func natsDialer(config *configs.Config, n flood.NodeName) bus.Dialer {
	return &bus.NATS{
		URL: config.Bus.URL, Herd: config.Herd, Node: string(n),
		Neighbours: neighbours(config.Topology())[string(n)],
	}
}

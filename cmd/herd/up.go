package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"herd/cmd/herd/internal/process"
	"herd/cmd/herd/internal/terminal"
	"herd/configs"
)

// up returns the command that runs a whole topology.
func (p *program) up() *cobra.Command {
	var only []string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all servers of the topology in this process",
		Long: `Run all servers of the topology in this process, with a NATS server of their own unless --bus-url names another.
They run until the process gets SIGINT or SIGTERM. On SIGHUP, unless standard input is a terminal, it reloads its
configuration and opens its log files anew; clients stay connected.

The summary comes first, then the log. On a terminal the log has one line for each server that is ready and for each line
of a client; with --log-level info it also has connections, replies, links and what servers send each other.`,
		Example: `  herd up
  herd up --config configs/ring.yaml --log-level warn
  herd up --bus-url nats://nats.example:4222
  herd up --only Goloman,Hands --keys keys --bus-listen :4222   # others: 'herd node'`,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := p.load(c)
			if err != nil {
				return err
			}
			nodes, err := chosen(config, only)
			if err != nil {
				return err
			}
			return p.run(c, config, nodes)
		},
	}
	busFlags(c)
	c.Flags().StringSliceVar(&only, "only", nil, "`NAMES` of the servers to run here, separated by commas (default: all)")
	return c
}

// busFlags adds the flags of the keys of a command that connects to the bus, see [configs.AddFlags]. --keys is short for
// --bus-keys.
func busFlags(c *cobra.Command, keys ...string) {
	configs.AddFlags(c.Flags(), keys...)
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "keys" {
			name = "bus-keys"
		}
		return pflag.NormalizedName(name)
	})
}

// chosen returns the nodes with these names, in the order of the configuration, or all if there are none.
func chosen(config *configs.Config, only []string) ([]configs.Node, error) {
	if len(only) == 0 {
		return config.Nodes, nil
	}
	for _, name := range only {
		if _, err := named(config, name); err != nil {
			return nil, err
		}
	}
	nodes := slices.DeleteFunc(slices.Clone(config.Nodes), func(n configs.Node) bool { return !slices.Contains(only, string(n.Name)) })
	if len(nodes) < len(config.Nodes) && config.Bus.URL == "" && config.Bus.Keys == "" {
		return nil, &usageError{errors.New("the other nodes could not join: give their keys with --keys, made by " +
			"'herd bus keys', or a bus for all with --bus-url")}
	}
	return nodes, nil
}

// run runs nodes until the command's context ends.
func (p *program) run(c *cobra.Command, config *configs.Config, nodes []configs.Node) error {
	herd, err := p.open(c, config, nodes)
	if err != nil {
		return err
	}
	defer herd.Close()
	if !terminal.Is(p.stdin) { // on a terminal SIGHUP means that the terminal is gone, and ends the program as usual
		defer herd.ReloadOnHangup()()
	}
	return herd.Run(c.Context(), func() { p.greet(config, herd) })
}

// open opens all that nodes need, so that nothing runs when something is missing.
func (p *program) open(c *cobra.Command, config *configs.Config, nodes []configs.Node) (*process.Process, error) {
	chosen := value(config, "log.level").Source.Kind != "default"
	return process.Open(c.Context(), process.Config{
		Config: config, Nodes: nodes, Reload: func() (*configs.Config, error) { return p.load(c) },
		Version: ownVersion(), Stderr: p.stderr, Brief: terminal.Is(p.stderr) && config.Log.Dir == "" && !chosen, Procs: p.variable("GOMAXPROCS") != "",
	})
}

// value returns the value of a key as it is shown, and where it comes from.
func value(config *configs.Config, key string) configs.Value {
	values := config.Values()
	return values[slices.IndexFunc(values, func(v configs.Value) bool { return v.Key == key })]
}

// greet prints which nodes run where, and what to try.
func (p *program) greet(config *configs.Config, herd *process.Process) {
	bus := "within this process only"
	if url := herd.BusURL(); url != "" {
		bus = redacted(config, url)
	}
	topology, nodes := config.Topology(), herd.Reached()
	fmt.Fprintf(p.stdout, "%d of %d servers of herd %q, %d links, bus %s\n", len(nodes), len(topology.Nodes()), config.Herd, len(topology.Links()), bus)
	var table bytes.Buffer
	for _, n := range nodes {
		page := "-"
		if n.HTTP != "" {
			page = "http://" + n.HTTP + "/"
		}
		fmt.Fprintf(&table, "  %s\t%s\t%s\t↔ %s\n", n.Name, n.Listen, page, names(topology.Neighbours(n.Name)))
	}
	_, _ = p.stdout.Write(terminal.Align(table.Bytes())) // an error shows with the next line
	address, _ := process.Reach(nodes[0].Listen)         // a listener's address can be reached
	host, port, _ := net.SplitHostPort(address)
	if config.TLS.Cert != "" {
		fmt.Fprintf(p.stdout, "try: herd iamat kiwi.cs.ucla.edu +34.068930-118.445127 --addr %s --tls (--help explains certificates)\n", address)
		return
	}
	fmt.Fprintf(p.stdout, "try: printf 'IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\\n' | nc -q1 %s %s\n", host, port)
}

// redacted returns the bus's servers without their passwords.
func redacted(config *configs.Config, url string) string {
	if url != config.Bus.URL {
		return url // of the embedded server, which has none
	}
	return strings.TrimSpace(value(config, "bus.url").Value)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"herd/bus"
	"herd/configs"
	"herd/node"
	"herd/places"
)

// up returns the command that runs a whole topology.
func (p *program) up() *cobra.Command {
	var only []string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all servers of the topology in this process",
		Long: `Run all servers of the topology in this process, with a NATS server of their own unless --bus-url names another.
They run until the process gets SIGINT or SIGTERM. On SIGHUP, unless standard input is a terminal, it reloads its
configuration and opens its log files anew; clients stay connected.`,
		Example: `  herd up
  herd up --config configs/ring.yaml --log-level warn
  herd up --bus-url nats://nats.example:4222
  herd up --only Goloman,Hands --keys keys --bus-listen :4222     # the others run elsewhere, with 'herd node'`,
		Args: noArgs,
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

// run runs servers until the command's context ends, and says what runs where.
func (p *program) run(c *cobra.Command, config *configs.Config, nodes []configs.Node) error {
	return p.runUntil(c.Context(), c, config, nodes, func(h *opened, url string) { p.greet(config, h, url) })
}

// runUntil runs servers until ctx ends. It opens everything first, so that nothing runs when something cannot. It greets as serve does.
func (p *program) runUntil(ctx context.Context, c *cobra.Command, config *configs.Config, nodes []configs.Node, greet func(h *opened, url string)) error {
	if !slices.ContainsFunc(p.environ, func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") }) {
		oversubscribe()
	}
	h, err := p.open(config, nodes)
	if err != nil {
		return err
	}
	defer h.close()
	f := &fleet{load: func() (*configs.Config, error) { return p.load(c) }, started: config, config: config, logs: h.logs}
	url := config.Bus.URL
	if url == "" {
		f.server, err = bus.StartServer(bus.ServerConfig{
			Herd: config.Herd, Neighbours: neighbours(config.Topology()), Keys: bus.Keyring(config.Bus.Keys),
			Listen: config.Bus.Listen, Micro: config.Bus.Micro, Log: node.NewServerLog(h.logs.For("nats.server")),
		})
		if errors.Is(err, bus.ErrNotStarted) {
			err = fmt.Errorf("%w; free %s or give another address with --bus-listen", err, config.Bus.Listen)
		}
		if err != nil {
			return err
		}
		defer f.server.Close()
		url = f.server.URL()
	}
	counters, log := new(places.Counters), node.PlacesLog(h.logs.For("places"))
	finder, err := finder(ctx, config, func(e places.Event) {
		counters.Watch(e)
		log(e)
	})
	if err != nil {
		return err
	}
	traces, err := openTraces(ctx, config, node.TracesLog(h.logs.For("traces")))
	if err != nil {
		return err
	}
	defer traces.close()
	seen, err := observer(config, f.server)
	if err != nil {
		return err
	}
	for _, o := range h.open {
		identity, err := credentials(config, o.Name)
		if err == nil {
			err = apart(o.tls, identity)
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", o.Name, err)
		}
		o.look.Observer = seen
		d := f.dialer(o.Name, identity)
		m := &member{o.node(config, d, finder, counters, traces.of(o.Name), h.logs), d}
		if config.Bus.Micro {
			d.Serve(&bus.Service{Version: ownVersion(), Where: m.Where})
		}
		f.members = append(f.members, m)
	}
	return p.serve(ctx, f, func() { greet(h, url) })
}

// oversubscribe has the runtime run twice as many threads at a time as there are processors. It looks at the network when one of them
// has nothing to do, else only every 10 ms: on two processors a flood of searches kept others waiting that long.
var oversubscribe = sync.OnceFunc(func() { runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0)) })

// serve runs a fleet until ctx ends, or one node fails and ends the others. It greets when all are ready, or after a second all
// the same.
func (p *program) serve(ctx context.Context, f *fleet, greet func()) error {
	unfollow := f.followHangups(p.stdin)
	defer unfollow()
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		late := time.After(time.Second)
		for _, m := range f.members {
			select {
			case <-m.Ready():
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
	for _, m := range f.members {
		running.Go(func() error {
			if err := m.Run(ctx); err != nil {
				return fmt.Errorf("node %s: %w", m.Name(), err)
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
		page := "-"
		if o.http != nil {
			page = "http://" + o.http.Addr().String() + "/"
		}
		var peers []string
		for _, peer := range topology.Neighbours(o.Name) {
			peers = append(peers, string(peer))
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t↔ %s\n", o.Name, o.clients.Addr(), page, strings.Join(peers, ", "))
	}
	_ = table.Flush()                                      // an error shows with the next line
	address, _ := reach(h.open[0].clients.Addr().String()) // a listener's address can be reached
	host, port, _ := net.SplitHostPort(address)
	if config.TLS.Cert != "" {
		fmt.Fprintf(p.stdout, "try: herd iamat kiwi.cs.ucla.edu +34.068930-118.445127 --addr %s --tls (--help tells of certificates)\n", address)
		return
	}
	fmt.Fprintf(p.stdout, "try: printf 'IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\\n' | nc -q1 %s %s\n", host, port)
}

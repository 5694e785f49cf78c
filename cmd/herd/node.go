package main

import (
	"errors"

	"github.com/spf13/cobra"

	"herd/configs"
)

// node returns the command that runs one server.
func (p *program) node() *cobra.Command {
	var listen, http string
	c := &cobra.Command{
		Use:   "node NAME",
		Short: "Run one server of the topology in this process",
		Long: `Run one server of the topology, on a bus that others run on as well. While the bus is away the server answers from
memory, keeps trying, and joins when the bus appears. It runs until the process gets SIGINT or SIGTERM. On SIGHUP, unless
standard input is a terminal, it reloads its configuration and opens its log files anew; clients stay connected.`,
		Example: `  herd node Goloman --bus-url nats://127.0.0.1:4222
  herd node Goloman --bus-url tls://nats.example:4222 --keys keys
  herd node Welsh --bus-url nats://nats1:4222,nats://nats2:4222 --listen :12125 --http ""`,
		Args:              args(1, 1),
		ValidArgsFunction: p.completeNode,
		RunE: func(c *cobra.Command, args []string) error {
			config, err := p.load(c)
			if err != nil {
				return err
			}
			n, err := named(config, args[0])
			switch {
			case err != nil:
				return err
			case config.Bus.URL == "":
				return &usageError{errors.New("a single node needs a bus: run a NATS server and name it with " +
					"--bus-url nats://HOST:4222, or run all nodes with 'herd up'")}
			}
			if c.Flags().Changed("listen") {
				n.Listen = listen
			}
			if c.Flags().Changed("http") {
				n.HTTP = http
			}
			return p.run(c, config, []configs.Node{n})
		},
	}
	busFlags(c)
	c.Flags().StringVar(&listen, "listen", "", "`HOST:PORT` for clients (default: that of the configuration)")
	c.Flags().StringVar(&http, "http", "", "`HOST:PORT` for health, \"\" for none (default: that of the configuration)")
	return c
}

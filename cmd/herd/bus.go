package main

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"herd/bus/keys"
	"herd/bus/subject"
	"herd/cmd/herd/internal/process"
	"herd/configs"
)

// bus returns the commands that prepare a NATS server for a herd.
func (p *program) bus() *cobra.Command {
	c := &cobra.Command{
		Use:   "bus",
		Short: "Keys and permissions for a NATS server of your own",
	}
	c.AddCommand(p.busKeys(), p.busConfig())
	return parent(c)
}

func (p *program) busKeys() *cobra.Command {
	plan := new(keys.Plan)
	var asJSON bool
	c := &cobra.Command{
		Use:   "keys DIR",
		Short: "Make a key for each node, and the configuration of the NATS server that knows them",
		Long: `Make in DIR what the nodes of the topology and their NATS servers need to know each other:

  nodes/NODE/seed                     the secret of one node's nkey
  servers/SERVER/nats-server.conf     permits each node its own links, and nothing else
  observer/                           what observers need to connect, if anything
  query/                              with --bus-micro: what it takes to ask nodes where a client is

or, with --mode mtls, certificates: nodes/NODE/tls.crt and tls.key, of an authority of its own in ca/. What is there is
kept, so the command can be run again when a node joins; certificates are renewed in the last third of their year.
Give each machine its own folder of nodes/ alone, in the same place, and name DIR with --keys or bus.keys.`,
		Example: `  herd bus keys keys && nats-server -c keys/servers/nats/nats-server.conf
  herd bus keys keys --observer                # observers need no credentials
  herd bus keys keys --tls --hosts nats.example       # encrypted
  herd bus keys keys --mode mtls --hosts nats.example,10.0.0.7
  herd bus keys keys --servers nats-1,nats-2,nats-3   # a cluster`,
		Args:              args(1, 1),
		ValidArgsFunction: completeFirst(cobra.ShellCompDirectiveFilterDirs),
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.fill(c, plan); err != nil {
				return err
			}
			made, err := keys.Keyring(args[0]).Make(*plan)
			if err != nil {
				return err
			}
			return p.show(asJSON, made, summarize(made))
		},
	}
	planFlags(c, plan)
	c.Flags().BoolVar(&plan.Group, "group-readable", false, "let the group read the keys, for nodes that run as another user of it")
	c.Flags().BoolVar(&asJSON, "json", false, "say as JSON what was made")
	configs.AddFlags(c.Flags(), "herd", "bus.micro")
	return c
}

func (p *program) busConfig() *cobra.Command {
	plan := new(keys.Plan)
	var include bool
	var name string
	c := &cobra.Command{
		Use:   "config DIR",
		Short: "Print the configuration of a NATS server that knows the keys in DIR",
		Long: `Print the configuration of a NATS server that knows the keys in DIR, which 'herd bus keys' made: that of a server for
the herd alone, or with --include an account for a server that serves others too. It holds no secret, but for the
password between the servers of a cluster.`,
		Example: `  herd bus config keys --observer
  herd bus config keys --account HERD --include > /etc/nats/herd.conf
  herd bus config keys --servers nats-1,nats-2 --server nats-2`,
		Args:              args(1, 1),
		ValidArgsFunction: completeFirst(cobra.ShellCompDirectiveFilterDirs),
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.fill(c, plan); err != nil {
				return err
			}
			keyring := keys.Keyring(args[0])
			var text []byte
			var err error
			switch {
			case include && plan.Account == "":
				return &usageError{fmt.Errorf("--include makes an account; name it with --account")}
			case include:
				text, err = keyring.Include(*plan)
			default:
				text, err = keyring.Config(*plan, cmp.Or(name, plan.Servers[0]))
			}
			if err != nil {
				return err
			}
			return p.print(text)
		},
	}
	planFlags(c, plan)
	c.Flags().BoolVar(&include, "include", false, "only the account, for the accounts of a server's own configuration")
	c.Flags().StringVar(&name, "server", "", "`NAME` of the server (default: the first of --servers)")
	configs.AddFlags(c.Flags(), "herd", "bus.micro")
	return c
}

// fill completes a plan from the configuration.
func (p *program) fill(c *cobra.Command, plan *keys.Plan) error {
	config, err := p.load(c)
	if err != nil {
		return err
	}
	plan.Herd, plan.Neighbours, plan.Micro = config.Herd, process.Neighbours(config.Topology()), config.Bus.Micro
	if err := plan.Check(); err != nil {
		return &usageError{err}
	}
	return nil
}

func planFlags(c *cobra.Command, plan *keys.Plan) {
	f := c.Flags()
	wordFlag(c, &plan.Mode, "mode", []keys.Mode{keys.Nkeys, keys.MTLS}, "how nodes show who they are: nkeys or mtls")
	f.BoolVar(&plan.TLS, "tls", false, "encrypt connections in mode nkeys too; mtls always does")
	wordFlag(c, &plan.Observer, "observer", []subject.Scope{"", subject.ScopeFlood, subject.ScopeAll},
		"let observers in, who may publish nothing: flood, or all for syncs too, which carry whole registries")
	f.Lookup("observer").NoOptDefVal = string(subject.ScopeFlood)
	f.StringVar(&plan.Account, "account", "", "`NAME` of a NATS account that the herd has to itself")
	f.StringSliceVar(&plan.Servers, "servers", []string{"nats"}, "`NAMES` of the servers; of several, the hosts at which they find each other")
	f.StringSliceVar(&plan.Hosts, "hosts", []string{"localhost", "127.0.0.1"}, "`HOSTS` at which nodes find the servers, for certificates")
	f.StringVar(&plan.Listen, "listen", "0.0.0.0:4222", "`HOST:PORT` on which the servers take nodes")
	f.StringVar(&plan.Monitor, "monitor", "127.0.0.1:8222", "`HOST:PORT` for the servers' monitoring, \"\" for none")
	f.StringVar(&plan.Files, "server-dir", "", "`DIR` where a server will find its certificate (default: where it is made)")
}

// summarize lists the keys and files that were made, one kind a line.
func summarize(made keys.Made) []byte {
	var text bytes.Buffer
	add := func(what string, names []string, sep string) {
		if len(names) > 0 {
			fmt.Fprintf(&text, "%-8s%s\n", what, strings.Join(names, sep))
		}
	}
	add("made", made.New, ", ")
	add("kept", made.Kept, ", ")
	add("unused", made.Unused, ", ")
	for _, f := range made.Files {
		fmt.Fprintf(&text, "%-8s%s\n", "wrote", filepath.Clean(f))
	}
	return text.Bytes()
}

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/client"
	"herd/cmd/herd/internal/process"
	"herd/configs"
	"herd/node/line"
)

// target is the server that a client connects to, and how.
type target struct {
	node, addr string        // at most one is set; neither: the first node of the configuration
	timeout    time.Duration // the longest silence of the server
	tls        client.TLS
}

// targetFlags adds the flags that fill a target.
func (p *program) targetFlags(c *cobra.Command) *target {
	t, f := new(target), c.Flags()
	p.nodeFlag(c, &t.node, "node", "`NAME` of the server to connect to (default: the first of the configuration)")
	f.StringVar(&t.addr, "addr", "", "`HOST:PORT` of the server to connect to, instead of --node")
	f.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long to wait for a server that is silent")
	f.BoolVar(&t.tls.On, "tls", false, "speak TLS with the server")
	f.StringVar(&t.tls.CA, "ca", "", "PEM `FILE` of the CAs that the server's certificate may come from (default: those of this machine); implies --tls")
	f.StringVar(&t.tls.Cert, "cert", "", "PEM `FILE` of the certificate to show the server; implies --tls")
	f.StringVar(&t.tls.Key, "key", "", "PEM `FILE` of the private key to --cert, which nobody else may read")
	return t
}

// dial connects to the server that the flags, or else the configuration, name.
func (p *program) dial(c *cobra.Command, t *target) (*client.Conn, error) {
	switch {
	case t.timeout <= 0:
		return nil, &usageError{fmt.Errorf("--timeout %s is too short; write for example 5s", t.timeout)}
	case (t.tls.Cert == "") != (t.tls.Key == ""):
		return nil, &usageError{errors.New("--cert and --key belong together; give both")}
	}
	address, err := t.address(func() (*configs.Config, error) { return p.load(c) })
	if err != nil {
		return nil, err
	}
	return client.Dial(c.Context(), address, t.timeout, t.tls)
}

// address returns where the server of the flags, or else of the configuration, is reached.
func (t *target) address(load func() (*configs.Config, error)) (string, error) {
	switch {
	case t.addr != "" && t.node != "":
		return "", &usageError{errors.New("--node and --addr exclude each other; give one of them")}
	case t.addr != "":
		address, err := process.Reach(t.addr)
		if err != nil {
			return "", &usageError{fmt.Errorf("--addr: %w", err)}
		}
		return address, nil
	}
	config, err := load()
	if err != nil {
		return "", err
	}
	n := config.Nodes[0]
	if t.node != "" {
		if n, err = named(config, t.node); err != nil {
			return "", err
		}
	}
	address, err := process.Reach(n.Listen)
	if err != nil {
		return "", fmt.Errorf("node %s: %w; give its address with --addr", n.Name, err)
	}
	return address, nil
}

// named returns the node of that name, or an error about its use.
func named(config *configs.Config, name string) (configs.Node, error) {
	n, ok := config.Node(line.NodeName(name))
	if !ok {
		known := texts(config.Topology().Nodes())
		return n, &usageError{fmt.Errorf("no node is named %q; %s'herd topology check' lists them", name, likeName(known, name))}
	}
	return n, nil
}

package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"herd/bus"
	"herd/bus/keys"
	"herd/bus/subject"
	"herd/configs"
	"herd/node/status"
)

const maxObservePause = 5 * time.Second // the longest time between two attempts to observe the bus for the status page

// NewObserver returns an observer of the reports on the configured bus, which is that of another process.
func NewObserver(config *configs.Config) (*bus.Observer, error) {
	o := &bus.Observer{URL: config.Bus.URL, Herd: config.Herd, Kind: subject.Propagate}
	switch {
	case o.URL != "":
	case config.Bus.Listen == "":
		return nil, errors.New("the bus cannot be observed: neither bus.url nor bus.listen says where it is; name it with --bus-url")
	default:
		address, err := Reach(config.Bus.Listen)
		if err != nil {
			return nil, fmt.Errorf("bus.listen: %w; name the bus with --bus-url", err)
		}
		o.URL = "nats://" + address
	}
	if config.Bus.Keys == "" {
		return o, nil
	}
	var err error
	o.Credentials, err = keys.Keyring(config.Bus.Keys).Observer()
	return o, err
}

// Reach returns where to connect to a server that listens on an address: on this machine if the address names no host.
func Reach(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	switch ip := net.ParseIP(host); {
	case err != nil || port == "":
		return "", fmt.Errorf("%q is not HOST:PORT; write for example 127.0.0.1:12125", address)
	case strings.Trim(port, "0") == "":
		return "", fmt.Errorf("%q is any free port, and nobody knows which", address)
	case host == "" || ip.IsUnspecified():
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// observer returns what shows the status pages of all nodes of this process the reports on the bus: through an embedded server if there is
// one.
func observer(config *configs.Config, server *bus.Server) (*status.Observer, error) {
	switch own := server != nil; {
	case config.HTTP.Observe == "off":
		return status.Unobserved("http.observe is off"), nil
	case own:
		return status.NewObserver(observe(server.Observer())), nil
	case config.HTTP.Observe != "on":
		return status.Unobserved("the bus is not this process's own; to observe it nevertheless, set http.observe to on"), nil
	}
	o, err := NewObserver(config)
	if err != nil {
		return nil, err
	}
	return status.NewObserver(observe(o)), nil
}

// observe returns a function that observes the bus until its context ends.
func observe(o *bus.Observer) status.Observe {
	return func(ctx context.Context, to status.Sink) {
		each := *o
		each.Ready, each.Fault = to.Ready, to.Behind
		each.Receive = func(m bus.Observed) { to.Message(m.From, m.To, m.Payload) }
		_ = each.Keep(ctx, maxObservePause, func(why error, _ bool) error {
			if errors.Is(why, bus.ErrRefused) {
				why = fmt.Errorf("the bus lets no observer in; make its configuration with 'herd bus keys --observer', "+
					"or give what it asks for with bus.keys: %w", why)
			}
			to.Lost(why)
			return nil // which never ends it
		})
	}
}

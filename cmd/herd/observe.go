package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"herd/bus"
	"herd/bus/subject"
	"herd/configs"
	"herd/node/status"
)

const maxObservePause = 5 * time.Second // between two attempts to observe the bus for those who watch the status page

// observer returns who observes the bus for the status pages of all nodes of this process, by way of an embedded server if there is one.
func observer(config *configs.Config, server *bus.Server) (*status.Observer, error) {
	switch own := server != nil; {
	case config.HTTP.Observe == "off":
		return status.Unobserved("http.observe is off"), nil
	case own:
		return status.NewObserver(observing(server.Observer())), nil
	case config.HTTP.Observe != "on":
		return status.Unobserved("the bus is not this process's own; to observe it nevertheless, set http.observe to on"), nil
	}
	identity, err := observerCredentials(config)
	if err != nil {
		return nil, err
	}
	return status.NewObserver(observing(&bus.Observer{URL: config.Bus.URL, Credentials: identity, Herd: config.Herd, Kind: subject.Propagate})), nil
}

// observing returns how to observe the bus like that.
func observing(o *bus.Observer) status.Observe {
	return func(ctx context.Context, s status.Sight) {
		each := *o
		each.Ready, each.Fault = s.Ready, s.Behind
		each.Receive = func(m bus.Observed) { s.See(m.From, m.To, m.Payload) }
		_ = each.Keep(ctx, maxObservePause, func(why error, _ bool) error {
			if errors.Is(why, bus.ErrRefused) {
				why = fmt.Errorf("the bus lets no observer in; make its configuration with 'herd bus keys --observer', "+
					"or give what it asks for with bus.keys: %w", why)
			}
			s.Lost(why)
			return nil // which never ends it
		})
	}
}

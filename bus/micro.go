package bus

import (
	"fmt"
	"regexp"
	"strings"

	"herd/bus/subject"

	"github.com/nats-io/nats.go/micro"
)

// Service is what a node answers as a NATS micro service (ADR-32).
type Service struct {
	Version string // of the program

	// Where returns the answer for a client, and whether the client is known.
	Where func(client string) (text []byte, known bool)
}

// Serve makes the node answer requests from the next connection on.
func (d *NATS) Serve(s *Service) { d.service = s }

var semver = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// answer makes the connection a micro service, until it ends. Subscriptions that the bus refuses are faults.
func (c *natsConn) answer(s *Service) error {
	version := strings.TrimPrefix(s.Version, "v")
	if !semver.MatchString(version) {
		version = "0.0.0" // of a development build; it must have the form
	}
	service, err := micro.AddService(c.nc, micro.Config{
		Name: c.herd, Version: version, Description: "Where a client was last: its ID is the request, an AT line the answer.",
		Metadata: map[string]string{"herd": c.herd, "node": c.node},
	})
	handler := micro.HandlerFunc(func(r micro.Request) { c.where(s, r) })
	if err == nil {
		err = service.AddEndpoint("where", handler, micro.WithEndpointSubject(subject.Where(c.herd)))
	}
	if err == nil {
		err = service.AddEndpoint("where-"+c.node, handler, micro.WithEndpointSubject(subject.Where(c.herd)+"."+c.node), micro.WithEndpointQueueGroupDisabled())
	}
	if err != nil {
		c.Close()
		return fmt.Errorf("bus: micro service: %w", err)
	}
	return nil
}

func (c *natsConn) where(s *Service, r micro.Request) {
	c.receiving.RLock()
	defer c.receiving.RUnlock()
	if c.closed {
		return
	}
	// After an error the requester times out, and the service counts it.
	if text, known := s.Where(string(r.Data())); known {
		_ = r.Respond(text)
	} else {
		_ = r.Error("404", "client not known", nil)
	}
}

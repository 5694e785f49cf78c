package bus

import (
	"context"

	"github.com/nats-io/nats.go"
)

// Seen is a message between two nodes, as an observer sees it.
type Seen struct {
	Subject string
	Message
	To string
}

// Observe calls see with every message of a kind in a herd, one after the other, until ctx or the connection to the servers of url ends; ready is
// called when nothing more is missed. An empty from or to stands for every node. It returns nil only when ctx has ended.
func Observe(ctx context.Context, url, herd string, kind Kind, from, to string, ready func(), see func(Seen)) error {
	if from == "" {
		from = anyNode
	}
	if to == "" {
		to = anyNode
	}
	c := &natsConn{herd: herd, done: make(chan struct{})}
	if err := c.connect(ctx, url, nil, []nats.Option{nats.Name("herd " + herd + " observer")}); err != nil {
		return err
	}
	defer c.Close()
	err := c.subscribe(subject(herd, kind, from, to), func(m *nats.Msg) {
		if _, kind, from, to, err := parseSubject(m.Subject); err == nil {
			see(Seen{m.Subject, Message{kind, from, m.Data}, to})
		}
	})
	if err != nil {
		return err
	}
	if err := c.confirm(ctx); err != nil {
		return err
	}
	ready()
	select {
	case <-ctx.Done():
		return nil
	case <-c.done:
		return c.Err()
	}
}

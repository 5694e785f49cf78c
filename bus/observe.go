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

// Observer hears what nodes of a herd tell each other.
type Observer struct {
	URL         string       // of one or more NATS servers, separated by commas
	Credentials *Credentials // nil: none
	Herd        string
	Kind        Kind
	From, To    string // names of nodes; "": any

	Ready   func()      // called once nothing more is missed
	See     func(Seen)  // called with one message after the other
	Trouble func(error) // called when messages are lost because See is too slow: [ErrOverrun]
}

func (o *Observer) message(m *nats.Msg) {
	if _, kind, from, to, err := parseSubject(m.Subject); err == nil {
		o.See(Seen{m.Subject, message(kind, from, m), to})
	}
}

// Run observes until ctx or the connection ends. It returns nil only when ctx has ended.
func (o *Observer) Run(ctx context.Context) error {
	from, to := o.From, o.To
	if from == "" {
		from = anyNode
	}
	if to == "" {
		to = anyNode
	}
	c := &natsConn{herd: o.Herd, done: make(chan struct{})}
	if err := c.connect(ctx, &dialer{url: o.URL, credentials: o.Credentials}, "observer", o.Trouble); err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.subscribe(ctx, subject(o.Herd, o.Kind, from, to), o.message); err != nil {
		return err
	}
	o.Ready()
	select {
	case <-ctx.Done():
		return nil
	case <-c.done:
		return c.Err()
	}
}

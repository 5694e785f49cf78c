package bus

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"herd/bus/keys"
	"herd/bus/subject"
)

const minObserverPause = 50 * time.Millisecond // the first pause before an observer that lost the bus tries again

// Observed is a message from one node to another.
type Observed struct {
	Subject string
	Message
	To string
}

// Observer receives what nodes of a herd send each other.
type Observer struct {
	URL         string            // of one or more NATS servers, separated by commas
	Credentials *keys.Credentials // nil: none
	Herd        string
	Kind        subject.Kind
	From, To    string // names of nodes; "": any

	Ready   func()         // called once no more messages are missed
	Receive func(Observed) // called with one message after the other
	Fault   func(error)    // called when messages are lost because Receive is too slow: [ErrOverrun]

	server nats.InProcessConnProvider // instead of URL
}

// Keep observes until ctx ends, also when the bus goes away and comes back: it tries again after a pause of 50 ms, and each further pause is
// twice as long, up to the longest, until the bus is observed. Before each pause it calls lost with the reason and whether the bus
// was observed until now; an error of lost ends it and is returned.
func (o *Observer) Keep(ctx context.Context, longest time.Duration, lost func(why error, observed bool) error) error {
	for pause := minObserverPause; ; pause = min(2*pause, longest) {
		observed, attempt := false, *o
		attempt.Ready = func() {
			observed, pause = true, minObserverPause
			o.Ready()
		}
		why := attempt.Run(ctx)
		if why == nil || ctx.Err() != nil {
			return nil
		}
		if err := lost(why, observed); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (o *Observer) message(m *nats.Msg) {
	if _, kind, from, to, err := subject.Parse(m.Subject); err == nil {
		msg, _ := message(kind, from, m) // a malformed stamp is the receiver's to report
		o.Receive(Observed{m.Subject, msg, to})
	}
}

// Run observes until ctx or the connection ends. It returns nil only when ctx has ended.
func (o *Observer) Run(ctx context.Context) error {
	a := &access{
		url: o.URL, server: o.server, credentials: o.Credentials, network: realNetwork, turns: new(rotation),
		name: "herd " + o.Herd + " observer", fault: o.Fault,
	}
	c, err := a.first(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	on := subject.Of(o.Herd, o.Kind, cmp.Or(o.From, subject.Any), cmp.Or(o.To, subject.Any))
	if err := c.subscribe(ctx, []wanted{{"", on, o.message}}); err != nil {
		return err
	}
	o.Ready()
	select {
	case <-ctx.Done():
		return nil
	case <-c.silence:
		return ErrSilent
	case <-c.done:
		return c.Err()
	}
}

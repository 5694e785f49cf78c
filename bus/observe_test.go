package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"
)

// Within the process an observer may connect on whatever address the server listens, receives no sync, and stays connected when
// permissions change.
func TestObserverInProcess(t *testing.T) {
	for _, listen := range []string{"", ":0", "127.0.0.1:0"} {
		s := startServer(t, listen)
		ctx, cancel := context.WithCancel(t.Context())
		ready, seen, ended := make(chan struct{}), make(chan bus.Observed, 10), make(chan error)
		o := s.Observer()
		o.Ready, o.Receive, o.Fault = func() { close(ready) }, func(m bus.Observed) { seen <- m }, func(err error) { t.Error(err) }
		go func() { ended <- o.Run(ctx) }()
		<-ready
		if err := s.Permit(bustest.Campus); err != nil {
			t.Fatal(err)
		}
		bustest.Publish(t, bustest.Dial(t, bustest.OnCampus(s.Dialer("Goloman"), "Goloman"), bustest.NewInbox()), subject.Propagate, "Hands", "open")
		if m := <-seen; m.From != "Goloman" || m.To != "Hands" || string(m.Payload) != "open" {
			t.Errorf("listening on %q, it observes %+v", listen, m)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("listening on %q, observing ended with %v", listen, err)
		}
		curious := s.Observer()
		curious.Kind, curious.Ready, curious.Fault = subject.Sync, func() {}, func(error) {}
		if err := curious.Run(t.Context()); !errors.Is(err, bus.ErrRefused) {
			t.Errorf("listening on %q, a sync is observed: %v", listen, err)
		}
	}
}

// An observer tries again after pauses that grow to the longest, until its context ends.
func TestObserverKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &bus.Observer{URL: "nats://nowhere:x", Herd: "herd", Kind: subject.Propagate, Ready: func() { t.Error("ready") }, Fault: func(error) {}}
		var at []time.Duration
		began, enough := time.Now(), errors.New("enough")
		err := o.Keep(t.Context(), 300*time.Millisecond, func(_ error, seen bool) error {
			if at = append(at, time.Since(began)); len(at) == 6 {
				return enough
			}
			if seen {
				t.Error("nothing was seen")
			}
			return nil
		})
		want := []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond, 350 * time.Millisecond, 650 * time.Millisecond, 950 * time.Millisecond}
		if !slices.Equal(at, want) || err != enough {
			t.Errorf("tried at %v, ended with %v", at, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := o.Keep(ctx, time.Second, func(error, bool) error { cancel(); return nil }); err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

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

// script is a Dialer whose first dials fail.
type script struct {
	bus.Dialer
	fail  int
	dials []time.Time
}

func (s *script) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	s.dials = append(s.dials, time.Now())
	if len(s.dials) <= s.fail {
		return nil, errors.New("nobody there")
	}
	return s.Dialer.Dial(ctx, h)
}

func TestRunBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		d := &script{Dialer: bustest.OnCampus(m.Dialer("Goloman"), "Goloman"), fail: 200}
		ctx, cancel := context.WithCancel(t.Context())
		var lost []string
		served := 0
		bus.Run(ctx, d, bustest.NewInbox(), func(serving context.Context, c bus.Conn) error {
			served++
			switch served {
			case 1:
				<-time.After(time.Minute)
				m.Disconnect("Goloman")
				m.Reconnect("Goloman")
			case 2:
				go func() {
					<-time.After(time.Second)
					cancel()
				}()
			}
			<-serving.Done()
			return nil
		}, func(err error) { lost = append(lost, err.Error()) })

		if served != 2 || len(d.dials) != 202 || len(lost) != 201 || lost[0] != "nobody there" || lost[200] != bus.ErrClosed.Error() {
			t.Fatalf("served %d times, dialled %d times, lost %d times, last for %q", served, len(d.dials), len(lost), lost[len(lost)-1])
		}
		var pauses []time.Duration
		for i, at := range d.dials[1:201] {
			pauses = append(pauses, at.Sub(d.dials[i]))
		}
		for i, limit := range []time.Duration{50, 100, 200, 400, 500} {
			if pauses[i] > limit*time.Millisecond {
				t.Errorf("pause %d is %s, want at most %d ms", i, pauses[i], limit)
			}
		}
		if longest := slices.Max(pauses); longest > 500*time.Millisecond || longest < 450*time.Millisecond {
			t.Errorf("the longest pause is %s, want just under half a second", longest)
		}
		if shortest := slices.Min(pauses[5:]); shortest > 50*time.Millisecond {
			t.Errorf("the shortest of many pauses is %s: no jitter", shortest)
		}
		if again := d.dials[201].Sub(d.dials[200]) - time.Minute; again > 50*time.Millisecond {
			t.Errorf("after a lasting connection the first pause is %s", again)
		}
	})
}

// Five nodes on the real server in fake time: a node that is thrown out comes back.
func TestRunReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, "")
		hands := bustest.NewInbox()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		conns := make(chan bus.Conn, 10)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			bus.Run(ctx, bustest.OnCampus(s.Dialer("Hands"), "Hands"), hands, func(serving context.Context, c bus.Conn) error {
				conns <- c
				<-serving.Done()
				return nil
			}, func(error) {})
		}()
		goloman := bustest.Dial(t, bustest.OnCampus(s.Dialer("Goloman"), "Goloman"), bustest.NewInbox())
		first := <-conns
		bustest.Publish(t, goloman, subject.Propagate, "Hands", "1")
		<-hands.Messages
		if err := s.Inner().DisconnectClientByID(clientID(t, first)); err != nil {
			t.Fatal(err)
		}
		<-conns
		bustest.Publish(t, goloman, subject.Propagate, "Hands", "2")
		if got := hands.Next(); got != "propagate from Goloman: 2" {
			t.Errorf("after the reconnection: %q", got)
		}
		cancel()
		<-ended
	})
}

func clientID(t *testing.T, c bus.Conn) uint64 {
	t.Helper()
	id, err := bus.Inner(c).GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// brittle is a connection that has failed without knowing it yet. It notes how it is ended.
type brittle struct {
	bus.Conn
	calls []string
	done  chan struct{}
}

func (b *brittle) Dial(context.Context, bus.Handler) (bus.Conn, error) {
	b.done = make(chan struct{})
	return b, nil
}

func (b *brittle) Done() <-chan struct{} { return b.done }

func (b *brittle) Silence() <-chan bool { return nil }

func (b *brittle) Err() error {
	select {
	case <-b.done:
		return bus.ErrClosed
	default:
		return nil
	}
}

func (b *brittle) Flush(context.Context) error {
	b.calls = append(b.calls, "flush")
	return nil
}

func (b *brittle) Close() {
	b.calls = append(b.calls, "close")
	close(b.done)
}

// There is always a reason for a connection to be lost, also when serve found out first, and serve's own counts first; what was
// published before the end leaves before the connection is closed.
func TestRunGivesReasonsAndFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(brittle)
		ctx, cancel := context.WithCancel(t.Context())
		var lost []error
		served := 0
		bus.Run(ctx, b, bustest.NewInbox(), func(context.Context, bus.Conn) error {
			switch served++; served {
			case 2:
				return bus.ErrRefused
			case 3:
				cancel()
			}
			return nil
		}, func(err error) { lost = append(lost, err) })
		if !slices.Equal(lost, []error{bus.ErrClosed, bus.ErrRefused}) || !slices.Equal(b.calls, []string{"close", "close", "flush", "close"}) {
			t.Errorf("lost for %v, calls %q", lost, b.calls)
		}
	})
}

// quiet is a connection that does what the test says.
type quiet struct {
	bus.Conn
	silence chan bool
	done    chan struct{}
}

func (q *quiet) Done() <-chan struct{}       { return q.done }
func (q *quiet) Silence() <-chan bool        { return q.silence }
func (q *quiet) Err() error                  { return bus.ErrClosed }
func (q *quiet) Flush(context.Context) error { return nil }
func (q *quiet) Close()                      {}

// outcome is how a dial ends.
type outcome struct {
	after time.Duration
	err   error // nil: with a connection
}

// outcomes is a Dialer whose dials end so, one after the other.
type outcomes struct {
	of    []outcome
	dials int
}

func (o *outcomes) Dial(ctx context.Context, _ bus.Handler) (bus.Conn, error) {
	this := outcome{after: time.Hour}
	if o.dials < len(o.of) {
		this = o.of[o.dials]
	}
	o.dials++
	select {
	case <-time.After(this.after):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if this.err != nil {
		return nil, this.err
	}
	return &quiet{silence: make(chan bool, 1), done: make(chan struct{})}, nil
}

// What is dialled beside a silent connection goes on when that one ends, four seconds later here, and is tried again when it fails. It ends
// with Run.
func TestSecondConnectionGoesOn(t *testing.T) {
	refused := errors.New("refused")
	ended := []error{bus.ErrSilent, bus.ErrClosed}
	for name, test := range map[string]struct {
		second []outcome
		lost   []error
		dials  int
		ready  time.Duration // after which there is a second connection, in seconds rounded down; 0: there is none
	}{
		"ready after the first has ended":  {[]outcome{{6 * time.Second, nil}}, ended, 2, 6 * time.Second},
		"ready before the first has ended": {[]outcome{{3 * time.Second, nil}}, ended[:1], 2, 3 * time.Second},
		"fails before the first has ended": {[]outcome{{time.Second, refused}, {5 * time.Second, nil}}, ended, 3, 6 * time.Second},
		"fails after the first has ended":  {[]outcome{{5 * time.Second, refused}, {time.Second, nil}}, append(ended[:2:2], refused), 3, 6 * time.Second},
		"Run ends":                         {[]outcome{{time.Hour, nil}}, ended, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &outcomes{of: append([]outcome{{}}, test.second...)}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var lost []error
				began, ready := time.Now(), time.Duration(0)
				bus.Run(ctx, d, bustest.NewInbox(), func(serving context.Context, c bus.Conn) error {
					if ready = time.Since(began); ready == 0 {
						c.(*quiet).silence <- true
						time.AfterFunc(4*time.Second, func() { close(c.(*quiet).done) })
					}
					select {
					case <-c.Done():
					case <-serving.Done():
					}
					return nil
				}, func(err error) { lost = append(lost, err) })
				if ready = ready.Truncate(time.Second); !slices.Equal(lost, test.lost) || d.dials != test.dials || ready != test.ready {
					t.Errorf("lost for %v, dialled %d times, ready after %v", lost, d.dials, ready)
				}
			})
		})
	}
}

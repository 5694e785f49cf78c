package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"

	"github.com/nats-io/nats.go"
)

// mute is a connection whose other side can fall silent, as behind a cable that is cut: nothing arrives, writes
// block when what the system buffers is full, no error.
type mute struct {
	net.Conn
	cut    *atomic.Bool
	closed chan struct{}
}

func (m *mute) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.cut.Load() {
		<-m.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (m *mute) Write(p []byte) (int, error) {
	if m.cut.Load() {
		<-m.closed
		return 0, net.ErrClosed
	}
	return m.Conn.Write(p)
}

func (m *mute) Close() error {
	select {
	case <-m.closed:
		return nil
	default:
		close(m.closed)
		return m.Conn.Close()
	}
}

type muting struct {
	nats.InProcessConnProvider
	cut *atomic.Bool
}

func (p muting) InProcessConn() (net.Conn, error) {
	c, err := p.InProcessConnProvider.InProcessConn()
	return &mute{c, p.cut, make(chan struct{})}, err
}

// A cut without a word is noticed 3.5 s after the last byte that came, which is less than a second before the cut, idle and while much is
// published. The connection does not end.
func TestSilentCut(t *testing.T) {
	for name, publishers := range map[string]int{"idle": 0, "load": 4} {
		t.Run(name, func(t *testing.T) { testSilentCut(t, publishers) })
	}
}

func testSilentCut(t *testing.T, publishers int) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, "")
		d := s.Dialer("Goloman")
		var cut atomic.Bool
		d.Through(func(p nats.InProcessConnProvider) nats.InProcessConnProvider { return muting{p, &cut} })
		c := bustest.Dial(t, bustest.OnCampus(d, "Goloman"), bustest.NewInbox())
		for range publishers {
			go func() {
				payload := make([]byte, 120)
				for c.Publish("Hands", bus.Message{Kind: subject.Propagate, Stamp: bustest.SampleStamp, Payload: payload}) == nil {
					<-time.After(time.Millisecond)
				}
			}()
		}
		<-time.After(20*time.Second + 700*time.Millisecond)
		if err := c.Err(); err != nil || len(c.Silence()) > 0 {
			t.Fatalf("a good connection is silent, or has ended: %v", err)
		}
		cut.Store(true)
		last := bus.LastRead(c)
		if quiet := time.Since(last); quiet > bus.PingTime {
			t.Errorf("the connection is quiet for %s", quiet)
		}
		if !<-c.Silence() || time.Since(last) != bus.Silence {
			t.Errorf("noticed %s after the last byte", time.Since(last))
		}
		<-time.After(bus.BlockTime)
		if err := c.Err(); err != nil {
			t.Errorf("a silent connection ended: %v", err)
		}
	})
}

// held is a connection whose other side can fall silent for some time: what it sends meanwhile arrives later.
type held struct {
	net.Conn
	gate   *atomic.Pointer[chan struct{}] // closed: open
	closed chan struct{}
	once   sync.Once
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	select {
	case <-*h.gate.Load():
		return n, err
	case <-h.closed:
		return 0, net.ErrClosed
	}
}

func (h *held) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}

// Beside a silent connection another one is dialled. The first stays if it gives a sign of life before the other is ready, and ends
// otherwise. Messages arrive on the one that is left.
func TestSecondConnection(t *testing.T) {
	for name, test := range map[string]struct {
		firstAfter, secondAfter time.Duration // of the silence
		lost                    []error
		served                  int
	}{
		"the first returns":        {2 * time.Second, time.Hour, []error{bus.ErrSilent, nil}, 1},
		"the second is ready":      {time.Hour, 2 * time.Second, []error{bus.ErrSilent}, 2},
		"the second at once":       {time.Hour, 0, []error{bus.ErrSilent}, 2},
		"the first just in time":   {2 * time.Second, 3 * time.Second, []error{bus.ErrSilent, nil}, 1},
		"the first returns late":   {4 * time.Second, 3 * time.Second, []error{bus.ErrSilent}, 2},
		"the second after a while": {time.Hour, 15 * time.Second, []error{bus.ErrSilent}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startServer(t, "")
				open, gate := make(chan struct{}), make(chan struct{})
				close(open)
				var first atomic.Pointer[chan struct{}]
				first.Store(&open)
				var dials atomic.Int32
				d := s.Dialer("Hands")
				d.Over("nats://192.0.2.1:4222", func(ctx context.Context, _, _ string) (net.Conn, error) {
					if dials.Add(1) == 1 {
						c, err := s.Inner().InProcessConn()
						return &held{Conn: c, gate: &first, closed: make(chan struct{})}, err
					}
					select {
					case <-gate:
						return s.Inner().InProcessConn()
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				inbox := bustest.NewInbox()
				ctx, cancel := context.WithCancel(t.Context())
				conns, ended := make(chan bus.Conn, 10), make(chan struct{})
				var lost []error
				go func() {
					defer close(ended)
					bus.Run(ctx, bustest.OnCampus(d, "Hands"), inbox, func(serving context.Context, c bus.Conn) error {
						conns <- c
						<-serving.Done()
						return nil
					}, func(err error) { lost = append(lost, err) })
				}()
				c := <-conns
				cut := make(chan struct{})
				first.Store(&cut)
				<-time.After(time.Until(bus.LastRead(c).Add(bus.Silence)))
				time.AfterFunc(test.firstAfter, func() { close(cut) })
				time.AfterFunc(test.secondAfter, func() { close(gate) })
				<-time.After(max(min(test.firstAfter, test.secondAfter), time.Second) + time.Second)
				bustest.Publish(t, bustest.Dial(t, bustest.OnCampus(s.Dialer("Wilkes"), "Wilkes"), bustest.NewInbox()), subject.Propagate, "Hands", "1")
				<-time.After(time.Second)
				why := c.Err()
				cancel()
				<-ended
				if served := 1 + len(conns); served != test.served || why == nil != (served == 1) || len(inbox.Messages) != 1 || !slices.Equal(lost, test.lost) {
					t.Errorf("served %d times, the first connection has %v, %d messages, lost for %.300v", served, why, len(inbox.Messages), lost)
				}
			})
		})
	}
}

// stalling is a connection whose other side can stop reading while it still writes.
type stalling struct {
	net.Conn
	stalled *atomic.Bool
	nowhere net.Conn // a pipe without a reader
}

func (s *stalling) Write(p []byte) (int, error) {
	if s.stalled.Load() {
		return s.nowhere.Write(p)
	}
	return s.Conn.Write(p)
}

func (s *stalling) Close() error { return errors.Join(s.nowhere.Close(), s.Conn.Close()) }

type stallingProvider struct {
	nats.InProcessConnProvider
	stalled *atomic.Bool
}

func (p stallingProvider) InProcessConn() (net.Conn, error) {
	c, err := p.InProcessConnProvider.InProcessConn()
	nowhere, _ := net.Pipe()
	return &stalling{c, p.stalled, nowhere}, err
}

// A server that sends but does not read is never silent. Its messages are received all the while; the connection ends after 30 s.
func TestBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, "")
		d := s.Dialer("Hands")
		var stalled atomic.Bool
		d.Through(func(p nats.InProcessConnProvider) nats.InProcessConnProvider { return stallingProvider{p, &stalled} })
		inbox := bustest.NewInbox()
		hands := bustest.Dial(t, bustest.OnCampus(d, "Hands"), inbox)
		goloman := bustest.Dial(t, bustest.OnCampus(s.Dialer("Goloman"), "Goloman"), bustest.NewInbox())
		stalled.Store(true)
		began := time.Now()
		bustest.Publish(t, hands, subject.Propagate, "Goloman", "blocked")
		synctest.Wait()
		full := make(chan error, 1)
		go func() { full <- hands.Writable(t.Context()) }()
		for i := range 29 {
			<-time.After(time.Second)
			bustest.Publish(t, goloman, subject.Propagate, "Hands", fmt.Sprint(i))
			if got := inbox.Next(); got != fmt.Sprint("propagate from Goloman: ", i) {
				t.Fatalf("received %q", got)
			}
		}
		if len(full) > 0 || hands.Err() != nil || len(hands.Silence()) > 0 {
			t.Errorf("blocked for 29 s: writable, silent, or ended for %v", hands.Err())
		}
		<-hands.Done()
		if took := time.Since(began); took < bus.BlockTime || took > bus.BlockTime+time.Second || !errors.Is(hands.Err(), bus.ErrBlocked) || <-full == nil {
			t.Errorf("ended after %s for %v", took, hands.Err())
		}
	})
}

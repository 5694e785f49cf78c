package bus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Every attempt looks the name up itself: an answer that was lost in a cut does not delay the attempts after it.
func TestLookupAgain(t *testing.T) {
	if _, err := (&net.Resolver{PreferGo: true}).LookupHost(t.Context(), "localhost"); err != nil { // reads the configuration, outside the bubble
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		common := net.DefaultResolver
		defer func() { net.DefaultResolver = common }()
		back := errors.New("back")
		var healed atomic.Bool
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			if healed.Load() {
				return nil, back
			}
			here, _ := net.Pipe() // without a reader
			return here, nil
		}}
		for _, heal := range []bool{false, true} {
			began := time.Now()
			healed.Store(heal)
			d := &dialer{access: &access{network: realNetwork, turns: new(rotation)}, ctx: t.Context()}
			_, err := d.Dial("tcp", "nats.example:4222")
			took := time.Since(began)
			if failed, ok := errors.AsType[*net.DNSError](err); !ok || failed.IsTimeout == heal || took != map[bool]time.Duration{false: dialTime, true: 0}[heal] {
				t.Errorf("healed %v: %v after %s", heal, err, took)
			}
		}
		time.Sleep(5 * time.Second) // until the abandoned lookups end
	})
}

// Someone who does not answer is dialled eight times within six seconds; a refusal ends that at once, and so does an answer: one connection
// counts, the others are closed.
func TestDialAgain(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		at            time.Duration // when all attempts so far are answered
		with          error
		begun, closed int64
	}{
		"nobody":  {dialTime, context.DeadlineExceeded, 8, 0},
		"refused": {time.Millisecond, refused, 1, 0},
		"near":    {time.Millisecond, nil, 1, 0},
		"far":     {2 * time.Second, nil, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var begun, closed atomic.Int64
				start := time.Now()
				c, err := connect(func(ctx context.Context, _, _ string) (net.Conn, error) {
					begun.Add(1)
					if errors.Is(test.with, context.DeadlineExceeded) {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					<-time.After(time.Until(start.Add(test.at)))
					return &counted{closed: &closed}, test.with
				}).again(t.Context(), "tcp", "192.0.2.1:4222")
				if took := time.Since(start); took != test.at || !errors.Is(err, test.with) || err == nil && c == nil {
					t.Errorf("after %s: %v, %v, want %v after %s", took, c, err, test.with, test.at)
				}
				if begun.Load() != test.begun || closed.Load() != test.closed {
					t.Errorf("begun %d times, closed %d, want %d and %d", begun.Load(), closed.Load(), test.begun, test.closed)
				}
			})
		})
	}
}

// counted is a connection that counts how many are closed.
type counted struct {
	net.Conn
	closed *atomic.Int64
}

func (c *counted) Close() error {
	c.closed.Add(1)
	return nil
}

// A write never waits. What the other side does not take is written as soon as it does, in order; the end of the wire ends what waits.
func TestWriteDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		w := newWire(ours, 0)
		var want []byte
		for i := range 3 * writeChunk {
			want = append(want, byte(i), byte(i>>8))
			if n, err := w.Write(want[2*i:]); n != 2 || err != nil {
				t.Fatal(n, err)
			}
		}
		expired, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.await(expired, len(want)-1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with %d bytes waiting: %v", len(want), err)
		}
		if err := w.await(t.Context(), len(want)); err != nil {
			t.Error(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read something else than what was written: %v", err)
		}
		if err := w.await(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if _, err := w.Write(want); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		_ = w.Close()
		if _, err := w.Write(want); !errors.Is(err, net.ErrClosed) || !errors.Is(w.await(t.Context(), 0), net.ErrClosed) || w.failure() != nil {
			t.Errorf("after the end: %v, failed for %v", err, w.failure())
		}
	})
}

// A wire gives signs of life when something is read, and while something waits when some of it is taken.
func TestSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		w := newWire(ours, 0)
		s := signs{wire: w}
		began := time.Now()
		expect := func(what string, last, blocked time.Duration) {
			t.Helper()
			synctest.Wait()
			if at, since := s.look(time.Now()); at.Sub(began) != last || since != blocked {
				t.Errorf("%s: last sign after %s, blocked for %s; want %s and %s", what, at.Sub(began), since, last, blocked)
			}
		}
		pass := func() { time.Sleep(time.Second) }
		pass()
		expect("nothing", 0, 0)
		go func() { _, _ = theirs.Write([]byte("x")) }()
		_, _ = w.Read(make([]byte, 1))
		pass()
		expect("a byte was read a second ago", time.Second, 0)
		_, _ = w.Write(make([]byte, 2*writeChunk))
		pass()
		expect("nothing is taken", time.Second, time.Second)
		pass()
		_, _ = io.ReadFull(theirs, make([]byte, writeChunk))
		synctest.Wait()
		pass()
		expect("a part was taken a second ago", 4*time.Second, time.Second)
		_, _ = io.ReadFull(theirs, make([]byte, writeChunk))
		pass()
		expect("all was taken", 5*time.Second, 0)
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		_, _ = w.Write(make([]byte, writeChunk))
		pass()
		expect("more was taken at once", 5*time.Second, 0)
	})
}

// An acknowledgement is a sign of life while it is for what was sent before a ping, however long that takes on a narrow link, but not behind
// the ping: a frozen server whose system acknowledges is silent 3.5 s after its last byte.
func TestAcknowledgements(t *testing.T) {
	for name, test := range map[string]struct {
		written, rate uint64 // bytes a second
		frozen        bool   // pings are not answered
		silent        time.Duration
	}{
		"a server":                         {10_000, 10_000, false, 0},
		"a narrow link":                    {10_000, 1000, false, 0},
		"a frozen server":                  {10_000, 10_000, true, silence},
		"a frozen server on a narrow link": {2000, 1000, true, 3*time.Second + answerTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer ours.Close()
				go func() { _, _ = io.Copy(io.Discard, theirs) }()
				w := newWire(ours, 0)
				var acknowledged uint64
				var pings []uint64 // after how many bytes they were written
				w.inform = func() (socketProgress, bool) {
					return socketProgress{acknowledged: acknowledged, waiting: acknowledged < w.total}, true
				}
				s := signs{wire: w}
				var silent time.Duration
				for began := time.Now(); silent == 0 && time.Since(began) < time.Minute; time.Sleep(sampleTime) {
					acknowledged = min(w.total, acknowledged+test.rate/4)
					if !test.frozen && len(pings) > 0 && acknowledged >= pings[0] {
						pings = pings[1:]
						go func() { _, _ = theirs.Write([]byte("x")) }()
						_, _ = w.Read(make([]byte, 1))
					}
					_, _ = w.Write(make([]byte, test.written/4))
					if time.Since(began)%pingTime == 0 {
						pings = append(pings, w.total)
					}
					if last, _ := s.look(time.Now()); time.Since(last) >= silence {
						silent = time.Since(began)
					}
				}
				if silent != test.silent {
					t.Errorf("silent after %s, want %s", silent, test.silent)
				}
			})
		})
	}
}

// What accepts connections and says nothing, such as another program at the port, is given up after 2.75 s, with a clear error.
func TestMuteServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, closed atomic.Int64
		mute := func(context.Context, string, string) (net.Conn, error) {
			begun.Add(1)
			here, there := net.Pipe()
			go func() {
				_, _ = io.Copy(io.Discard, there) // until it is closed
				closed.Add(1)
			}()
			return here, nil
		}
		began := time.Now()
		c, err := (&access{
			url: "nats://192.0.2.1:4222", network: network{realNetwork.lookup, mute}, turns: new(rotation), fault: func(error) {},
		}).first(t.Context())
		if took := time.Since(began); c != nil || err == nil || took != muteTime {
			t.Fatalf("after %s: %v, %v", took, c, err)
		}
		if got, want := err.Error(), "bus: connect to nats://192.0.2.1:4222: nothing came from it in 2.75s"; got != want {
			t.Errorf("error %q, want %q", got, want)
		}
		synctest.Wait()
		if begun.Load() != 3 || closed.Load() != begun.Load() {
			t.Errorf("%d connections begun, %d closed, want 3 and all of them", begun.Load(), closed.Load())
		}
	})
}

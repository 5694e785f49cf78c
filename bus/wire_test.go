package bus

import (
	"context"
	"errors"
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
			_, err := connect(overNetwork).again(t.Context(), "tcp", "nats.example:4222")
			took := time.Since(began)
			if failed, ok := errors.AsType[*net.DNSError](err); !ok || failed.IsTimeout == heal || took != map[bool]time.Duration{false: dialTime, true: 0}[heal] {
				t.Errorf("healed %v: %v after %s", heal, err, took)
			}
		}
		time.Sleep(5 * time.Second) // until the abandoned lookups end
	})
}

// Someone who does not answer is dialled four times within a second; a refusal ends that at once, and so does an answer: one connection
// counts, the others are closed.
func TestDialAgain(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		at            time.Duration // when all attempts so far are answered
		with          error
		begun, closed int64
	}{
		"nobody":  {dialTime, context.DeadlineExceeded, 4, 0},
		"refused": {time.Millisecond, refused, 1, 0},
		"near":    {time.Millisecond, nil, 1, 0},
		"far":     {600 * time.Millisecond, nil, 3, 2},
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

// A write that blocks in a cut ends when the cut is noticed.
func TestSilentCutEndsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe() // theirs has no reader
		defer theirs.Close()
		w := newWire(ours)
		written := make(chan error)
		go func() {
			_, err := w.Write([]byte("x"))
			written <- err
		}()
		began := time.Now()
		w.watch(nil)
		if err := <-written; err == nil || time.Since(began) != silence || !w.silent.Load() {
			t.Errorf("after %s the write ended with %v", time.Since(began), err)
		}
	})
}

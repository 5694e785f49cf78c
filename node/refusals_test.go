package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// At most one entry per peer and second about what is refused, with the number of the others.
func TestRefusalsInTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := lonely(t, newOracle())
		c := n.doors.dial(t)
		go func() {
			for range 2 {
				c.send(strings.Repeat("\x01\xff\"junk\"\n", 1000))
				<-time.After(1500 * time.Millisecond)
			}
		}()
		for range 2000 {
			c.line()
		}
		<-time.After(time.Minute)
		want := []string{
			`refused | pipe | invalid line | \x01\xff\"junk\"`,
			"refused | pipe | invalid line | 999ns", // a number, not a time
			"refused | pipe | invalid line | 1µs",
		}
		if got := n.about("refused"); !slices.Equal(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
		if got := n.Health().Refused["invalid line"]; got != 2000 {
			t.Errorf("counted %d", got)
		}
		n.refusals.mu.Lock()
		defer n.refusals.mu.Unlock()
		if len(n.refusals.peers) != 0 {
			t.Error("a peer is remembered for ever")
		}
	})
}

// Nobody who refuses waits for a log that is slow.
func TestRefusalsAreNotHeldUpByTheLog(t *testing.T) {
	logged := 0
	var r *refusals
	core, _ := observer.New(zapcore.WarnLevel)
	r = newRefusals(zap.New(core, zap.Hooks(func(zapcore.Entry) error {
		if logged++; !r.mu.TryLock() {
			t.Error("the log is written under the lock")
			return nil
		}
		r.mu.Unlock()
		return nil
	})))
	for range 2 {
		r.note(invalidLine, "a")
	}
	r.sweep(time.Now().Add(quiet))
	if logged != 2 {
		t.Errorf("%d entries", logged)
	}
}

func TestRefusalsRememberFewPeers(t *testing.T) {
	n := New(Config{Topology: around(t, "Goloman"), Log: zapNop})
	for i := range 10 * maxPeers {
		n.refusals.note(invalidLine, fmt.Sprint(i))
	}
	if len(n.refusals.peers) > maxPeers+1 || n.Health().Refused["invalid line"] != 10*maxPeers {
		t.Errorf("%d peers, counted %v", len(n.refusals.peers), n.Health().Refused)
	}
}

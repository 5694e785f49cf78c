package admit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// There is at most one log entry per peer and second, and the next one says how many refusals had none.
func TestRefusalsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var entries []string
		c := New(Limits{}, func(peer string, why Reason, times int, detail Detail) {
			entry := fmt.Sprintf("%s: %s, %d", peer, why, times)
			if detail != nil {
				name, value := detail()
				entry += fmt.Sprintf(", %s %v", name, value)
			}
			mu.Lock() // both this goroutine and that of Run log
			defer mu.Unlock()
			entries = append(entries, entry)
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Run(ctx)
		}()
		broken := func() (string, any) { return "error", errors.New("broken") }
		for range 2 {
			for range 999 {
				c.Refuse(InvalidLine, "a", broken)
			}
			c.Refuse(TooManyLines, "a")
			c.Refuse(SlowLine, "b")
			time.Sleep(1500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		c.Refuse(SlowLine, "b")
		c.Refuse(SlowLine, "b")
		stop()
		<-ended // having logged what had no entry
		want := []string{
			"a: invalid line, 0, error broken", "b: line not completed in time, 0",
			"a: too many lines a second, 999", "a: too many lines a second, 1000",
			"b: line not completed in time, 0", "b: line not completed in time, 0", "b: line not completed in time, 1",
		}
		slices.Sort(entries) // peers are logged in any order
		slices.Sort(want)
		if !slices.Equal(entries, want) {
			t.Errorf("logged %q, want %q", entries, want)
		}
		if got := c.Counts(); got["invalid line"] != 1998 || got["too many lines a second"] != 2 || got["line not completed in time"] != 4 || len(got) != 3 {
			t.Errorf("counted %v", got)
		}
	})
}

// No refusal waits for a log that is slow.
func TestRefusalsDoNotWaitForTheLog(t *testing.T) {
	logged := 0
	var c *Controller
	c = New(Limits{}, func(string, Reason, int, Detail) {
		if logged++; !c.mu.TryLock() {
			t.Error("the log is written under the lock")
			return
		}
		c.mu.Unlock()
	})
	for range 2 {
		c.Refuse(InvalidLine, "a")
	}
	c.logCounts(time.Now().Add(logInterval))
	if logged != 2 {
		t.Errorf("%d entries", logged)
	}
}

// The log distinguishes only so many peers, and forgets those of which nothing is refused any more.
func TestRefusalsRememberFewPeers(t *testing.T) {
	c := New(Limits{}, discard)
	for i := range 10 * maxPeers {
		c.Refuse(InvalidLine, fmt.Sprint(i))
	}
	if len(c.peers) > maxPeers+1 || c.Counts()["invalid line"] != 10*maxPeers {
		t.Errorf("%d peers, counted %v", len(c.peers), c.Counts())
	}
	for i := range 2 {
		c.logCounts(time.Now().Add(time.Duration(i+1) * time.Hour))
	}
	if len(c.peers) != 0 {
		t.Errorf("%d peers are remembered for ever", len(c.peers))
	}
}

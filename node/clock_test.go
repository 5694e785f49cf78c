package node

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"herd/bus/bustest"
	"herd/node/line"
)

// A node whose clock was never set stamps receipts, and judges limits.future, by the clock of its neighbour, until its own is
// set. Log and health say that it is wrong.
func TestClockNeverSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		right := func(now time.Time) time.Time { return now.Add(30 * 365 * 24 * time.Hour) } // from 2000 on
		var isSet atomic.Bool
		unset := func(now time.Time) time.Time {
			if isSet.Load() {
				return right(now)
			}
			return now.Add(-30 * 365 * 24 * time.Hour)
		}
		startNode(t, "Hands", []line.NodeName{"Goloman"}, m.Dialer("Hands"), newBlockingFinder(), func(c *Config) { c.Wall = right })
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newBlockingFinder(), func(c *Config) {
			c.Limits.Future, c.Wall = time.Minute, unset
		})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		c := n.listener.Dial(t)
		send := func(client string, after time.Duration) string {
			at := right(time.Now()).Add(after)
			go c.Send(fmt.Sprintf("IAMAT %s %s %d.%09d\n", client, place, at.Unix(), at.Nanosecond()))
			reply := strings.Fields(c.Line())
			if reply[0] == "AT" {
				c.Line()
			}
			return strings.Join(reply[:3], " ")
		}
		got := []string{send("kiwi", 0), send("kiwi", time.Minute), send("emu", time.Minute+time.Second)}
		offset, correction := n.Health().Links[0].ClockOffsetSeconds, n.Health().ClockCorrectionSeconds
		const apart = 60 * 365 * 24 * 60 * 60
		if offset == nil || *offset != apart || correction != apart {
			t.Errorf("offset %v, correction %v, want both to be %v", offset, correction, apart)
		}
		isSet.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got = append(got, send("kea", time.Second))
		if want := []string{"AT Goloman +0.000000000", "AT Goloman -60.000000000", "? IAMAT emu", "AT Goloman -1.000000000"}; !slices.Equal(got, want) {
			t.Errorf("replies %q, want %q", got, want)
		}
		if offset, correction = n.Health().Links[0].ClockOffsetSeconds, n.Health().ClockCorrectionSeconds; *offset != 0 || correction != 0 {
			t.Errorf("when the clock is set, offset %v, correction %v", *offset, correction)
		}
		var logged []string
		for _, e := range n.logs.All() {
			if e.Level == zapcore.ErrorLevel {
				logged = append(logged, e.Message)
			}
		}
		want := []string{
			"the clock of this node is behind those of its neighbours, or was never set: set it, by NTP for example",
			"clock of neighbour differs from that of this node: set both, by NTP for example",
		}
		if !slices.Equal(logged, want) {
			t.Errorf("logged %q, want %q", logged, want)
		}
	})
}

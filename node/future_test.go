package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"
	"herd/node/line"
)

// limits.future refuses what a client says of the future, and nothing else.
func TestFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newBlockingFinder(), func(c *Config) { c.Limits.Future = time.Minute })
		hands := dialBus(t, m.Dialer("Hands"), deaf{}, "Goloman")
		c := n.listener.Dial(t)
		send := func(at string) string {
			l := "IAMAT kiwi " + place + " " + at + "\n"
			go c.Send(l)
			reply := c.Line()
			if reply == "? "+l {
				return "refused"
			}
			return strings.Fields(reply + c.Line())[0]
		}
		in := func(d time.Duration) string {
			at := time.Now().Add(d)
			return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond())
		}
		got := []string{send(in(0)), send(in(time.Minute)), send(in(time.Minute + 1)), send("9223372036.854775807"), send("1")}
		limits := defaultLimits
		limits.Future = 0
		n.SetLimits(limits)
		got = append(got, send("9223372036"))
		if want := []string{"AT", "AT", "refused", "refused", "AT", "AT"}; !slices.Equal(got, want) {
			t.Errorf("replies %q, want %q", got, want)
		}
		if got := n.Health().Refused; !maps.Equal(got, map[string]uint64{"time too far ahead": 2}) {
			t.Errorf("counted %v", got)
		}
		limits.Future = time.Second
		n.SetLimits(limits)
		from := "Hands +0.000000000 emu " + place + " 9223372036"
		if err := hands.Publish("Goloman", bus.Message{Kind: subject.Propagate, Payload: []byte("PROPAGATE Hands " + from)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := n.held("emu"); got != from {
			t.Errorf("of a neighbour's report it holds %q", got)
		}
	})
}

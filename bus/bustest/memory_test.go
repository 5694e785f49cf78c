package bustest_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"
)

// direction is one of the two of a link.
type direction struct{ from, to string }

func TestMemory(t *testing.T) {
	bustest.Conformance(t, func(*testing.T) func(string) bus.Dialer { return bustest.NewMemory().Dialer })
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		hands, wilkes := bustest.NewInbox(), bustest.NewInbox()
		bustest.Dial(t, bustest.OnCampus(m.Dialer("Hands"), "Hands"), hands)
		bustest.Dial(t, bustest.OnCampus(m.Dialer("Wilkes"), "Wilkes"), wilkes)
		goloman := bustest.Dial(t, bustest.OnCampus(m.Dialer("Goloman"), "Goloman"), bustest.NewInbox())
		arrived := func(i *bustest.Inbox) string {
			synctest.Wait()
			var got []string
			for range len(i.Messages) {
				got = append(got, string((<-i.Messages).Payload))
			}
			return strings.Join(got, " ")
		}
		expect := func(what, want string) {
			t.Helper()
			if got := arrived(hands); got != want {
				t.Errorf("%s: Hands got %q, want %q", what, got, want)
			}
		}
		send := func(payload string) { bustest.Publish(t, goloman, subject.Propagate, "Hands", payload) }

		m.Cut("Goloman", "Hands")
		send("cut")
		m.Heal("Goloman", "Hands")
		send("healed")
		expect("cut", "healed")

		n := 0
		m.Drop("Goloman", "Hands", func(bus.Message) bool { n++; return n == 2 })
		send("1")
		send("2")
		send("3")
		m.Drop("Goloman", "Hands", nil)
		expect("drop", "1 3")

		m.Duplicate("Goloman", "Hands", func(msg bus.Message) bool { return string(msg.Payload) != "once" })
		send("1")
		send("once")
		m.Hold("Goloman", "Hands")
		send("3")
		expect("duplicated, the last held", "1 1 once")
		m.Release("Goloman", "Hands")
		expect("duplicated, and released", "3 3")
		m.Duplicate("Goloman", "Hands", nil)

		m.Hold("Goloman", "Hands")
		send("a")
		send("b")
		expect("held", "")
		m.Release("Goloman", "Hands")
		send("c")
		expect("released", "a b c")

		// In one direction nothing overtakes; in another direction it does.
		delays := []time.Duration{time.Second, 0}
		m.Delay("Goloman", "Hands", func() time.Duration {
			d := delays[0]
			delays = delays[1:]
			return d
		})
		send("late")
		send("prompt")
		bustest.Publish(t, goloman, subject.Propagate, "Wilkes", "other direction")
		if got := arrived(wilkes); got != "other direction" {
			t.Errorf("Wilkes got %q", got)
		}
		expect("delayed", "")
		<-time.After(time.Second)
		expect("after the delay", "late prompt")
		m.Delay("Goloman", "Hands", nil)

		second := bustest.Dial(t, bustest.OnCampus(m.Dialer("Hands"), "Hands"), bustest.NewInbox())
		m.Disconnect("Hands")
		<-second.Done()
		send("away")
		if _, err := m.Dialer("Hands").Dial(t.Context(), hands); err == nil {
			t.Error("a disconnected node can connect")
		}
		m.Reconnect("Hands")
		bustest.Dial(t, bustest.OnCampus(m.Dialer("Hands"), "Hands"), hands)
		send("back")
		expect("reconnected", "back")
	})
}

// The same seed gives the same faults, to the message and the moment, whatever else runs.
func TestFaultsAreReproducible(t *testing.T) {
	run := func(t *testing.T, seed uint64) (arrived map[direction][]string) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			m := bustest.NewMemory()
			conns := make(map[string]bus.Conn)
			arrived = make(map[direction][]string)
			var mu sync.Mutex
			for from, neighbours := range bustest.Campus {
				conns[from] = bustest.Dial(t, bustest.Subscribed(m.Dialer(from), neighbours...), bustest.Receiver(func(msg bus.Message) {
					mu.Lock()
					defer mu.Unlock()
					w := direction{msg.From, from}
					arrived[w] = append(arrived[w], fmt.Sprintf("%s at %s", bustest.Text(msg), time.Since(began)))
				}))
				for _, to := range neighbours {
					name := sha256.Sum256([]byte(from + " " + to))
					dice := rand.New(rand.NewPCG(seed, binary.LittleEndian.Uint64(name[:])))
					m.Drop(from, to, func(bus.Message) bool { return dice.IntN(5) == 0 })
					m.Duplicate(from, to, func(bus.Message) bool { return dice.IntN(5) == 0 })
					m.Delay(from, to, func() time.Duration { return time.Duration(dice.Int64N(int64(time.Second))) })
				}
			}
			var publishing sync.WaitGroup
			for from, c := range conns {
				publishing.Go(func() {
					for i := range 200 {
						for _, to := range bustest.Campus[from] {
							if err := c.Publish(to, bus.Message{Kind: subject.Propagate, Payload: fmt.Append(nil, i)}); err != nil {
								t.Error(err)
							}
						}
						<-time.After(time.Millisecond)
					}
				})
			}
			<-time.After(500 * time.Microsecond)
			for range 10 { // one direction is cut and healed meanwhile, between two messages
				<-time.After(10 * time.Millisecond)
				m.Cut("Goloman", "Hands")
				<-time.After(5 * time.Millisecond)
				m.Heal("Goloman", "Hands")
			}
			publishing.Wait()
			<-time.After(time.Minute)
			for _, c := range conns {
				c.Close()
			}
		})
		return arrived
	}
	first, again, other := run(t, 1), run(t, 1), run(t, 2)
	if len(first) != 12 {
		t.Errorf("messages arrived in %d directions, want 12", len(first))
	}
	for w, messages := range first {
		distinct := make(map[string]bool)
		for _, m := range messages {
			what, _, _ := strings.Cut(m, " at ")
			distinct[what] = true
		}
		if len(distinct) == 200 || len(distinct) == len(messages) {
			t.Errorf("in the direction %v nothing was lost, or nothing doubled: %d of 200, %d in all", w, len(distinct), len(messages))
		}
		if !slices.Equal(messages, again[w]) {
			t.Errorf("in the direction %v the same seed gave another sequence", w)
		}
		if slices.Equal(messages, other[w]) {
			t.Errorf("in the direction %v another seed gave the same", w)
		}
	}
}

package bus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		hands, wilkes := newInbox(), newInbox()
		dial(t, hearing{m.Dialer("Hands"), campus["Hands"]}, hands)
		dial(t, hearing{m.Dialer("Wilkes"), campus["Wilkes"]}, wilkes)
		goloman := dial(t, hearing{m.Dialer("Goloman"), campus["Goloman"]}, newInbox())
		arrived := func(i *inbox) string {
			synctest.Wait()
			var got []string
			for range len(i.messages) {
				got = append(got, string((<-i.messages).Payload))
			}
			return strings.Join(got, " ")
		}
		expect := func(what, want string) {
			t.Helper()
			if got := arrived(hands); got != want {
				t.Errorf("%s: Hands got %q, want %q", what, got, want)
			}
		}
		send := func(payload string) { publish(t, goloman, Propagate, "Hands", payload) }

		m.Cut("Goloman", "Hands")
		send("cut")
		m.Heal("Goloman", "Hands")
		send("healed")
		expect("cut", "healed")

		n := 0
		m.Drop("Goloman", "Hands", func(Message) bool { n++; return n == 2 })
		send("1")
		send("2")
		send("3")
		m.Drop("Goloman", "Hands", nil)
		expect("drop", "1 3")

		m.Hold("Goloman", "Hands")
		send("a")
		send("b")
		expect("held", "")
		m.Release("Goloman", "Hands")
		send("c")
		expect("released", "a b c")

		// On one way nothing overtakes; another way does.
		delays := []time.Duration{time.Second, 0}
		m.Delay("Goloman", "Hands", func() time.Duration {
			d := delays[0]
			delays = delays[1:]
			return d
		})
		send("late")
		send("prompt")
		publish(t, goloman, Propagate, "Wilkes", "other way")
		if got := arrived(wilkes); got != "other way" {
			t.Errorf("Wilkes got %q", got)
		}
		expect("delayed", "")
		<-time.After(time.Second)
		expect("after the delay", "late prompt")
		m.Delay("Goloman", "Hands", nil)

		m.Disconnect("Hands")
		send("away")
		if _, err := m.Dialer("Hands").Dial(t.Context(), hands); err == nil {
			t.Error("a disconnected node can connect")
		}
		m.Reconnect("Hands")
		dial(t, hearing{m.Dialer("Hands"), campus["Hands"]}, hands)
		send("back")
		expect("reconnected", "back")
	})
}

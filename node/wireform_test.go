package node

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/admit"
)

// recorded has the messages that two neighbours, A and B, sent each other, one a line:
//
//	<time> <from> <kind> <stamp, or -> <payload, quoted>
//
// From the first release on it does not change: nodes that send this are in use. To record anew, remove it, and run
// go test ./node -run WireForm -update.
const recorded = "testdata/wireform.txt"

// recordedSteps are what A and B do while they are recorded: both send reports, request what they lack, and miss messages.
var recordedSteps = []string{
	"nodes A B",
	"link A-B",
	"start A",
	"disconnect A",
	"iamat A kiwi*300 1000",
	"wait 100ms",
	"reconnect A",
	"wait 100ms",
	"start B",
	"wait 500ms",
	"delay B>A 5ms", // so that no heartbeat comes when one is due
	"delay A>B 3ms",
	"wait 1s",
	"iamat A emu 1000 +1-1",
	"iamat B rhea 1000",
	"wait 1s",
	"drop A-B propagate 2",
	"wait 10ms",
	"iamat A kiwi7 2000.5",
	"iamat A kiwi8 2000.5",
	"iamat B moa 1000",
	"iamat B kiwi9 2000.5",
	"wait 2s",
}

const recordedClients = 303 // that both know at the end

// sentMessage is one message.
type sentMessage struct {
	at       time.Duration
	from, to string
	kind     subject.Kind
	stamp    subject.Stamp
	payload  string
}

func (m sentMessage) String() string {
	stamp := "-"
	if m.stamp != (subject.Stamp{}) {
		stamp = string(m.stamp.Append(nil))
	}
	return fmt.Sprintf("%s %s %s %s %+q\n", m.at, m.from, m.kind, stamp, m.payload)
}

func readRecorded(t *testing.T) (all []sentMessage) {
	text, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		m := sentMessage{to: "A"}
		var at, stamp string
		if _, err := fmt.Sscanf(l, "%s %s %s %s %q\n", &at, &m.from, &m.kind, &stamp, &m.payload); err != nil {
			t.Fatalf("%s: %q: %v", recorded, l, err)
		}
		if m.from == "A" {
			m.to = "B"
		}
		if stamp != "-" {
			if m.stamp, err = subject.ParseStamp(stamp); err != nil {
				t.Fatal(err)
			}
		}
		if m.at, err = time.ParseDuration(at); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// Nodes send what was recorded, in the same form. A heartbeat may have more fields at its end, which older nodes ignore.
func TestWireForm(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	var now []sentMessage
	synctest.Test(t, func(t *testing.T) {
		s := newScenario(t, "memory")
		for _, step := range recordedSteps {
			s.step(strings.Fields(step))
		}
		if known := s.step(strings.Fields("expect known")); known != fmt.Sprintf("A, B: %d clients\n", recordedClients) {
			t.Errorf("known is %q", known)
		}
		now = s.network.recorded()
	})
	slices.SortFunc(now, func(a, b sentMessage) int { // what happens at one moment has no order between nodes
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.from, b.from), cmp.Compare(a.kind, b.kind), cmp.Compare(a.stamp.Number, b.stamp.Number), cmp.Compare(a.payload, b.payload))
	})
	if _, err := os.Stat(recorded); *update && errors.Is(err, fs.ErrNotExist) {
		var text strings.Builder
		for _, m := range now {
			text.WriteString(m.String())
		}
		if err := os.WriteFile(recorded, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old := readRecorded(t)
	if len(now) != len(old) {
		t.Fatalf("%d messages, %d were recorded", len(now), len(old))
	}
	for i, m := range now {
		if m.kind == subject.Heartbeat && strings.HasPrefix(m.payload, old[i].payload+" ") {
			m.payload = old[i].payload
		}
		if m != old[i] {
			t.Errorf("message %d is\n%swas recorded as\n%s", i+1, m, old[i])
		}
	}
}

// A node works with a neighbour that sends what was recorded, whichever of the two it is: it refuses nothing, answers all requests, and
// ends with the same clients.
func TestRecordedNeighbour(t *testing.T) {
	for _, today := range []string{"A", "B"} {
		t.Run(today, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			synctest.Test(t, func(t *testing.T) {
				s := newScenario(t, "memory")
				old := slices.DeleteFunc(readRecorded(t), func(m sentMessage) bool { return m.from == today })
				requests := 0
				for _, step := range recordedSteps {
					words := strings.Fields(step)
					switch {
					case words[0] == "start" && words[1] != today: // the recording stands in for the other one, whose incarnation is not drawn
						var drawn subject.Incarnation
						_, _ = rand.Read(drawn[:])
						peer := words[1]
						c := dialBus(t, networkDialer{s.dialer(peer), s.network, peer, peer}, new(messageRecorder), today)
						go publishAll(t, c, old)
						synctest.Wait()
					case len(words) < 2 || words[1] == today || words[0] != "iamat" && !strings.HasSuffix(words[0], "connect"):
						s.step(words)
					}
				}
				for _, m := range old {
					if m.kind == subject.Sync && m.payload[0] == '?' {
						requests++
					}
				}
				answered := 0
				for _, m := range s.network.recorded() {
					if m.from == today && m.kind == subject.Sync && m.payload[0] != '?' {
						answered++
					}
				}
				a := s.nodes[today]
				h := a.Health()
				l := h.Links[0]
				delete(h.Refused, admit.MessagesMissing.String()) // as it was recorded
				if len(h.Refused) > 0 || l.State != "up" || h.Clients != recordedClients || l.MessagesMissing < 2 || answered != requests || requests == 0 {
					t.Errorf("health %+v, %d of %d requests answered", h, answered, requests)
				}
			})
		})
	}
}

// publishAll publishes the messages of one node, each at its time.
func publishAll(t *testing.T, c bus.Conn, all []sentMessage) {
	var last time.Duration
	for i, m := range all {
		if i > 0 {
			time.Sleep(m.at - last)
		}
		last = m.at
		if err := c.Publish(m.to, bus.Message{Kind: m.kind, Stamp: m.stamp, Payload: []byte(m.payload)}); err != nil {
			t.Error(err)
		}
	}
}

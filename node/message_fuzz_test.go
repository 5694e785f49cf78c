package node

import (
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// FuzzMessage gives a node any message from anybody. What is a sound report of a neighbour is merged and passed on to the other;
// everything else is counted, once, by its reason, and goes nowhere.
func FuzzMessage(f *testing.F) {
	good := "PROPAGATE Hands Nowhere +1.000000000 k +1-1 1"
	for _, payload := range []string{
		"", "\n", good, good + "\n", good + "\n\n", good + "\n" + good, good + "\r\n",
		good + "\nPROPAGATE Hands Welsh -0.000000001 k +1-1 1.5\nPROPAGATE Hands Welsh +1.000000000 l +1-1 1",
		strings.Replace(good, "Hands", "Wilkes", 1), strings.Replace(good, "+1.0", "1.0", 1), "AT Hands +1.000000000 k +1-1 1",
		strings.Replace(good, "k", strings.Repeat("k", line.MaxLine), 1), strings.Repeat(good+"\n", 2000), "PROPAGATE Hands Nowhere +1.000000000 \xff +1-1 1",
	} {
		f.Add("Hands", "propagate", payload)
	}
	f.Add("Welsh", "propagate", good)
	f.Add("Hands", "sync", good)
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, from, kind, payload string) {
		n := New(Config{
			Name: "Goloman", Topology: starTopology(t, "Goloman", "Hands", "Holiday"), Log: zap.NewNop(),
		})
		n.engine.Connect(time.Now())
		n.Receive(bus.Message{From: from, Kind: subject.Kind(kind), Payload: []byte(payload)})

		refused, merged := make(map[string]uint64), flood.NewRegistry()
		switch {
		case from != "Hands" && from != "Holiday":
			refused["message in another's name"] = 1
		case len(payload) > 64<<10:
			refused["message too large"] = 1
		case kind == "heartbeat" || kind == "sync":
			for _, why := range []string{"malformed message", "message of unknown version"} {
				if n := n.Health().Refused[why]; n == 1 {
					refused[why] = 1
				}
			}
		case kind != "propagate":
			refused["message of unknown kind"] = 1
		default:
			for sent := range strings.SplitSeq(strings.TrimSuffix(payload, "\n"), "\n") {
				who, r, err := line.ParsePropagate(sent)
				switch {
				case err != nil:
					refused["malformed report"]++
				case string(who) != from:
					refused["message in another's name"]++
				default:
					merged.Merge(r)
				}
			}
		}
		if got := n.Health().Refused; !maps.Equal(got, refused) {
			t.Errorf("refused %v, want %v", got, refused)
		}
		want := maps.Collect(texts(merged))
		if got := maps.Collect(texts(n.Registry())); !maps.Equal(got, want) {
			t.Errorf("knows %v, want %v", got, want)
		}
		for _, l := range n.links.all() {
			owed, _ := l.Owed()
			if want := merged.Len(); string(l.Peer) != from && owed != want {
				t.Errorf("%s is owed %d reports, want %d", l.Peer, owed, want)
			}
		}
	})
}

// texts yields what a registry holds.
func texts(r *flood.Registry) func(yield func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		for each := range r.All() {
			if !yield(each.String(), true) {
				return
			}
		}
	}
}

package flood

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// What is parsed formats to the same bytes, and nothing else is parsed: nodes that disagree about a number would repair for ever.
func FuzzHeartbeat(f *testing.F) {
	for _, b := range []heartbeat{
		{incarnation: subject.Incarnation{1}, cutoff: keepAll},
		{
			incarnation: subject.Incarnation{1}, last: 7, echo: subject.Incarnation{2}, processed: 9, settled: true, digest: 1 << 63, clients: 3,
			retention: time.Hour, cutoff: -5, topology: 12, links: "A:B,A:C",
			records: []string{"0,A", "whatever"},
		},
	} {
		f.Add(string(b.append(nil)))
	}
	const sound = "HEARTBEAT/1 AQIDAAAAAAAAAAAAAAAAAA 0 - 0 - 0 0 - 0000000000000000"
	for text, want := range map[string]string{
		"": "malformed", "HEARTBEAT": "malformed", "heartbeat/1": "malformed", "HEARTBEAT/2 whatever": "unknown version", "HEARTBEAT/ ": "unknown version",
		"HEARTBEAT/1": "malformed", strings.Replace(sound, " 0 ", " 00 ", 1): "malformed", strings.Replace(sound, "AQ", "A", 1): "malformed",
		strings.TrimSuffix(sound, "0"): "malformed", sound + " ": "", sound + " new=1 words": "", sound + " links=A:B more=": "", sound + " record= record=,": "",
		strings.Replace(sound, " 0 0 -", " 0 x -", 1): "malformed",
	} {
		if _, err := parseHeartbeat(text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			f.Errorf("%q: %v, want %q", text, err, want)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseHeartbeat(text)
		if err != nil {
			return
		}
		again, err := parseHeartbeat(string(b.append(nil)))
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Errorf("%q is %+v, which is written as %q", text, b, b.append(nil))
		}
	})
}

// A question is understood as it was asked.
func TestQuestion(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := walk{id: seed, salt: uint8(seed % 64), open: make(map[uint64][]ask)}
		for range 1 + rng.IntN(50) {
			a := ask{kind: askKind(rng.IntN(int(askKinds))), branch: branch{depth: uint8(rng.IntN(maxDepth + 1))}}
			a.branch.bits = rng.Uint64() << (64 - 4*a.branch.depth)
			if a.kind == fetch {
				a.marks = make([]mark, rng.IntN(listed))
				a.mine = make([]claim, rng.IntN(listed))
				for i := range a.marks {
					a.marks[i] = mark(rng.Uint32())
				}
				for i := range a.mine {
					a.mine[i] = claim{rng.Uint32(), rng.Uint64N(1 << 40)}
				}
			}
			w.todo = append(w.todo, a)
		}
		asked := 0
		for len(w.todo) > 0 {
			asked++
			payload := w.ask(nil)
			q, err := parseQuestion(payload)
			if err != nil || q.id != w.id || q.salt != w.salt || fmt.Sprint(q.asks) != fmt.Sprint(w.open[w.id]) {
				t.Fatalf("seed %d: %v: asked %v, understood %+v", seed, err, w.open[w.id], q)
			}
			if len(payload) > 64<<10 {
				t.Errorf("seed %d: a question of %d bytes", seed, len(payload))
			}
		}
		if asked != len(w.open) {
			t.Errorf("seed %d: %d questions, %d open", seed, asked, len(w.open))
		}
	}
}

// Whatever bytes a neighbour sends as repair, nothing breaks, and only well-formed reports are heard.
func FuzzRepair(f *testing.F) {
	topo := star(f, "A", "B")
	known := func(t *testing.T) *Engine {
		e := NewEngine(Config{Name: "A", Topology: topo, QueueLimit: 100})
		for i := range 200 {
			e.Apply(at(t, fmt.Sprint("c", i), 1), Local)
		}
		e.Connect(time.Unix(1, 0))
		return e
	}
	other := connected(Config{Name: "B", Topology: topo, QueueLimit: 100})
	for i := range 100 {
		other.Apply(at(f, fmt.Sprint("c", i), 2), Local)
	}
	asks := []ask{
		{kind: look},
		{kind: everything, branch: branch{depth: 1}},
		{kind: everything, branch: branch{bits: 7 << 60, depth: 1}},
		{kind: fetch, branch: branch{bits: 3 << 60, depth: 1}, marks: []mark{1, 2}, mine: []claim{{3, 4}}},
		{kind: look, branch: branch{bits: 0xabc << 52, depth: 3}},
	}
	w := walk{open: make(map[uint64][]ask), todo: asks}
	payload := w.ask(nil)
	f.Add(payload)
	q, err := parseQuestion(payload)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(other.registry.answer(nil, &q))
	f.Add([]byte("?"))
	f.Add([]byte("!"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := known(t)
		l := e.Links()[0]
		now := time.Unix(2, 0)
		e.walk = &walk{link: l, salt: 1, open: map[uint64][]ask{1: slices.Clone(asks)}, budget: unlimited, moved: now}
		err := l.Receive(now, Message{Kind: subject.Repair, Payload: payload}, nil)
		var m Message
		for l.Next(now, &m) {
			if m.Kind == subject.Repair && len(m.Payload) > 64<<10 {
				t.Errorf("a message of %d bytes", len(m.Payload))
			}
		}
		if len(payload) > 0 && payload[0] == question && err == nil {
			q, err := parseQuestion(payload)
			if err != nil {
				t.Fatal(err)
			}
			again := beginQuestion(nil, q.id, q.salt)
			for _, a := range q.asks {
				again = a.append(again)
			}
			if !bytes.Equal(again, payload) && len(q.asks) > 0 && len(again) > len(payload) {
				t.Errorf("%x is written as %x", payload, again)
			}
		}
		for r := range e.Registry().All() {
			if _, err := line.ParseReport(r.String()); err != nil {
				t.Errorf("holds %q", r)
			}
		}
	})
}

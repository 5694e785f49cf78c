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

// What is parsed formats to the same bytes, and nothing else is parsed: nodes that disagree about a number would sync for ever.
func FuzzHeartbeat(f *testing.F) {
	for _, b := range []heartbeat{
		{incarnation: subject.Incarnation{1}, cutoff: keepAll},
		{incarnation: subject.Incarnation{1}, lastNumber: 8, floor: 1, short: true, cutoff: keepAll},
		{
			incarnation: subject.Incarnation{1}, lastNumber: 7, floor: 6, comparable: true, digest: 1 << 63, clients: 3,
			received: acknowledgement{of: subject.Incarnation{2}, first: 3, last: 9, missing: []span{{4, 4}, {6, 8}}}, patience: 4 * time.Second,
			retention: time.Hour, cutoff: -5, topologyPrint: 12, topologyText: "A:B,A:C",
			records: []string{"0,A", "whatever"},
		},
	} {
		f.Add(string(b.append(nil)))
	}
	const sound = "HEARTBEAT/1 AQIDAAAAAAAAAAAAAAAAAA 0 1 - - 0 0 - 0000000000000000"
	for text, want := range map[string]string{
		"": "malformed", "HEARTBEAT": "malformed", "heartbeat/1": "malformed", "HEARTBEAT/2 whatever": "unknown version", "HEARTBEAT/ ": "unknown version",
		"HEARTBEAT/1": "malformed", strings.Replace(sound, " 0 ", " 00 ", 1): "malformed", strings.Replace(sound, "AQ", "A", 1): "malformed",
		strings.TrimSuffix(sound, "0"): "malformed", sound + " ": "", sound + " new=1 words": "", sound + " links=A:B more=": "", sound + " record= record=,": "",
		strings.Replace(sound, " 0 0 -", " 0 x -", 1): "malformed", strings.Replace(sound, " 1 - ", " 1 AgAAAAAAAAAAAAAAAAAAAA:1 ", 1): "malformed",
		strings.Replace(sound, " 1 - ", " 1 AgAAAAAAAAAAAAAAAAAAAA:1:4:3-2 ", 1): "malformed", strings.Replace(sound, " 1 - ", " 1 AgAAAAAAAAAAAAAAAAAAAA:1:4:2-3 ", 1): "",
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

// A request is parsed to what it was made of.
func TestRequests(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := syncRun{salt: uint8(seed % 64), open: make(map[uint64][]request)}
		for range 1 + rng.IntN(50) {
			a := request{kind: requestKind(rng.IntN(int(requestKinds))), branch: branch{depth: uint8(rng.IntN(maxDepth + 1))}}
			a.branch.bits = rng.Uint64() << (64 - 4*a.branch.depth)
			if a.kind == requestFetch {
				a.digests = make([]shortDigest, rng.IntN(maxList))
				a.haves = make([]have, rng.IntN(maxList))
				for i := range a.digests {
					a.digests[i] = shortDigest(rng.Uint32N(1 << 24))
				}
				for i := range a.haves {
					a.haves[i] = have{rng.Uint32(), rng.Uint64N(1 << 40)}
				}
			}
			w.pending = append(w.pending, a)
		}
		requested := uint64(0)
		for len(w.pending) > 0 {
			requested++
			payload := w.appendRequests(nil, 1000+requested, requested, 1+rng.IntN(maxText))
			q, err := parseRequests(payload)
			if err != nil || q.id != 1000+requested || q.salt != w.salt || fmt.Sprint(q.requests) != fmt.Sprint(w.open[requested]) {
				t.Fatalf("seed %d: %v: asked %v, understood %+v", seed, err, w.open[requested], q)
			}
			if len(payload) > 64<<10 {
				t.Errorf("seed %d: a question of %d bytes", seed, len(payload))
			}
		}
		if requested != uint64(len(w.open)) {
			t.Errorf("seed %d: %d questions, %d open", seed, requested, len(w.open))
		}
	}
}

// Whatever bytes a neighbour sends as a sync, nothing breaks, and only well-formed reports are applied.
func FuzzSync(f *testing.F) {
	topo := star(f, "A", "B")
	known := func(t *testing.T) *Engine {
		e := NewEngine(Config{Name: "A", Topology: topo})
		for i := range 200 {
			e.Apply(at(t, fmt.Sprint("c", i), 1), Local)
		}
		e.Connect(time.Unix(1, 0))
		return e
	}
	other := connected(Config{Name: "B", Topology: topo})
	for i := range 100 {
		other.Apply(at(f, fmt.Sprint("c", i), 2), Local)
	}
	requests := []request{
		{kind: requestList},
		{kind: requestFetchAll, branch: branch{depth: 1}},
		{kind: requestFetchAll, branch: branch{bits: 7 << 60, depth: 1}},
		{kind: requestFetch, branch: branch{bits: 3 << 60, depth: 1}, digests: []shortDigest{1, 2}, haves: []have{{3, 4}}},
		{kind: requestList, branch: branch{bits: 0xabc << 52, depth: 3}},
	}
	w := syncRun{open: make(map[uint64][]request), pending: slices.Clone(requests)}
	payload := w.appendRequests(nil, 1, 1, maxText)
	f.Add(payload)
	q, err := parseRequests(payload)
	if err != nil {
		f.Fatal(err)
	}
	replies, _, _ := other.Links()[0].appendReplies(nil, q, maxText)
	f.Add(replies)
	f.Add([]byte("?"))
	f.Add([]byte("!"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := known(t)
		l := e.Links()[0]
		now := time.Unix(2, 0)
		l.run = &syncRun{salt: 1, open: map[uint64][]request{1: slices.Clone(requests)}, budget: unlimited, lastReply: now}
		err := l.Receive(now, Message{Kind: subject.Sync, Payload: payload}, nil)
		var m Message
		for l.Next(now, &m) {
			if m.Kind == subject.Sync && len(m.Payload) > 64<<10 {
				t.Errorf("a message of %d bytes", len(m.Payload))
			}
		}
		if len(payload) > 0 && payload[0] == requestMessage && err == nil {
			q, err := parseRequests(payload)
			if err != nil {
				t.Fatal(err)
			}
			again := beginRequests(nil, q.id, q.salt)
			for _, a := range q.requests {
				again = a.append(again)
			}
			if !bytes.Equal(again, payload) && len(q.requests) > 0 && len(again) > len(payload) {
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

// A reply message never has more bytes than the bus takes, whatever was requested: children, lists, or reports that are not too long.
func TestRepliesFit(t *testing.T) {
	e := connected(Config{Name: "A", Topology: star(t, "A", "B")})
	for i := range 14_000 {
		e.registry.Merge(at(t, fmt.Sprint("c", i), 1))
	}
	longest := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		batch := requestBatch{id: 1}
		for range 200 {
			b := branch{depth: uint8(rng.IntN(4))}
			b.bits = rng.Uint64() &^ (^uint64(0) >> (4 * b.depth))
			batch.requests = append(batch.requests, request{kind: []requestKind{requestList, requestFetchAll}[rng.IntN(2)], branch: b})
		}
		limit := 4096 + rng.IntN(1000)
		message, _, _ := e.Links()[0].appendReplies(nil, batch, limit)
		got := len(message)
		if got > limit {
			t.Fatalf("seed %d: %d bytes, want at most %d", seed, got, limit)
		}
		longest = max(longest, got-limit)
	}
	if longest < -300 {
		t.Errorf("the longest has %d bytes less than it may: there was room", -longest)
	}
}

package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/topology"

	"herd/node/flood"
	"herd/node/line"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		server := New(Config{Source: s, Node: "A", Herd: "h", Version: "1"})
		plain, follower := newViewer(""), newViewer("kiwi")
		server.hub.join(plain)
		server.hub.join(follower)
		first := parse(t, [][]byte{server.hub.snapshot()})
		if names := []string{first[0].name, first[1].name, first[2].name}; !slices.Equal(names, []string{"hello", "health", "nodes"}) {
			t.Errorf("first come %v", names)
		}
		const graph = `"topology":{"nodes":[{"name":"A","x":0,"y":0},{"name":"B","x":1,"y":0},{"name":"C","x":2,"y":0}],"links":[["A","B"],["B","C"]],"self":"A"}}`
		equal(t, "the first", first[:1], event{"hello", `{"node":"A","herd":"h","version":"1","observing":false,"why":"there is no observer",` + graph})
		equal(t, "nothing happened", plain.next(t))
		follower.next(t)

		// Of two reports of a client the newer one is in clients; both are in messages.
		kiwi := s.apply(t, "kiwi", epoch)
		s.watch.Transfer("B", "A", []line.Report{kiwi, s.apply(t, "emu", epoch)})
		kiwi = s.apply(t, "kiwi", epoch+1)
		s.watch.Transfer("B", "A", []line.Report{kiwi})
		s.watch.Transfer("A", "C", []line.Report{kiwi}) // where there is no link
		s.watch.Notice(flood.Notice{Peer: "B", Kind: flood.MessagesMissing, Reports: 3})
		const (
			notice  = `{"at":946684800500,"kind":"messages missing","peer":"B","text":"3 messages are missing"}`
			clients = `{"left_out":0,"total":2,"clients":[` +
				`{"id":"kiwi","origin":"B","skew":"+1.000000000","position":"+34.5-118.25","lat":34.5,"lon":-118.25,"time":"946684801","age_seconds":-1.25,"line":"AT B +1.000000000 kiwi +34.5-118.25 946684801"},` +
				`{"id":"emu","origin":"B","skew":"+1.000000000","position":"+34.5-118.25","lat":34.5,"lon":-118.25,"time":"946684800","age_seconds":-0.25,"line":"AT B +1.000000000 emu +34.5-118.25 946684800"}]}`
			messages = `{"left_out":0,"links":[{"from":"B","to":"A","reports":3}],"reports":[` +
				`{"at":946684800500,"from":"B","to":"A","client":"kiwi","origin":"B","time":"946684800"},` +
				`{"at":946684800500,"from":"B","to":"A","client":"emu","origin":"B","time":"946684800"},` +
				`{"at":946684800500,"from":"B","to":"A","client":"kiwi","origin":"B","time":"946684801"}]}`
			earlier = `{"at":946684800500,"from":"B","to":"A","origin":"B","time":"946684800"}`
			later   = `{"at":946684800500,"from":"B","to":"A","origin":"B","time":"946684801"}`
		)
		common := []event{{"notice", notice}, {"clients", clients}, {"messages", messages}}
		equal(t, "what happened", plain.next(t), common...)
		equal(t, "what happened, and the path", parse(t, <-follower.chunks), append(common, event{"path", earlier}, event{"path", later})...)

		// Each second the node's health; a node's record when it is another one.
		health := parse(t, [][]byte{appendEvent(nil, "health", s.Health())})[0]
		equal(t, "the first second", plain.next(t)[:1], health)
		for range 3 {
			equal(t, "between", plain.next(t))
		}
		equal(t, "the next second", plain.next(t), health)

		// A node that is given another topology says so.
		less, err := topology.New([]line.NodeName{"A", "B"}, [][2]line.NodeName{{"A", "B"}})
		if err != nil {
			t.Fatal(err)
		}
		s.topology.Store(less)
		equal(t, "another topology", plain.next(t), event{"hello", `{"node":"A","herd":"h","version":"1","observing":false,"why":"there is no observer",` +
			`"topology":{"nodes":[{"name":"A","x":0,"y":0},{"name":"B","x":1,"y":0}],"links":[["A","B"]],"self":"A"}}`})
		s.watch.Transfer("B", "C", []line.Report{kiwi})
		equal(t, "a link that is no more", plain.next(t))

		server.hub.leave(plain)
		server.hub.leave(follower)
		if s.watch != nil || s.subscriptions != 0 || len(server.hub.transfers.followed) != 0 {
			t.Errorf("when all have left: watched %v, %d subscriptions, %v are followed", s.watch, s.subscriptions, server.hub.transfers.followed)
		}
	})
}

// What is too much is left out, and said to be: counts stay exact.
func TestSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		server := New(Config{Source: s})
		v := newViewer("7")
		server.hub.join(v)
		defer server.hub.leave(v)
		for i := range 1200 {
			r := s.apply(t, fmt.Sprint(i), epoch)
			s.watch.Transfer("B", "A", []line.Report{r})
			s.watch.Transfer("A", "B", []line.Report{r, r})
		}
		for range maxPath {
			s.watch.Transfer("C", "B", []line.Report{report(t, "B", "7", epoch)})
		}
		for range maxNotices + 5 {
			s.watch.Notice(flood.Notice{Kind: flood.CaughtUp})
		}
		events := v.next(t)
		var names []string
		for _, e := range events {
			names = append(names, e.name)
		}
		names = slices.Compact(names)
		if want := []string{"left_out", "notice", "clients", "messages", "path"}; !slices.Equal(names, want) {
			t.Errorf("events %v, want %v", names, want)
		}
		equal(t, "the path", events[:1], event{"left_out", `{"clients":0,"reports":0,"notices":0,"path":3}`})
		if paths := len(events) - 1 - maxNotices - 2; paths != maxPath {
			t.Errorf("a path of %d", paths)
		}
		var last Notice
		decode(t, events[maxNotices], &last)
		if last.LeftOut != 5 {
			t.Errorf("%d notices left out", last.LeftOut)
		}
		var clients struct {
			LeftOut int `json:"left_out"`
			Total   int
			Clients []Client
		}
		decode(t, events[maxNotices+1], &clients)
		different := make(map[string]bool)
		for _, c := range clients.Clients {
			different[c.ID] = true
		}
		if clients.LeftOut != 700 || clients.Total != 1200 || len(clients.Clients) != 500 || len(different) != 500 {
			t.Errorf("%d clients, %d different, %d left out of %d", len(clients.Clients), len(different), clients.LeftOut, clients.Total)
		}
		var messages struct {
			LeftOut int `json:"left_out"`
			Links   []Traffic
			Reports []Transfer
		}
		decode(t, events[maxNotices+2], &messages)
		if want := []Traffic{{"A", "B", 2400}, {"B", "A", 1200}, {"C", "B", 1000}}; !slices.Equal(messages.Links, want) {
			t.Errorf("links %v", messages.Links)
		}
		if len(messages.Reports) != 200 || messages.LeftOut != 4400 {
			t.Errorf("%d reports, %d left out", len(messages.Reports), messages.LeftOut)
		}
	})
}

// Changes that there was no room for are counted once.
func TestDroppedChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		server := New(Config{Source: s})
		v := newViewer("")
		server.hub.join(v)
		defer server.hub.leave(v)
		for i := range maxChanged + 1 {
			s.apply(t, fmt.Sprint(i), epoch)
		}
		leftOut := func() int {
			t.Helper()
			var clients struct {
				LeftOut int `json:"left_out"`
			}
			events := v.next(t)
			if len(events) != 1 || events[0].name != "clients" {
				t.Fatalf("%d events", len(events))
			}
			decode(t, events[0], &clients)
			return clients.LeftOut
		}
		if n := leftOut(); n != maxChanged {
			t.Errorf("%d are left out of %d changes", n, maxChanged+1)
		}
		s.apply(t, "kiwi", epoch)
		if n := leftOut(); n != 0 {
			t.Errorf("then %d are left out of one change", n)
		}
	})
}

// A viewer that reads nothing delays no other, and is sent what it missed and a snapshot.
func TestSlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		server := New(Config{Source: s, Node: "A"})
		slow, quick := newViewer("kiwi"), newViewer("")
		server.hub.join(slow)
		server.hub.join(quick)
		defer server.hub.leave(slow)
		defer server.hub.leave(quick)
		for i := range maxChunks + 10 {
			r := s.apply(t, "kiwi", epoch+i)
			s.watch.Transfer("B", "A", []line.Report{r, r})
			s.watch.Notice(flood.Notice{Peer: "B", Kind: flood.LinkUp})
			if events := quick.next(t); len(events) < 3 {
				t.Fatalf("the quick one gets %q", events)
			}
		}
		for range maxChunks {
			if events := parse(t, <-slow.chunks); len(events) < 5 {
				t.Errorf("what waited is %q", events)
			}
		}
		s.apply(t, "kiwi", epoch+100)
		events := slow.next(t)
		equal(t, "when it reads again", events[:1], event{"left_out", `{"clients":10,"reports":20,"notices":10,"path":20}`})
		equal(t, "how everything is", events[1:4], parse(t, [][]byte{server.hub.snapshot()})...)
		if events[4].name != "clients" || len(events) != 5 {
			t.Errorf("then comes %q", events[4:])
		}
		s.apply(t, "kiwi", epoch+101)
		if events := slow.next(t); events[0].name != "clients" {
			t.Errorf("what was left out is told again: %q", events)
		}
	})
}

// Viewers that join and leave leave nothing behind. The bubble would notice a goroutine.
func TestComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, observing := newEngineSource(t), 0
		observer := NewObserver(func(ctx context.Context, s Sink) {
			observing++
			s.Ready()
			<-ctx.Done()
			observing--
		})
		server := New(Config{Source: s, Observer: observer})
		for i := range 1000 {
			v := newViewer(line.ClientID(fmt.Sprint(i % 3)))
			server.hub.join(v)
			if i%2 == 0 {
				server.hub.join(newViewer("x")) // which reads nothing yet
			}
			synctest.Wait()
			if s.watch == nil || s.subscriptions != 1 || observing != 1 {
				t.Fatalf("watched: %v, %d subscriptions, %d observe", s.watch != nil, s.subscriptions, observing)
			}
			server.hub.leave(v)
			for _, other := range server.hub.all() {
				server.hub.leave(other)
			}
			if s.watch != nil || s.subscriptions != 0 || observing != 0 {
				t.Fatalf("nobody is there: watched: %v, %d subscriptions, %d observe", s.watch != nil, s.subscriptions, observing)
			}
		}
	})
}

// While the bus is observed its messages count, else those of the node. All hubs of a process see the same.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sink Sink
		observer := NewObserver(func(ctx context.Context, s Sink) { sink = s; <-ctx.Done() })
		a, b := newEngineSource(t), newEngineSource(t)
		first, second := New(Config{Source: a, Node: "A", Observer: observer}), New(Config{Source: b, Observer: observer})
		v, w := newViewer(""), newViewer("")
		first.hub.join(v)
		second.hub.join(w)
		synctest.Wait()
		hello := func(observing bool, why string) event {
			text, _ := json.Marshal(Hello{Node: "A", Observing: observing, Why: why, Topology: first.graph.of(a.Topology(), "A")})
			return event{"hello", string(text)}
		}
		messages := func(from, to, client string) event {
			return event{"messages", fmt.Sprintf(`{"left_out":0,"links":[{"from":%q,"to":%q,"reports":1}],"reports":[{"at":%d,"from":%q,"to":%q,"client":%q,"origin":"B","time":"946684800"}]}`,
				from, to, time.Now().UnixMilli(), from, to, client)}
		}
		own := func() event {
			a.watch.Transfer("A", "B", []line.Report{report(t, "B", "own", epoch)})
			return messages("A", "B", "own")
		}
		see := func(from, to string) event {
			sink.Message(from, to, []byte("PROPAGATE "+from+" B +1 emu +1+1 1\nPROPAGATE "+from+" B +1.000000000 all +1+1 946684800\nPROPAGATE X B +1.000000000 x +1+1 1\n\xff\n"))
			return messages(from, to, "all")
		}
		want := own()
		equal(t, "not yet", v.next(t), want)
		sink.Ready()
		own()
		want = see("B", "C")
		see("C", "A") // between whom there is no link
		equal(t, "observed", v.next(t), hello(true, ""), want)
		equal(t, "observed by the other", parse(t, <-w.chunks)[1:], want)
		want = see("C", "B")
		sink.Behind(errors.New("too slow"))
		behind := event{"notice", fmt.Sprintf(`{"at":%d,"kind":"observer behind","peer":"","text":"too slow"}`, time.Now().UnixMilli())}
		equal(t, "behind", v.next(t), behind, want)
		equal(t, "behind, for the other", parse(t, <-w.chunks), behind, want)
		sink.Lost(errors.New("the bus is away"))
		want = own()
		equal(t, "lost", v.next(t)[:2], hello(false, "the bus is away"), want)
		first.hub.leave(v)
		second.hub.leave(w)
	})
}

// Whatever bytes an ID has, events are JSON that contains them all.
func TestHostileIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := []string{
			`<script>alert(1)</script>`, `"'\&`, "\x00\x01\x1b[31m\x7f", "a\xffb\xc0\xaf", "\xed\xa0\x80", "é\u2028\u2029\U0010ffff", "\ufffd",
			strings.Repeat("\xfe", line.MaxClient), strings.Repeat("\x01", line.MaxClient), "data:", ":event:",
		}
		s := newEngineSource(t)
		server := New(Config{Source: s, Open: true})
		v := newViewer("")
		server.hub.join(v)
		defer server.hub.leave(v)
		for _, id := range ids {
			s.watch.Transfer("B", "A", []line.Report{s.apply(t, id, epoch)})
		}
		events := v.next(t)
		var clients struct{ Clients []Client }
		decode(t, events[0], &clients)
		var messages struct{ Reports []Transfer }
		decode(t, events[1], &messages)
		rows := mapOf(t, server, "")
		for i, id := range ids {
			c, h := clients.Clients[i], messages.Reports[i]
			text := strings.ToValidUTF8(id, "\ufffd")
			if text == id {
				if c.ID != id || c.IDBase64 != nil || h.Client != id || h.IDBase64 != nil {
					t.Errorf("%q is told as %q %q and %q %q", id, c.ID, c.IDBase64, h.Client, h.IDBase64)
				}
			} else if string(c.IDBase64) != id || string(h.IDBase64) != id || !strings.Contains(c.ID, "\ufffd") {
				t.Errorf("%q is told as %q %q and %q", id, c.ID, c.IDBase64, h.IDBase64)
			}
			if !rows[id] {
				t.Errorf("%q is not on the map", id)
			}
		}
		if len(rows) != len(ids) {
			t.Errorf("%d clients on the map", len(rows))
		}
	})
}

// Long IDs do not make long events: what does not fit is left out.
func TestLongEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineSource(t)
		server := New(Config{Source: s})
		v := newViewer("")
		server.hub.join(v)
		defer server.hub.leave(v)
		for i := range maxClients {
			s.watch.Transfer("B", "A", []line.Report{s.apply(t, fmt.Sprint(i, strings.Repeat("\x01", 1000)), epoch)})
		}
		for _, e := range v.next(t) {
			var left struct {
				LeftOut int `json:"left_out"`
			}
			decode(t, e, &left)
			if len(e.data) < maxList || len(e.data) > maxList+maxList/16 || left.LeftOut == 0 {
				t.Errorf("%s has %d bytes and leaves %d out", e.name, len(e.data), left.LeftOut)
			}
		}
	})
}

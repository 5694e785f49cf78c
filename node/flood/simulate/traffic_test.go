package simulate

import (
	"math"
	"testing"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

// What links are said to carry is what they do: a bridge exactly as much when each report goes alone, another link no more,
// whichever way is the slowest, and as much if it is itself.
func TestCarries(t *testing.T) {
	skipRacing(t)
	const clients, seconds = 200, 60
	every := 10 * time.Second
	tail, err := topology.New([]line.NodeName{"a", "b", "c", "d", "e", "f"}, [][2]line.NodeName{ // a ring, and two behind it
		{"a", "b"}, {"b", "c"}, {"d", "c"}, {"d", "a"}, {"e", "a"}, {"e", "f"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, topo := range map[string]*topology.Topology{"campus": campus(t), "tail": tail} {
		said := Carries(topo, clients, every)
		for _, l := range topo.Links() { // which is slow
			got := carriedBy(topo, clients, seconds, every, func(w *direction) bool { return isOf(w, l) })
			for _, c := range said.Links {
				bytes := got(func(w *direction) bool { return w.from.name == c.From && w.to.name == c.To })
				bridge := c.Reports < clients/every.Seconds()
				slow := l == [2]line.NodeName{c.From, c.To} || l == [2]line.NodeName{c.To, c.From}
				if bytes > 1.03*c.Most || (bridge || slow) && bytes < 0.9*c.Most || c.Idle > c.Least || c.Least > c.Most {
					t.Errorf("%s, slow %v: %.0f bytes/s, bridge %v: %+v", name, l, bytes, bridge, c)
				}
			}
		}
		for _, u := range said.Uplinks { // which is slow
			got := carriedBy(topo, clients, seconds, every, func(w *direction) bool {
				return w.from.name == u.Node || w.to.name == u.Node
			})
			out := got(func(w *direction) bool { return w.from.name == u.Node })
			in := got(func(w *direction) bool { return w.to.name == u.Node })
			if out > 1.03*u.Out.Most || out < 0.8*u.Out.Most || in > 1.03*u.In.Most || in < 0.6*u.In.Most {
				t.Errorf("%s: slow uplink: out %.0f, in %.0f bytes/s: %+v", name, out, in, u)
			}
		}
	}
	for _, c := range Carries(tail, 60, time.Minute).Links {
		want := map[string]float64{"ea": 1. / 3, "ae": 2. / 3, "fe": 1. / 6, "ef": 5. / 6}[string(c.From+c.To)]
		if want == 0 {
			want = 1
		}
		if math.Abs(c.Reports-want) > 1e-9 {
			t.Errorf("%s→%s carries %v reports a second, want %v", c.From, c.To, c.Reports, want)
		}
	}
}

// A link with every carries each client's reports that much less often, and so does the uplink.
func TestCarriesEvery(t *testing.T) {
	skipRacing(t)
	const clients, often, every = 200, 10 * time.Second, 30 * time.Second
	said := Carries(paced(t, every), clients, often)
	h := newHerd(1, settings{topology: paced(t, every), delay: 5 * time.Millisecond, records: true})
	h.start()
	h.run(warmUp)
	run := func(windows int) {
		for i := range windows * int(every/often) * clients {
			n := h.nodes[i%len(h.nodes)]
			c := typical(i%clients, n.wall())
			n.report(&c)
			h.run(h.now + often/clients)
		}
	}
	run(1) // in which every client is new to the other end
	for _, w := range h.directions {
		w.carried = segments{}
	}
	const windows = 4
	run(windows)
	for d, want := range map[string]float64{"HolidayWelsh": clients * 4 / 5 / every.Seconds(), "WelshHoliday": clients / 5 / every.Seconds()} {
		for _, l := range said.Links {
			if string(l.From+l.To) != d {
				continue
			}
			w := h.direction(h.named(l.From).index, h.named(l.To).index)
			bytes := w.sent(h.direction(w.to.index, w.from.index)) / (windows * every).Seconds()
			if math.Abs(l.Reports-want) > 1e-9 || l.Every != every.Seconds() || bytes < 0.95*l.Least || bytes > 1.05*l.Most {
				t.Errorf("%s carries %.0f bytes/s, said is %+v, want %f reports/s", d, bytes, l, want)
			}
		}
	}
	for _, u := range said.Uplinks {
		out, in := 0., 0.
		for _, w := range h.directions {
			bytes := w.sent(h.direction(w.to.index, w.from.index)) / (windows * every).Seconds()
			if w.from.name == u.Node {
				out += bytes
			} else if w.to.name == u.Node {
				in += bytes
			}
		}
		if out > 1.03*u.Out.Most || in > 1.03*u.In.Most {
			t.Errorf("out %.0f, in %.0f bytes/s: %+v", out, in, u)
		}
		for _, l := range said.Links {
			if u.Node == "Welsh" && (l.From == "Welsh" && math.Abs(u.Out.Most-l.Most-pings) > 1 || l.To == "Welsh" && math.Abs(u.In.Most-l.Most-pings) > 1) {
				t.Errorf("the uplink of Welsh %+v, its link %+v", u, l)
			}
		}
	}
}

func isOf(w *direction, l [2]line.NodeName) bool {
	return l == [2]line.NodeName{w.from.name, w.to.name} || l == [2]line.NodeName{w.to.name, w.from.name}
}

// carriedBy runs a herd in which some directions are slow, and returns what sums the bytes a second of directions.
func carriedBy(
	topo *topology.Topology, clients, seconds int, every time.Duration, slow func(*direction) bool,
) func(of func(*direction) bool) float64 {
	h := newHerd(1, settings{topology: topo, delay: 5 * time.Millisecond, records: true})
	for _, w := range h.directions {
		if slow(w) {
			w.delay = 400 * time.Millisecond
		}
	}
	h.start()
	h.run(warmUp)
	for _, w := range h.directions {
		w.carried = segments{}
	}
	for i := range clients * seconds * int(time.Second) / int(every) {
		n := h.nodes[i%len(h.nodes)]
		c := typical(i%clients, n.wall())
		n.report(&c)
		h.run(h.now + every/time.Duration(clients))
	}
	return func(of func(*direction) bool) (sum float64) {
		for _, w := range h.directions {
			if of(w) {
				sum += w.sent(h.direction(w.to.index, w.from.index)) / float64(seconds)
			}
		}
		return sum
	}
}

// A message takes the header of each segment, and in the other direction an acknowledgement of every other one.
func TestSegments(t *testing.T) {
	var there, back direction
	for _, size := range []int{100, 1448, 1449, 5000} {
		there.carried.add(size)
	}
	back.carried.add(10)
	if there.carried != (segments{7997, 8, 5}) || there.sent(&back) != 7997+52*(8+1) || back.sent(&there) != 10+52*(1+5) {
		t.Errorf("%+v takes %v there and %v back", there.carried, there.sent(&back), back.sent(&there))
	}
}

package simulate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"herd/node/flood"
	"herd/node/line"
	"herd/node/topology"
)

// Traffic is what links carry, in bytes a second with the headers of TCP and IP.
type Traffic struct {
	Links   []LinkTraffic   `json:"links"`   // the direction from the first node of each link, and then the other
	Uplinks []UplinkTraffic `json:"uplinks"` // of each node
}

// LinkTraffic is what one direction of a link carries.
type LinkTraffic struct {
	From    line.NodeName `json:"from"`
	To      line.NodeName `json:"to"`
	Reports float64       `json:"reports"`
	Every   float64       `json:"every,omitempty"` // seconds in which one report of a client is sent at most
	Idle    float64       `json:"idle"`            // without any report: heartbeats with the records of all nodes
	Span
}

// UplinkTraffic is what a node's connection carries: all its links together, and NATS's pings.
type UplinkTraffic struct {
	Node line.NodeName `json:"node"`
	Out  Span          `json:"out"`
	In   Span          `json:"in"`
}

// Span is between least, when so much waits that messages are full, and most, when each report is sent at once, in a message of
// its own.
type Span struct {
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

func (s Span) plus(o Span) Span { return Span{s.Least + o.Least, s.Most + o.Most} }

func (s Span) round() Span { return Span{math.Round(s.Least), math.Round(s.Most)} }

const (
	segment  = 1448           // bytes of NATS's in a segment of TCP, at most
	header   = 52             // bytes of IPv4, and of TCP with timestamps: of a segment, and of an acknowledgement of two of a message
	pings    = 2*header + 6.0 // bytes a second each way on a connection, of PING and PONG and their acknowledgements
	observed = 10 * time.Second
)

// Carries returns what links carry if clients, as many at each node, report every so often. It runs herds to see what heartbeats
// and reports take.
//
// A bridge carries each way what was reported behind it. Any other link may carry every report both ways: where it is the slowest
// way, both of its nodes have a report from others before they could have it from each other. But a node never sends a report to
// the neighbour that was the first to send it, and of those to which it was the first to send one, one at least does not send it
// back. A direction with every carries no more than one report of a client in that time.
func Carries(t *topology.Topology, clients int, every time.Duration) Traffic {
	reports := float64(clients) / every.Seconds()
	idle, alone, full := idleTraffic(t), perReport(t, 1), perReport(t, flood.MaxReports)
	span := func(there, back float64) Span { // of so many reports a second there and back
		return Span{there*full.there + back*full.back, there*alone.there + back*alone.back}
	}
	behind := behindBridges(t)
	part := func(from, to line.NodeName) float64 { // of the reports, that every lets pass
		return every.Seconds() / max(t.Every(from, to), every).Seconds()
	}
	var all Traffic
	for _, l := range t.Links() {
		for _, d := range [][2]line.NodeName{l, {l[1], l[0]}} {
			there, back := reports, reports
			if share, bridge := behind[d]; bridge {
				there, back = reports*share, reports*(1-share)
			}
			there, back = there*part(d[0], d[1]), back*part(d[1], d[0])
			s := span(there, back).plus(Span{idle[d], idle[d]})
			all.Links = append(all.Links, LinkTraffic{d[0], d[1], there, t.Every(d[0], d[1]).Seconds(), math.Round(idle[d]), s.round()})
		}
	}
	for _, n := range t.Nodes() {
		u := UplinkTraffic{n, Span{pings, pings}, Span{pings, pings}}
		own := 1 / float64(len(t.Nodes())) // share of the reports that come from the node, or over its bridges
		bridges, out, in := 0, 1., 1.      // out, in: the least part of the reports that a link lets pass that is no bridge
		for _, l := range all.Links {
			share, bridge := behind[[2]line.NodeName{l.From, l.To}]
			switch n {
			case l.From:
				u.Out = u.Out.plus(l.Span)
				if !bridge {
					out = min(out, part(n, l.To))
				}
			case l.To:
				u.In = u.In.plus(l.Span)
				if bridge {
					own, bridges = own+share, bridges+1
				} else {
					in = min(in, part(l.From, n))
				}
			}
		}
		if len(t.Neighbours(n)) > bridges {
			u.Out = u.Out.plus(span(-reports*(1-own)*out, -reports*own*in)).round()
			u.In = u.In.plus(span(-reports*own*in, -reports*(1-own)*out)).round()
		}
		all.Uplinks = append(all.Uplinks, u)
	}
	return all
}

// behindBridges returns, for each direction of a bridge, the share of nodes that it leads away from.
func behindBridges(t *topology.Topology) map[[2]line.NodeName]float64 {
	behind := make(map[[2]line.NodeName]float64)
	bridges, _ := t.Weak()
	for _, b := range bridges {
		a, z := b.Link[0], b.Link[1]
		if slices.Contains(b.CutOff, z) {
			a, z = z, a
		}
		share := float64(len(b.CutOff)) / float64(len(t.Nodes()))
		behind[[2]line.NodeName{a, z}], behind[[2]line.NodeName{z, a}] = share, 1-share
	}
	return behind
}

// segments counts the bytes, segments and acknowledgements by TCP of messages.
type segments struct{ bytes, segments, acks int }

func (s *segments) add(size int) {
	n := (size + segment - 1) / segment
	s.bytes, s.segments, s.acks = s.bytes+size, s.segments+n, s.acks+(n+1)/2
}

// sent returns all bytes of the direction, with headers and acknowledgements of what the other one carries.
func (w *direction) sent(back *direction) float64 {
	return float64(w.carried.bytes + header*(w.carried.segments+back.carried.acks))
}

// idleTraffic runs an idle herd, and returns the bytes of each direction in a second.
func idleTraffic(t *topology.Topology) map[[2]line.NodeName]float64 {
	h := newHerd(1, settings{topology: t, delay: 10 * time.Millisecond, records: true, apart: true})
	for _, n := range h.nodes {
		n.start()
	}
	h.run(warmUp)
	for _, w := range h.directions {
		w.carried = segments{}
	}
	h.run(h.now + observed)
	all := make(map[[2]line.NodeName]float64)
	for _, w := range h.directions {
		all[[2]line.NodeName{w.from.name, w.to.name}] = w.sent(h.direction(w.to.index, w.from.index)) / observed.Seconds()
	}
	return all
}

// cost is the bytes that a report takes in the direction in which it is sent, and back.
type cost struct{ there, back float64 }

// perReport runs two nodes, with names as long as the longest of a topology, and has so many clients report at a time at one of
// them.
func perReport(t *topology.Topology, batch int) cost {
	longest := 0
	for _, n := range t.Nodes() {
		longest = max(longest, len(n))
	}
	begin := line.NodeName(strings.Repeat("x", longest-1))
	names := []line.NodeName{begin + "A", begin + "B"}
	two, err := topology.New(names, [][2]line.NodeName{{names[0], names[1]}})
	if err != nil {
		panic(err) // a name of a topology may be of any of these letters
	}
	h := newHerd(1, settings{topology: two, delay: 10 * time.Millisecond})
	n := h.nodes[0]
	for _, each := range h.nodes {
		each.start()
	}
	there, back := h.direction(0, 1), h.direction(1, 0)
	watch := func(each func()) (float64, float64) {
		there.carried, back.carried = segments{}, segments{}
		for end := h.now + observed; h.now < end; h.run(h.now + 100*time.Millisecond) {
			each()
		}
		return there.sent(back), back.sent(there)
	}
	h.run(warmUp)
	idleThere, idleBack := watch(func() {})
	reports := 0
	busyThere, busyBack := watch(func() {
		for range batch { // before the first of them is sent
			at := n.wall()
			c := typical(reports%1000, at)
			n.engine.Apply(line.NewReport(n.name, at.UnixNano(), &c), flood.Local)
			reports++
		}
		n.pumpWoken()
	})
	return cost{(busyThere - idleThere) / float64(reports), (busyBack - idleBack) / float64(reports)}
}

// typical returns what a client reports at a time.
func typical(client int, at time.Time) line.Command {
	return line.Parse(fmt.Appendf(nil, "IAMAT vehicle%04d.example +34.068930-118.445127 %d.%09d", client, at.Unix(), at.Nanosecond()))
}

//go:build page

package page_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// cities are where the clients of the pictures are: name, degrees, and the server that is nearest.
var cities = []struct {
	name     string
	lat, lon float64
	server   string
}{
	{"losangeles", 34.05, -118.24, "Goloman"},
	{"seattle", 47.61, -122.33, "Goloman"},
	{"denver", 39.74, -104.98, "Goloman"},
	{"mexico", 19.43, -99.13, "Goloman"},
	{"honolulu", 21.31, -157.86, "Goloman"},
	{"anchorage", 61.22, -149.9, "Goloman"},
	{"houston", 29.76, -95.37, "Goloman"},
	{"newyork", 40.71, -74.01, "Hands"},
	{"toronto", 43.65, -79.38, "Hands"},
	{"miami", 25.76, -80.19, "Hands"},
	{"bogota", 4.71, -74.07, "Hands"},
	{"saopaulo", -23.55, -46.63, "Hands"},
	{"buenosaires", -34.6, -58.38, "Hands"},
	{"lima", -12.05, -77.04, "Hands"},
	{"santiago", -33.45, -70.67, "Hands"},
	{"recife", -8.05, -34.9, "Hands"},
	{"london", 51.51, -0.13, "Holiday"},
	{"madrid", 40.42, -3.7, "Holiday"},
	{"berlin", 52.52, 13.4, "Holiday"},
	{"rome", 41.9, 12.5, "Holiday"},
	{"stockholm", 59.33, 18.07, "Holiday"},
	{"moscow", 55.76, 37.62, "Holiday"},
	{"istanbul", 41.01, 28.98, "Holiday"},
	{"warsaw", 52.23, 21.01, "Holiday"},
	{"reykjavik", 64.15, -21.94, "Holiday"},
	{"lagos", 6.52, 3.38, "Welsh"},
	{"cairo", 30.04, 31.24, "Welsh"},
	{"nairobi", -1.29, 36.82, "Welsh"},
	{"johannesburg", -26.2, 28.05, "Welsh"},
	{"capetown", -33.92, 18.42, "Welsh"},
	{"dakar", 14.72, -17.47, "Welsh"},
	{"casablanca", 33.57, -7.59, "Welsh"},
	{"dubai", 25.2, 55.27, "Welsh"},
	{"mumbai", 19.08, 72.88, "Welsh"},
	{"delhi", 28.61, 77.21, "Welsh"},
	{"tokyo", 35.68, 139.69, "Wilkes"},
	{"seoul", 37.57, 126.98, "Wilkes"},
	{"shanghai", 31.23, 121.47, "Wilkes"},
	{"hongkong", 22.32, 114.17, "Wilkes"},
	{"singapore", 1.35, 103.82, "Wilkes"},
	{"jakarta", -6.21, 106.85, "Wilkes"},
	{"manila", 14.6, 120.98, "Wilkes"},
	{"sydney", -33.87, 151.21, "Wilkes"},
	{"perth", -31.95, 115.86, "Wilkes"},
	{"auckland", -36.85, 174.76, "Wilkes"},
	{"beijing", 39.9, 116.41, "Wilkes"},
}

// traveller is a client of the pictures: near a city, or on the way from one to another.
type traveller struct {
	id       string
	server   string
	lat, lon float64
	to       int // a city, or -1: it stays about where it is
	step     float64
}

// travellers are so many, of whom one in four goes far. They are always the same.
func newTravellers(n int) []traveller {
	random := rand.New(rand.NewPCG(7, 7))
	kinds := []string{"truck", "van", "bike", "tram", "drone", "buoy"}
	list := make([]traveller, n)
	for i := range list {
		c := cities[i%len(cities)]
		t := traveller{server: c.server, to: -1, step: 0.12}
		spread := 1.6
		kind := kinds[random.IntN(len(kinds))]
		if i%4 == 0 {
			t.to, t.step, spread = random.IntN(len(cities)), 0.5+0.7*random.Float64(), 0.5
			for t.to == i%len(cities) {
				t.to = random.IntN(len(cities))
			}
			kind = "flight"
			f := random.Float64() * 0.8 // of its way is behind it
			c.lat += f * (cities[t.to].lat - c.lat)
			c.lon += f * (cities[t.to].lon - c.lon)
		}
		t.lat, t.lon = c.lat+spread*random.NormFloat64(), c.lon+spread*random.NormFloat64()
		t.id = fmt.Sprintf("%s-%d.%s.example", kind, 100+i, c.name)
		list[i] = t
	}
	return list
}

// move takes a traveller a step on.
func (t *traveller) move() {
	if t.to < 0 {
		t.lat += t.step * rand.NormFloat64()
		t.lon += t.step * rand.NormFloat64()
	} else {
		dlat, dlon := cities[t.to].lat-t.lat, cities[t.to].lon-t.lon
		if far := math.Hypot(dlat, dlon); far < 2*t.step {
			t.to = rand.IntN(len(cities))
		} else {
			t.lat += dlat / far * t.step
			t.lon += dlon / far * t.step
		}
	}
	t.lat, t.lon = min(84, max(-84, t.lat)), min(179.9, max(-179.9, t.lon))
}

// travellers report at their servers.
type travellers struct {
	herd    *herd
	all     []traveller
	devices map[string]*device
	next    int
}

func (h *herd) travellers(n int) *travellers {
	c := &travellers{herd: h, all: newTravellers(n), devices: make(map[string]*device)}
	for i := range c.all {
		if h.nodes[c.all[i].server] == nil { // in another topology
			c.all[i].server = string(h.topology.Nodes()[i%len(h.nodes)])
		}
	}
	for name := range h.nodes {
		c.devices[name] = h.device(name)
	}
	c.report(n)
	return c
}

// report has the next so many travellers report, and waits for the replies.
func (c *travellers) report(n int) {
	lines := make(map[string]*strings.Builder)
	counts := make(map[string]int)
	for range n {
		t := &c.all[c.next%len(c.all)]
		c.next++
		t.move()
		if lines[t.server] == nil {
			lines[t.server] = new(strings.Builder)
		}
		fmt.Fprintf(lines[t.server], "IAMAT %s %+.6f%+.6f %s\n", t.id, t.lat, t.lon, stamp(time.Now()))
		counts[t.server]++
	}
	for server, text := range lines {
		d := c.devices[server]
		if _, err := d.Write([]byte(text.String())); err != nil {
			c.herd.Fatal(err)
		}
		for range 2 * counts[server] {
			if _, err := d.replies.ReadString('\n'); err != nil {
				c.herd.Fatal(err)
			}
		}
	}
}

// move has travellers report, so many ten times a second, for a time.
func (c *travellers) move(n int, d time.Duration) {
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-ticks.C
		c.report(n)
	}
}

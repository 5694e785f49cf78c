package bench

import "math/rand/v2"

const (
	maxLat   = 84_000_000 // of a place, in millionths of a degree: Redis takes none beyond 85.05
	maxLon   = 179_000_000
	maxStart = 65_000_000 // |latitude| where a client starts
	stride   = 2000       // a step is at most so long, north or south and east or west: 200 m
	maxNamed = 1e7        // clients, by the digits of their numbers
)

// walkers are the clients that report over one connection, and no other.
type walkers struct {
	rng    *rand.Rand
	first  int // number of the first
	places [][2]int32
	clock  int64  // of their last request
	name   []byte // prefix and seven digits, those of the last
}

func newWalkers(prefix string, seed uint64, first, count int) *walkers {
	w := &walkers{rng: rand.New(rand.NewPCG(seed, uint64(first))), first: first, places: make([][2]int32, count)}
	w.name = append([]byte(prefix), "0000000"...)
	for i := range w.places {
		w.places[i] = [2]int32{w.within(maxStart), w.within(maxLon)}
	}
	return w
}

// within returns a number from -limit to limit.
func (w *walkers) within(limit int32) int32 { return w.rng.Int32N(2*limit+1) - limit }

// request has one of the clients move and report at a time, or returns a WHATSAT for it.
func (w *walkers) request(i int, whatsAt bool, nanos int64, r *Request) {
	at := &w.places[i]
	if !whatsAt {
		at[0] = step(at[0], w.within(stride), maxLat)
		at[1] = step(at[1], w.within(stride), maxLon)
	}
	w.clock = max(w.clock+1, nanos)
	for n, j := w.first+i, len(w.name)-1; j >= len(w.name)-7; n, j = n/10, j-1 {
		w.name[j] = byte('0' + n%10)
	}
	*r = Request{WhatsAt: whatsAt, Client: w.name, Lat: at[0], Lon: at[1], Nanos: w.clock}
}

// step moves by so much, or the other way where the world ends.
func step(at, by, limit int32) int32 {
	if to := at + by; -limit <= to && to <= limit {
		return to
	}
	return at - by
}

package flood

import (
	"hash/maphash"

	"herd/node/line"
)

// seed makes the hashes of client IDs unpredictable to clients, who choose their IDs.
var seed = maphash.MakeSeed()

func hash(id line.ClientID) uint64 { return maphash.String(seed, string(id)) }

// index finds the place of a client's report in a slice by the hash of the client's ID: open addressing with linear
// probing, and deletion by moving back what follows (Knuth, The Art of Computer Programming, vol. 3, section 6.4,
// algorithms L and R). The zero index is empty.
//
// It is not a Go map for speed: a map hashes an ID anew for the registry and for each queue, is looked up twice to replace
// a value, and touches one more cache line each time.
type index struct {
	slots []slot // none, or a power of two of them, of which at most three quarters are in use
	used  int    // clients
}

// slot belongs to the client at place−1, whose hash has these low bits. It is free if place is 0.
type slot struct{ hash, place uint32 }

const minSlots = 8

// find returns the place of the client in reports, or −1.
func (x *index) find(h uint64, id line.ClientID, reports []line.Report) int {
	if len(x.slots) == 0 {
		return -1
	}
	mask := len(x.slots) - 1
	for at := int(uint32(h)) & mask; ; at = (at + 1) & mask {
		s := x.slots[at]
		if s.place == 0 {
			return -1
		}
		if s.hash == uint32(h) && reports[s.place-1].Client() == id {
			return int(s.place) - 1
		}
	}
}

// home returns the slot where the search for a hash begins. The index must not be empty.
func (x *index) home(h uint64) *slot { return &x.slots[int(uint32(h))&(len(x.slots)-1)] }

// guess returns the place of the first client whose hash has the same low bits, who may be another one, or −1.
func (x *index) guess(h uint64) int {
	if len(x.slots) == 0 {
		return -1
	}
	mask := len(x.slots) - 1
	for at := int(uint32(h)) & mask; ; at = (at + 1) & mask {
		if s := x.slots[at]; s.place == 0 || s.hash == uint32(h) {
			return int(s.place) - 1
		}
	}
}

// add adds a client that is not in the index.
func (x *index) add(h uint64, place int) {
	if (x.used+1)*4 > len(x.slots)*3 {
		x.grow()
	}
	x.slots[x.free(uint32(h))] = slot{uint32(h), uint32(place) + 1}
	x.used++
}

// free returns the slot for a hash that is not in the index.
func (x *index) free(h uint32) int {
	mask := len(x.slots) - 1
	at := int(h) & mask
	for x.slots[at].place != 0 {
		at = (at + 1) & mask
	}
	return at
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]slot, max(2*len(old), minSlots))
	for _, s := range old {
		if s.place != 0 {
			x.slots[x.free(s.hash)] = s
		}
	}
}

// remove removes the client at place, and moves back those that would no longer be found behind its slot.
func (x *index) remove(h uint64, place int) {
	mask := len(x.slots) - 1
	at := int(uint32(h)) & mask
	for x.slots[at].place != uint32(place)+1 {
		at = (at + 1) & mask
	}
	x.used--
	for next := at; ; {
		next = (next + 1) & mask
		s := x.slots[next]
		if s.place == 0 {
			x.slots[at] = slot{}
			return
		}
		home := int(s.hash) & mask
		if (next-home)&mask >= (next-at)&mask {
			x.slots[at] = s
			at = next
		}
	}
}

// clear empties the index, and releases its memory if that is more than so many clients need.
func (x *index) clear(clients int) {
	switch {
	case len(x.slots) > 2*clients:
		x.slots = nil
	case x.used > 0:
		clear(x.slots)
	}
	x.used = 0
}

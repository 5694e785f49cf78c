package simulate

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"herd/node/line"
	"herd/node/topology"
)

// What a node received while it was cut off and then wrote to its disk and started again, only a sync finds. For clients whose IDs have one
// hash, so that the tree does not divide them, that takes no more than one and a half times as long as for as many others.
func TestCollidingIDs(t *testing.T) {
	skipRacing(t)
	pair, err := topology.New([]line.NodeName{"A", "B"}, [][2]line.NodeName{{"A", "B"}})
	if err != nil {
		t.Fatal(err)
	}
	const most = 120_000
	colliding := collidingIDs(most)
	for _, id := range colliding {
		if xxhash.Sum64String(string(id)) != xxhash.Sum64String(string(colliding[0])) {
			t.Fatalf("%q has another hash than %q", id, colliding[0])
		}
	}
	for _, tt := range []struct{ clients, stale int }{{10, 10}, {300, 300}, {300, 3}, {10_000, 10_000}, {10_000, 100}, {most, most}, {most, most / 100}} {
		if testing.Short() && tt.clients > 10_000 {
			continue
		}
		ordinary := make([]line.ClientID, tt.clients)
		for i := range ordinary {
			ordinary[i] = line.ClientID(fmt.Sprintf("client-with-an-id-of-as-many-bytes-as-one-that-collides-%08d", i))
		}
		var took [2]time.Duration
		var bytes [2]uint64
		for i, ids := range [][]line.ClientID{ordinary, colliding[:tt.clients]} {
			h := newHerd(1, settings{topology: pair, delay: 5 * time.Millisecond})
			a := h.nodes[0]
			a.storage = newDisk(h, time.Millisecond)
			h.start()
			h.run(3 * time.Second)
			report := func(ids []line.ClientID) {
				for _, id := range ids {
					c := line.Parse(fmt.Appendf(nil, "IAMAT %s +1.0-1.0 %d", id, a.wall().Unix()))
					if r, admitted := a.report(&c); !admitted {
						t.Fatalf("%q is not admitted", r)
					}
				}
			}
			report(ids)
			if _, equal := h.converge(20*time.Millisecond, time.Minute); !equal {
				t.Fatal("not equal before")
			}
			h.run(h.now + 3*time.Second)
			for _, w := range h.directions {
				w.cut = true
			}
			report(ids[:tt.stale])
			h.run(h.now + 3*time.Second)
			a.crash()
			for _, w := range h.directions {
				w.cut = false
			}
			before := h.counts.syncBytes
			a.start()
			equal := false
			if took[i], equal = h.converge(20*time.Millisecond, time.Minute); !equal {
				t.Fatalf("%d clients, %d stale: not equal after %s", tt.clients, tt.stale, took[i])
			}
			bytes[i] = h.counts.syncBytes - before
		}
		t.Logf("%d clients, %d stale: ordinary IDs %s, %d bytes of the sync; colliding ones %s, %d bytes", tt.clients, tt.stale, took[0], bytes[0], took[1], bytes[1])
		if float64(took[1]) > 1.5*float64(took[0]) {
			t.Errorf("%d clients, %d stale: %s, as many others %s", tt.clients, tt.stale, took[1], took[0])
		}
	}
}

// The constants of xxHash64 (Yann Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
)

// collidingIDs returns so many different client IDs of 64 printable bytes that have one xxHash64, as anybody can make them: the hash reads
// eight bytes of every 32 into one of four sums, and what the first eight of an ID change in its sum, the first eight of its second half
// can take back.
func collidingIDs(n int) []line.ClientID {
	rng := rand.New(rand.NewPCG(1, 1))
	start := prime1
	start += prime2 // which overflows, and must not as a constant
	first := func(half uint64) uint64 { return bits.RotateLeft64(start+half*prime2, 31) * prime1 }
	inverse := prime2 // of prime2 modulo 2⁶⁴, by Newton's iteration
	for range 6 {
		inverse *= 2 - prime2*inverse
	}
	id := make([]byte, 64)
	for at := 0; at < len(id); at += 8 {
		copy(id[at:], "collides")
	}
	target := first(binary.LittleEndian.Uint64(id)) + binary.LittleEndian.Uint64(id[32:])*prime2
	seen := make(map[line.ClientID]bool)
	var ids []line.ClientID
	for len(ids) < n {
		half := rng.Uint64()&0x3F3F3F3F3F3F3F3F + 0x2121212121212121 // eight bytes from '!' to '`'
		other := (target - first(half)) * inverse
		if !isPrintable(other) {
			continue
		}
		binary.LittleEndian.PutUint64(id, half)
		binary.LittleEndian.PutUint64(id[32:], other)
		if c := line.ClientID(id); !seen[c] {
			seen[c] = true
			ids = append(ids, c)
		}
	}
	return ids
}

func isPrintable(eight uint64) bool {
	for range 8 {
		if b := byte(eight); b < '!' || b > '~' {
			return false
		}
		eight >>= 8
	}
	return true
}

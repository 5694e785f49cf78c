package process

import (
	"slices"
	"testing"
)

// Memory is given back soon after a burst, again while that brings something, and then less and less often.
func TestLean(t *testing.T) {
	const mega = 1 << 20
	var held, live, collections uint64
	l := lean{pause: leanLeast, look: func() (uint64, uint64) { return held * mega, collections }, free: func() {
		held = live
		collections++
	}}
	var freed []int
	step := 0
	steps := func(n int) {
		for range n {
			before := collections
			l.step()
			if step++; collections > before {
				freed = append(freed, step)
			}
		}
	}
	check := func(what string, want ...int) {
		t.Helper()
		if !slices.Equal(freed, want) {
			t.Errorf("%s: given back in steps %v, want %v", what, freed, want)
		}
		freed = nil
	}
	held, live = 60, 40
	steps(100)
	check("from the start", 2, 4, 8, 16, 28, 40, 52, 64, 76, 88, 100)
	for range 10 { // a burst
		held, live = held+20, live+20
		collections += leanBusy + 1
		steps(1)
	}
	check("in a burst")
	steps(1)
	check("it does not go on", 111)
	live = 40 // its clients are gone
	steps(12)
	check("it is over", 115, 117, 121)
}

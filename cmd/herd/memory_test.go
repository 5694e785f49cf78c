package main

import (
	"slices"
	"testing"
)

// Memory is given back once after each growth, when it is over.
func TestLean(t *testing.T) {
	const mega = 1 << 20
	var held, collections uint64
	var freed []int
	step := 0
	l := lean{look: func() (uint64, uint64) { return held, collections }, free: func() {
		freed = append(freed, step)
		held -= held / 4
		collections++
	}}
	for _, s := range []struct{ held, collections uint64 }{
		{40, 1},  // it has begun: 30 are left
		{30, 0},  // nothing new
		{43, 0},  // less than a fifth and the slack
		{100, 9}, // a burst
		{200, 9},
		{200, 2}, // it is over: 150 are left
		{150, 0},
		{80, 1}, // less: what is held by now is what the next growth is measured by
		{110, 1},
		{90, 0},
	} {
		held = s.held * mega
		collections += s.collections
		l.step()
		step++
	}
	if want := []int{0, 5, 8}; !slices.Equal(freed, want) {
		t.Errorf("given back in steps %v, want %v", freed, want)
	}
}

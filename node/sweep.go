package node

import (
	"herd/node/flood"
	"herd/node/store"
)

// How much of what is on disk may be superseded before a sweep begins, and how much of the registry a round writes for it: as much as of
// what is new, but
const (
	sweepSlack = 64 << 20 // bytes, beside twice what is known
	sweepPace  = 1 << 20  // bytes, at least
)

// sweep keeps the log of rounds short: it writes all that is known anew, part after part of the registry along with the rounds, and
// then has the rounds dropped that were written before it began. Whatever was in them is in the registry, or in a round since.
//
// The disk's goroutine owns it.
type sweep struct {
	registry *flood.Registry
	store    *store.Store

	handed int    // bytes of the next round that the store was given
	part   int    // of the registry, to be written next; flood.Shards: no sweep is under way
	first  uint64 // round since it began
	logged int64  // bytes of rounds on disk, or
	since  int64  // of those written since it began, and
	swept  int64  // of the registry among them
	known  int64  // bytes of the registry, when it was last written
}

func (s *sweep) running() bool { return s.part < flood.Shards }

// due reports whether the log of rounds has become too long.
func (s *sweep) due() bool { return !s.running() && s.logged > 2*s.known+sweepSlack }

// begin begins a sweep, or begins it anew.
func (s *sweep) begin() { s.part, s.first, s.since, s.swept = 0, s.store.Next(), 0, 0 }

// add has the store take the beginning of a round.
func (s *sweep) add(text []byte) error {
	s.logged, s.since, s.handed = s.logged+int64(len(text)), s.since+int64(len(text)), s.handed+len(text)
	return s.store.Append(text)
}

// write writes the rest of a round, and with it what the sweep under way is to write next. It returns the memory of text.
func (s *sweep) write(text []byte) ([]byte, error) {
	round, sweeping := len(text), s.running()
	pace := max(round+s.handed, sweepPace)
	s.handed = 0
	for s.running() && len(text)-round < pace {
		text = s.registry.AppendShard(text, s.part)
		s.part++
	}
	s.logged, s.since, s.swept = s.logged+int64(len(text)), s.since+int64(len(text)), s.swept+int64(len(text)-round)
	if err := s.store.Write(text); err != nil || s.running() || !sweeping {
		return text, err
	}
	s.logged, s.known = s.since, s.swept
	return text, s.store.Drop(s.first)
}

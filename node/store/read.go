package store

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"herd/node/line"
)

// Written ranges over all reports that were written and not dropped, older ones of the same clients as well, and ends with an error if
// there is one. A report shares its memory with others of its batch.
func (s *Store) Written() iter.Seq2[line.Report, error] {
	return func(yield func(line.Report, error) bool) {
		err := s.use(func(e *engine) error {
			return e.scan(func(key, value []byte) error { return reports(key, value, yield) })
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(line.Report{}, err)
		}
	}
}

var errEnough = errors.New("the caller stopped")

// reports visits the reports of one batch.
func reports(key, value []byte, yield func(line.Report, error) bool) error {
	for text := range strings.Lines(string(value)) {
		one, whole := strings.CutSuffix(text, "\n")
		r, err := line.ParseReport(one)
		if err != nil || !whole || !strings.HasPrefix(string(key), batchPrefix) {
			return fmt.Errorf("%w: what it has under %q is not a report: %.100q", errDamaged, key, text)
		}
		if !yield(r, nil) {
			return errEnough
		}
	}
	return nil
}

// All ranges over the greatest report of each client, in the order of their IDs, and ends with an error if there is one.
func (s *Store) All() iter.Seq2[line.Report, error] {
	return func(yield func(line.Report, error) bool) {
		held := make(map[line.ClientID]line.Report)
		for r, err := range s.Written() {
			if err != nil {
				yield(r, err)
				return
			}
			if old, known := held[r.Client()]; !known || r.Compare(old) > 0 {
				r = r.Clone()
				held[r.Client()] = r
			}
		}
		for _, client := range slices.Sorted(maps.Keys(held)) {
			if !yield(held[client], nil) {
				return
			}
		}
	}
}

// Merge writes those reports that are greater than all there is of the same client, and returns how many there were. The others are
// deleted from the map. After an error some may have been written.
func (s *Store) Merge(greatest map[line.ClientID]line.Report) (written int, err error) {
	for r, err := range s.Written() {
		if err != nil {
			return 0, err
		}
		if own, given := greatest[r.Client()]; given && own.Compare(r) <= 0 {
			delete(greatest, r.Client())
		}
	}
	var text []byte
	for _, client := range slices.Sorted(maps.Keys(greatest)) {
		if text = append(append(text, greatest[client].String()...), '\n'); len(text) >= memTable/piecesPerTable {
			if err := s.Append(text); err != nil {
				return 0, err
			}
			text = text[:0]
		}
	}
	return len(greatest), s.Write(text)
}

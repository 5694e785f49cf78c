package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"herd/node/line"
)

// All keys begin with a blank.
const (
	identityKey = " identity" // whose value says whose store this is
	batchPrefix = " r"        // before the number of a batch, 8 bytes, the most significant first
	batchesEnd  = " s"
)

func batchKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(batchPrefix), number)
}

// findNextBatch finds the number of the next batch.
func (e *engine) findNextBatch() error {
	all, err := e.NewIter(&pebble.IterOptions{LowerBound: []byte(batchPrefix), UpperBound: []byte(batchesEnd)})
	if err != nil {
		return err
	}
	e.nextBatch = 0
	if all.Last() {
		if len(all.Key()) != len(batchKey(0)) {
			err = fmt.Errorf("%w: a batch has the number %q", errDamaged, all.Key()[len(batchPrefix):])
		} else {
			e.nextBatch = binary.BigEndian.Uint64(all.Key()[len(batchPrefix):]) + 1
		}
	}
	return errors.Join(err, all.Close())
}

// Write writes the texts of reports, each with an LF after it, and syncs them and all that was appended. When it returns nil they are there; before,
// or after an error, the first of them may be. Of each client the greatest of all that was written counts, whatever the order.
func (s *Store) Write(text []byte) error {
	return s.use(func(e *engine) error { return e.write(text, true) })
}

// Append writes texts as Write does, but does not sync them.
func (s *Store) Append(text []byte) error {
	return s.use(func(e *engine) error { return e.write(text, false) })
}

// write syncs once, with the last piece: a log is synced from its beginning.
func (e *engine) write(text []byte, sync bool) error {
	b := e.NewBatch()
	defer b.Close()
	for len(text) > 0 {
		size := len(text)
		if size > e.piece {
			size = bytes.LastIndexByte(text[:e.piece], '\n') + 1
		}
		set := b.SetDeferred(len(batchKey(0)), size)
		copy(set.Key, batchKey(e.nextBatch))
		copy(set.Value, text)
		if err := set.Finish(); err != nil {
			return err
		}
		e.nextBatch++
		text = text[size:]
		e.unsynced = !sync || len(text) > 0
		if err := b.Commit(&pebble.WriteOptions{Sync: !e.unsynced}); err != nil {
			return err
		}
		b.Reset()
	}
	if sync && e.unsynced {
		e.unsynced = false
		return e.LogData(nil, pebble.Sync)
	}
	return nil
}

// NextBatch returns the number of the next batch.
func (s *Store) NextBatch() (number uint64) {
	_ = s.use(func(e *engine) error { // the next Write returns why it fails
		number = e.nextBatch
		return nil
	})
	return number
}

// Drop deletes the batches before that number. Their space is released soon: the engine removes tables that are deleted
// as a whole, once what deletes them is in a table as well.
func (s *Store) Drop(before uint64) error {
	return s.use(func(e *engine) error {
		if err := e.DeleteRange([]byte(batchPrefix), batchKey(before), pebble.Sync); err != nil {
			return err
		}
		_, err := e.AsyncFlush()
		return err
	})
}

// scan visits all keys but that of the identity.
func (e *engine) scan(visit func(key, value []byte) error) error {
	all, err := e.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := all.First(); ok && err == nil; ok = all.Next() {
		var value []byte
		if value, err = all.ValueAndErr(); err == nil && string(all.Key()) != identityKey {
			err = visit(all.Key(), value)
		}
	}
	return errors.Join(err, all.Close())
}

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

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"herd/node/line"
)

// Keys of the store's own begin with a blank, which no client's ID has.
const (
	identityKey = " identity" // of what tells whose store this is
	roundPrefix = " r"        // before the number of a round, 8 bytes, the most significant first
	roundsEnd   = " s"
)

func roundKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(roundPrefix), number)
}

// number finds the number of the next round.
func (e *engine) number() error {
	all, err := e.NewIter(&pebble.IterOptions{LowerBound: []byte(roundPrefix), UpperBound: []byte(roundsEnd)})
	if err != nil {
		return err
	}
	e.next = 0
	if all.Last() {
		if len(all.Key()) != len(roundKey(0)) {
			err = fmt.Errorf("%w: a round has the number %q", errDamaged, all.Key()[len(roundPrefix):])
		} else {
			e.next = binary.BigEndian.Uint64(all.Key()[len(roundPrefix):]) + 1
		}
	}
	return errors.Join(err, all.Close())
}

// Write puts the texts of reports on disk, each with an LF behind, and all that Append has taken. When it returns nil they are there; before,
// or after an error, the first of them may be. Of each client the greatest of all that was written counts, whatever the order.
func (s *Store) Write(text []byte) error {
	return s.use(func(e *engine) error { return e.write(text, true) })
}

// Append takes texts as Write does, and does not wait for the disk.
func (s *Store) Append(text []byte) error {
	return s.use(func(e *engine) error { return e.write(text, false) })
}

// write waits for the disk once, for the last piece: a log is synced from its beginning.
func (e *engine) write(text []byte, sync bool) error {
	b := e.NewBatch()
	defer b.Close()
	for len(text) > 0 {
		size := len(text)
		if size > e.piece {
			size = bytes.LastIndexByte(text[:e.piece], '\n') + 1
		}
		set := b.SetDeferred(len(roundKey(0)), size)
		copy(set.Key, roundKey(e.next))
		copy(set.Value, text)
		if err := set.Finish(); err != nil {
			return err
		}
		e.next++
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

// Next returns the number of the next round.
func (s *Store) Next() (number uint64) {
	_ = s.use(func(e *engine) error { // the next Write says why it fails
		number = e.next
		return nil
	})
	return number
}

// Drop deletes the rounds that were written before that one was. Their room is given back soon: the engine drops tables that are deleted
// as a whole, once what deletes them is in a table as well.
func (s *Store) Drop(before uint64) error {
	return s.use(func(e *engine) error {
		if err := e.DeleteRange([]byte(roundPrefix), roundKey(before), pebble.Sync); err != nil {
			return err
		}
		_, err := e.AsyncFlush()
		return err
	})
}

// convert makes rounds of the values that each client has in a store of the old form. When the power fails meanwhile, that begins anew.
func (e *engine) convert(identity []byte) error {
	var text []byte
	err := e.scan(func(key, value []byte) error {
		if key[0] == ' ' {
			return nil
		}
		r, err := line.ParseReport(string(value))
		if err != nil || string(r.Client()) != string(key) {
			return fmt.Errorf("%w: what it has of client %q is not a report of it: %.100q", errDamaged, key, value)
		}
		if text = append(append(text, value...), '\n'); len(text) < e.piece {
			return nil
		}
		err = e.write(text, false)
		text = text[:0]
		return err
	})
	if err = errors.Join(err, e.write(text, false)); err != nil {
		return err
	}
	b := e.NewBatch()
	defer b.Close()
	last := bytes.Repeat([]byte{0xff}, line.MaxClient+1)
	err = errors.Join(b.DeleteRange([]byte{0}, []byte{' '}, nil), b.DeleteRange([]byte{' ' + 1}, last, nil), b.Set([]byte(identityKey), identity, nil))
	if err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
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

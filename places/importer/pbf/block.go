package pbf

import (
	"errors"
	"fmt"
)

// What a block may hold at most, hundreds of times what those that are in use hold.
const (
	maxStrings = 1 << 20
	maxTags    = 1 << 16 // of an object
	maxRefs    = 1 << 20 // nodes of a way, or members of a relation
)

var (
	errLists   = errors.New("lists that belong together differ in length")
	errStrings = errors.New("a text that is not in the table of texts")
)

// block reads the objects of a blob.
type block struct {
	want Kind
	bare bool
	do   func(*Object) error

	strings        [][]byte
	granularity    int64
	latOff, lngOff int64
	object         Object // what do gets; its lists are used again
}

func (b *block) read(data []byte) error {
	b.strings, b.granularity, b.latOff, b.lngOff = b.strings[:0], 100, 0, 0
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		switch f.number {
		case 1:
			if err := b.readStrings(f.bytes); err != nil {
				return err
			}
		case 17:
			b.granularity = int64(f.value)
		case 19:
			b.latOff = int64(f.value)
		case 20:
			b.lngOff = int64(f.value)
		}
	}
	if m.err != nil {
		return m.err
	}
	m = message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		if f.number == 2 {
			if err := b.readGroup(f.bytes); err != nil {
				return err
			}
		}
	}
	return m.err
}

func (b *block) readStrings(data []byte) error {
	if b.bare {
		return nil
	}
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		if f.number != 1 {
			continue
		}
		if len(b.strings) == maxStrings {
			return fmt.Errorf("a block has more than %d texts", maxStrings)
		}
		b.strings = append(b.strings, f.bytes)
	}
	return m.err
}

func (b *block) readGroup(data []byte) error {
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		var err error
		switch {
		case f.number == 1 && b.want&Node != 0:
			err = b.readNode(f.bytes)
		case f.number == 2 && b.want&Node != 0:
			err = b.readDense(f.bytes)
		case f.number == 3 && b.want&Way != 0:
			err = b.readWay(f.bytes)
		case f.number == 4 && b.want&Relation != 0:
			err = b.readRelation(f.bytes)
		}
		if err != nil {
			return err
		}
	}
	return m.err
}

// found hands the object on.
func (b *block) found(kind Kind) error {
	b.object.Kind = kind
	if err := b.do(&b.object); err != nil {
		return &doError{err}
	}
	return nil
}

// clear makes the object one without anything.
func (b *block) clear() {
	o := &b.object
	*o = Object{Nodes: o.Nodes[:0], Members: o.Members[:0], Tags: o.Tags[:0], Blob: o.Blob}
}

func (b *block) lat(v int64) int64 { return b.latOff + b.granularity*v }
func (b *block) lng(v int64) int64 { return b.lngOff + b.granularity*v }

func zigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func (b *block) readNode(data []byte) error {
	b.clear()
	var keys, values packed
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		switch f.number {
		case 1:
			b.object.ID = zigzag(f.value)
		case 2:
			keys.data = f.bytes
		case 3:
			values.data = f.bytes
		case 8:
			b.object.Lat = b.lat(zigzag(f.value))
		case 9:
			b.object.Lng = b.lng(zigzag(f.value))
		}
	}
	if m.err != nil {
		return m.err
	}
	if err := b.readTags(keys, values); err != nil {
		return err
	}
	return b.found(Node)
}

// readDense reads nodes whose members are lists of differences. Their tags are one list: keys and values, and a 0 after each node.
func (b *block) readDense(data []byte) error {
	var ids, lats, lngs, tags packed
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		switch f.number {
		case 1:
			ids.data = f.bytes
		case 8:
			lats.data = f.bytes
		case 9:
			lngs.data = f.bytes
		case 10:
			tags.data = f.bytes
		}
	}
	if m.err != nil {
		return m.err
	}
	if b.bare {
		tags = packed{}
	}
	var id, lat, lng int64
	for ids.more() {
		b.clear()
		id, lat, lng = id+ids.signed(), lat+lats.signed(), lng+lngs.signed()
		b.object.ID, b.object.Lat, b.object.Lng = id, b.lat(lat), b.lng(lng)
		for tags.more() {
			key := tags.next()
			if key == 0 {
				break
			}
			if err := b.addTag(key, tags.next()); err != nil {
				return err
			}
		}
		if ids.bad || lats.bad || lngs.bad || tags.bad {
			return errLists
		}
		if err := b.found(Node); err != nil {
			return err
		}
	}
	return nil
}

func (b *block) readWay(data []byte) error {
	b.clear()
	var keys, values, nodes packed
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		switch f.number {
		case 1:
			b.object.ID = int64(f.value)
		case 2:
			keys.data = f.bytes
		case 3:
			values.data = f.bytes
		case 8:
			nodes.data = f.bytes
		}
	}
	if m.err != nil {
		return m.err
	}
	if err := b.readTags(keys, values); err != nil {
		return err
	}
	var id int64
	for nodes.more() {
		if len(b.object.Nodes) == maxRefs {
			return fmt.Errorf("way %d has more than %d nodes", b.object.ID, maxRefs)
		}
		id += nodes.signed()
		b.object.Nodes = append(b.object.Nodes, id)
	}
	if nodes.bad {
		return errWire
	}
	return b.found(Way)
}

func (b *block) readRelation(data []byte) error {
	b.clear()
	var keys, values, ids, kinds packed
	m := message{data: data}
	for f, ok := m.next(); ok; f, ok = m.next() {
		switch f.number {
		case 1:
			b.object.ID = int64(f.value)
		case 2:
			keys.data = f.bytes
		case 3:
			values.data = f.bytes
		case 9:
			ids.data = f.bytes
		case 10:
			kinds.data = f.bytes
		}
	}
	if m.err != nil {
		return m.err
	}
	if err := b.readTags(keys, values); err != nil {
		return err
	}
	var id int64
	for ids.more() {
		if len(b.object.Members) == maxRefs {
			return fmt.Errorf("relation %d has more than %d members", b.object.ID, maxRefs)
		}
		id += ids.signed()
		kind := kinds.next()
		if ids.bad || kinds.bad || kind > 2 {
			return errLists
		}
		b.object.Members = append(b.object.Members, Member{Node << kind, id})
	}
	return b.found(Relation)
}

func (b *block) readTags(keys, values packed) error {
	if b.bare {
		return nil
	}
	for keys.more() {
		if err := b.addTag(keys.next(), values.next()); err != nil {
			return err
		}
		if keys.bad || values.bad {
			return errLists
		}
	}
	return nil
}

func (b *block) addTag(key, value uint64) error {
	switch n := uint64(len(b.strings)); {
	case key >= n || value >= n:
		return errStrings
	case len(b.object.Tags) == maxTags:
		return fmt.Errorf("an object has more than %d tags", maxTags)
	}
	b.object.Tags = append(b.object.Tags, Tag{b.strings[key], b.strings[value]})
	return nil
}

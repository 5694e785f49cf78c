package pbf

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits, hundreds of times what real files have.
const (
	maxStrings = 1 << 20 // texts of a block
	maxTags    = 1 << 16 // tags of an object
	maxRefs    = 1 << 20 // nodes of a way, or members of a relation
)

var (
	errLists   = errors.New("lists that belong together differ in length")
	errStrings = errors.New("a text that is not in the table of texts")
)

// block reads the objects of one blob after the other.
type block struct {
	want Kind // the kinds of objects to read
	bare bool // without their tags
	do   func(*Object) error

	// of the current blob
	strings        [][]byte // its texts; empty if bare
	granularity    int64    // billionths of a degree in a unit of a coordinate
	latOff, lngOff int64    // billionths of a degree to add to a coordinate

	object  Object  // the argument of do; its lists are reused
	members members // of the object that is being read
	failed  error   // of do
}

func (b *block) read(data []byte) error {
	b.strings, b.granularity, b.latOff, b.lngOff = b.strings[:0], 100, 0, 0
	err := eachField(data, func(f field) error {
		switch f.number {
		case 1:
			return b.readStrings(f.bytes)
		case 17:
			b.granularity = int64(f.value)
		case 19:
			b.latOff = int64(f.value)
		case 20:
			b.lngOff = int64(f.value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return eachField(data, func(f field) error {
		if f.number != 2 {
			return nil
		}
		return eachField(f.bytes, b.readObjects)
	})
}

func (b *block) readStrings(data []byte) error {
	if b.bare {
		return nil
	}
	return eachField(data, func(f field) error {
		if f.number != 1 {
			return nil
		}
		if len(b.strings) == maxStrings {
			return fmt.Errorf("a block has more than %d texts", maxStrings)
		}
		b.strings = append(b.strings, f.bytes)
		return nil
	})
}

// readObjects reads an object, or a list of nodes, if it is of a kind to read.
func (b *block) readObjects(f field) error {
	kinds := [...]Kind{1: Node, 2: Node, 3: Way, 4: Relation}
	if int(f.number) >= len(kinds) || b.want&kinds[f.number] == 0 {
		return nil
	}
	if err := b.readMembers(f.bytes); err != nil {
		return err
	}
	switch f.number {
	case 1:
		return b.readNode()
	case 2:
		return b.readDense()
	case 3:
		return b.readWay()
	}
	return b.readRelation()
}

// found calls do with the object.
func (b *block) found(kind Kind) error {
	b.object.Kind = kind
	b.failed = b.do(&b.object)
	return b.failed
}

func (b *block) lat(v int64) int64 { return b.latOff + b.granularity*v }
func (b *block) lng(v int64) int64 { return b.lngOff + b.granularity*v }

// members are the members of an object, or of a list of nodes, by the numbers of their fields. Fields of other numbers are ignored.
type members struct {
	numbers [11]uint64
	lists   [11]packed
}

// readMembers clears the object and sets the members to those of a message.
func (b *block) readMembers(data []byte) error {
	o := &b.object
	*o = Object{Nodes: o.Nodes[:0], Members: o.Members[:0], Tags: o.Tags[:0], Blob: o.Blob}
	b.members = members{}
	return eachField(data, func(f field) error {
		if int(f.number) < len(b.members.lists) {
			b.members.numbers[f.number], b.members.lists[f.number].data = f.value, f.bytes
		}
		return nil
	})
}

func (b *block) readNode() error {
	m := &b.members
	b.object.ID = protowire.DecodeZigZag(m.numbers[1])
	b.object.Lat, b.object.Lng = b.lat(protowire.DecodeZigZag(m.numbers[8])), b.lng(protowire.DecodeZigZag(m.numbers[9]))
	if err := b.readTags(); err != nil {
		return err
	}
	return b.found(Node)
}

// readDense reads nodes whose members are lists of differences. Their tags are one list: keys and values, and a 0 after each node.
func (b *block) readDense() error {
	m := &b.members
	ids, lats, lngs, tags := &m.lists[1], &m.lists[8], &m.lists[9], &m.lists[10]
	if b.bare {
		tags.data = nil
	}
	var id, lat, lng int64
	for ids.more() {
		id, lat, lng = id+ids.signed(), lat+lats.signed(), lng+lngs.signed()
		b.object.ID, b.object.Lat, b.object.Lng, b.object.Tags = id, b.lat(lat), b.lng(lng), b.object.Tags[:0]
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

func (b *block) readWay() error {
	m := &b.members
	b.object.ID = int64(m.numbers[1])
	if err := b.readTags(); err != nil {
		return err
	}
	var id int64
	for nodes := &m.lists[8]; nodes.more(); {
		if len(b.object.Nodes) == maxRefs {
			return fmt.Errorf("way %d has more than %d nodes", b.object.ID, maxRefs)
		}
		id += nodes.signed()
		b.object.Nodes = append(b.object.Nodes, id)
	}
	if m.lists[8].bad {
		return errWire
	}
	return b.found(Way)
}

func (b *block) readRelation() error {
	m := &b.members
	b.object.ID = int64(m.numbers[1])
	if err := b.readTags(); err != nil {
		return err
	}
	var id int64
	for ids, kinds := &m.lists[9], &m.lists[10]; ids.more(); {
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

func (b *block) readTags() error {
	if b.bare {
		return nil
	}
	for keys, values := &b.members.lists[2], &b.members.lists[3]; keys.more(); {
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

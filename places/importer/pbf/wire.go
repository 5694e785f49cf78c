package pbf

import (
	"encoding/binary"
	"errors"
)

// What follows reads the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding/), as much as a file
// of OpenStreetMap needs, in place: what it returns is a part of what it reads.

var errWire = errors.New("not a protocol buffer")

// message is what is left of a message.
type message struct {
	data []byte
	err  error
}

// field is one field of a message: a number, or bytes.
type field struct {
	number uint64
	value  uint64
	bytes  []byte
}

// next returns the next field, or false at the end and where there is no sound one: then err is set.
func (m *message) next() (f field, ok bool) {
	if len(m.data) == 0 {
		return field{}, false
	}
	key, ok := m.varint()
	f.number = key >> 3
	switch key & 7 {
	case 0:
		if ok {
			f.value, ok = m.varint()
		}
	case 1:
		ok = ok && m.skip(8)
	case 2:
		var n uint64
		if n, ok = m.varint(); ok {
			if ok = n <= uint64(len(m.data)); ok {
				f.bytes, m.data = m.data[:n], m.data[n:]
			}
		}
	case 5:
		ok = ok && m.skip(4)
	default:
		ok = false
	}
	if !ok {
		m.err = errWire
	}
	return f, ok
}

func (m *message) varint() (uint64, bool) {
	v, n := binary.Uvarint(m.data)
	if n <= 0 {
		return 0, false
	}
	m.data = m.data[n:]
	return v, true
}

func (m *message) skip(n int) bool {
	if len(m.data) < n {
		return false
	}
	m.data = m.data[n:]
	return true
}

// packed is what is left of a list of numbers.
type packed struct {
	data []byte
	bad  bool // there was none where one was due
}

func (p *packed) more() bool { return len(p.data) > 0 && !p.bad }

func (p *packed) next() uint64 {
	if len(p.data) > 0 && p.data[0] < 0x80 { // most of them
		v := p.data[0]
		p.data = p.data[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(p.data)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.data = p.data[n:]
	return v
}

// signed returns the next number of a list of those that may be negative.
func (p *packed) signed() int64 {
	v := p.next()
	return int64(v>>1) ^ -int64(v&1)
}

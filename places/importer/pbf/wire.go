package pbf

import (
	"encoding/binary"
	"errors"
)

// The types of this file read the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding/) in place: the bytes
// that they return belong to what they read.

var errWire = errors.New("not a protocol buffer")

// message is the unread rest of a message.
type message struct {
	data []byte
	err  error
}

// field is one field of a message.
type field struct {
	number uint64
	value  uint64 // if it is a varint
	bytes  []byte // if it has a length
}

// next returns the next field, or false at the end or, with err set, if the field is malformed.
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

// packed is the unread rest of a list of numbers.
type packed struct {
	data []byte
	bad  bool // a number was missing or malformed
}

func (p *packed) more() bool { return len(p.data) > 0 && !p.bad }

func (p *packed) next() uint64 {
	if len(p.data) > 0 && p.data[0] < 0x80 { // as most are
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

// signed returns the next number of a list of signed numbers.
func (p *packed) signed() int64 { return zigzag(p.next()) }

// zigzag decodes a signed number.
func zigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

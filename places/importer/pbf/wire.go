package pbf

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

var errWire = errors.New("not a protocol buffer")

// field is one field of a message.
type field struct {
	number protowire.Number
	value  uint64 // if it is a varint
	bytes  []byte // if it has a length; part of the message
}

// eachField calls do with the fields of a message until one is malformed or do fails.
func eachField(message []byte, do func(field) error) error {
	for len(message) > 0 {
		var f field
		number, form, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errWire
		}
		f.number, message = number, message[n:]
		switch form {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, form, message)
		}
		if n < 0 {
			return errWire
		}
		message = message[n:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// packed is the unread rest of a list of numbers.
type packed struct {
	data []byte
	bad  bool // a number was missing or malformed
}

func (p *packed) more() bool { return len(p.data) > 0 && !p.bad }

func (p *packed) next() uint64 {
	v, n := protowire.ConsumeVarint(p.data)
	if n < 0 {
		p.bad = true
		return 0
	}
	p.data = p.data[n:]
	return v
}

// signed returns the next number of a list of signed numbers.
func (p *packed) signed() int64 { return protowire.DecodeZigZag(p.next()) }

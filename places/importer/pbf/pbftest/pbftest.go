// Package pbftest writes files of OpenStreetMap for tests.
package pbftest

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"

	"herd/places/importer/pbf"
)

// Writer writes a file, one blob at a time.
type Writer struct {
	w   io.Writer
	err error

	Plain bool // nodes one by one, instead of as lists of differences
	Raw   bool // not compressed
}

// New writes a header that requires these features.
func New(w io.Writer, features ...string) *Writer {
	out := &Writer{w: w}
	var header []byte
	for _, f := range features {
		header = Bytes(header, 4, []byte(f))
	}
	out.Blob("OSMHeader", header)
	return out
}

// Err returns the first error.
func (w *Writer) Err() error { return w.err }

// Block writes a blob with these objects, all of one kind. Coordinates are truncated to units of 1e-7 degrees.
func (w *Writer) Block(objects ...pbf.Object) {
	texts := texts{numbers: map[string]uint64{"": 0}, table: Bytes(nil, 1, nil)}
	var group []byte
	switch {
	case len(objects) > 0 && objects[0].Kind == pbf.Node && !w.Plain:
		group = dense(objects, &texts)
	default:
		for i := range objects {
			number := map[pbf.Kind]int{pbf.Node: 1, pbf.Way: 3, pbf.Relation: 4}[objects[i].Kind]
			group = Bytes(group, number, single(&objects[i], &texts))
		}
	}
	w.Blob("OSMData", Bytes(Bytes(nil, 1, texts.table), 2, group))
}

// Blob writes a blob with any content.
func (w *Writer) Blob(kind string, data []byte) {
	var blob []byte
	if w.Raw {
		blob = Bytes(nil, 1, data)
	} else {
		var packed bytes.Buffer
		z := zlib.NewWriter(&packed)
		_, _ = z.Write(data) // a buffer does not fail
		_ = z.Close()
		blob = Bytes(Number(nil, 2, uint64(len(data))), 3, packed.Bytes())
	}
	w.Framed(kind, blob)
}

// Framed writes an encoded blob.
func (w *Writer) Framed(kind string, blob []byte) {
	header := Number(Bytes(nil, 1, []byte(kind)), 3, uint64(len(blob)))
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header...)
	if w.err == nil {
		_, w.err = w.w.Write(append(out, blob...))
	}
}

// texts is the table of texts of a block.
type texts struct {
	numbers map[string]uint64
	table   []byte
}

func (t *texts) number(text []byte) uint64 {
	n, known := t.numbers[string(text)]
	if !known {
		n = uint64(len(t.numbers))
		t.numbers[string(text)] = n
		t.table = Bytes(t.table, 1, text)
	}
	return n
}

func dense(nodes []pbf.Object, t *texts) []byte {
	var ids, lats, lngs, tags []byte
	var last pbf.Object
	for _, n := range nodes {
		ids = signed(ids, n.ID-last.ID)
		lats = signed(lats, n.Lat/100-last.Lat/100)
		lngs = signed(lngs, n.Lng/100-last.Lng/100)
		for _, tag := range n.Tags {
			tags = binary.AppendUvarint(binary.AppendUvarint(tags, t.number(tag.Key)), t.number(tag.Value))
		}
		tags = append(tags, 0)
		last = n
	}
	return Bytes(nil, 2, Bytes(Bytes(Bytes(Bytes(nil, 1, ids), 8, lats), 9, lngs), 10, tags))
}

func single(o *pbf.Object, t *texts) []byte {
	var keys, values, nodes, ids, kinds []byte
	for _, tag := range o.Tags {
		keys, values = binary.AppendUvarint(keys, t.number(tag.Key)), binary.AppendUvarint(values, t.number(tag.Value))
	}
	if o.Kind == pbf.Node {
		out := Bytes(Bytes(Number(nil, 1, zigzag(o.ID)), 2, keys), 3, values)
		return Number(Number(out, 8, zigzag(o.Lat/100)), 9, zigzag(o.Lng/100))
	}
	out := Bytes(Bytes(Number(nil, 1, uint64(o.ID)), 2, keys), 3, values)
	last := int64(0)
	for _, id := range o.Nodes {
		nodes, last = signed(nodes, id-last), id
	}
	last = 0
	for _, m := range o.Members {
		ids, last = signed(ids, m.ID-last), m.ID
		kinds = append(kinds, byte(m.Kind)>>1)
	}
	if o.Kind == pbf.Way {
		return Bytes(out, 8, nodes)
	}
	return Bytes(Bytes(out, 9, ids), 10, kinds)
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

func signed(to []byte, v int64) []byte { return binary.AppendUvarint(to, zigzag(v)) }

// Bytes appends a field of bytes to a message.
func Bytes(to []byte, number int, data []byte) []byte {
	to = binary.AppendUvarint(to, uint64(number)<<3|2)
	return append(binary.AppendUvarint(to, uint64(len(data))), data...)
}

// Number appends a field that is a number to a message.
func Number(to []byte, number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(to, uint64(number)<<3), v)
}

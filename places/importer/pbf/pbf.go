// Package pbf reads files of OpenStreetMap in their binary format (https://wiki.openstreetmap.org/wiki/PBF_Format).
//
// A file is a sequence of blobs with some thousand objects each, one of which is in memory at a time. Any bytes that are not such a file
// give an error.
package pbf

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Kind is a kind of object, or a set of kinds.
type Kind uint8

// The kinds of objects.
const (
	Node Kind = 1 << iota
	Way
	Relation
)

// String returns the name of a kind.
func (k Kind) String() string {
	switch k {
	case Node:
		return "node"
	case Way:
		return "way"
	case Relation:
		return "relation"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Object is a node, a way or a relation.
type Object struct {
	Kind     Kind
	ID       int64
	Lat, Lng int64    // of a node, in billionths of a degree; not checked
	Nodes    []int64  // of a way
	Members  []Member // of a relation
	Tags     []Tag
	Blob     int64 // offset of the object's blob in the file
}

// Member is a part of a relation.
type Member struct {
	Kind Kind
	ID   int64
}

// Tag is a property of an object.
type Tag struct{ Key, Value []byte }

// Tag returns the value of a key, or nil if there is none.
func (o *Object) Tag(key string) []byte {
	for _, t := range o.Tags {
		if string(t.Key) == key {
			return t.Value
		}
	}
	return nil
}

// Scan says what to read of a file.
type Scan struct {
	File io.ReaderAt
	Size int64 // of the file
	From int64 // offset of the first blob: 0, or the Blob of an Object
	To   int64 // offset of the last blob; 0: to the end
	Want Kind  // the kinds of objects
	Bare bool  // objects have no tags
}

// ErrStop ends a scan without an error when do returns it.
var ErrStop = errors.New("stop")

// Each calls do with the objects in their order in the file. An object is valid until do returns. An error of do ends the scan and is
// returned unchanged.
func (s Scan) Each(ctx context.Context, do func(*Object) error) error {
	b := blobs{file: s.File, size: s.Size, offset: s.From}
	defer b.close()
	block := block{want: s.Want, bare: s.Bare, do: do}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := b.offset
		if s.To > 0 && at > s.To {
			return nil
		}
		kind, data, err := b.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch {
		case at == 0 && (err != nil || kind != "OSMHeader"):
			return errors.New("no file of OpenStreetMap in PBF, or not its beginning")
		case err != nil:
		case at == 0:
			err = checkHeader(data)
		case kind == "OSMData":
			block.object.Blob = at
			err = block.read(data)
		} // blobs of other types are to be ignored
		switch {
		case errors.Is(block.failed, ErrStop):
			return nil
		case block.failed != nil:
			return block.failed
		case err != nil:
			return fmt.Errorf("at byte %d: %w", at, err)
		}
	}
}

// checkHeader returns an error if the file requires a feature that is not supported here.
func checkHeader(data []byte) error {
	return eachField(data, func(f field) error {
		if name := string(f.bytes); f.number == 4 && name != "OsmSchema-V0.6" && name != "DenseNodes" {
			return fmt.Errorf("the file needs a reader that knows %.40q; give an extract of the present, without history", name)
		}
		return nil
	})
}

// Package file is the provider of the places in a user's file, which 'herd places import' writes.
//
// A file is a table in UTF-8, compressed by zstd (RFC 8878) or not. Lines that begin with # say where the places come from:
//
//	# attribution: © OpenStreetMap contributors
//	# licence: ODbL 1.0, https://www.openstreetmap.org/copyright
//	# source: andorra.osm.pbf
//
// Then come the names of the columns, separated by tabs,
//
//	id	name	lat	lon	types	vicinity
//
// and a line for each place, in any order: its id, which is unique; its name; latitude and longitude in decimal degrees, which are
// rounded to seven digits; its types, the most specific first, separated by commas; and its vicinity in words, or nothing. Reader and
// Writer hold one row at a time.
//
// Open returns at once and reads the file in a goroutine, which ends by itself; Find waits for it. The table is immutable and searched
// without a lock, and takes 20 bytes for each place besides its texts.
package file

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"herd/places"
	"herd/places/index"
)

// File finds the places of a file. It implements places.Finder.
type File struct{ *index.Provider[*table] }

// Open starts to read the file at path and returns at once. The file is read once: later changes have no effect.
func Open(path string) *File {
	return &File{index.Load("file "+path, func() (*table, error) { return open(path) })}
}

func open(path string) (*table, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; 'herd places import' makes one", err)
	}
	defer in.Close()
	if info, err := in.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("a directory; name the file in it")
	}
	return load(in)
}

// table holds the places of a file. It is immutable.
type table struct {
	origin Origin
	index  *index.Index // of the points of the rows
	rows   []row
	texts  [][]byte   // the texts of all rows, in parts of at most textPart bytes
	types  [][]string // the distinct lists of types
}

// row is a place in a table, in 12 bytes. Its point is in the index, under the same number.
type row struct {
	text                 uint32 // offset in table.texts of the id; the name follows, then the vicinity
	nameLen, vicinityLen uint16 // bytes
	typesAt              uint16 // index into table.types
	idLen                uint8  // bytes
}

const (
	textPart = 1 << 20 // bytes of a part of table.texts; the texts of a row lie in one part and never reach its end
	maxTexts = 1 << 30 // bytes of all texts of a table: 107 for each of MaxPlaces
)

// entry is a row that is not in the index yet.
type entry struct {
	at index.Point
	row
}

// load reads a file into a table.
func load(r io.Reader) (*table, error) {
	in, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	t := &table{origin: in.Origin}
	numbers := make(map[string]uint16) // index into t.types by the list, joined by commas
	var entries []entry
	first := in.line + 1
	for {
		p, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		number, known := numbers[strings.Join(p.Types, ",")]
		if !known {
			if len(t.types) > math.MaxUint16 {
				return nil, fmt.Errorf("line %d: more than %d different lists of types", in.line, math.MaxUint16+1)
			}
			number = uint16(len(t.types))
			for i, name := range p.Types {
				p.Types[i] = strings.Clone(name) // a substring would keep the whole line in memory
			}
			numbers[strings.Join(p.Types, ",")] = number
			t.types = append(t.types, p.Types)
		}
		text, ok := t.add(p.PlaceID, p.Name, p.Vicinity)
		if !ok {
			return nil, fmt.Errorf("line %d: more than %d bytes of text; take a part of the places", in.line, maxTexts)
		}
		entries = append(entries, entry{index.PointOf(p.Geometry.Location), row{
			text: text, idLen: uint8(len(p.PlaceID)), nameLen: uint16(len(p.Name)), vicinityLen: uint16(len(p.Vicinity)), typesAt: number,
		}})
	}
	if err := t.checkIDs(entries, first); err != nil {
		return nil, err
	}
	return t, t.sort(entries)
}

// add appends texts and returns their offset, or false if there is no room.
func (t *table) add(texts ...string) (at uint32, ok bool) {
	n := 0
	for _, s := range texts {
		n += len(s)
	}
	if len(t.texts) == 0 || len(t.texts[len(t.texts)-1])+n >= textPart {
		if len(t.texts) == maxTexts/textPart {
			return 0, false
		}
		t.texts = append(t.texts, make([]byte, 0, textPart))
	}
	last := &t.texts[len(t.texts)-1]
	at = uint32((len(t.texts)-1)*textPart + len(*last))
	for _, s := range texts {
		*last = append(*last, s...)
	}
	return at, true
}

// checkIDs returns an error if two entries have the same id. The first entry is that of line first.
func (t *table) checkIDs(entries []entry, first int) error {
	type hashed struct {
		hash  uint64
		entry int32
	}
	seed := maphash.MakeSeed()
	all := make([]hashed, len(entries))
	for i, e := range entries {
		all[i] = hashed{maphash.Bytes(seed, t.id(e.row)), int32(i)}
	}
	slices.SortFunc(all, func(a, b hashed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.entry, b.entry)) })
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.hash != b.hash {
			continue
		}
		if id := t.id(entries[b.entry].row); bytes.Equal(t.id(entries[a.entry].row), id) {
			return fmt.Errorf("line %d: column %s: %.100q: line %d has it already", first+int(b.entry), columns[0], id, first+int(a.entry))
		}
	}
	return nil
}

// sort sets the rows and the index.
func (t *table) sort(entries []entry) (err error) {
	slices.SortFunc(entries, func(a, b entry) int { return a.at.Compare(b.at) })
	points := make([]index.Point, len(entries))
	t.rows = make([]row, len(entries))
	for i, e := range entries {
		points[i], t.rows[i] = e.at, e.row
	}
	t.index, err = index.New(points, func(i, j int32) int { return bytes.Compare(t.id(t.rows[i]), t.id(t.rows[j])) })
	return err
}

// Index, Place and Attributions implement index.Table.
func (t *table) Index() *index.Index { return t.index }

func (t *table) Attributions() []string {
	if t.origin.Attribution == "" {
		return []string{}
	}
	return []string{t.origin.Attribution}
}

// text returns n bytes at an offset.
func (t *table) text(at uint32, n int) []byte {
	return t.texts[at/textPart][at%textPart:][:n]
}

func (t *table) id(r row) []byte { return t.text(r.text, int(r.idLen)) }

func (t *table) Place(i int32) places.Place {
	r, at := t.rows[i], t.index.Point(i).Degrees()
	name := r.text + uint32(r.idLen)
	return places.Place{
		Geometry: places.Geometry{Location: at},
		Name:     string(t.text(name, int(r.nameLen))),
		PlaceID:  string(t.id(r)),
		PlusCode: places.PlusCode{GlobalCode: places.GlobalCode(at)},
		Types:    t.types[r.typesAt],
		Vicinity: string(t.text(name+uint32(r.nameLen), int(r.vicinityLen))),
	}
}

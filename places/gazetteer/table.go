package gazetteer

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"herd/places"
	"herd/places/index"
)

// compareRecords is the order of a table: that of an index, then by id.
func compareRecords(a, b record) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) }

// table holds places in 24 bytes each, their ids and names apart. The 205,117
// embedded ones take 9 MB. It is immutable but for what it has found out.
type table struct {
	index   *index.Index // where the rows are
	rows    []row
	text    string // the ids and names of all rows
	regions []region

	localities []atomic.Int32 // of each row, what vicinity has found out
}

// row is one place.
type row struct {
	text    uint32 // where its id begins in table.text; its name follows
	region  uint16 // index into table.regions
	idLen   uint8  // bytes
	nameLen uint8  // bytes
	kind    uint8  // index into kinds
}

// region is a first-level part of a country, or what is known of it.
type region struct {
	country string // ISO 3166-1 alpha-2
	code    string // within the country; empty if unknown
	name    string // empty if unknown
}

// builder makes a table of records that come in its order.
type builder struct {
	table  table
	points []index.Point
	text   strings.Builder
	last   record
	names  map[string]string // of regions, by "country.code"
	number map[region]uint16 // of each member of table.regions
}

// newBuilder returns a builder with room for so many rows, whose ids and names
// take so many bytes of text. There may be more of both.
func newBuilder(regionNames map[string]string, rows, text int) *builder {
	b := &builder{names: regionNames, number: make(map[region]uint16)}
	b.table.rows = make([]row, 0, rows)
	b.points = make([]index.Point, 0, rows)
	b.text.Grow(text)
	return b
}

// add appends a record, which has to follow the one before in the order of a table.
func (b *builder) add(r record) error {
	if len(b.table.rows) > 0 && compareRecords(b.last, r) >= 0 {
		return fmt.Errorf("%s may not follow %s in the order of a table", r.id, b.last.id)
	}
	b.last = r
	in := region{r.country, r.admin1, b.names[r.country+"."+r.admin1]}
	number, known := b.number[in]
	if !known {
		if len(b.table.regions) > math.MaxUint16 {
			return fmt.Errorf("%s: more than %d regions", r.id, math.MaxUint16+1)
		}
		// Copies: a part of the text that is read would keep all of it in memory.
		in.country, in.code = strings.Clone(in.country), strings.Clone(in.code)
		number = uint16(len(b.table.regions))
		b.number[in] = number
		b.table.regions = append(b.table.regions, in)
	}
	b.table.rows = append(b.table.rows, row{
		kind: r.kind, region: number, text: uint32(b.text.Len()), idLen: uint8(len(r.id)), nameLen: uint8(len(r.name)),
	})
	b.points = append(b.points, r.at)
	b.text.WriteString(r.id)
	b.text.WriteString(r.name)
	return nil
}

// build returns the table and ends the use of the builder.
func (b *builder) build() (*table, error) {
	t := b.table // a copy, which does not keep the builder in memory
	t.text = b.text.String()
	t.localities = make([]atomic.Int32, len(t.rows))
	var err error
	t.index, err = index.New(b.points, func(i, j int32) int { return cmp.Compare(t.id(i), t.id(j)) })
	return &t, err
}

func (t *table) id(i int32) string {
	r := t.rows[i]
	return t.text[r.text : r.text+uint32(r.idLen)]
}

func (t *table) name(i int32) string {
	r := t.rows[i]
	start := r.text + uint32(r.idLen)
	return t.text[start : start+uint32(r.nameLen)]
}

func (t *table) point(i int32) places.Point { return t.index.Point(i).Degrees() }

func (t *table) region(i int32) region { return t.regions[t.rows[i].region] }

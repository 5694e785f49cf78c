package gazetteer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Packed is a table in the form in which it is embedded.
type Packed struct {
	Places  []byte         // places.zst
	Regions []byte         // admin1.tsv
	Rows    map[string]int // number of places by source
	Named   int            // number of regions that have a name
}

// Pack reads the text of a table and returns its packed form, the same bytes for
// the same rows in whatever order. The places are lines of tab-separated columns
// below the header
//
//	#id  name  lat  lon  kind  country  rank  source  admin1
//
// and the regions lines of code and name, as in "US.CA" and "California", below
// the header "#code name". Every row is checked; an error names the line at fault.
func Pack(placesTSV, regionsTSV io.Reader) (Packed, error) {
	text, err := io.ReadAll(regionsTSV)
	if err != nil {
		return Packed{}, fmt.Errorf("regions: %w", err)
	}
	names, err := parseRegions(string(text))
	if err != nil {
		return Packed{}, fmt.Errorf("regions: %w", err)
	}
	records, err := readRecords(placesTSV)
	if err != nil {
		return Packed{}, fmt.Errorf("places: %w", err)
	}
	slices.SortFunc(records, compareRecords)
	b := newBuilder(names, len(records), 0) // what it refuses could not be loaded
	p := Packed{Regions: []byte(formatRegions(names)), Rows: make(map[string]int), Named: len(names)}
	for _, r := range records {
		if err := b.add(r); err != nil {
			return Packed{}, fmt.Errorf("places: %w", err)
		}
		p.Rows[r.source]++
	}
	p.Places, err = transpose(records).pack()
	return p, err
}

// Unpack writes the rows of a packed table as text that Pack reads.
func Unpack(packed []byte, w io.Writer) error {
	t, err := unpack(packed)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, strings.Join(columns[:], "\t"))
	err = t.each(func(r record) error {
		f := r.fields()
		_, err := fmt.Fprintln(out, strings.Join(f[:], "\t"))
		return err
	})
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return out.Flush()
}

// readRecords reads the lines of a table. No id may come twice.
func readRecords(r io.Reader) ([]record, error) {
	lines := bufio.NewScanner(r)
	lineOf := make(map[string]int) // by id
	var records []record
	number := 0
	for lines.Scan() {
		number++
		f := strings.Split(lines.Text(), "\t")
		if number == 1 {
			if !slices.Equal(f, columns[:]) {
				return nil, fmt.Errorf("line 1: want the header %q", strings.Join(columns[:], "\t"))
			}
			continue
		}
		if len(f) != len(columns) {
			return nil, fmt.Errorf("line %d: %d columns, want %d", number, len(f), len(columns))
		}
		rec, err := parseRecord([len(columns)]string(f))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if first, twice := lineOf[rec.id]; twice {
			return nil, fmt.Errorf("line %d: column %s: %q: line %d has it already", number, columns[0], rec.id, first)
		}
		lineOf[rec.id] = number
		records = append(records, rec)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", number+1, err)
	}
	if len(records) == 0 {
		return nil, errors.New("no rows")
	}
	return records, nil
}

package file

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"herd/places"
	"herd/places/index"
)

// columns are the names of the fields of a row, in their order.
var columns = [...]string{"id", "name", "lat", "lon", "types", "vicinity"}

// Limits of a file.
const (
	MaxPlaces = 10_000_000
	MaxID     = 255      // bytes of an id
	MaxText   = 1023     // bytes of a name, a vicinity or a remark; OpenStreetMap allows 255 characters
	MaxTypes  = 32       // types of a place
	maxType   = 63       // bytes of a type
	maxLine   = 64 << 10 // bytes of a line; the longest row has a tenth of that
	window    = 4 << 20  // bytes that compressed text refers back to; reading takes that much memory
)

var (
	errTooMany = fmt.Errorf("more than %d places; take a part of them", MaxPlaces)
	magic      = []byte{0x28, 0xb5, 0x2f, 0xfd} // of zstd, RFC 8878
)

// Origin says where the places of a file come from, and what their licence requires.
type Origin struct {
	Attribution string // to be shown with every answer, as HTML; empty if that is not required
	Licence     string // short name, and where to read it
	Source      string // name of the imported file
}

// remarks returns the fields by the keys that they have in the lines above the header.
func (o *Origin) remarks() []struct {
	key   string
	value *string
} {
	return []struct {
		key   string
		value *string
	}{{"attribution", &o.Attribution}, {"licence", &o.Licence}, {"source", &o.Source}}
}

// parseRow parses a row. Its errors name the column.
func parseRow(line string) (places.Place, error) {
	f := strings.Split(line, "\t")
	if len(f) != len(columns) {
		return places.Place{}, fmt.Errorf("%d columns, want %d", len(f), len(columns))
	}
	p := places.Place{PlaceID: f[0], Name: f[1], Types: strings.Split(f[4], ","), Vicinity: f[5]}
	lat, latErr := places.ParseDegrees(f[2], 90)
	lng, lngErr := places.ParseDegrees(f[3], 180)
	p.Geometry.Location = index.PointOf(places.Point{Lat: lat, Lng: lng}).Degrees()
	for i, err := range [...]error{places.CheckText(f[0], 1, MaxID), places.CheckText(f[1], 1, MaxText), latErr, lngErr, checkTypes(p.Types), places.CheckText(f[5], 0, MaxText)} {
		if err != nil {
			return places.Place{}, fmt.Errorf("column %s: %.100q: %w", columns[i], f[i], err)
		}
	}
	return p, nil
}

// formatRow is the inverse of parseRow.
func formatRow(p places.Place) (string, error) {
	at := p.Geometry.Location
	if !at.OnEarth() {
		return "", fmt.Errorf("%v is not on Earth", at)
	}
	units := index.PointOf(at)
	line := strings.Join([]string{
		p.PlaceID, p.Name, index.FormatDegrees(units.Lat), index.FormatDegrees(units.Lng), strings.Join(p.Types, ","), p.Vicinity,
	}, "\t")
	_, err := parseRow(line)
	return line, err
}

func checkTypes(types []string) error {
	if len(types) > MaxTypes {
		return fmt.Errorf("want at most %d types", MaxTypes)
	}
	for _, t := range types {
		if !IsType(t) {
			return errors.New("want types of small letters, digits and _, with commas between, as in cafe,food")
		}
	}
	return nil
}

// IsType reports whether s is a valid type: 1 to 63 small letters, digits and underscores.
func IsType(s string) bool {
	return s != "" && len(s) <= maxType && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_'
	})
}

// Reader reads a file row by row. Its errors name the line.
type Reader struct {
	Origin Origin
	packed *zstd.Decoder // nil if the file is not compressed
	text   *bufio.Reader
	line   int // number of lines read
	rows   int // number of places read
}

// NewReader reads the remarks and the header of a file.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{text: bufio.NewReaderSize(r, maxLine)}
	if head, _ := in.text.Peek(len(magic)); bytes.Equal(head, magic) { // an error means that the file is shorter
		packed, err := zstd.NewReader(in.text, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("uncompress: %w", err)
		}
		in.packed, in.text = packed, bufio.NewReaderSize(packed, maxLine)
	}
	if err := in.readHead(); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// Close frees the decoder. It does not close the underlying reader.
func (r *Reader) Close() {
	if r.packed != nil {
		r.packed.Close()
	}
}

// readHead reads the remarks and the header.
func (r *Reader) readHead() error {
	for {
		line, err := r.next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: no header: want %q", r.line+1, strings.Join(columns[:], "\t"))
		}
		if err != nil {
			return err
		}
		remark, ok := strings.CutPrefix(line, "#")
		if !ok {
			if line != strings.Join(columns[:], "\t") {
				return fmt.Errorf("line %d: want the header %q; is this a file of 'herd places import'?", r.line, strings.Join(columns[:], "\t"))
			}
			return nil
		}
		key, value, _ := strings.Cut(remark, ":")
		for _, known := range r.Origin.remarks() {
			if strings.TrimSpace(key) != known.key {
				continue
			}
			if *known.value != "" {
				return fmt.Errorf("line %d: a second %s", r.line, known.key)
			}
			*known.value = strings.TrimSpace(value)
			if err := places.CheckText(*known.value, 0, MaxText); err != nil {
				return fmt.Errorf("line %d: %s: %w", r.line, known.key, err)
			}
		}
	}
}

// Read returns the next place, or io.EOF after the last.
func (r *Reader) Read() (places.Place, error) {
	line, err := r.next()
	if err != nil {
		return places.Place{}, err
	}
	if r.rows == MaxPlaces {
		return places.Place{}, errTooMany
	}
	r.rows++
	p, err := parseRow(line)
	if err != nil {
		return places.Place{}, fmt.Errorf("line %d: %w", r.line, err)
	}
	return p, nil
}

// next returns the next line without its end, or io.EOF.
func (r *Reader) next() (string, error) {
	line, err := r.text.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("line %d: longer than %d bytes", r.line+1, maxLine)
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("after line %d: %w", r.line, err)
	case err != nil && len(line) == 0:
		return "", io.EOF
	}
	r.line++
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

// Writer writes a compressed file.
type Writer struct {
	packed *zstd.Encoder
	text   *bufio.Writer // into packed
	rows   int           // number of places written
}

// NewWriter writes the remarks of o and the header.
func NewWriter(w io.Writer, o Origin) (*Writer, error) {
	packed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	out := &Writer{packed: packed, text: bufio.NewWriter(packed)}
	for _, r := range o.remarks() {
		if *r.value == "" {
			continue
		}
		if err := places.CheckText(*r.value, 1, MaxText); err != nil {
			return nil, fmt.Errorf("%s %.100q: %w", r.key, *r.value, err)
		}
		fmt.Fprintf(out.text, "# %s: %s\n", r.key, *r.value)
	}
	fmt.Fprintln(out.text, strings.Join(columns[:], "\t"))
	return out, nil
}

// Write writes the id, name, location, types and vicinity of a place. It fails for a place that a Reader would not accept.
func (w *Writer) Write(p places.Place) error {
	line, err := formatRow(p)
	if err != nil {
		return fmt.Errorf("place %.100q: %w", p.PlaceID, err)
	}
	if w.rows == MaxPlaces {
		return errTooMany
	}
	w.rows++
	if _, err := w.text.WriteString(line); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return w.text.WriteByte('\n') // an error is sticky
}

// Close writes what is buffered. It does not close the underlying writer.
func (w *Writer) Close() error {
	err := w.text.Flush()
	if closing := w.packed.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

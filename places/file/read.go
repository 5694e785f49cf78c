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
)

// MaxPlaces is how many places a file may have.
const MaxPlaces = 10_000_000

var errTooMany = fmt.Errorf("more than %d places; take a part of them", MaxPlaces)

// window is how far compressed text looks back, in bytes: it is the memory that reading takes.
const window = 4 << 20

// maxLine is the greatest length of a line in bytes, ten times that of the longest row.
const maxLine = 64 << 10

var magic = []byte{0x28, 0xb5, 0x2f, 0xfd} // of zstd, RFC 8878

// Reader reads a file. Its errors name the line at fault.
type Reader struct {
	Origin Origin
	packed *zstd.Decoder // nil if the text is not compressed
	text   *bufio.Reader
	line   int // the last that was read
	rows   int
}

// NewReader reads the head of a file.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{text: bufio.NewReaderSize(r, maxLine)}
	if head, _ := in.text.Peek(len(magic)); bytes.Equal(head, magic) { // a shorter file is no zstd
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

// Close ends the use of r. It does not close what it reads.
func (r *Reader) Close() {
	if r.packed != nil {
		r.packed.Close()
	}
}

// readHead reads the remarks, and the names of the columns.
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
			if err := checkText(*known.value, 0, MaxText); err != nil {
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

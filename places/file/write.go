package file

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"herd/places"
)

// Writer writes a file.
type Writer struct {
	packed *zstd.Encoder
	text   *bufio.Writer
	rows   int
}

// NewWriter begins a file of places that come from o.
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
		if err := checkText(*r.value, 1, MaxText); err != nil {
			return nil, fmt.Errorf("%s %.100q: %w", r.key, *r.value, err)
		}
		fmt.Fprintf(out.text, "# %s: %s\n", r.key, *r.value)
	}
	fmt.Fprintln(out.text, strings.Join(columns[:], "\t"))
	return out, nil
}

// Write adds a place: its id, name, location, types and vicinity. It refuses one that a Reader would refuse.
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
	return w.text.WriteByte('\n') // an error stays
}

// Close ends the file. It does not close what it is written to.
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

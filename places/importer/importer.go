// Package importer makes files for package file from extracts of OpenStreetMap in PBF, GeoJSON, and tables of text.
//
// An import reads its input as a stream and holds one object of it at a time. Whatever else it holds has a bound that does not depend on
// the size of the input: see package pbf, osmImport and sink.
package importer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"herd/places/file"
)

// Format is the format of an input.
type Format string

// The formats.
const (
	OSM     Format = "osm"     // an extract of OpenStreetMap in PBF
	GeoJSON Format = "geojson" // RFC 7946 or RFC 8142: a FeatureCollection, or a sequence of features
	CSV     Format = "csv"     // a table with a header; columns are separated by tabs, commas (RFC 4180) or semicolons
)

// Formats are all of them.
var Formats = []Format{OSM, GeoJSON, CSV}

// suffixes are the ends of names that say the format, none of which is the end of another.
var suffixes = map[string]Format{
	".pbf": OSM, ".csv": CSV, ".tsv": CSV, ".tab": CSV, ".json": GeoJSON, ".geojson": GeoJSON, ".ndjson": GeoJSON,
	".geojsonl": GeoJSON, ".geojsons": GeoJSON, ".geojsonseq": GeoJSON,
}

// headSize is how many bytes of a file are needed to detect its format.
const headSize = 512

// detect returns the format of a file by its name, or else by its first bytes, or "".
func detect(name string, head []byte) Format {
	name = strings.ToLower(name)
	for suffix, format := range suffixes {
		if strings.HasSuffix(name, suffix) {
			return format
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, utf8BOM), " \t\r\n\x1e")
	line, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case len(head) > 4 && bytes.Contains(head[4:min(len(head), 32)], []byte("OSMHeader")):
		return OSM
	case bytes.HasPrefix(text, []byte("{")):
		return GeoJSON
	case bytes.ContainsAny(line, "\t,;") && !bytes.Contains(head, []byte{0}):
		return CSV
	}
	return ""
}

var utf8BOM = []byte{0xef, 0xbb, 0xbf}

// Config says what to import.
type Config struct {
	Input    string         // path of a file; the name of Stdin if that is set
	Stdin    io.Reader      // read instead of a file; nil: Input is a file
	Output   string         // path of the file to write
	Format   Format         // of the input; empty: it is detected
	Progress func(Progress) // called often; may be nil

	// Origin says where the places come from. It is known of an extract of OpenStreetMap, and must be empty then. Other inputs need an
	// attribution, or Attributed, which says that none is required.
	Origin     file.Origin
	Attributed bool
}

// ErrAttribution is the error of an import without the attribution that it needs, or with one that it must not have.
var ErrAttribution = errors.New("attribution")

// Progress is how far an import has come.
type Progress struct {
	Read, Size int64 // bytes of the input; Size is 0 if it is unknown
	Places     int   // written so far
	Passes     int   // over the input so far, to find the positions of ways and relations
}

// Result says what an import did.
type Result struct {
	Format  Format
	Origin  file.Origin
	Places  int            // in the file
	Skipped map[Reason]int // objects of the input that are not in the file
	Passes  int            // over the input, to find the positions of ways and relations
	Bytes   int64          // of the file
}

// Import reads the input and writes the output, which appears when it is complete: if Import fails or ctx is done, the output is left as
// it was. An input without places is an error.
func Import(ctx context.Context, c Config) (Result, error) {
	in, err := open(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer in.close()
	switch {
	case in.format != OSM && !c.Attributed && c.Origin.Attribution == "":
		return Result{}, fmt.Errorf("%s needs an %w: who has to be named with these places? Say so, or \"\" if nobody", c.Input, ErrAttribution)
	case in.format == OSM && c.Origin != (file.Origin{}):
		return Result{}, fmt.Errorf("%s comes from OpenStreetMap, whose %w and licence are known; do not give others", c.Input, ErrAttribution)
	case in.format == OSM:
		c.Origin = osmOrigin
	}
	if c.Origin.Source == "" && c.Stdin == nil {
		c.Origin.Source = filepath.Base(c.Input)
	}
	if there, err := os.Stat(c.Output); err == nil {
		if there.IsDir() {
			return Result{}, fmt.Errorf("write %s: a directory; name a file", c.Output)
		}
		if in.file != nil && os.SameFile(in.info, there) {
			return Result{}, fmt.Errorf("write %s: it is the input; name another file", c.Output)
		}
	}
	out, err := renameio.NewPendingFile(c.Output, renameio.WithTempDir(filepath.Dir(c.Output)), renameio.WithStaticPermissions(0o644))
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err // without the path of the temporary file
	}
	if err != nil {
		return Result{}, fmt.Errorf("write %s: %w", c.Output, err)
	}
	defer out.Cleanup() // does nothing after success
	r, err := write(ctx, out, in, c)
	if err != nil {
		return r, err
	}
	if info, err := out.Stat(); err == nil {
		r.Bytes = info.Size()
	}
	return r, out.CloseAtomicallyReplace()
}

// write writes the places of in to out.
func write(ctx context.Context, out io.Writer, in *input, c Config) (Result, error) {
	w, err := file.NewWriter(out, c.Origin)
	if err != nil {
		return Result{}, err
	}
	s := newSink(w, in, c)
	switch in.format {
	case OSM:
		err = newOSM(in.file, in.size, s).run(ctx)
	case GeoJSON:
		err = readGeoJSON(in.text, s)
	default:
		err = readTable(in.text, s)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("read %s: %w", c.Input, context.Cause(ctx))
	} else if err != nil {
		err = fmt.Errorf("read %s: %w", c.Input, err)
	} else if s.result.Places == 0 {
		err = fmt.Errorf("read %s: no places in it%s", c.Input, s.result.why())
	}
	if e := w.Close(); err == nil {
		err = e
	}
	return s.result, err
}

// input is what an import reads: as a stream, or an extract of OpenStreetMap with random access.
type input struct {
	format Format
	size   int64         // bytes; 0 if unknown
	read   *counter      // counts the bytes of text
	text   *bufio.Reader // the stream
	file   *os.File      // nil for Config.Stdin
	info   os.FileInfo   // of file
	unhook func() bool   // ends the watch of ctx that interrupts reads of file
}

func (in *input) close() {
	if in.file != nil {
		in.unhook()
		_ = in.file.Close() // it was only read
	}
}

// openFile opens a file. The other end of a named pipe is awaited until ctx is done; the goroutine that opens it then goes on waiting, and
// closes the pipe if it is opened after all.
func openFile(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		*os.File
		err error
	}
	done := make(chan opened)
	go func() {
		f, err := os.Open(path)
		select {
		case done <- opened{f, err}:
		case <-ctx.Done():
			_ = f.Close() // f may be nil
		}
	}()
	select {
	case o := <-done:
		return o.File, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("open %s: %w", path, context.Cause(ctx))
	}
}

// open opens the input and detects its format.
func open(ctx context.Context, c Config) (_ *input, err error) {
	in := &input{format: c.Format, read: &counter{ctx: ctx, from: c.Stdin}}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	if c.Stdin == nil {
		if in.file, err = openFile(ctx, c.Input); err != nil {
			return nil, err
		}
		in.unhook = context.AfterFunc(ctx, func() { _ = in.file.SetReadDeadline(time.Unix(1, 0)) }) // fails for a regular file, which never blocks
		in.read.from = in.file
		if in.info, err = in.file.Stat(); err != nil {
			return nil, err
		}
		switch mode := in.info.Mode(); {
		case mode.IsDir():
			return nil, fmt.Errorf("read %s: a directory; name a file", c.Input)
		case mode.IsRegular():
			in.size = in.info.Size()
		}
	}
	in.text = bufio.NewReaderSize(in.read, 64<<10)
	if in.format == "" {
		head, err := in.text.Peek(headSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", c.Input, err)
		}
		in.format = detect(c.Input, head)
	}
	switch {
	case in.format == "":
		return nil, fmt.Errorf("read %s: neither its name nor its content shows the format; name it with --format", c.Input)
	case in.format == OSM && in.size == 0:
		return nil, fmt.Errorf("read %s: an extract of OpenStreetMap is read several times; it has to be a file that is not empty", c.Input)
	}
	return in, nil
}

// counter counts the bytes that are read, and fails when ctx is done.
type counter struct {
	ctx  context.Context
	from io.Reader
	n    int64
}

func (c *counter) Read(into []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.from.Read(into)
	c.n += int64(n)
	if ended := c.ctx.Err(); err != nil && ended != nil {
		err = ended // the read was interrupted
	}
	return n, err
}

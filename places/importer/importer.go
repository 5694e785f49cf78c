// Package importer makes files for package file of what others wrote: extracts of OpenStreetMap in PBF, GeoJSON, and tables of
// text.
//
// An import reads its input as a stream and holds one object of it at a time. Where more has to be remembered there is a bound
// that does not depend on the size of the input: see package pbf, osmImport and sink.
package importer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"herd/places/file"
)

// Config says what to import.
type Config struct {
	Input    string         // path of a file; the name of Stdin if that is set
	Stdin    io.Reader      // read instead of a file, if not nil
	Output   string         // path of the file to write
	Format   Format         // of the input; empty: as its name says, or else its content
	Progress func(Progress) // told often, if not nil

	// Where the places come from. That of an extract of OpenStreetMap is known; of others, somebody has to say whether anybody is
	// to be named: with Attributed, an attribution may be empty.
	Origin     file.Origin
	Attributed bool
}

// ErrAttribution is the error of an import that does not know whom to name, or that is told though it knows.
var ErrAttribution = errors.New("attribution")

// Progress says how far an import is.
type Progress struct {
	Read, Size int64 // bytes of the input; the size is 0 if it is not known
	Places     int   // taken so far
	Passes     int   // over the input for the positions of ways and relations, so far
}

// Result is what an import has done.
type Result struct {
	Format  Format
	Origin  file.Origin
	Places  int            // in the file
	Skipped map[Reason]int // objects of the input that are not
	Passes  int            // over the input for the positions of ways and relations
	Bytes   int64          // of the file
}

// Import reads the input and writes the output, which appears when it is complete: if Import fails or ctx is done, all is as it
// was before. Without a place there is no output, but an error.
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
	out, err := os.CreateTemp(filepath.Dir(c.Output), filepath.Base(c.Output)+".*")
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return Result{}, fmt.Errorf("write %s: %w", c.Output, e.Err) // the path is not that of the output
	} else if err != nil {
		return Result{}, fmt.Errorf("write %s: %w", c.Output, err)
	}
	r, err := write(ctx, out, in, c)
	if err == nil {
		err = out.Chmod(0o644) // others read it
	}
	if err == nil {
		err = out.Sync()
	}
	if info, e := out.Stat(); e == nil {
		r.Bytes = info.Size()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(out.Name(), c.Output)
	}
	if err != nil {
		_ = os.Remove(out.Name()) // the error says more
	}
	return r, err
}

// write writes the places of in.
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

// input is what an import reads: a file that can be read anywhere, or a text.
type input struct {
	format Format
	size   int64    // 0 if unknown
	read   *counter // what was read of the text
	text   *bufio.Reader
	file   *os.File // nil if that is not one
	info   os.FileInfo
	unhook func() bool
}

func (in *input) close() {
	if in.file != nil {
		in.unhook()
		_ = in.file.Close() // it was only read
	}
}

// openFile opens a file. For the other end of a pipe it waits no longer than ctx; what waits for it then ends with the process.
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
			_ = f.Close() // which may be nil
		}
	}()
	select {
	case o := <-done:
		return o.File, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("open %s: %w", path, context.Cause(ctx))
	}
}

// open opens the input and finds out its format.
func open(ctx context.Context, c Config) (*input, error) {
	in := &input{format: c.Format, read: &counter{ctx: ctx, from: c.Stdin}}
	if c.Stdin == nil {
		f, err := openFile(ctx, c.Input)
		if err != nil {
			return nil, err
		}
		in.unhook = context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) }) // what cannot wait has none
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("read %s: a directory; name a file", c.Input)
		}
		if err != nil {
			_ = f.Close() // the error says more
			return nil, err
		}
		in.file, in.info, in.read.from = f, info, f
		if info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	in.text = bufio.NewReaderSize(in.read, 64<<10)
	if in.format == "" {
		head, err := in.text.Peek(headSize)
		if err != nil && !errors.Is(err, io.EOF) {
			in.close()
			return nil, fmt.Errorf("read %s: %w", c.Input, err)
		}
		in.format = detect(c.Input, head)
	}
	switch {
	case in.format == "":
		in.close()
		return nil, fmt.Errorf("read %s: the format cannot be told from its name or content; say which it is with --format", c.Input)
	case in.format == OSM && in.size == 0:
		in.close()
		return nil, fmt.Errorf("read %s: an extract of OpenStreetMap is read several times; it has to be a file that is not empty", c.Input)
	}
	return in, nil
}

// counter counts what is read, until ctx is done.
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
		err = ended // it was interrupted
	}
	return n, err
}

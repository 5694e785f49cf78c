// Package file is the provider of places that a user has in a file: an extract of OpenStreetMap or data of their own, as
// 'herd places import' writes them.
//
// A file is a table in UTF-8, compressed by zstd (RFC 8878) or not: lines that begin with # and say where the places come from,
//
//	# attribution: © OpenStreetMap contributors
//	# licence: ODbL 1.0, https://www.openstreetmap.org/copyright
//	# source: andorra.osm.pbf
//
// then the names of the columns with tabs between,
//
//	id	name	lat	lon	types	vicinity
//
// and a line for each place, in any order: its id, which no other has; its name; latitude and longitude in decimal degrees, of
// which seven digits after the point count; its types, the most specific first, with commas between; and where it is in words,
// or nothing. Both Reader and Writer hold one row at a time.
//
// Open returns at once and reads the file in a goroutine of its own, which ends by itself; Find waits for it. What it read is
// immutable, 20 bytes for each place besides its texts, and searched without a lock.
package file

import (
	"context"
	"fmt"
	"os"

	"herd/places"
)

// File finds the places of a file. It implements places.Finder.
type File struct {
	path   string
	loaded chan struct{} // closed once table and err are set
	table  *table        // immutable
	err    error         // why there is no table
}

// Open starts to read the file at path and returns without waiting for it. Once it is read, the file is not looked at again.
func Open(path string) *File {
	f := &File{path: path, loaded: make(chan struct{})}
	go func() {
		defer close(f.loaded)
		if f.table, f.err = open(path); f.err != nil {
			f.err = fmt.Errorf("file %s: %w", path, f.err)
		}
	}()
	return f
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

// Wait returns once the file is read, with an error if it cannot be, or with ctx's error once ctx is done. Unless it returned ctx's
// error, the goroutine that reads has ended.
func (f *File) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("file %s: %w", f.path, err)
	}
	select {
	case <-f.loaded:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("file %s: wait until it is read: %w", f.path, ctx.Err())
	}
}

// Len returns the number of places, and where they come from. It is for after Wait.
func (f *File) Len() (int, Origin) { return f.table.index.Len(), f.table.origin }

// Find returns the places in the circle of q, nearest first and those equally far by id. It fails if the point of q is not on
// Earth, if the file cannot be read, or if ctx is done.
func (f *File) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	if !q.At.OnEarth() {
		err := fmt.Errorf("file %s: no such point: latitude %v, longitude %v", f.path, q.At.Lat, q.At.Lng)
		return places.Answer{}, &places.Error{Status: places.InvalidRequest, Err: err}
	}
	if err := f.Wait(ctx); err != nil {
		return places.Answer{}, err
	}
	a := places.Answer{HTMLAttributions: []string{}, Results: []places.Place{}, Status: places.ZeroResults}
	for _, h := range f.table.index.Nearest(q.At, q.Radius, q.Bound, nil) {
		a.Results = append(a.Results, f.table.place(h.Row))
	}
	if len(a.Results) > 0 {
		a.Status = places.OK
		if f.table.origin.Attribution != "" {
			a.HTMLAttributions = append(a.HTMLAttributions, f.table.origin.Attribution)
		}
	}
	return a, nil
}

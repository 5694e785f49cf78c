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
	"fmt"
	"os"

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

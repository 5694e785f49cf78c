// Command pack makes the embedded files of the gazetteer.
//
//	go run ./pack -print > places.tsv         # the embedded rows as text
//	go run ./pack -places places.tsv          # pack rows of text
//	go run ./pack -regions admin1.tsv         # pack other names of regions
//	go run ./pack                             # check the embedded files and pack them anew
//
// It is run in places/gazetteer, also by go generate. Its output depends on
// the rows only.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"herd/places/gazetteer"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	dir := flags.String("dir", "data", "folder of the embedded files")
	places := flags.String("places", "", "rows to pack, as text (default: those packed in the folder)")
	regions := flags.String("regions", "", "names of the regions, as text (default: those in the folder)")
	show := flags.Bool("print", false, "write the packed rows to standard output as text, and nothing else")
	if err := flags.Parse(args); err != nil {
		return err
	}
	packedPlaces, packedRegions := filepath.Join(*dir, "places.zst"), filepath.Join(*dir, "admin1.tsv")
	if *show {
		return unpack(packedPlaces, stdout)
	}

	var rows bytes.Buffer
	if *places == "" {
		if err := unpack(packedPlaces, &rows); err != nil {
			return fmt.Errorf("%w (give the rows with -places)", err)
		}
	} else {
		text, err := os.ReadFile(*places)
		if err != nil {
			return err
		}
		rows.Write(text)
	}
	names, err := os.ReadFile(cmp.Or(*regions, packedRegions))
	if err != nil {
		return err
	}
	packed, err := gazetteer.Pack(&rows, string(names))
	if err != nil {
		return err
	}
	if err := os.WriteFile(packedPlaces, packed.Places, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(packedRegions, packed.Regions, 0o644); err != nil {
		return err
	}
	for _, source := range slices.Sorted(maps.Keys(packed.Rows)) {
		fmt.Fprintf(stdout, "%-12s %7d places\n", source, packed.Rows[source])
	}
	_, err = fmt.Fprintf(stdout, "%-12s %7d regions\n%-12s %7d bytes\n", "", packed.Named, packedPlaces, len(packed.Places))
	return err
}

func unpack(file string, w io.Writer) error {
	packed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := gazetteer.Unpack(packed, w); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/terminal"
	"herd/places/importer"
)

// places returns the parent of the commands about places.
func (p *program) places() *cobra.Command {
	c := &cobra.Command{
		Use:   "places",
		Short: "Try the provider of nearby places, or make a file of your own",
		Long:  `Commands about the places that a server answers WHATSAT with.`,
		Example: `  herd places near 34.06893 -118.445127                  # ask the configured provider
  herd places import andorra.osm.pbf -o andorra.tsv.zst  # an extract of OpenStreetMap
  herd places near 42.5063 1.5218 --places-provider file --places-file andorra.tsv.zst`,
	}
	c.AddCommand(p.near(), p.placesImport())
	return parent(c)
}

// placesImport returns the command that makes a file of places.
func (p *program) placesImport() *cobra.Command {
	var from importer.Config
	var asJSON bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a file of places of OpenStreetMap, GeoJSON or a table",
		Long: `Make a file for the provider 'file' (places.provider) of FILE, which its name, its content or --format says to be

  osm      an extract of OpenStreetMap in PBF (.osm.pbf): nodes, ways and relations with a name and
           tags of a place; a way or a relation is at the middle of its bounding box
  geojson  features, in a FeatureCollection or one after the other, with a property name; what is
           not a point is at the middle of its bounding box
  csv      a table with a header and the columns name, lat and lon, separated by commas, semicolons
           or tabs

GeoJSON and tables may also have id, types (as in "cafe, bar") and vicinity, or the tags of OpenStreetMap; other usual names are
understood, such as latitude, lng, type and address. FILE may be -, standard input, but for osm.

Whoever made the data may ask to be named. OpenStreetMap does: its attribution and licence are written into the file by themselves.
For other data, --attribution is required; give "" if nobody has to be named. It is shown with every answer, as HTML.

The file appears when it is complete, and without a place there is none. What was left out is counted, with the reason. An extract
of any size takes some 200 to 260 MB of memory; it is read again for the positions of ways and relations, once for some 100,000 of them.`,
		Example: `  herd places import andorra.osm.pbf -o andorra.tsv.zst
  herd places import shops.csv --attribution "© Our Shops" --licence "CC BY 4.0"
  gunzip < trees.geojson.gz | herd places import - --attribution "" --json`,
		Args:              args(1, 1),
		ValidArgsFunction: completeFirst(cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, got []string) error {
			from.Input = got[0]
			return p.importPlaces(c, from, asJSON)
		},
	}
	f := c.Flags()
	f.StringVarP(&from.Output, "output", "o", "places.tsv.zst", "`FILE` to write")
	wordFlag(c, &from.Format, "format", append([]importer.Format{""}, importer.Formats...), "of the input: osm, geojson or csv")
	f.StringVar(&from.Origin.Attribution, "attribution", "", "`TEXT` to show with every answer, or \"\"; for geojson and csv")
	f.StringVar(&from.Origin.Licence, "licence", "", "`TEXT` that names the licence of the data; for geojson and csv")
	f.BoolVar(&asJSON, "json", false, "print the summary as JSON")
	return c
}

// importPlaces imports, and prints the result.
func (p *program) importPlaces(c *cobra.Command, from importer.Config, asJSON bool) error {
	from.Attributed = c.Flags().Changed("attribution")
	if from.Input == "-" {
		in, stop := interruptible(c.Context(), p.stdin)
		defer stop()
		from.Input, from.Stdin = "standard input", in
	}
	shown := terminal.NewProgress(p.stderr) // though the result may go there too, afterwards
	from.Progress = func(done importer.Progress) {
		shown.Show(func() string { return importing(done) })
	}
	began := time.Now()
	result, err := importer.Import(c.Context(), from)
	shown.Clear()
	switch {
	case c.Context().Err() != nil:
		return fmt.Errorf("interrupted; %s is as it was", from.Output)
	case errors.Is(err, importer.ErrAttribution):
		return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	case err != nil:
		return err
	}
	return p.show(asJSON, placesImported{
		from.Output, result.Format, result.Places, result.Skipped, result.Bytes, time.Since(began).Seconds(), result.Origin.Attribution, result.Origin.Licence,
	}, placesTaken(&result, from.Output))
}

// placesImported is what an import of places did, in JSON.
type placesImported struct {
	Output      string                  `json:"output"`
	Format      importer.Format         `json:"format"` // of the input
	Places      int                     `json:"places"`
	Skipped     map[importer.Reason]int `json:"skipped"` // by why
	Bytes       int64                   `json:"bytes"`   // of the output
	Seconds     float64                 `json:"seconds"`
	Attribution string                  `json:"attribution"` // to be shown
	Licence     string                  `json:"licence"`
}

// importing shows how far an import is.
func importing(done importer.Progress) string {
	text := terminal.Plural(done.Places, "place")
	if done.Size > 0 {
		text = fmt.Sprintf("%s %d%%, %s", terminal.Gauge(done.Read, done.Size), 100*done.Read/done.Size, text)
	}
	if done.Passes > 0 {
		text += ", looking for positions of ways and relations, pass " + fmt.Sprint(done.Passes)
	}
	return text
}

// placesTaken puts the result of an import in words.
func placesTaken(r *importer.Result, output string) []byte {
	var text bytes.Buffer
	row := func(what, value, more string) { fmt.Fprintf(&text, "%s\t%s\t%s\n", what, value, more) }
	row("places", fmt.Sprint(r.Places), fmt.Sprintf("in %s, %d bytes", output, r.Bytes))
	for _, reason := range r.Reasons() {
		row("left out", fmt.Sprint(r.Skipped[reason]), string(reason))
	}
	fmt.Fprintf(&text, "attribution: %s\n", cmp.Or(r.Origin.Attribution, "none"))
	if r.Origin.Licence != "" {
		fmt.Fprintf(&text, "licence: %s\n", r.Origin.Licence)
	}
	return terminal.Align(text.Bytes())
}

// interruptible returns a reader of in that fails when ctx is done, though in still waits. What waits ends with the process.
func interruptible(ctx context.Context, in io.Reader) (io.Reader, func()) {
	out, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
	}()
	unhook := context.AfterFunc(ctx, func() { out.CloseWithError(context.Cause(ctx)) })
	return out, func() {
		unhook()
		_ = out.Close() // always nil
	}
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/terminal"
	"herd/configs"
	"herd/node/line"
)

// imports returns the command that puts reports into a store.
func (p *program) imports() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "import NODE [FILE]",
		Short: "Put reports into what a server keeps on disk",
		Long: `Put reports into what a server keeps in its directory of --store-dir, which is made if there is none: lines of FILE, or of
standard input, as 'herd export' writes them. Of each client the report stays that is newer, as if servers had sent it to each other. The
server must not run; when it does again, its neighbours receive what it has. With one line that is not a report nothing is
imported.`,
		Example: `  herd import Welsh goloman.txt --store-dir /var/lib/herd
  gunzip < goloman.txt.gz | herd import Goloman       # store.dir comes from the configuration`,
		Args: args(1, 2),
		ValidArgsFunction: func(c *cobra.Command, got []string, part string) ([]string, cobra.ShellCompDirective) {
			if len(got) == 1 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return p.completeNode(c, got, part)
		},
		RunE: func(c *cobra.Command, got []string) error {
			in := p.stdin
			if len(got) == 2 {
				f, err := os.Open(got[1])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			done := imported{Node: got[0]}
			reports, err := p.readReports(in, &done.Read)
			if err != nil {
				return err
			}
			done.Clients = len(reports)
			s, err := p.keptBy(c, got[0], true)
			if err != nil {
				return err
			}
			if done.New, err = s.Merge(reports); err != nil {
				_ = s.Close() // the error says more
				return fmt.Errorf("%w (some may be imported; to import all, do it again)", err)
			}
			if err := s.Close(); err != nil {
				return err
			}
			return p.show(asJSON, done, fmt.Appendf(nil, "%s of %s, %d imported, the others were there or older\n",
				terminal.Plural(done.Read, "report"), terminal.Plural(done.Clients, "client"), done.New))
		},
	}
	configs.AddFlags(c.Flags(), "herd", "store.dir")
	c.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON")
	return c
}

// imported is what an import did, in JSON.
type imported struct {
	Node    string `json:"node"`
	Read    int    `json:"read"`    // reports
	Clients int    `json:"clients"` // they are of
	New     int    `json:"new"`     // reports greater than what was there
}

// readReports reads lines that are reports, and keeps the greatest of each client. It prints every line that is none.
func (p *program) readReports(in io.Reader, read *int) (map[line.ClientID]line.Report, error) {
	reports := make(map[line.ClientID]line.Report)
	shown := terminal.NewProgress(p.stderr, p.stdout)
	lines := bufio.NewReaderSize(in, 64<<10)
	number, faults := 0, 0
	for {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			break
		}
		number++
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) { // pass over what follows of it
			text = text[:0]
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read reports: %w", err)
		}
		text = bytes.TrimSuffix(text, []byte{'\n'})
		r, wrong := line.ParseReport(string(text))
		switch {
		case long:
			faults++
			fmt.Fprintf(p.stderr, "line %d: too long for a report\n", number)
		case wrong != nil:
			faults++
			fmt.Fprintf(p.stderr, "line %d: not a report: %.200q\n", number, text)
		default:
			*read++
			if held, known := reports[r.Client()]; !known || r.Compare(held) > 0 {
				reports[r.Client()] = r
			}
		}
		shown.Show(func() string { return "read " + terminal.Plural(number, "line") })
	}
	shown.Clear()
	if faults > 0 {
		return nil, fmt.Errorf("nothing was imported, for %d of %d lines are no reports; a report is: SERVER SKEW CLIENT POSITION TIME", faults, number)
	}
	return reports, nil
}

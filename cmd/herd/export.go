package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/process"
	"herd/cmd/herd/internal/terminal"
	"herd/configs"
	"herd/node/line"
	"herd/node/store"
)

// export returns the command that writes what a store holds.
func (p *program) export() *cobra.Command {
	var output string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export NODE",
		Short: "Write down what a server keeps on disk",
		Long: `Write down what a server keeps in its directory of --store-dir: a line for each client, in the order of their IDs,

  SERVER SKEW CLIENT POSITION TIME

which is what the server answers, without the AT. The server must not run. 'herd import' reads these lines.`,
		Example: `  herd export Goloman --store-dir /var/lib/herd > goloman.txt
  herd export Goloman --store-dir /var/lib/herd --output goloman.txt --json
  herd export Goloman | gzip > goloman.txt.gz        # store.dir comes from the configuration`,
		Args:              args(1, 1),
		ValidArgsFunction: p.completeNode,
		RunE: func(c *cobra.Command, got []string) error {
			if asJSON && output == "" {
				return &usageError{errors.New("--json is a summary, and the reports themselves are on standard output; write them to a file with --output")}
			}
			s, err := p.keptBy(c, got[0], false)
			if err != nil {
				return err
			}
			defer s.Close()
			var n int
			if output == "" {
				n, err = p.exportTo(p.stdout, s)
			} else {
				n, err = p.exportFile(output, s)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(exported{got[0], n, output})
			}
			fmt.Fprintln(p.stderr, terminal.Plural(n, "report"))
			return s.Close()
		},
	}
	configs.AddFlags(c.Flags(), "herd", "store.dir")
	c.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write instead of standard output")
	c.Flags().BoolVar(&asJSON, "json", false, "print a summary as JSON")
	return c
}

// exported is what an export did, in JSON.
type exported struct {
	Node    string `json:"node"`
	Reports int    `json:"reports"`
	Output  string `json:"output"`
}

// keptBy opens the store of a node that does not run. One that is not there is made if fresh is set.
func (p *program) keptBy(c *cobra.Command, name string, fresh bool) (*store.Store, error) {
	config, err := p.load(c)
	if err != nil {
		return nil, err
	}
	if _, err := named(config, name); err != nil {
		return nil, err
	}
	if config.Store.Dir == "" {
		return nil, &usageError{errors.New("the servers keep nothing on disk; say where they do with --store-dir")}
	}
	if _, err := os.Stat(filepath.Join(config.Store.Dir, name)); err != nil && !fresh {
		return nil, fmt.Errorf("node %s: %w; name the directory with --store-dir", name, err)
	}
	s, err := process.OpenStore(config, line.NodeName(name), nil)
	switch {
	case errors.Is(err, store.ErrInUse):
		return nil, fmt.Errorf("node %s runs on %s; end it first, for only one process can have a store open", name, filepath.Join(config.Store.Dir, name))
	case err != nil:
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	return s, nil
}

// exportTo writes a store as lines, and returns how many.
func (p *program) exportTo(w io.Writer, s *store.Store) (n int, err error) {
	shown := terminal.NewProgress(p.stderr, w)
	out := bufio.NewWriterSize(w, 64<<10)
	for r, err := range s.All() {
		if err != nil {
			return n, err
		}
		if _, err := out.WriteString(r.String() + "\n"); err != nil {
			return n, fmt.Errorf("write: %w", err)
		}
		n++
		shown.Show(func() string { return terminal.Plural(n, "report") })
	}
	shown.Clear()
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("write: %w", err)
	}
	return n, nil
}

// exportFile writes a store to a file, which appears when it is complete.
func (p *program) exportFile(path string, s *store.Store) (n int, err error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return 0, err
	}
	defer f.Cleanup() // does nothing after success
	if n, err = p.exportTo(f, s); err != nil {
		return n, err
	}
	return n, f.CloseAtomicallyReplace()
}

// Command herd runs servers of an application server herd, and is a client of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/page"
	"herd/configs"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program. What goes wrong is one line on stderr.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if err, silent := errors.AsType[*silentError](err); silent {
		return err.code
	}
	fmt.Fprintf(stderr, "herd: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	if _, wrong := errors.AsType[*usageError](err); wrong {
		return exitUsage
	}
	if config, wrong := errors.AsType[*configs.Error](err); wrong && config.Usage() {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command that was called wrongly: it names what is wrong and how to see what is right.
type usageError struct{ error }

// silentError ends the program with a code, when all has been said.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// program is what every command shares.
type program struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	file           string // --config
}

// root returns the command line.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "herd",
		Short: "An application server herd: last known places of devices, at every server",
		Long: `A herd is a set of servers, each near some devices, that together know where every device was last seen.
Devices report to any of them over TCP; the servers flood what is newer along the links of a topology.`,
		Example: `  herd up                                             # five servers and their bus, in one process
  herd iamat kiwi.cs.ucla.edu +34.068930-118.445127   # report to the first server where a device is
  herd whatsat kiwi.cs.ucla.edu 10 5 --node Welsh     # ask another what is near it
  herd watch                                          # see reports travel`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       ownVersion(),
	}
	root.PersistentFlags().StringVar(&p.file, "config", "", "configuration `FILE` in YAML (default: $HERD_CONFIG, or what is built in)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	})
	root.AddCommand(
		p.up(), p.node(), p.iamat(), p.whatsat(), p.watch(), p.topology(), p.bus(), p.places(), p.export(), p.imports(), p.bench(), p.health(), p.config(), p.version(),
	)
	root.SetVersionTemplate("herd {{.Version}}\n")
	parent(root)
	completeCommands(root)
	shapeHelp(root)
	return root
}

// load returns the configuration that a command runs with.
func (p *program) load(c *cobra.Command) (*configs.Config, error) {
	return configs.Load(p.file, c.Flags(), p.environ)
}

// args returns a check that a command got between least and most arguments.
func args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, got []string) error {
		switch {
		case len(got) < least:
			return &usageError{fmt.Errorf("too few arguments; usage: %s", c.UseLine())}
		case len(got) > most:
			return &usageError{fmt.Errorf("unexpected %q; see '%s --help'", got[most], c.CommandPath())}
		}
		return nil
	}
}

// completeCommands has each command below c take no arguments, and offer no files, unless it says otherwise.
func completeCommands(c *cobra.Command) {
	for _, each := range c.Commands() {
		if each.Args == nil {
			each.Args = args(0, 0)
		}
		if each.ValidArgsFunction == nil && !each.HasSubCommands() {
			each.ValidArgsFunction = cobra.NoFileCompletions
		}
		completeCommands(each)
	}
}

// print writes a command's result.
func (p *program) print(text []byte) error {
	if _, err := p.stdout.Write(text); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// show writes a command's result for programs, or the text of it.
func (p *program) show(asJSON bool, result any, text []byte) error {
	if asJSON {
		return p.printJSON(result)
	}
	return p.print(text)
}

// printJSON writes a command's result for programs.
func (p *program) printJSON(result any) error {
	text, err := page.JSON(result)
	if err != nil {
		return err
	}
	return p.print(text)
}

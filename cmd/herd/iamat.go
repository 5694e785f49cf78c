package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"herd/cmd/herd/internal/client"
	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
)

// iamat returns the command that reports where a client is.
func (p *program) iamat() *cobra.Command {
	c := &cobra.Command{
		Use:   "iamat CLIENT POSITION [TIME]",
		Short: "Report to a server where a client is",
		Long: `Report to a server where a client is, and print its reply as it came.

POSITION is latitude and longitude in decimal degrees, a sign before each (ISO 6709); TIME is POSIX seconds and defaults
to now. With - in place of them, each line of standard input is CLIENT POSITION [TIME]. They are sent over one connection
without waiting for each reply; the last line on standard error says how many there were and how many were refused.
The exit code is 1 when any was: its reply is the line after a question mark.`,
		Example: `  herd iamat kiwi.cs.ucla.edu +34.068930-118.445127
  herd iamat opera.sydney.au -33.856784+151.215297 1520023934.918963997 --node Welsh
  herd iamat - --addr 127.0.0.1:12126 < reports.txt
  herd iamat kiwi +34.068930-118.445127 --addr herd.example:12125 --cert k.pem --key k.key`,
		DisableFlagParsing: true, // see operands
		Args:               cobra.ArbitraryArgs,
	}
	t := p.targetFlags(c)
	c.ValidArgsFunction = p.completeIamat
	c.RunE = func(c *cobra.Command, raw []string) error {
		got, err := operands(c, raw)
		if err != nil {
			return err
		}
		if slices.Equal(got, []string{"-"}) {
			return p.stream(c, t)
		}
		if err := args(2, 3)(c, got); err != nil {
			return err
		}
		if len(got) == 2 {
			got = append(got, string(client.AppendTime(nil, time.Now())))
		}
		return p.exchange(c, t, "IAMAT", got)
	}
	return c
}

// operands parses the arguments of a command for which cobra does not: to it a position in the southern hemisphere, like
// -33.86+151.20, would be flags. No flag begins with a digit, so pflag gets what stands between such arguments.
func operands(c *cobra.Command, raw []string) ([]string, error) {
	flags := c.Flags()
	var got []string
	for {
		end := slices.IndexFunc(raw, negative)
		if end < 0 {
			end = len(raw)
		}
		if err := flags.Parse(raw[:end]); err != nil {
			return got, c.FlagErrorFunc()(c, err)
		}
		if help, _ := flags.GetBool("help"); help {
			return got, pflag.ErrHelp
		}
		got = append(got, flags.Args()...)
		if end == len(raw) || flags.ArgsLenAtDash() >= 0 {
			return append(got, raw[end:]...), nil
		}
		got, raw = append(got, raw[end]), raw[end+1:]
	}
}

func negative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && '0' <= arg[1] && arg[1] <= '9'
}

// completeIamat offers the values of flags, which cobra leaves to a command that parses them itself.
func (p *program) completeIamat(c *cobra.Command, raw []string, part string) ([]string, cobra.ShellCompDirective) {
	_, _ = operands(c, raw) // for --config; the last flag may lack its value
	flag, _, joined := strings.Cut(part, "=")
	if !joined && len(raw) > 0 {
		flag = raw[len(raw)-1]
	}
	switch flag {
	case "--node":
		return p.nodeNames(c), cobra.ShellCompDirectiveNoFileComp
	case "--config", "--ca", "--cert", "--key":
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// exchange sends one line and prints the reply.
func (p *program) exchange(c *cobra.Command, t *target, verb string, got []string) error {
	for _, operand := range got {
		if operand == "" || strings.ContainsAny(operand, client.Space) {
			return &usageError{fmt.Errorf("%q cannot be sent: no operand is empty or has blanks", operand)}
		}
	}
	server, err := p.dial(c, t)
	if err != nil {
		return err
	}
	defer server.Close()
	text := verb + " " + strings.Join(got, " ")
	if _, err := server.Write([]byte(text + "\n")); err != nil {
		return server.Failure(err)
	}
	refused, err := server.Reply(p.stdout)
	if err != nil || !refused {
		return err
	}
	return fmt.Errorf("%s refused that: %w", server.Address, refusal(text, t.tls.Cert != ""))
}

// refusal says what a server may have against a line that came with a certificate, or without.
func refusal(text string, certified bool) error {
	command := line.Parse([]byte(text))
	switch {
	case command.Verb == line.IAmAt && certified:
		return errors.New("the certificate of --cert is not for that client, or it takes no more new clients from this address")
	case command.Verb == line.IAmAt:
		return errors.New("it takes no more new clients from this address; try again in a minute")
	case command.Verb == line.WhatsAt:
		return errors.New("it knows no such client; report its place first with: herd iamat CLIENT POSITION")
	case strings.HasPrefix(text, "IAMAT"):
		return fmt.Errorf("CLIENT has at most %d bytes, POSITION is like +34.068930-118.445127, TIME like 1520023934.918963997", line.MaxClient)
	default:
		return fmt.Errorf("CLIENT has at most %d bytes, RADIUS is 0 to %d km, BOUND 0 to %d", line.MaxClient, line.MaxRadius, line.MaxBound)
	}
}

// stream reports each line of standard input.
func (p *program) stream(c *cobra.Command, t *target) error {
	server, err := p.dial(c, t)
	if err != nil {
		return err
	}
	defer server.Close()
	replies, refused, err := server.Stream(c.Context(), p.stdin, p.stdout, terminal.NewProgress(p.stderr, p.stdout))
	fmt.Fprintln(p.stderr, client.Counts(replies, refused))
	if err == nil && refused > 0 {
		return &silentError{exitFailed}
	}
	return err
}

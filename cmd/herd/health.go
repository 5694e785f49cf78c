package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/client"
	"herd/cmd/herd/internal/process"
	"herd/cmd/herd/internal/terminal"
	"herd/configs"
	"herd/node/status"
)

// health returns the command that requests the health of servers.
func (p *program) health() *cobra.Command {
	var addr string
	var asJSON bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "health [NODE...]",
		Short: "Ask servers how they are",
		Long: `Ask servers how they are: those named, or all that the configuration gives an address for HTTP. The exit code is 0
only when all of them are ready. A server that has lost its bus or a link stays ready: it goes on answering from memory.
Servers that want a token tell more than that to who has it, in HERD_HTTP_TOKEN or the file of http.token_file.`,
		Example: `  herd health
  herd health Goloman Welsh --json
  herd health --addr 127.0.0.1:8125 --timeout 500ms     # in a container`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: p.completeNodes,
		RunE: func(c *cobra.Command, names []string) error {
			if timeout <= 0 {
				return &usageError{fmt.Errorf("--timeout %s is too short; write for example 2s", timeout)}
			}
			config, err := p.load(c)
			if err != nil {
				return err
			}
			token, err := process.HTTPToken(config)
			if err != nil {
				return err
			}
			targets, err := probeTargets(config, addr, names)
			if err != nil {
				return err
			}
			return p.probe(c.Context(), targets, token, timeout, asJSON)
		},
	}
	configs.AddFlags(c.Flags(), "http.token_file")
	c.Flags().StringVar(&addr, "addr", "", "`HOST:PORT` of a server's HTTP, instead of names")
	c.Flags().BoolVar(&asJSON, "json", false, "as a JSON list, with all that each server reports of itself")
	c.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for answers")
	return c
}

// probeTarget is a server whose health is requested.
type probeTarget struct {
	name    string // "": whoever answers
	address string
	health  status.Health
	err     error // why it sent none
}

// probeTargets are the server at an address, or the nodes with these names or, when there are neither, all that have an address for HTTP.
func probeTargets(config *configs.Config, addr string, names []string) ([]*probeTarget, error) {
	if addr != "" {
		address, err := process.Reach(addr)
		switch {
		case len(names) > 0:
			return nil, &usageError{errors.New("--addr is instead of names; give one or the other")}
		case err != nil:
			return nil, &usageError{fmt.Errorf("--addr: %w", err)}
		}
		return []*probeTarget{{address: address}}, nil
	}
	if len(names) == 0 {
		for _, n := range config.Nodes {
			if n.HTTP != "" {
				names = append(names, string(n.Name))
			}
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no node has an address for HTTP, so none can be asked; give them one with 'http' in the configuration")
	}
	var targets []*probeTarget
	for _, name := range names {
		n, err := named(config, name)
		if err != nil {
			return nil, err
		}
		if n.HTTP == "" {
			return nil, fmt.Errorf("node %s has no address for HTTP, so it cannot be asked; give it one with 'http' in the configuration", name)
		}
		address, err := process.Reach(n.HTTP)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w; give its address with --addr", name, err)
		}
		targets = append(targets, &probeTarget{name: name, address: address})
	}
	return targets, nil
}

// probe requests the health of all at once and prints it.
func (p *program) probe(ctx context.Context, targets []*probeTarget, token string, timeout time.Duration, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var probes sync.WaitGroup
	for _, t := range targets {
		probes.Go(func() {
			t.health, t.err = client.Health(ctx, t.address, token)
			if t.err == nil && t.name != "" && t.health.Node != "" && t.name != t.health.Node {
				t.err = fmt.Errorf("%s: that is %s", t.address, t.health.Node)
			}
		})
	}
	probes.Wait()
	var err error
	if asJSON {
		answers := make([]any, len(targets))
		for i, t := range targets {
			answers[i] = t.json()
		}
		err = p.printJSON(answers)
	} else {
		var text bytes.Buffer
		for _, t := range targets {
			fmt.Fprintln(&text, t.row())
		}
		err = p.print(terminal.Align(text.Bytes()))
	}
	if err == nil && slices.ContainsFunc(targets, func(t *probeTarget) bool { return t.err != nil || !t.health.Ready }) {
		return &silentError{exitFailed}
	}
	return err
}

// json is a server's health or, if it sent none, whether it is ready, and why it sent none.
func (t *probeTarget) json() any {
	if t.err == nil && t.health.Node != "" {
		return t.health
	}
	short := struct {
		Node  string `json:"node"`
		Ready bool   `json:"ready"`
		Error string `json:"error,omitempty"`
	}{Node: t.name, Ready: t.health.Ready}
	if t.err != nil {
		short.Ready, short.Error = false, t.err.Error()
	}
	return short
}

// row is a server's health, or why it sent none, in cells that tabs end.
func (t *probeTarget) row() string {
	if t.err != nil {
		return cmp.Or(t.name, t.address) + "\tunreachable\t" + terminal.Legible(t.err.Error())
	}
	h, state := t.health, "not ready"
	if h.Ready {
		state = "ready"
	}
	if h.Node == "" {
		return cmp.Or(t.name, t.address) + "\t" + state + "\tit tells more to who has its token: see HERD_HTTP_TOKEN"
	}
	if len(h.Missing) > 0 {
		state += ", misses " + terminal.Legible(strings.Join(h.Missing, ", "))
	}
	links := make([]string, len(h.Links))
	for i, l := range h.Links {
		links[i] = terminal.Legible(l.Peer) + " " + terminal.Legible(l.State)
		switch {
		case len(l.Lacking) > 0:
			links[i] += " (no link for " + terminal.Legible(strings.Join(l.Lacking, ", ")) + ")"
		case l.NeverReceived:
			links[i] += " (never received)"
		case l.Topology != "":
			links[i] += " (other topology)"
		case l.DuplicateName:
			links[i] += " (duplicate name)"
		case l.ClockOffsetSeconds != nil && math.Abs(*l.ClockOffsetSeconds) > 10:
			links[i] += fmt.Sprintf(" (its clock %+.0f s)", *l.ClockOffsetSeconds)
		case l.ReportsOwed > 0:
			links[i] += fmt.Sprintf(" (%d owed)", l.ReportsOwed)
		case l.EverySeconds > 0:
			links[i] += fmt.Sprintf(" (every %s)", seconds(l.EverySeconds))
		}
	}
	for _, name := range h.OneSided {
		links = append(links, terminal.Legible(name)+" has a link that is lacking here")
	}
	bus := "bus " + terminal.Legible(h.Bus)
	if h.Store != nil {
		bus += "\tstore " + terminal.Legible(strings.TrimPrefix(h.Store.State, "store ")) // an error begins so as well
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", terminal.Legible(h.Node), state, bus,
		terminal.Plural(h.Clients, "client"), terminal.Plural(h.Sessions, "session"), strings.Join(links, ", "))
}

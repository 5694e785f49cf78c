package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/process"
	"herd/cmd/herd/internal/terminal"
	"herd/configs"
	"herd/places"
)

// near returns the command that queries the provider of places.
func (p *program) near() *cobra.Command {
	var radius float64
	var bound int
	var asJSON bool
	c := &cobra.Command{
		Use:   "near LAT LON",
		Short: "Ask the provider of places what is near a point",
		Long: `Ask the configured provider of places itself, without a server, a memory of earlier answers or another provider in its place, and
print what it answers: to see whether a key, an endpoint or a data file does what it should. LAT and LON are degrees.
The exit code is 1 when the provider fails.`,
		Example: `  herd places near 34.06893 -118.445127
  herd places near 34.06893 -118.445127 --radius 0.5 --bound 20 --json
  HERD_PLACES_KEY=... herd places near 34.06893 -118.445127 --places-provider google
  herd places near 42.5063 1.5218 --places-provider overpass`,
		DisableFlagParsing: true, // see operands
		Args:               cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, raw []string) error {
			got, err := operands(c, raw)
			if err != nil {
				return err
			}
			if err := args(2, 2)(c, got); err != nil {
				return err
			}
			q, err := query(got[0], got[1], radius, bound)
			if err != nil {
				return &usageError{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
			}
			config, err := p.load(c)
			if err != nil {
				return err
			}
			return p.queryProvider(c.Context(), config, q, asJSON)
		},
	}
	c.Flags().Float64Var(&radius, "radius", 10, "how far a place may be, 0 to 50 `KILOMETRES`")
	c.Flags().IntVar(&bound, "bound", 5, "at most so many `PLACES`, 0 to 20")
	c.Flags().BoolVar(&asJSON, "json", false, "print the answer as a client of a server gets it")
	configs.AddFlags(c.Flags(), "places")
	return c
}

// queryProvider prints what the provider answers.
func (p *program) queryProvider(ctx context.Context, config *configs.Config, q places.Query, asJSON bool) error {
	provider, err := process.Provider(ctx, config, func(places.Event) {})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, config.Places.Timeout)
	defer cancel()
	began := time.Now()
	body, status, results := places.Nearby(ctx, provider, q)
	took := time.Since(began)
	failed := status != places.OK && status != places.ZeroResults
	if asJSON {
		if err := p.print(append(body, '\n')); err != nil || !failed {
			return err
		}
		return &silentError{exitFailed}
	}
	var answer struct {
		HTMLAttributions []string `json:"html_attributions"`
		Results          []places.Place
		ErrorMessage     string `json:"error_message"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: read the answer: %w", config.Places.Provider, err)
	}
	if failed {
		return fmt.Errorf("%s: %s", status, terminal.Legible(answer.ErrorMessage))
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s from %s within %v km, in %v\n", terminal.Plural(results, "place"), config.Places.Provider, q.Radius, took.Round(time.Microsecond))
	for _, r := range answer.Results {
		kind := ""
		if len(r.Types) > 0 {
			kind = r.Types[0]
		}
		fmt.Fprintf(&text, "%8.2f km\t%s\t%s\t%s\n", places.Distance(q.At, r.Geometry.Location), terminal.Legible(r.Name), terminal.Legible(kind), terminal.Legible(r.Vicinity))
	}
	for _, a := range answer.HTMLAttributions {
		fmt.Fprintln(&text, terminal.Legible(a))
	}
	return p.print(terminal.Align(text.Bytes()))
}

// query reads the arguments of near.
func query(lat, lng string, radius float64, bound int) (q places.Query, err error) {
	if q.At.Lat, err = degrees("LAT", lat, 90); err != nil {
		return q, err
	}
	if q.At.Lng, err = degrees("LON", lng, 180); err != nil {
		return q, err
	}
	if !(radius >= 0 && radius <= 50) {
		return q, fmt.Errorf("--radius %v is not from 0 to 50", radius)
	}
	if bound < 0 || bound > 20 {
		return q, fmt.Errorf("--bound %d is not from 0 to 20", bound)
	}
	q.Radius, q.Bound = radius, bound
	return q, nil
}

func degrees(what, text string, most float64) (float64, error) {
	d, err := places.ParseDegrees(text, most)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a number from -%v to %v", what, text, most, most)
	}
	return d, nil
}

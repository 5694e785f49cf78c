package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/terminal"
	"herd/configs"
)

// config returns the command that shows the configuration in force.
func (p *program) config() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration and where each value comes from",
		Long: `Show every value that the other commands run with, given the same flags, environment and file, and which of these it
comes from. Users, passwords and tokens in bus.url are shown as ***.`,
		Example: `  herd config
  herd config --config configs/ring.yaml --limits-rate 100
  herd config --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := p.load(c)
			if err != nil {
				return err
			}
			return p.show(asJSON, config.Values(), settings(config))
		},
	}
	configs.AddFlags(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// settings is a table of key, source and value: the value, which may be long, comes last.
func settings(config *configs.Config) []byte {
	var text bytes.Buffer
	fmt.Fprintln(&text, "KEY\tSOURCE\tVALUE")
	for _, v := range config.Values() {
		shown := terminal.Legible(v.Value)
		if shown == "" {
			shown = `""`
		}
		fmt.Fprintf(&text, "%s\t%s\t%s\n", v.Key, terminal.Legible(v.Source.String()), shown)
	}
	return terminal.Align(text.Bytes())
}

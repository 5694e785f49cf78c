package main

import "github.com/spf13/cobra"

// places returns the commands about nearby places.
func (p *program) places() *cobra.Command {
	c := &cobra.Command{
		Use:   "places",
		Short: "Try the provider of nearby places, or make data for one",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.near())
	return c
}

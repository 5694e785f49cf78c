package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// nodeNames returns the nodes of the configuration that c was given. Without a sound one there is nothing to offer.
func (p *program) nodeNames(c *cobra.Command) []string {
	config, err := p.load(c)
	if err != nil {
		return nil
	}
	var names []string
	for _, n := range config.Nodes {
		names = append(names, string(n.Name))
	}
	return names
}

// completeNode offers the nodes to a command that takes one.
func (p *program) completeNode(c *cobra.Command, got []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(got) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.nodeNames(c), cobra.ShellCompDirectiveNoFileComp
}

// completeNodes offers the nodes that are not given yet to a command that takes several.
func (p *program) completeNodes(c *cobra.Command, got []string, _ string) ([]string, cobra.ShellCompDirective) {
	given := func(name string) bool { return slices.Contains(got, name) }
	return slices.DeleteFunc(p.nodeNames(c), given), cobra.ShellCompDirectiveNoFileComp
}

// nodeFlag adds a flag whose value is the name of a node.
func (p *program) nodeFlag(c *cobra.Command, value *string, name, usage string) {
	c.Flags().StringVar(value, name, "", usage)
	offer := func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return p.nodeNames(c), cobra.ShellCompDirectiveNoFileComp
	}
	if err := c.RegisterFlagCompletionFunc(name, offer); err != nil {
		panic(err) // there is the flag, and it has no other
	}
}

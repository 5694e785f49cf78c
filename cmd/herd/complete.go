package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// nodeNames returns the nodes of the configuration that c was given. Without a sound one there is nothing to offer.
func (p *program) nodeNames(c *cobra.Command) []string {
	config, err := p.load(c)
	if err != nil {
		return nil
	}
	return texts(config.Topology().Nodes())
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

// completeFirst returns a function that has the shell offer files of some kind for the first argument, and nothing for others.
func completeFirst(files cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(_ *cobra.Command, got []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(got) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, files
	}
}

// nodeFlag adds a flag whose value is the name of a node.
func (p *program) nodeFlag(c *cobra.Command, value *string, name, usage string) {
	c.Flags().StringVar(value, name, "", usage)
	completeFlag(c, name, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return p.nodeNames(c), cobra.ShellCompDirectiveNoFileComp
	})
}

func completeFlag(c *cobra.Command, name string, offer cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(name, offer); err != nil {
		panic(err) // there is the flag, and it has no other
	}
}

// wordFlag adds a flag whose value is one of some words, the first unless it is given.
func wordFlag[T ~string](c *cobra.Command, value *T, name string, words []T, usage string) {
	*value = words[0]
	c.Flags().Var(&word[T]{value, words}, name, usage)
	offered := slices.DeleteFunc(texts(words), func(text string) bool { return text == "" })
	completeFlag(c, name, cobra.FixedCompletions(offered, cobra.ShellCompDirectiveNoFileComp))
}

// word is the value of a [wordFlag].
type word[T ~string] struct {
	value *T
	words []T
}

func (w *word[T]) String() string { return string(*w.value) }
func (w *word[T]) Type() string   { return "WORD" }

func (w *word[T]) Set(text string) error {
	if text == "" || !slices.Contains(w.words, T(text)) {
		return fmt.Errorf("must be one of %s", strings.TrimPrefix(strings.Join(texts(w.words), ", "), ", "))
	}
	*w.value = T(text)
	return nil
}

// texts returns words of some type as texts.
func texts[T ~string](words []T) []string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return texts
}

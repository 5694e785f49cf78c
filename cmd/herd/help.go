package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const helpWidth = 100 // columns of the help

// shapeHelp gives the command line its help, and has commands that do not exist fail.
func shapeHelp(root *cobra.Command) {
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		text := cmp.Or(c.Long, c.Short)
		fmt.Fprintf(c.OutOrStdout(), "%s\n\n%s", wrap(text), usage(c))
	})
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(_ *cobra.Command, got []string) error {
			c, unknown, err := root.Find(got)
			if err != nil || len(unknown) > 0 {
				return unknownCommand(c, unknown)
			}
			return c.Help()
		},
	})
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Long = c.Short + ". Each command says how to load it."
			parent(c)
		}
	}
}

// parent has a command that only groups others print its help, and refuse what is none of them.
func parent(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, got []string) error {
		if len(got) > 0 {
			return unknownCommand(c, got)
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

func unknownCommand(c *cobra.Command, got []string) error {
	return &usageError{fmt.Errorf("unknown command %q; %ssee '%s --help'", got[0], didYouMean(c, got[0]), c.CommandPath())}
}

// didYouMean returns a question about the commands below c whose names are like a word, or "".
func didYouMean(c *cobra.Command, word string) string {
	c.SuggestionsMinimumDistance = 2
	if like := c.SuggestionsFor(word); len(like) > 0 {
		return fmt.Sprintf("did you mean %s? ", strings.Join(like, " or "))
	}
	return ""
}

// likeName returns a question about the names that are like a word, or "".
func likeName(names []string, word string) string {
	list := new(cobra.Command)
	for _, n := range names {
		list.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	return didYouMean(list, word)
}

// sections are the groups of flags that set keys of the configuration, which begin with these words.
var sections = []string{"bus", "store", "places", "limits", "http", "tls", "trace", "log"}

// usage lists how a command is called, examples, commands below it and flags in groups.
func usage(c *cobra.Command) string {
	var text bytes.Buffer
	fmt.Fprintf(&text, "Usage:\n")
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "  %s COMMAND [flags]\n", c.CommandPath())
	} else {
		fmt.Fprintf(&text, "  %s\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(&text, "\nExamples:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "\nCommands:\n")
		for _, each := range c.Commands() {
			if each.IsAvailableCommand() || each.Name() == "help" {
				fmt.Fprintf(&text, "  %-*s %s\n", c.NamePadding(), each.Name(), each.Short)
			}
		}
	}
	groups := make(map[string]*pflag.FlagSet)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		section, _, compound := strings.Cut(f.Name, "-")
		if !compound || !slices.Contains(sections, section) {
			section = ""
		}
		if groups[section] == nil {
			groups[section] = pflag.NewFlagSet(section, pflag.ContinueOnError)
		}
		groups[section].AddFlag(f)
	})
	for _, section := range append([]string{""}, sections...) {
		title := "Flags"
		if section != "" {
			title = "Flags of the configuration's " + section
		}
		if g := groups[section]; g != nil {
			fmt.Fprintf(&text, "\n%s:\n%s", title, g.FlagUsagesWrapped(helpWidth))
		}
	}
	return text.String()
}

// wrap breaks the paragraphs of a text at helpWidth. Lines that begin with blanks stay as they are.
func wrap(text string) string {
	var lines []string
	flow := false // the last line may be continued
	for l := range strings.SplitSeq(text, "\n") {
		if l == "" || l[0] == ' ' {
			lines, flow = append(lines, l), false
			continue
		}
		for word := range strings.FieldsSeq(l) {
			last := len(lines) - 1
			if flow && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= helpWidth {
				lines[last] += " " + word
			} else {
				lines, flow = append(lines, word), true
			}
		}
	}
	return strings.Join(lines, "\n")
}

package main

import "github.com/spf13/cobra"

// whatsat returns the command that requests what is near a client.
func (p *program) whatsat() *cobra.Command {
	c := &cobra.Command{
		Use:   "whatsat CLIENT RADIUS BOUND",
		Short: "Ask a server what is near a client",
		Long: `Ask a server where a client was last seen and what is near that place, and print its reply as it came: the line of
the last report, and places in the JSON of Google's Nearby Search, at most BOUND (0 to 20) of them within RADIUS (0 to 50)
kilometres. The exit code is 1 when the server does not know the client.`,
		Example: `  herd whatsat kiwi.cs.ucla.edu 10 5
  herd whatsat kiwi.cs.ucla.edu 0.5 20 --node Welsh
  herd whatsat kiwi.cs.ucla.edu 10 5 --addr 127.0.0.1:12126 | tail -n +2 | jq .status`,
		Args: args(3, 3),
	}
	t := p.targetFlags(c)
	c.RunE = func(c *cobra.Command, got []string) error { return p.exchange(c, t, "WHATSAT", got) }
	return c
}

package session

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
)

// What a client sends at once is applied together, and answered as if it came line by line.
func TestOneRead(t *testing.T) {
	iamat := func(client string, at int) string { return fmt.Sprintf("IAMAT %s %s %d\n", client, place, at) }
	report := func(client string, at int) string {
		return fmt.Sprintf("AT Goloman +%d.000000000 %s %s %d\n", 946684800-at, client, place, at)
	}
	const nothing = "{\n  \"html_attributions\": [],\n  \"results\": [],\n  \"status\": \"ZERO_RESULTS\"\n}\n\n"
	many, all := "", ""
	for i := range 3 * maxBatch / 2 {
		many += iamat("a", i)
		all += report("a", i) + "\n"
	}
	for _, tt := range []struct {
		name, sent, want string
		adjust           func(*config)
	}{
		{
			name: "as it is at its place", sent: iamat("a", 0) + "WHATSAT a 0 0\n" + iamat("a", 1) + "junk\nWHATSAT a 0 0\nWHATSAT b 0 0\n" + iamat("b", 0),
			want: report("a", 0) + "\n" + report("a", 0) + nothing + report("a", 1) + "\n? junk\n" + report("a", 1) + nothing + "? WHATSAT b 0 0\n" + report("b", 0) + "\n",
		},
		{name: "old", sent: iamat("a", 1) + iamat("a", 0) + "WHATSAT a 0 0\n", want: report("a", 1) + "\n" + report("a", 0) + "\n" + report("a", 1) + nothing},
		{name: "many", sent: many + "WHATSAT a 0 0\n", want: all + report("a", 3*maxBatch/2-1) + nothing},
		{
			name: "new clients", sent: iamat("a", 0) + iamat("a", 1) + iamat("b", 0) + iamat("c", 0) + iamat("b", 1) + iamat("a", 2),
			want:   report("a", 0) + "\n" + report("a", 1) + "\n" + report("b", 0) + "\n? " + iamat("c", 0) + report("b", 1) + "\n" + report("a", 2) + "\n",
			adjust: func(c *config) { c.Limits.NewClients = 2 },
		},
		{
			name: "rate", sent: iamat("a", 0) + iamat("b", 1) + iamat("c", 2), want: report("a", 0) + "\n" + report("b", 1) + "\n",
			adjust: func(c *config) { c.Limits.Rate = 2 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := startServer(t, newBlockingFinder(), func(c *config) {
					if tt.adjust != nil {
						tt.adjust(c)
					}
				})
				c := n.listener.Dial(t)
				go func() { _, _ = io.WriteString(c, tt.sent) }()
				got := make([]byte, len(tt.want))
				if _, err := io.ReadFull(c.In, got); err != nil || string(got) != tt.want || c.In.Buffered() > 0 {
					t.Errorf("%v: %q, want %q", err, got, tt.want)
				}
				if _, known := n.Registry().Get("a"); !known {
					t.Error("a is answered and not known")
				}
			})
		})
	}
}

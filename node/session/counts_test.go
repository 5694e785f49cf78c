package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/node/line"
	"herd/places"
)

// failingForSeven is a provider that fails when seven places are requested.
type failingForSeven struct{ places.Finder }

func (f failingForSeven) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	if q.Bound == 7 {
		return places.Answer{}, errors.New("seven")
	}
	return f.Finder.Find(ctx, q)
}

// Each line of a client is counted by how it ended, when its answer is there.
func TestCommandsAreCounted(t *testing.T) {
	n := startTCP(t, func(c *config) {
		c.Limits.Future = time.Hour
		c.Places = failingForSeven{c.Places}
	})
	c := n.dial(t)
	c.Send("IAMAT a +34.068930-118.445127 2\nIAMAT a +1-1 1\nIAMAT a +1-1 2\nIAMAT a +1-1 9000000000\nIAMAT b +0.0-150.0 1\n" +
		"WHATSAT a 10 5\nWHATSAT a 10 0\nWHATSAT b 1 5\nWHATSAT a 10 7\nWHATSAT nobody 10 7\n" +
		"AT me\n\n" + strings.Repeat("x", line.MaxLine+1) + "\n")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.Rest()
	want := slices.Clone(names[:])
	for o, times := range []uint64{2, 2, 1, 1, 2, 1, 1, 2, 1} {
		want[o].Times = times
	}
	if got := n.Commands(); !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	c = n.dial(t)
	c.Send("IAMAT a +1-1 3\n")
	c.Paragraph()
	want[reportAdmitted].Times++
	if got := n.Commands(); !slices.Equal(got, want) {
		t.Errorf("while the client is connected: %+v\nwant %+v", got, want)
	}
	if _, accepted := n.config.Admit.Connections(); accepted != 2 {
		t.Errorf("%d connections, want 2", accepted)
	}
}

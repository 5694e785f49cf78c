package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"herd/cmd/herd/internal/terminal"
	"herd/node/flood/simulate"
	"herd/node/topology"
)

// demand is what the flags of topology check say of clients.
type demand struct {
	clients int // 0: nobody asked
	every   time.Duration
}

func (d demand) check(everyGiven bool) error {
	switch {
	case d.clients < 0 || d.clients > 1e9:
		return errors.New("--clients is 1 to 1000000000")
	case d.clients == 0 && everyGiven:
		return errors.New("--every needs --clients")
	case d.every < time.Millisecond || d.every > 24*time.Hour:
		return errors.New("--every is 1ms to 24h")
	default:
		return nil
	}
}

// traffic is what links and uplinks carry, in bytes a second.
type traffic struct {
	Clients int     `json:"clients"`
	Every   float64 `json:"every"` // seconds
	simulate.Traffic
}

// traffic returns what links carry, or nil if nobody asked.
func (d demand) traffic(t *topology.Topology) *traffic {
	if d.clients == 0 {
		return nil
	}
	return &traffic{d.clients, d.every.Seconds(), simulate.Carries(t, d.clients, d.every)}
}

// text puts it in words.
func (t *traffic) text() []byte {
	if t == nil {
		return nil
	}
	kilobytes := func(s simulate.Span) string { return fmt.Sprintf("%.1f to %.1f kB/s", s.Least/1000, s.Most/1000) }
	kilobits := func(s simulate.Span) string { return fmt.Sprintf("%.0f to %.0f kbit/s", s.Least*8/1000, s.Most*8/1000) }
	var links, uplinks bytes.Buffer
	for _, l := range t.Links {
		every := ""
		if l.Every > 0 {
			every = ", each client every " + seconds(l.Every).String()
		}
		fmt.Fprintf(&links, "%s→%s\t%s\t%.1f reports/s%s; %.1f kB/s when idle\n",
			l.From, l.To, kilobytes(l.Span), l.Reports, every, l.Idle/1000)
	}
	for _, u := range t.Uplinks {
		fmt.Fprintf(&uplinks, "%s\tout %s\tin %s\t%s and %s\n",
			u.Node, kilobytes(u.Out), kilobytes(u.In), kilobits(u.Out), kilobits(u.In))
	}
	head := fmt.Sprintf("\nlinks carry, with %s that report every %s, with TCP and IP, from full messages to a report each:\n",
		terminal.Plural(t.Clients, "client"), seconds(t.Every))
	return bytes.Join([][]byte{
		[]byte(head), terminal.Align(links.Bytes()),
		[]byte("\nuplinks of servers, all their links together:\n"), terminal.Align(uplinks.Bytes()),
	}, nil)
}

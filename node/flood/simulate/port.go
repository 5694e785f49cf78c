package simulate

import (
	"time"

	"herd/node/flood"
)

// port is a node's end of a link while it runs: it takes what there is to say and puts it on the way.
type port struct {
	node *node
	link *flood.Link
	ways []*way        // to the neighbour; two where two have its name
	due  time.Duration // when it is to look for a heartbeat

	busy bool // the last message is still being sent
	gone bool // the node was started anew
}

// beat is the happening that a heartbeat may be due, free the one that the next message may be sent.
type (
	beat port
	free port
)

func (b *beat) happen() {
	if p := (*port)(b); !p.gone && p.node.awake() {
		p.pump()
	}
}

func (f *free) happen() {
	p := (*port)(f)
	if p.busy = false; !p.gone && p.node.awake() {
		p.pump()
	}
}

// pump sends all that there is to say.
func (p *port) pump() {
	n, d := p.node, p.node.hand
	if p.busy || !n.connected {
		return
	}
	for p.link.Next(n.time(), &d.said) {
		d.counts.count(n, &d.said)
		n.herd.sentReports(n, &d.said)
		for _, w := range p.ways {
			w.send(&d.said)
		}
		if pace := p.ways[0].pace; pace > 0 {
			p.busy = true
			n.plan(d.now+pace, (*free)(p))
			return
		}
	}
	if due := p.link.Due().Sub(n.epoch); due != p.due {
		p.due = due
		n.plan(due, (*beat)(p))
	}
}

package simulate

import (
	"time"

	"herd/node/flood"
)

// port is a node's end of a link while it runs: it sends what the link has to send.
type port struct {
	node *node
	link *flood.Link
	ways []*way        // to the neighbour; two where two have its name
	due  time.Duration // when the next heartbeat is

	busy bool // the last message is still being sent
	gone bool // the node has crashed
}

// heartbeatEvent happens when a heartbeat may be due, sentEvent when the next message may be sent.
type (
	heartbeatEvent port
	sentEvent      port
)

func (b *heartbeatEvent) happen() {
	if p := (*port)(b); !p.gone && p.node.awake() {
		p.pump()
	}
}

func (f *sentEvent) happen() {
	p := (*port)(f)
	if p.busy = false; !p.gone && p.node.awake() {
		p.pump()
	}
}

// pump sends all messages that there are.
func (p *port) pump() {
	n, d := p.node, p.node.worker
	if p.busy || !n.connected {
		return
	}
	for p.link.Next(n.time(), &d.message) {
		d.counts.count(n, &d.message)
		n.herd.sentReports(n, &d.message)
		for _, w := range p.ways {
			w.send(&d.message)
		}
		if pace := p.ways[0].pace; pace > 0 {
			p.busy = true
			n.plan(d.now+pace, (*sentEvent)(p))
			return
		}
	}
	if due := p.link.Due().Sub(n.epoch); due != p.due {
		p.due = due
		n.plan(due, (*heartbeatEvent)(p))
	}
}

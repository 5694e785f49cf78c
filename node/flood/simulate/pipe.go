package simulate

import (
	"strconv"
	"time"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// pipe is one way of a node's connection to its NATS server. All links of the node share it, and bytes wait in it behind one
// another, in the sender's socket, the modem, or the server's buffer for a slow reader: TCP keeps their order and loses none of
// them.
//
// On the way out the node waits while the pipe is full, as a write to a socket does, so what its links still owe can be replaced.
// On the way in nobody waits, for a NATS server serves others: it closes a connection for which more waits than it is configured
// to keep, and the node has to dial again. All that waited is lost then.
type pipe struct {
	node    *node
	deliver func(p *parcel) // is called with what has passed
	rate    int             // bytes a second; 0: no limit
	queue   []*parcel       // the first one is passing
	bytes   int             // of queue
	turn    uint64          // number of the last event planned; earlier ones do not count any more

	busy    time.Duration // for which something was passing
	since   time.Duration // when the first of queue started to pass
	longest time.Duration // for which something waited, until it had passed
}

const (
	socketRoom    = 16 << 10         // bytes that a node's socket keeps beside those in the modem
	modemRoom     = time.Second      // of the rate, that a modem keeps
	writeDeadline = 30 * time.Second // of a NATS server, as in what herd generates: what waits longer closes the connection
	maxPending    = 16 << 20         // bytes that a NATS server keeps for a connection
	redialTime    = time.Second      // from a connection that was closed to the next one
)

// unlimited reports whether what is sent has passed at once.
func (q *pipe) unlimited() bool { return q.rate == 0 && len(q.queue) == 0 }

// full reports whether a node waits before it sends more.
func (q *pipe) full() bool {
	return q.rate > 0 && q.bytes >= socketRoom+q.rate*int(modemRoom/time.Second)
}

// overflows reports whether so much waits that a NATS server closes the connection.
func (q *pipe) overflows() bool {
	return q.bytes > maxPending || q.rate > 0 && q.bytes > q.rate*int(writeDeadline/time.Second)
}

func (q *pipe) add(p *parcel) {
	p.queued = q.node.worker.now
	q.queue = append(q.queue, p)
	if q.bytes += p.size; len(q.queue) == 1 {
		q.start()
	}
}

// start has the first of the queue pass.
func (q *pipe) start() {
	q.turn++
	now := q.node.worker.now
	q.since = now
	if q.rate > 0 {
		now += time.Duration(q.queue[0].size) * time.Second / time.Duration(q.rate)
	}
	q.node.plan(now, &passedEvent{q, q.turn})
}

// setRate changes the rate. What is passing starts anew.
func (q *pipe) setRate(bytes int) {
	q.rate = bytes
	if len(q.queue) > 0 {
		q.busy += q.node.worker.now - q.since
		q.start()
	}
}

// drop loses what waits.
func (q *pipe) drop() {
	q.node.worker.counts.lost += uint64(len(q.queue))
	q.queue, q.bytes = nil, 0
	q.turn++
}

// passedEvent happens when the first of a queue has passed.
type passedEvent struct {
	pipe *pipe
	turn uint64
}

func (e *passedEvent) happen() {
	q := e.pipe
	if q.turn != e.turn {
		return
	}
	now, p := q.node.worker.now, q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	q.bytes -= p.size
	q.busy += now - q.since
	q.longest = max(q.longest, now-p.queued)
	if len(q.queue) > 0 {
		q.start()
	}
	q.deliver(p)
}

// wireSize returns the bytes of a message on the wire between a node and NATS: its line, PUB <subject> [<stamp>] <bytes>, and the
// payload, each with an end of line.
func wireSize(from, to line.NodeName, m *flood.Message) int {
	payload := len(m.Payload)
	if m.Kind == subject.Propagate {
		payload = max(0, len(m.Reports)-1) // LFs between lines
		for _, r := range m.Reports {
			payload += line.PropagateSize(from, r)
		}
	}
	size := len("PUB ") + len(subject.Of("herd", m.Kind, string(from), string(to))) + len(" ") + digits(payload) + len("\r\n")
	size += payload + len("\r\n")
	if m.Stamp != (subject.Stamp{}) {
		var stamp [64]byte
		size += len(m.Stamp.Append(stamp[:0])) + len(" ")
	}
	return size
}

func digits(n int) int {
	var text [20]byte
	return len(strconv.AppendInt(text[:0], int64(n), 10))
}

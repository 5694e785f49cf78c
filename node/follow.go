package node

import (
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"herd/bus"
	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/status"
)

// hear has the engine hear what clients of this node report, and begins to trace one in so many. It calls heard as
// [flood.Engine.ApplyBatch] does.
func (n *Node) hear(reports []line.Report, now time.Time, heard func(r line.Report, news bool)) {
	begin := 0
	for i, r := range reports {
		if step := n.tracer.Said(string(r.Client()), now); step != nil {
			n.engine.ApplyBatch(reports[begin:i], flood.Local, heard)
			heard(r, n.hearTraced(r, step))
			begin = i + 1
		}
	}
	n.engine.ApplyBatch(reports[begin:], flood.Local, heard)
}

func (n *Node) hearTraced(r line.Report, step *status.Step) (news bool) {
	n.tracing.Lock()
	defer n.tracing.Unlock()
	heard := n.through(step, r, flood.Local)
	news = n.engine.Apply(r, flood.Local)
	heard(news)
	return news
}

// through has a report that the engine is about to hear keep its trace on the way through this node. What it returns is to be called with
// what the engine makes of it.
func (n *Node) through(step *status.Step, r line.Report, from line.NodeName) (heard func(news bool)) {
	done := n.engine.Trace(r, from, step)
	return func(news bool) {
		done(news)
		step.Merged(news)
	}
}

// takeTraced has a link take a message of reports, of which some may be traced: the message has so many lines, and not all of them need be
// reports.
func (n *Node) takeTraced(l *link, now time.Time, header string, lines int, m flood.Message, heard func(r line.Report, news bool)) {
	traces, err := status.ParseTraces(header, lines)
	if err != nil {
		n.admit.Refuse(admit.MalformedMessage, string(l.Peer), func() (string, any) { return "trace", line.Printable(header[:min(len(header), 512)]) })
	}
	n.tracing.Lock()
	defer n.tracing.Unlock()
	ends := make(map[int]func(news bool), len(traces))
	for _, t := range traces {
		if len(m.Reports) == lines { // else it would be another report's
			ends[t.Line] = n.through(n.tracer.Heard(t.Context, string(l.Peer), now), m.Reports[t.Line], l.Peer)
		}
	}
	next := 0
	_ = l.Receive(now, m, func(r line.Report, news bool) { // which cannot fail
		if end := ends[next]; end != nil {
			end(news)
		}
		next++
		heard(r, news)
	})
}

// publishTraced publishes a message with reports that are followed.
func (b *busSession) publishTraced(l *link, m *flood.Message, message bus.Message) error {
	var header []byte
	steps := make([]*status.Step, len(m.Traced))
	for i, traced := range m.Traced {
		steps[i] = b.node.tracer.Told(traced.Trace.(*status.Step), string(l.Peer))
		header = steps[i].AppendTrace(header, traced.Line)
	}
	message.Trace = string(header)
	err := b.conn.Publish(string(l.Peer), message)
	for _, step := range steps {
		step.Sent(err)
	}
	return err
}

// TracesLog returns what complains of spans that a collector does not take, at most once a minute.
func TracesLog(log *zap.Logger) func(error) {
	complain := rate.Sometimes{Interval: complaintGap}
	return func(err error) { complain.Do(func() { log.Warn("traces are lost", zap.Error(err)) }) }
}

package node

import (
	"time"

	"go.uber.org/zap"

	"herd/node/admit"
	"herd/node/flood"
	"herd/node/line"
	"herd/node/session"
)

// notice logs what happens at the engine, and counts what was lost.
func (n *Node) notice(e flood.Notice) {
	if w := n.watch.Load(); w != nil {
		w.Notice(e)
	}
	peer := zap.String("peer", string(e.Peer))
	switch e.Kind {
	case flood.LinkUp:
		n.log.Info("link returned", session.Routine, peer)
	case flood.LinkDown:
		level, routine := zap.WarnLevel, zap.Skip()
		if e.Detail != flood.Silent {
			level, routine = zap.InfoLevel, session.Routine // of all links at once, and the reason is logged
		}
		n.log.Log(level, "link down", routine, peer, zap.String("why", e.Detail))
	case flood.NeverReceived:
		n.log.Warn("nothing received from neighbour: is it running, and does its topology have this link?", peer)
	case flood.CaughtUp:
		n.log.Info("link up", n.starting(), peer)
	case flood.MessagesMissing:
		n.admit.Refuse(admit.MessagesMissing, string(e.Peer), func() (string, any) { return "messages", e.Reports })
	case flood.Synced:
		fields := []zap.Field{
			peer, zap.String("why", e.Detail), zap.Int("reports", e.Reports), zap.Int("new", e.New), zap.Int("bytes", e.Bytes),
			zap.Duration("took", e.Duration),
		}
		if e.New > 0 {
			n.log.Info("synced", fields...)
		} else {
			n.log.Debug("nothing to sync", fields...)
		}
	case flood.SyncAbandoned:
		n.log.Info("sync abandoned", peer, zap.String("why", e.Detail), zap.Duration("took", e.Duration))
	case flood.Expired:
		n.log.Info("forgotten", zap.Int("reports", e.Reports))
		if n.writer != nil {
			n.writer.expired.Store(true)
		}
	case flood.DuplicateNeighbourName:
		n.log.Error("two nodes have the name of this neighbour", peer)
	case flood.DuplicateName:
		n.log.Error("another node has the name of this one", zap.String("reported by", string(e.Peer)))
	case flood.OtherTopology:
		differences := "not known"
		if e.Detail != "" {
			differences = line.Printable(e.Detail)
		}
		n.log.Warn("neighbour has another topology", peer, zap.String("differences", differences))
	case flood.SameTopology:
		n.log.Info("neighbour has the same topology", peer)
	case flood.OtherRetention:
		n.log.Error("neighbour keeps reports for another time", peer, zap.String("it", keeps(e.Duration)), zap.String("this node", keeps(n.retention)))
	case flood.CutoffAhead:
		n.admit.Refuse(admit.CutoffAhead, string(e.Peer), func() (string, any) { return "ahead", e.Duration })
	}
	n.tick()
}

// keeps says for how long reports are kept.
func keeps(retention time.Duration) string {
	if retention == 0 {
		return "for ever"
	}
	return retention.String()
}

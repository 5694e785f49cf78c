package flood

import (
	"slices"
	"time"

	"herd/node/line"
)

const (
	maxReplyBytes = 32 << 10 // a reply message is filled up to so many bytes

	// A node sends at most replyRate bytes of replies a second to all its neighbours, so that its clients do not notice them. It may send
	// what replyBurst allows in advance, 512 KiB, so that few stale clients are repaired at once.
	replyRate  = 8 << 20
	replyBurst = time.Second / 16
)

// appendReplies appends the reply message to a request message. There is always room for one reply, or for a part of it; the neighbour
// repeats the requests for which there was no room.
func (g *Registry) appendReplies(dst []byte, batch *requestBatch) []byte {
	dst = beginReplies(dst, batch.id)
	for i := range batch.requests {
		if i > 0 && len(dst) > maxReplyBytes-1-6*fanout {
			break
		}
		var complete bool
		if dst, complete = g.appendReply(dst, &batch.requests[i], batch.salt); !complete {
			break
		}
	}
	return dst
}

// appendReply appends the reply to one request, and reports whether there was room for all of it.
func (g *Registry) appendReply(dst []byte, q *request, salt uint8) (out []byte, complete bool) {
	if _, clients := g.digest(q.branch); clients > maxList && q.branch.depth < maxDepth {
		children := g.childDigests(q.branch, salt)
		return appendChildren(dst, &children), true
	}
	switch q.kind {
	case requestList:
		return appendList(dst, g.shortDigests(q.branch, salt)), true
	case requestFetchAll:
		var held []line.Report
		g.each(q.branch, func(_ uint64, r line.Report) { held = append(held, r) })
		return appendReports(dst, held, maxReplyBytes)
	default:
		return appendReports(dst, g.fetch(q, salt), maxReplyBytes)
	}
}

// childDigests returns the digests of the sixteen children of a branch as they are sent.
func (g *Registry) childDigests(b branch, salt uint8) (children [fanout]digest) {
	for i := range children {
		sum, _ := g.digest(b.child(i))
		children[i] = childDigestOf(sum, salt)
	}
	return children
}

// shortDigests returns those of the reports of a branch, at most maxList. There are more reports only if so many IDs have one hash, or if
// some came after the branch was counted; then the smallest short digests are returned, which belong to other reports in the next sync.
func (g *Registry) shortDigests(b branch, salt uint8) (list []shortDigest) {
	g.each(b, func(_ uint64, r line.Report) { list = append(list, shortDigestOf(digestOf(r), salt)) })
	if len(list) > maxList {
		slices.Sort(list)
		list = list[:maxList]
	}
	return list
}

// fetch returns the reports that a request asks for, but for those older than what the neighbour has.
func (g *Registry) fetch(q *request, salt uint8) (found []line.Report) {
	g.each(q.branch, func(id uint64, r line.Report) {
		if !slices.Contains(q.digests, shortDigestOf(digestOf(r), salt)) {
			return
		}
		held := haveOf(id, r)
		newer := func(h have) bool { return h.client == held.client && h.time > held.time }
		if !slices.ContainsFunc(q.haves, newer) {
			found = append(found, r)
		}
	})
	return found
}

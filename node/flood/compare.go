package flood

import (
	"slices"

	"herd/node/line"
)

// applyReplies returns the requests that follow from the replies of a message, and to how many of the requests it replies.
func (g *Registry) applyReplies(s *scanner, sent []request, salt uint8) (next []request, replied int) {
	for len(s.rest) > 0 && replied < len(sent) {
		r := s.reply()
		if s.err != nil {
			return nil, 0
		}
		if q := sent[replied]; !q.done {
			next = append(next, g.nextRequests(q, &r, salt)...)
		}
		replied++
	}
	return next, replied
}

// nextRequests returns the requests that follow from the reply to one: none if it is done with.
func (g *Registry) nextRequests(sent request, r *reply, salt uint8) []request {
	switch r.kind {
	case replyChildren:
		return g.compareChildren(sent.branch, &r.children, salt)
	case replyList:
		return g.compareList(&sent, r, salt)
	default:
		return nil
	}
}

// compareChildren returns requests for the children of a branch that differ from the neighbour's. Which one comes first differs from sync
// to sync, so that those with a budget visit different ones.
func (g *Registry) compareChildren(b branch, theirs *[fanout]shortDigest, salt uint8) (next []request) {
	if b.depth == maxDepth {
		return nil // a neighbour that follows the protocol has no children there
	}
	own := g.children(b)
	for i := range theirs {
		i = (i + int(salt)) % fanout
		switch digest := theirs[i]; {
		case digest == shortDigestOf(own[i].sum, salt) || digest == 0: // both hold the same there, or the neighbour holds nothing
		case own[i].count == 0:
			next = append(next, request{kind: requestFetchAll, branch: b.child(i)})
		default:
			next = append(next, request{kind: requestList, branch: b.child(i)})
		}
	}
	return next
}

// compareList returns the request for the reports of a branch that the neighbour lists and this node lacks, if any.
func (g *Registry) compareList(sent *request, r *reply, salt uint8) []request {
	fetch := request{kind: requestFetch, branch: sent.branch, digests: r.list}
	if _, clients := g.digest(sent.branch); clients <= manyHeld || sent.branch.depth == maxDepth {
		same := make(map[shortDigest]bool, len(r.list)) // by short digest of the neighbour: held here, too
		for _, d := range r.list {
			same[d] = false
		}
		for _, held := range g.reports(sent.branch) {
			d := shortDigestOf(digestOf(held), salt)
			if _, ok := same[d]; ok {
				same[d] = true
			} else if len(fetch.haves) < maxList {
				fetch.haves = append(fetch.haves, haveOf(held))
			}
		}
		fetch.digests = slices.DeleteFunc(fetch.digests, func(d shortDigest) bool { return same[d] })
	}
	if len(fetch.digests) == 0 {
		return nil
	}
	return []request{fetch}
}

// reports returns the reports of a branch. No shard is locked for longer than it takes to copy them.
func (g *Registry) reports(b branch) (held []line.Report) {
	g.eachPlace(b, func(_, _ int, r line.Report) { held = append(held, r) })
	return held
}

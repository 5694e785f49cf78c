package flood

import (
	"slices"
	"time"
)

// round is a request for the end of a round: it is replied to when everything has been sent that was owed when it was received.
type round struct {
	batch requestBatch
	left  int // shards that are still to be gone through
}

// passRounds notes that shards were gone through.
func (l *Link) passRounds(shards int) {
	for i := range l.rounds {
		l.rounds[i].left -= shards
	}
	l.replyToRounds()
}

// endRounds ends all rounds, for nothing is owed.
func (l *Link) endRounds() {
	l.passRounds(Shards + 1)
}

// replyToRounds makes the replies to rounds that have ended due.
func (l *Link) replyToRounds() {
	l.rounds = slices.DeleteFunc(l.rounds, func(r round) bool {
		if r.left > 0 {
			return false
		}
		l.requests = append(l.requests, r.batch)
		return true
	})
}

// startRound requests the end of a round from a neighbour that has returned: what it owes now is received then. A sync that is under way and
// still compares requests it in the end.
func (l *Link) startRound(now time.Time, reason string) {
	if l.run == nil || l.run.atEnd {
		l.run = newRun(now, reason, request{kind: requestRound})
		l.run.atEnd = true
	}
}

// resumeRound requests the end of the round once more when everything that was missing at the last one is owed again.
func (l *Link) resumeRound() {
	if run := l.run; run != nil && run.incomplete && l.complete() {
		run.incomplete = false
		run.pending = append(run.pending, request{kind: requestRound})
		l.ledger.signal()
	}
}

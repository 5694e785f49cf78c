package flood

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"herd/bus/subject"
)

// span is the numbers from first to last.
type span struct{ first, last uint64 }

const (
	maxMissing      = 32 // spans of missing numbers that are told; those next to each other are merged beyond
	maxIncarnations = 4  // of a neighbour that are remembered
)

// progress is which numbered messages were received from one incarnation of the neighbour.
type progress struct {
	incarnation subject.Incarnation
	first, last uint64 // what was received, or found to be missing; everything before first counts as missing
	missing     []span // from first to last, in ascending order: what was not received
	heartbeat   bool   // heartbeats were received, too
}

// receive notes the number of a message, and returns how many messages are missing before it, and whether it is a repeated one.
func (p *progress) receive(number uint64) (missing uint64, repeated bool) {
	if number <= p.last {
		return 0, true
	}
	missing = p.expect(number - 1)
	p.last = number
	return missing, false
}

// expect notes that messages up to a number were sent, and returns how many of them are missing that were not known to be.
func (p *progress) expect(number uint64) (missing uint64) {
	if number <= p.last {
		return 0
	}
	missing = number - p.last
	if n := len(p.missing); n > 0 && p.missing[n-1].last == p.last {
		p.missing[n-1].last = number
	} else {
		p.missing = append(p.missing, span{p.last + 1, number})
	}
	p.last = number
	if len(p.missing) > maxMissing {
		p.missing[0].last = p.missing[1].last // what was received between them is sent again
		p.missing = slices.Delete(p.missing, 1, 2)
	}
	return missing
}

// forget forgets what is missing below a number: the neighbour knows it.
func (p *progress) forget(floor uint64) {
	floor = min(floor, p.last+1)
	p.first = max(p.first, floor)
	p.missing = slices.DeleteFunc(p.missing, func(s span) bool { return s.last < floor })
	if len(p.missing) > 0 {
		p.missing[0].first = max(p.missing[0].first, floor)
	}
}

// acknowledgement is which messages of a node its neighbour has received. Its text is
//
//	<incarnation>:<first>:<last>[:<from>-<to>,…]
//
// or '-' for none.
type acknowledgement struct {
	of          subject.Incarnation // of the sender of the messages; zero: nothing is acknowledged
	first, last uint64
	missing     []span
}

// lacks reports whether a message was not received, whose number is not greater than the last.
func (a *acknowledgement) lacks(number uint64) bool {
	return number < a.first || slices.ContainsFunc(a.missing, func(s span) bool { return s.first <= number && number <= s.last })
}

func (a *acknowledgement) append(dst []byte) []byte {
	if a.of == (subject.Incarnation{}) {
		return append(dst, '-')
	}
	dst = fmt.Appendf(dst, "%s:%d:%d", a.of, a.first, a.last)
	for i, s := range a.missing {
		dst = fmt.Appendf(dst, "%c%d-%d", ":,"[min(i, 1)], s.first, s.last)
	}
	return dst
}

func parseAcknowledgement(text string) (a acknowledgement, err error) {
	if text == "-" {
		return a, nil
	}
	f := strings.Split(text, ":")
	if len(f) < 3 || len(f) > 4 {
		return a, errNumber
	}
	var faults [3]error
	a.of, faults[0] = subject.ParseIncarnation(f[0])
	a.first, faults[1] = parseNumber(f[1])
	a.last, faults[2] = parseNumber(f[2])
	for _, fault := range faults {
		if fault != nil {
			return acknowledgement{}, fault
		}
	}
	if a.of == (subject.Incarnation{}) {
		return acknowledgement{}, errNumber
	}
	if len(f) == 3 {
		return a, nil
	}
	for text := range strings.SplitSeq(f[3], ",") {
		first, last, _ := strings.Cut(text, "-")
		var s span
		if s.first, err = parseNumber(first); err == nil {
			s.last, err = parseNumber(last)
		}
		if err != nil || s.last < s.first || len(a.missing) == maxMissing {
			return acknowledgement{}, errNumber
		}
		a.missing = append(a.missing, s)
	}
	return a, nil
}

// noteReceived notes that everything of a numbered message was applied.
func (l *Link) noteReceived(now time.Time, s subject.Stamp) {
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.Incarnation == l.live.incarnation && l.live.alive {
		l.live.lastSign = now
	}
	missing, repeated := l.progressOf(now, s.Incarnation, s.Number-1).receive(s.Number)
	if repeated {
		l.counts.MessagesRepeated++
	}
	l.noteMissing(now, missing)
	if s.Asks {
		l.acknowledgeSoon(now)
	}
}

// progressOf returns the progress of an incarnation of the neighbour, and makes it the last. For a new incarnation, which was sent nothing
// yet and whose messages are expected after number, it schedules a sync.
func (l *Link) progressOf(now time.Time, i subject.Incarnation, number uint64) *progress {
	at := slices.IndexFunc(l.progress, func(p progress) bool { return p.incarnation == i })
	if at < 0 {
		if len(l.progress) == maxIncarnations {
			l.progress = slices.Delete(l.progress, 0, 1)
		}
		anew := len(l.progress) > 0
		l.live.newest = i
		l.progress = append(l.progress, progress{incarnation: i, first: number + 1, last: number})
		l.forgetInFlight()
		l.requests, l.rounds, l.run = nil, nil, nil
		l.engine.scheduleSync(l, now, "new incarnation")
		if l.sync.after = anew; anew {
			l.sync.notBefore = later(l.sync.notBefore, now.Add(afterDelay))
		}
	} else if last := len(l.progress) - 1; at != last {
		p := l.progress[at]
		l.progress = append(slices.Delete(l.progress, at, at+1), p)
	}
	return &l.progress[len(l.progress)-1]
}

// noteMissing counts messages that were lost, and has the neighbour told at once.
func (l *Link) noteMissing(now time.Time, messages uint64) {
	if messages == 0 {
		return
	}
	l.counts.MessagesMissing += messages
	l.engine.notify(Notice{Peer: l.Peer, Kind: MessagesMissing, Reports: int(messages)})
	l.acknowledgeSoon(now)
}

// acknowledgement returns what was received of the neighbour; where two nodes have its name, of each in turn.
func (l *Link) acknowledgement(now time.Time) (a acknowledgement) {
	n := len(l.progress)
	if n == 0 || !l.live.alive {
		return a
	}
	at := n - 1
	if n > 1 && now.Sub(l.names.neighbourSign) < silenceTimeout {
		if l.names.turn = !l.names.turn; l.names.turn {
			at--
		}
	}
	p := &l.progress[at]
	return acknowledgement{of: p.incarnation, first: p.first, last: p.last, missing: p.missing}
}

// complete reports whether everything that the neighbour is known to have sent was received.
func (l *Link) complete() bool {
	n := len(l.progress)
	return n > 0 && len(l.progress[n-1].missing) == 0
}

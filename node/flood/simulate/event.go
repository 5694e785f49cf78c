package simulate

import "time"

// event is something that happens at a time. Of those of one time the one that was planned first comes first.
type event struct {
	at   time.Duration
	turn uint64
	what happening
	node *node // which alone it concerns, or nil
}

type happening interface{ happen() }

// call is a happening that is rare, and may concern all nodes.
type call func()

func (c call) happen() { c() }

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.turn < o.turn }

// agenda is a heap of events, each before its four children, for which it takes half the levels that two would.
type agenda []event

func (a *agenda) add(e event) {
	*a = append(*a, e)
	s := *a
	at := len(s) - 1
	for at > 0 {
		parent := (at - 1) / 4
		if !e.before(&s[parent]) {
			break
		}
		s[at] = s[parent]
		at = parent
	}
	s[at] = e
}

// next removes the first event.
func (a *agenda) next() event {
	s := *a
	first, last := s[0], s[len(s)-1]
	s[len(s)-1] = event{}
	s = s[:len(s)-1]
	*a = s
	if len(s) == 0 {
		return first
	}
	at := 0
	for {
		child := 4*at + 1
		if child >= len(s) {
			break
		}
		for c := child + 1; c < min(child+4, len(s)); c++ {
			if s[c].before(&s[child]) {
				child = c
			}
		}
		if !s[child].before(&last) {
			break
		}
		s[at] = s[child]
		at = child
	}
	s[at] = last
	return first
}

// lane is events that are planned in the order of their time, as arrivals are that all take as long: no heap is needed for them.
type lane struct {
	events []event // events[head:]
	head   int
}

func (l *lane) next() event {
	e := l.events[l.head]
	l.events[l.head] = event{}
	if l.head++; l.head == len(l.events) || l.head > 1<<10 && l.head > len(l.events)/2 {
		l.compact()
	}
	return e
}

func (l *lane) compact() {
	l.events, l.head = append(l.events[:0], l.events[l.head:]...), 0
}

package flood

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"herd/node/line"
)

// Records returns how all nodes are, as far as is known, in the order of their names. That of the node itself is made now.
func (e *Engine) Records(now time.Time) []Record {
	sum, clients := e.registry.Digest()
	e.mu.Lock()
	defer e.mu.Unlock()
	all := []Record{*e.describe(now, clients, sum)}
	for name, r := range e.records {
		if name != e.Name && now.Sub(r.Created) < recordLife {
			all = append(all, *r)
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// describe returns a record of this node. It is later than any that is known under its name: the clock may have been set back since
// an earlier start.
func (e *Engine) describe(now time.Time, clients int, sum digest) *Record {
	r := &Record{
		Name: e.Name, Incarnation: e.Incarnation, Time: max(0, now.UnixNano()), Uptime: max(0, now.Sub(e.Started)).Truncate(time.Second),
		Clients: clients, Digest: sum, Version: legible(e.Version), Created: now, Received: now,
	}
	if known := e.records[e.Name]; known != nil {
		r.Time = max(r.Time, known.Time+1) // the last number there is has none after it
	}
	for _, l := range e.Links() {
		r.Links = append(r.Links, LinkState{l.Peer, e.state(l)})
	}
	r.write()
	return r
}

// record makes a record of this node for all, if the last one is old enough. Where somebody made one in its name that nothing can be later
// than, that has to be forgotten first.
func (e *Engine) record(now time.Time, s *sight) {
	if e.Version == "" || !e.recorded.IsZero() && now.Sub(e.recorded) < recordEvery {
		return
	}
	r := e.describe(now, s.clients, s.digest)
	if known := e.records[e.Name]; known == nil || r.compare(known) > 0 {
		e.recorded = now
		e.keep(r, nil)
	}
}

// keep has a record take the place of the one before, and wait on each link but the one that brought it.
func (e *Engine) keep(r *Record, from *Link) {
	e.records[r.Name] = r
	for _, l := range e.Links() {
		l.owe(r.Name, l != from)
	}
}

// owe notes whether the neighbour is to be told the record of a node.
func (l *Link) owe(name line.NodeName, owed bool) {
	at := slices.Index(l.owed, name)
	switch {
	case owed && at < 0:
		l.owed = append(l.owed, name)
	case !owed && at >= 0:
		l.owed = slices.Delete(l.owed, at, at+1)
	}
}

// oweAll notes that the neighbour is to be told all records.
func (l *Link) oweAll() {
	l.owed = l.owed[:0]
	for name := range l.engine.records {
		l.owed = append(l.owed, name)
	}
	slices.Sort(l.owed)
}

// nextRecords returns records for a heartbeat: those that have waited for longest.
func (l *Link) nextRecords(now time.Time) (told []string) {
	size, seen := 0, 0
	for _, name := range l.owed {
		if r := l.engine.records[name]; r != nil && now.Sub(r.Created) < recordLife {
			text := r.encode(now)
			if size += len(text); size > maxRecordText || len(told) == maxRecords {
				break
			}
			told = append(told, text)
		}
		seen++
	}
	l.owed = slices.Delete(l.owed, 0, seen)
	return told
}

// takeRecords takes those of a heartbeat. What is wrong with some of them changes nothing for the others.
func (l *Link) receiveRecords(now time.Time, told []string) (wrong error) {
	for i, text := range told {
		err := fmt.Errorf("%w: more than %d in a heartbeat", ErrRecord, maxRecords)
		if i < maxRecords {
			err = l.receiveRecord(now, text)
		}
		if err != nil {
			l.counts.RecordsRefused++
			wrong = err
		}
	}
	return wrong
}

func (l *Link) receiveRecord(now time.Time, told string) error {
	e := l.engine
	r, err := parseRecord(now, told)
	if err != nil {
		return err
	}
	if now.Sub(r.Created) >= recordLife {
		return nil
	}
	known := e.records[r.Name]
	if known == nil {
		if len(e.records) >= maxNames && r.Name != e.Name {
			return fmt.Errorf("%w: %s is one more than %d nodes", ErrRecord, r.Name, maxNames)
		}
		e.keep(r, l)
		return nil
	}
	switch order := r.compare(known); {
	case order > 0:
		e.keep(r, l)
	default:
		l.owe(r.Name, order < 0) // the neighbour lacks the later one, or has it
	}
	return nil
}

// forgetRecords forgets those that were not renewed for long.
func (e *Engine) forgetRecords(now time.Time) {
	for name, r := range e.records {
		if now.Sub(r.Created) >= recordLife {
			delete(e.records, name)
		}
	}
}

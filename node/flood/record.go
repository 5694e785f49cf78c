package flood

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

const (
	recordEvery    = 5 * time.Second  // at least, between two records of a node
	recordRate     = 4                // records a second of all nodes together, where nothing happens to their links
	recordLife     = 10 * time.Minute // a record expires so long after it was made
	maxRecordNodes = 1024             // nodes whose records are kept, this one in any case

	maxRecords    = 16      // in a heartbeat
	maxRecordText = 8 << 10 // bytes of all of them
	maxRecord     = 4 << 10 // bytes of one
	maxVersion    = 64      // bytes of its version
)

// ErrRecord is the fault of a heartbeat that was taken in but for some of its records.
var ErrRecord = errors.New("flood: record of a node refused")

// Record is how a node was at a moment. Of each node the latest one counts: by time, then by incarnation, then by text. Its text is
//
//	<name>,<incarnation>,<time>,<uptime>,<clients>,<digest>,<version>[,<peer>:<state> …][,<key>=<value> …]
//
// where a state is d, c or u. A record is passed on as it was made, with further fields that this node does not know.
type Record struct {
	Name        line.NodeName
	Incarnation subject.Incarnation
	Time        int64         // nanoseconds since 1970 by the node's clock, but later than each record before, of any start of the node
	Uptime      time.Duration // of the node, in whole seconds
	Clients     int           // in the registry
	Digest      uint64        // of the registry
	Version     string        // of the program: at most 64 printable characters of ASCII, none of them a comma
	Links       []LinkState   // as many as fit into 4 KiB

	Created  time.Time // by the clock of this node: a record is sent with its age, so clocks need not agree
	Received time.Time // by the same clock; of a node's own record, when it was made
	text     string
}

// LinkState is how a node sees one of its links.
type LinkState struct {
	Peer  line.NodeName
	State State
}

const stateLetters = "dcu" // by State

// compare orders the records of one node.
func (r *Record) compare(o *Record) int {
	return cmp.Or(cmp.Compare(r.Time, o.Time), slices.Compare(r.Incarnation[:], o.Incarnation[:]), cmp.Compare(r.text, o.text))
}

// encodeText sets the text, and leaves out links that do not fit.
func (r *Record) encodeText() {
	text := fmt.Appendf(nil, "%s,%s,%d,%d,%d,%016x,%s", r.Name, r.Incarnation, r.Time, r.Uptime/time.Second, r.Clients, r.Digest, r.Version)
	for i, l := range r.Links {
		if len(text)+len(l.Peer)+len(",:u") > maxRecord {
			r.Links = r.Links[:i]
			break
		}
		text = append(append(append(text, ','), l.Peer...), ':', stateLetters[l.State])
	}
	r.text = string(text)
}

// encode returns the record as it is sent: its age in milliseconds, a comma, and its text.
func (r *Record) encode(now time.Time) string {
	age := max(0, now.Sub(r.Created)+time.Millisecond-1) / time.Millisecond // rounded up, so that passing a record on does not keep it young
	return strconv.FormatInt(int64(age), 10) + "," + r.text
}

// parseRecord parses what encode returns.
func parseRecord(now time.Time, encoded string) (*Record, error) {
	age, text, _ := strings.Cut(encoded, ",")
	refused := func(why string) (*Record, error) { return nil, fmt.Errorf("%w: %s: %.80q", ErrRecord, why, text) }
	if len(text) > maxRecord || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return refused("too long, or not printable")
	}
	f := strings.Split(text, ",")
	if len(f) < 7 {
		return refused("too few fields")
	}
	r := &Record{Name: line.NodeName(f[0]), Version: f[6], Received: now, text: strings.Clone(text)} // text is part of a message
	var faults [6]error
	var numbers [4]uint64
	r.Incarnation, faults[0] = subject.ParseIncarnation(f[1])
	for i, digits := range []string{age, f[2], f[3], f[4]} {
		numbers[i], faults[1+i] = parseNumber(digits)
	}
	r.Digest, faults[5] = parseHex(f[5])
	if fault := errors.Join(faults[:]...); fault != nil || !line.ValidName(f[0]) || r.Incarnation == (subject.Incarnation{}) {
		return refused("a field is malformed")
	}
	if slices.Max(numbers[1:]) > math.MaxInt64 || numbers[2] > math.MaxInt64/uint64(time.Second) {
		return refused("a number is too large")
	}
	if r.Version == "" || len(r.Version) > maxVersion {
		return refused("its version is too short or too long")
	}
	r.Time, r.Uptime, r.Clients = int64(numbers[1]), time.Duration(numbers[2])*time.Second, int(numbers[3])
	r.Created = now.Add(-time.Duration(min(numbers[0], uint64(recordLife/time.Millisecond))) * time.Millisecond)
	r.Name, r.Version = line.NodeName(r.text[:len(f[0])]), strings.Clone(r.Version)
	for _, field := range f[7:] {
		if strings.Contains(field, "=") {
			continue // of a later form
		}
		peer, letter, _ := strings.Cut(field, ":")
		state := strings.Index(stateLetters, letter)
		if !line.ValidName(peer) || len(letter) != 1 || state < 0 {
			return refused("a link is malformed")
		}
		r.Links = append(r.Links, LinkState{line.NodeName(strings.Clone(peer)), State(state)})
	}
	return r, nil
}

// printableVersion returns a version in the form that a record requires.
func printableVersion(version string) string {
	version = strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' || c == ',' {
			return '_'
		}
		return c
	}, version)
	return version[:min(len(version), maxVersion)]
}

// Records returns the latest known record of each node, in the order of names. That of this node is made now.
func (e *Engine) Records(now time.Time) []Record {
	sum, clients := e.registry.Digest()
	e.mu.Lock()
	defer e.mu.Unlock()
	all := []Record{*e.newRecord(now, clients, sum)}
	for name, r := range e.records {
		if name != e.config.Name && now.Sub(r.Created) < recordLife {
			all = append(all, *r)
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// newRecord returns a record of this node that is later than any known under its name, even if the clock was set back since an earlier
// start.
func (e *Engine) newRecord(now time.Time, clients int, sum digest) *Record {
	r := &Record{
		Name: e.config.Name, Incarnation: e.config.Incarnation, Time: max(0, now.UnixNano()), Uptime: max(0, now.Sub(e.config.Started)).Truncate(time.Second),
		Clients: clients, Digest: sum, Version: printableVersion(e.config.Version), Created: now, Received: now,
	}
	if known := e.records[e.config.Name]; known != nil {
		r.Time = max(r.Time, known.Time+1) // which overflows after the last number there is
	}
	for _, l := range e.Links() {
		r.Links = append(r.Links, LinkState{l.Peer, l.state()})
	}
	r.encodeText()
	return r
}

// recordPeriod returns how old a node's record becomes while the states of its links stay the same. It grows with the herd, for every link
// carries the records of all nodes.
func (e *Engine) recordPeriod() time.Duration {
	return max(recordEvery, time.Duration(len(e.records))*time.Second/recordRate)
}

// makeRecord makes a record of this node for all, if the last one is old enough, or says otherwise of its links. If another node used this
// one's name with the last time there is, nothing is later: that record has to expire first.
func (e *Engine) makeRecord(now time.Time, s *snapshot) {
	if e.config.Version == "" || !e.recordChecked.IsZero() && now.Sub(e.recordChecked) < recordEvery {
		return
	}
	r, known := e.newRecord(now, s.clients, s.digest), e.records[e.config.Name]
	switch {
	case known == nil:
	case known.Incarnation == r.Incarnation && now.Sub(known.Created) < e.recordPeriod() && slices.Equal(known.Links, r.Links):
		e.recordChecked = now
		return
	case r.compare(known) <= 0:
		return
	}
	e.recordChecked = now
	e.keepRecord(r, nil)
}

// keepRecord replaces the record of a node. The new one is owed to every neighbour but the one that sent it.
func (e *Engine) keepRecord(r *Record, from *Link) {
	e.noticeOneSided(r, e.records[r.Name])
	e.records[r.Name] = r
	for _, l := range e.Links() {
		l.oweRecord(r.Name, l != from)
	}
}

// oweRecord notes whether a node's record is to be sent to the neighbour.
func (l *Link) oweRecord(name line.NodeName, owed bool) {
	at := slices.Index(l.recordsOwed, name)
	switch {
	case owed && at < 0:
		l.recordsOwed = append(l.recordsOwed, name)
	case !owed && at >= 0:
		l.recordsOwed = slices.Delete(l.recordsOwed, at, at+1)
	}
}

// oweAllRecords notes that all records are to be sent to the neighbour.
func (l *Link) oweAllRecords() {
	l.recordsOwed = l.recordsOwed[:0]
	for name := range l.engine.records {
		l.recordsOwed = append(l.recordsOwed, name)
	}
	slices.Sort(l.recordsOwed)
}

// nextRecords returns records for a heartbeat, those first that have waited longest, and removes them from those owed.
func (l *Link) nextRecords(now time.Time) (texts []string) {
	size, done, most := 0, 0, min(maxRecordText, l.engine.messageLimit()/4)
	soft := most
	if drain := l.ledger.window.drain; drain > 0 {
		soft = min(most, drain/4) // so that reports wait for a quarter of a second at most
	}
	for _, name := range l.recordsOwed {
		if r := l.engine.records[name]; r != nil && now.Sub(r.Created) < recordLife {
			text := r.encode(now)
			if len(text) <= most { // else the bus has no room for it
				if size += len(text); size > soft && len(texts) > 0 || len(texts) == maxRecords {
					break
				}
				texts = append(texts, text)
			}
		}
		done++
	}
	l.recordsOwed = slices.Delete(l.recordsOwed, 0, done)
	return texts
}

// receiveRecords takes in the records of a heartbeat. A fault of one does not concern the others; the last fault is returned.
func (l *Link) receiveRecords(now time.Time, texts []string) (fault error) {
	for i, text := range texts {
		err := fmt.Errorf("%w: more than %d in a heartbeat", ErrRecord, maxRecords)
		if i < maxRecords {
			err = l.receiveRecord(now, text)
		}
		if err != nil {
			l.counts.RecordsRefused++
			fault = err
		}
	}
	return fault
}

func (l *Link) receiveRecord(now time.Time, text string) error {
	e := l.engine
	r, err := parseRecord(now, text)
	if err != nil {
		return err
	}
	if now.Sub(r.Created) >= recordLife {
		return nil
	}
	switch known := e.records[r.Name]; {
	case known == nil && len(e.records) >= maxRecordNodes && r.Name != e.config.Name:
		return fmt.Errorf("%w: %s is one more than %d nodes", ErrRecord, r.Name, maxRecordNodes)
	case known == nil || r.compare(known) > 0:
		e.keepRecord(r, l)
	default:
		l.oweRecord(r.Name, r.compare(known) < 0) // the neighbour lacks the later one, or has the same
	}
	return nil
}

// expireRecords removes records that were not renewed for recordLife.
func (e *Engine) expireRecords(now time.Time) {
	for name, r := range e.records {
		if now.Sub(r.Created) >= recordLife {
			delete(e.records, name)
		}
	}
}

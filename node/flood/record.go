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
	recordEvery = 5 * time.Second  // between two records of a node
	recordLife  = 10 * time.Minute // after a record was made, it is forgotten
	maxNames    = 1024             // whose records are kept, a node's own in any case

	maxRecords    = 16      // in a heartbeat
	maxRecordText = 8 << 10 // bytes of them
	maxRecord     = 4 << 10 // bytes of one
	maxVersion    = 64      // bytes of its version
)

// ErrRecord is what is wrong with a heartbeat that was taken, but for records in it that were refused.
var ErrRecord = errors.New("flood: record of a node refused")

// Record is how a node was at a moment. Of each node the last one counts: by time, then by incarnation, then by text. Its text is
//
//	<name>,<incarnation>,<time>,<uptime>,<clients>,<digest>,<version>[,<peer>:<state> …][,<key>=<value> …]
//
// where states are d, c and u. It travels as it was made, with what follows and is not understood.
type Record struct {
	Name        line.NodeName
	Incarnation subject.Incarnation
	Time        int64         // nanoseconds since 1970 by the clock of the node, or more: later than that of each record before, of any start
	Uptime      time.Duration // of the node, in whole seconds, when it was made
	Clients     int           // in the registry
	Digest      uint64        // of the registry
	Version     string        // of the program: at most 64 printable characters of ASCII, none of them a comma
	Links       []LinkState   // those that there is room for in 4 KiB

	Created  time.Time // by the caller's clock: it is told with its age, so clocks need not agree
	Received time.Time // likewise; of the own one, when it was made
	text     string
}

// LinkState is how a node says that a link of its own is.
type LinkState struct {
	Peer  line.NodeName
	State State
}

const stateLetters = "dcu"

// compare orders the records of one name.
func (r *Record) compare(o *Record) int {
	return cmp.Or(cmp.Compare(r.Time, o.Time), slices.Compare(r.Incarnation[:], o.Incarnation[:]), cmp.Compare(r.text, o.text))
}

// write makes the text, and leaves out links that there is no room for.
func (r *Record) write() {
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

// told returns the record as it travels: its age in milliseconds, a comma, and its text.
func (r *Record) encode(now time.Time) string {
	age := max(0, now.Sub(r.Created)+time.Millisecond-1) / time.Millisecond // rounded up, so that none lives for ever by travelling
	return strconv.FormatInt(int64(age), 10) + "," + r.text
}

// parseRecord understands what told returns.
func parseRecord(now time.Time, told string) (*Record, error) {
	age, text, _ := strings.Cut(told, ",")
	refused := func(why string) (*Record, error) { return nil, fmt.Errorf("%w: %s: %.80q", ErrRecord, why, text) }
	if len(text) > maxRecord || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return refused("too long, or not printable")
	}
	f := strings.Split(text, ",")
	if len(f) < 7 {
		return refused("too few fields")
	}
	r := &Record{Name: line.NodeName(f[0]), Version: f[6], Received: now, text: strings.Clone(text)} // for it is part of a message
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
	for _, word := range f[7:] {
		if strings.Contains(word, "=") {
			continue // of a later form
		}
		peer, letter, _ := strings.Cut(word, ":")
		state := strings.Index(stateLetters, letter)
		if !line.ValidName(peer) || len(letter) != 1 || state < 0 {
			return refused("a link is malformed")
		}
		r.Links = append(r.Links, LinkState{line.NodeName(strings.Clone(peer)), State(state)})
	}
	return r, nil
}

// legible returns a version as a record may have it.
func legible(version string) string {
	version = strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' || c == ',' {
			return '_'
		}
		return c
	}, version)
	return version[:min(len(version), maxVersion)]
}

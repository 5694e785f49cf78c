package flood

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"herd/bus/subject"
)

// heartbeat is what a node says of itself and of one link every second, and more often when it takes many reports. Its text is
//
//	HEARTBEAT/1 <incarnation> <last> <echo> <processed> <digest> <clients> <retention> <cut-off> <topology> [<key>=<value> …]
//
// with single blanks between, and '-' for what is not there. 1 is the version of all that goes over the bus. Whatever follows
// and is not understood is ignored, so that a later form of the same version may say more.
type heartbeat struct {
	incarnation subject.Incarnation
	last        uint64              // number of the last message of reports on this link, or of a gap after it
	echo        subject.Incarnation // of the neighbour, as last heard, and not long ago
	processed   uint64              // number of the last message of that incarnation that was taken
	settled     bool                // everything was sent: the digest stands for what the neighbour should know
	digest      digest              // of the registry, 16 hexadecimal digits; only if settled
	clients     int                 // in the registry
	retention   time.Duration
	cutoff      int64    // reports received before are forgotten: nanoseconds since 1970, or keepAll
	topology    uint64   // fingerprint of the topology as configured, 16 hexadecimal digits
	links       string   // links=…: that topology's links, for a neighbour that has another
	records     []string // record=…, each: how a node is, see [Record]
}

const wireVersion = "1"

const heartbeatWord = "HEARTBEAT/"

func (b *heartbeat) append(dst []byte) []byte {
	dst = append(append(dst, heartbeatWord+wireVersion+" "...), b.incarnation.String()...)
	dst = strconv.AppendUint(append(dst, ' '), b.last, 10)
	if b.echo == (subject.Incarnation{}) {
		dst = append(dst, " -"...)
	} else {
		dst = append(append(dst, ' '), b.echo.String()...)
	}
	dst = strconv.AppendUint(append(dst, ' '), b.processed, 10)
	if b.settled {
		dst = fmt.Appendf(dst, " %016x", b.digest)
	} else {
		dst = append(dst, " -"...)
	}
	dst = strconv.AppendInt(append(dst, ' '), int64(b.clients), 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(b.retention), 10)
	if b.cutoff == keepAll {
		dst = append(dst, " -"...)
	} else {
		dst = strconv.AppendInt(append(dst, ' '), b.cutoff, 10)
	}
	dst = fmt.Appendf(dst, " %016x", b.topology)
	if b.links != "" {
		dst = append(append(dst, " links="...), b.links...)
	}
	for _, r := range b.records {
		dst = append(append(dst, " record="...), r...)
	}
	return dst
}

// What can be wrong with a message of a neighbour.
var (
	ErrMalformed = errors.New("flood: malformed message")
	ErrVersion   = errors.New("flood: unknown version")
)

func parseHeartbeat(text string) (b heartbeat, err error) {
	text, ok := strings.CutPrefix(text, heartbeatWord)
	if !ok {
		return b, fmt.Errorf("%w: no heartbeat", ErrMalformed)
	}
	version, rest, _ := strings.Cut(text, " ")
	if version != wireVersion {
		return b, fmt.Errorf("%w %.20q: this node speaks %s", ErrVersion, version, wireVersion)
	}
	f := strings.SplitN(rest, " ", 10)
	if len(f) < 9 {
		return b, fmt.Errorf("%w: a heartbeat of %d fields", ErrMalformed, len(f))
	}
	var faults [9]error
	b.incarnation, faults[0] = subject.ParseIncarnation(f[0])
	b.last, faults[1] = parseNumber(f[1])
	if f[2] != "-" {
		b.echo, faults[2] = subject.ParseIncarnation(f[2])
	}
	b.processed, faults[3] = parseNumber(f[3])
	if b.settled = f[4] != "-"; b.settled {
		b.digest, faults[4] = parseHex(f[4])
	}
	b.clients, faults[5] = strconv.Atoi(f[5])
	var retention int64
	retention, faults[6] = strconv.ParseInt(f[6], 10, 64)
	b.retention, b.cutoff = time.Duration(retention), keepAll
	if f[7] != "-" {
		b.cutoff, faults[7] = strconv.ParseInt(f[7], 10, 64)
	}
	b.topology, faults[8] = parseHex(f[8])
	for i, fault := range faults {
		if fault != nil {
			return heartbeat{}, fmt.Errorf("%w: field %d of a heartbeat is %.40q", ErrMalformed, i+1, f[i])
		}
	}
	for more := range strings.SplitSeq(strings.Join(f[9:], ""), " ") {
		if links, ok := strings.CutPrefix(more, "links="); ok && len(links) <= maxText {
			b.links = links
		} else if record, ok := strings.CutPrefix(more, "record="); ok {
			b.records = append(b.records, record)
		}
	}
	return b, nil
}

// parseHex understands 16 hexadecimal digits.
func parseHex(s string) (n uint64, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, errNumber
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, nil
}

var errNumber = errors.New("flood: not a number")

// parseNumber understands what strconv.FormatUint makes, and nothing else.
func parseNumber(s string) (uint64, error) {
	if s == "" || s[0] == '+' || s[0] == '0' && s != "0" {
		return 0, errNumber
	}
	return strconv.ParseUint(s, 10, 64)
}

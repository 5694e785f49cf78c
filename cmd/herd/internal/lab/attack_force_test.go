//go:build lab

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// plan is what the attackers' process does. It is passed as JSON in the environment.
type plan struct {
	Attack    string // a key of attacks
	Targets   []string
	Seconds   float64
	Attackers int
	Addresses int     // that they have between them
	Bytes     float64 // a second, of all together; 0: as many as they can
	IDs       int     // to introduce, for the attack of that name
	First     int     // number of the first ID
}

// attackerCounts is what the attackers did, as JSON on their standard output.
type attackerCounts struct {
	Connections int64 // made
	Denied      int64 // could not be made
	Bytes       int64 // sent
	Accepted    int64 // reports that were answered with AT
	Seconds     float64
}

const planVariable = "ATTACK_PLAN"

// attackerProcess is all attackers, which are goroutines of one process.
type attackerProcess struct {
	plan
	bucket *rate.Limiter

	connections, denied, bytes, accepted, next atomic.Int64
}

// attacks are what one attacker does, again and again: each returns when its connection is closed, when it has enough, or with ctx.
var attacks = map[string]func(f *attackerProcess, ctx context.Context, attacker int){
	"spin":     (*attackerProcess).spin,
	"idle":     (*attackerProcess).idle,
	"slow":     (*attackerProcess).slow,
	"deaf":     (*attackerProcess).deaf,
	"bad":      (*attackerProcess).bad,
	"ids":      (*attackerProcess).introduce,
	"mix":      (*attackerProcess).mix,
	"churn":    (*attackerProcess).churn,
	"searches": (*attackerProcess).search,
}

// attackers carries out the plan of the environment: it is the process that TestAttack starts.
func attackers() {
	f := new(attackerProcess)
	if err := json.Unmarshal([]byte(os.Getenv(planVariable)), &f.plan); err != nil {
		panic(err)
	}
	f.bucket = rate.NewLimiter(rate.Inf, 0)
	if f.Bytes > 0 {
		f.bucket = rate.NewLimiter(rate.Limit(f.Bytes), 64<<10)
	}
	f.next.Store(int64(f.First))
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(f.Seconds*float64(time.Second)))
	defer cancel()
	var running sync.WaitGroup
	for i := range f.Attackers {
		running.Go(func() {
			for ctx.Err() == nil && !f.done() {
				attacks[f.Attack](f, ctx, i)
			}
		})
		if f.Attack == "mix" { // each holds these connections as well
			for _, held := range []string{"idle", "slow", "deaf"} {
				running.Go(func() {
					for ctx.Err() == nil {
						attacks[held](f, ctx, i)
					}
				})
			}
		}
	}
	running.Wait()
	report, err := json.Marshal(attackerCounts{
		f.connections.Load(), f.denied.Load(), f.bytes.Load(), f.accepted.Load(), time.Since(began).Seconds(),
	})
	if err != nil {
		panic(err)
	}
	fmt.Printf("TALLY %s\n", report)
}

// done reports whether all IDs are introduced.
func (f *attackerProcess) done() bool { return f.IDs > 0 && f.accepted.Load() >= int64(f.IDs) }

// source is the nth of the attackers' addresses.
func source(n int) net.IP { return net.IPv4(127, 2, byte(n/250), byte(1+n%250)) }

// dial connects from an address, for as long as ctx lasts. It pauses when it is refused, for that costs an attacker more than the node.
func (f *attackerProcess) dial(ctx context.Context, address int, buffer int) net.Conn {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: source(address % f.Addresses)}, Timeout: 5 * time.Second}
	if buffer > 0 {
		from.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer) })
		}
	}
	conn, err := from.DialContext(ctx, "tcp", f.Targets[rand.IntN(len(f.Targets))])
	if err != nil {
		f.denied.Add(1)
		wait(ctx, 100*time.Millisecond)
		return nil
	}
	f.connections.Add(1)
	_ = conn.(*net.TCPConn).SetLinger(0) // so that thousands of connections leave no port behind
	return conn
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// within closes conn when ctx ends, or after a time.
func within(ctx context.Context, conn net.Conn, limit time.Duration) (release func()) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return cancel
}

const forever = time.Hour

// write sends, at the pace that all share, and reports whether the connection lives.
func (f *attackerProcess) write(ctx context.Context, conn net.Conn, text []byte) bool {
	for len(text) > 0 {
		piece := text[:min(len(text), 64<<10)]
		if f.Bytes > 0 && f.bucket.WaitN(ctx, len(piece)) != nil {
			return false
		}
		n, err := conn.Write(piece)
		f.bytes.Add(int64(n))
		if err != nil {
			return false
		}
		text = text[n:]
	}
	return ctx.Err() == nil
}

// spin computes and sends nothing to the nodes: it shows what half a core less costs honest clients.
func (f *attackerProcess) spin(ctx context.Context, _ int) {
	for ctx.Err() == nil {
		rand.Shuffle(len(f.Targets), func(i, j int) { f.Targets[i], f.Targets[j] = f.Targets[j], f.Targets[i] })
	}
}

// idle connects and sends nothing.
func (f *attackerProcess) idle(ctx context.Context, attacker int) {
	conn := f.dial(ctx, attacker, 0)
	if conn == nil {
		return
	}
	defer within(ctx, conn, forever)()
	_, _ = io.Copy(io.Discard, conn)
	wait(ctx, time.Second)
}

// slow sends a byte a second.
func (f *attackerProcess) slow(ctx context.Context, attacker int) {
	conn := f.dial(ctx, attacker, 0)
	if conn == nil {
		return
	}
	defer within(ctx, conn, forever)()
	wait(ctx, time.Duration(rand.IntN(1000))*time.Millisecond)
	for f.write(ctx, conn, []byte("I")) {
		wait(ctx, time.Second)
	}
}

// deaf sends questions with long replies and reads none: every second attacker as fast as it can, the others within the rate limit.
func (f *attackerProcess) deaf(ctx context.Context, attacker int) {
	conn := f.dial(ctx, attacker, 4096)
	if conn == nil {
		return
	}
	defer within(ctx, conn, forever)()
	question := fmt.Appendf(nil, "WHATSAT deaf-%d 50 20\n", attacker)
	if !f.write(ctx, conn, fmt.Appendf(nil, "IAMAT deaf-%d +34.068930-118.445127 1520023934.918963997\n", attacker)) {
		return
	}
	pause := time.Second / 9
	if attacker%2 == 0 {
		question, pause = bytes.Repeat(question, 1000), 0
	}
	for f.write(ctx, conn, question) {
		wait(ctx, pause)
	}
}

var noise = func() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}()

// bad sends what is no valid line: random bytes, lines without an end, empty ones, lines that only servers send.
func (f *attackerProcess) bad(ctx context.Context, attacker int) {
	var text []byte
	switch rand.IntN(5) {
	case 0:
		start := rand.IntN(len(noise) - 200_000)
		text = noise[start:][:200_000]
	case 1:
		text = bytes.Repeat([]byte("x"), 500_000)
	case 2:
		text = bytes.Repeat([]byte("\n"), 100_000)
	case 3:
		text = bytes.Repeat([]byte("AT Goloman +0.1 x +1+1 1\n"), 4000)
	default:
		text = append(bytes.Repeat([]byte("y"), 4097), '\n')
		text = bytes.Repeat(text, 30)
	}
	f.send(ctx, attacker, text, rand.IntN(2) == 0, 3*time.Second)
}

// send connects and sends a text again and again for a time. It reads the replies unless deaf.
func (f *attackerProcess) send(ctx context.Context, attacker int, text []byte, deaf bool, limit time.Duration) {
	conn := f.dial(ctx, attacker, 0)
	if conn == nil {
		return
	}
	defer within(ctx, conn, limit)()
	if !deaf {
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
	for f.write(ctx, conn, text) {
	}
}

const (
	junkTime  = 1_520_023_934
	junkSize  = len("junk-000000000000.example")
	junkBatch = 10 // IDs a connection introduces at once: as many as the hardened rate lets pass
)

// junk is the line of the nth ID. All are equally long.
func junk(dst []byte, n int) []byte {
	return fmt.Appendf(dst, "IAMAT junk-%012d.example +34.068930-118.445127 %d.918963997\n", n, junkTime)
}

// introduce makes IDs known, a batch on each connection, from all addresses in turn.
func (f *attackerProcess) introduce(ctx context.Context, _ int) {
	first := int(f.next.Add(junkBatch)) - junkBatch
	if first >= f.First+f.IDs {
		return
	}
	conn := f.dial(ctx, first/junkBatch, 0)
	if conn == nil {
		return
	}
	defer within(ctx, conn, 10*time.Second)()
	var text []byte
	for i := range junkBatch {
		text = junk(text, first+i)
	}
	if !f.write(ctx, conn, text) {
		return
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	replies, _ := io.ReadAll(conn)
	f.accepted.Add(int64(strings.Count(string(replies), "AT Goloman ") + strings.Count(string(replies), "AT H") + strings.Count(string(replies), "AT W")))
}

// churn connects, sends one report and disconnects.
func (f *attackerProcess) churn(ctx context.Context, attacker int) {
	conn := f.dial(ctx, attacker, 0)
	if conn == nil {
		return
	}
	f.write(ctx, conn, []byte("IAMAT churn +1+1 1\n"))
	_ = conn.Close()
}

// search sends the questions that cost a node most, as fast as it can, and reads the replies.
func (f *attackerProcess) search(ctx context.Context, attacker int) {
	text := fmt.Appendf(nil, "IAMAT seeker-%d +34.068930-118.445127 1520023934.918963997\n", attacker)
	question := fmt.Appendf(nil, "WHATSAT seeker-%d 50 20\n", attacker)
	f.send(ctx, attacker, append(text, bytes.Repeat(question, junkBatch-1)...), false, time.Second)
}

// mix is another attack each second.
func (f *attackerProcess) mix(ctx context.Context, attacker int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	switch rand.IntN(6) {
	case 0:
		for range 20 {
			f.churn(ctx, attacker)
		}
	case 1:
		f.search(ctx, attacker)
	case 2: // junk IDs, beyond what one address may introduce
		var text []byte
		first := int(f.next.Add(1000))
		for i := range 1000 {
			text = junk(text, first+i)
		}
		f.send(ctx, attacker, text, false, time.Second)
	default:
		f.bad(ctx, attacker)
	}
}

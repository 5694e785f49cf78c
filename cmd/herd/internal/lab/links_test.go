//go:build lab

package lab

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpRate returns the rate, in bytes a second, of one plain TCP transfer over an uplink under such conditions, to the far side,
// and which congestion control the sender had. The transfer is of what the link carries in 20 s by its own rate, and ends after
// 40 s.
func tcpRate(t *testing.T, c conditions) (rate float64, control string) {
	t.Helper()
	u := newUplink(t)
	u.set(func(now *conditions) { *now = c })
	listener := u.far.listen(farAddress + ":4000")
	sender, err := u.hub.dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	raw, err := sender.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { control, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) })
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	began := time.Now()
	size := int64(20 * c.rate)
	go func() { _, _ = sender.Write(make([]byte, size)) }() // what fails is not received
	_ = receiver.SetReadDeadline(began.Add(40 * time.Second))
	n, _ := io.CopyN(io.Discard, receiver, size) // the deadline may end it
	return min(c.rate, float64(n)/time.Since(began).Seconds()), control
}

// link is an uplink as it is measured.
type link struct {
	conditions
	tcp float64 // bytes a second that a plain TCP transfer got
}

// due returns within which time so many bytes of stale reports have to be at the far side after the link returned.
func (l link) due(lines int) time.Duration {
	times := 2.0
	if l.loss >= 0.1 {
		times = 3
	}
	return time.Duration(times*float64(lines)/l.tcp*float64(time.Second)) + 3*time.Second + 5*2*l.delay
}

const (
	lineHead = "PROPAGATE Holiday " // with which it begins
	lineSize = 107                  // bytes of a report as a line to Welsh while its skew is below ten seconds
)

// cutFigures are what was measured when a link returned after a cut.
type cutFigures struct {
	lines          int           // bytes of the stale reports
	equal          time.Duration // until the copy had all
	late           bool          // it did not until then
	payload        int64         // bytes of reports and syncs to the far side until then
	packets        int64         // bytes of all packets to the far side until then
	disconnections []connection  // of connections that began after the link returned
}

// measureCut cuts the uplink of a replica for so long, has so many clients report meanwhile, and returns what happened when the
// link had returned, until twice the time within which that has to be over.
func measureCut(t *testing.T, r replica, l link, stale int, length time.Duration) (f cutFigures) {
	t.Helper()
	startBoth(t, r)
	reportAll(t, r, stale)
	if _, ok := poll(patience, r.equal); !ok {
		t.Fatal("not equal before the cut")
	}
	cutAt := time.Now()
	r.shape(func(now *conditions) { *now = l.conditions; now.cut = true })
	time.Sleep(length / 3)
	f.lines = stale*len(lineHead) + reportAll(t, r, stale)
	w, herd := r.(*wan)
	if !herd {
		f.lines = stale * lineSize // what a herd would send
	}
	if herd && w.store {
		w.restart()
	}
	time.Sleep(time.Until(cutAt.Add(length)))
	if r.equal() {
		t.Fatal("equal during the cut")
	}
	returned, packets, payload := time.Now(), r.bytes(), int64(0)
	if herd {
		payload = w.payload()
	}
	r.shape(func(now *conditions) { now.cut = false })
	took, ok := poll(2*l.due(lineSize*stale), r.equal)
	f.equal, f.late, f.packets = took, !ok, r.bytes()-packets
	if herd {
		f.payload = w.payload() - payload
		f.disconnections = w.disconnections(returned)
	}
	return f
}

// judge returns what of the figures of a herd is worse than it has to be.
func (f cutFigures) judge(l link, o wanOptions) (faults []string) {
	if due := l.due(f.lines); f.late || f.equal > due {
		faults = append(faults, fmt.Sprintf("equal after %s, due %.1f s", f.time(), due.Seconds()))
	}
	most := 1.15*float64(f.lines) + 4<<10
	if o.store {
		most = 1.6*float64(f.lines) + 8<<10
	}
	if l.loss == 0 && float64(f.payload) > most {
		faults = append(faults, fmt.Sprintf("%d bytes of reports and syncs for %d of lines, at most %.0f", f.payload, f.lines, most))
	}
	if len(f.disconnections) > 0 {
		faults = append(faults, fmt.Sprintf("%d disconnections: %v", len(f.disconnections), f.disconnections))
	}
	return faults
}

func (f cutFigures) String() string {
	return fmt.Sprintf("equal after %s, %d bytes of lines, %d of reports and syncs, %d of packets", f.time(), f.lines, f.payload, f.packets)
}

// time returns the time until both were equal as text.
func (f cutFigures) time() string { return until(f.equal, f.late) }

// until returns a time as text, or that it is not over.
func until(took time.Duration, late bool) string {
	if late {
		return fmt.Sprintf("> %.0f s", took.Seconds())
	}
	return fmt.Sprintf("%.1f s", took.Seconds())
}

// startBoth starts the far side and waits until it follows.
func startBoth(t *testing.T, r replica) {
	t.Helper()
	r.startFar()
	if _, ok := poll(patience, r.joined); !ok {
		t.Fatal("the far side does not follow")
	}
}

// loadFigures are what was measured while more was reported than a link carries, and after it.
type loadFigures struct {
	applied        int64         // bytes of reports that the copy took meanwhile
	age            time.Duration // of the median client's report in the copy
	equal          time.Duration // until the copy had all after the load
	late           bool          // it did not until then
	quiet, loaded  time.Duration // 99th percentile of the replies to clients of the far server before the load and meanwhile
	disconnections []connection  // meanwhile and after it
}

// overload is what is reported at the hub of a link: so many reports a second, in turn by so many clients, for so long.
type overload struct {
	clients   int
	perSecond float64
	length    time.Duration
	patience  time.Duration // until both are equal afterwards
}

// measureLoad has clients report.
func measureLoad(t *testing.T, r replica, o overload) (f loadFigures) {
	t.Helper()
	w, herd := r.(*wan)
	endProbe := func() time.Duration { return 0 }
	var connected time.Time
	if herd {
		connected = w.connected()
		endProbe = probe(w)
		time.Sleep(quietLink)
		f.quiet = endProbe()
		endProbe = probe(w)
	}
	began, applied := time.Now(), r.applied()
	stop := load(t, r, o.clients, o.perSecond)
	defer stop()
	var ages []time.Duration
	for next := o.length / 3; next < o.length; next += 5 * time.Second {
		time.Sleep(time.Until(began.Add(next)))
		sample := make([]string, 100)
		for i := range sample {
			sample[i] = clientID(rand.IntN(o.clients))
		}
		ages = append(ages, r.ages(sample)...)
	}
	time.Sleep(time.Until(began.Add(o.length)))
	f.loaded = endProbe()
	f.applied = r.applied() - applied
	stop()
	slices.Sort(ages)
	f.age = ages[len(ages)/2]
	took, ok := poll(o.patience, r.equal)
	f.equal, f.late = took, !ok
	if herd {
		f.disconnections = w.disconnections(connected)
	}
	return f
}

func (f loadFigures) String() string {
	return fmt.Sprintf("%d bytes applied, median age %.1f s, equal %s after the load, p99 %s on a quiet link, %s meanwhile",
		f.applied, f.age.Seconds(), until(f.equal, f.late), milliseconds(f.quiet), milliseconds(f.loaded))
}

// round returns how long the link takes for one report of each client.
func (o overload) round(l link) time.Duration {
	return time.Duration(float64(o.clients*lineSize) / l.tcp * float64(time.Second))
}

// goodput returns the rate of what the copy took as a share of the link's.
func (f loadFigures) goodput(l link, o overload) float64 {
	return float64(f.applied) / o.length.Seconds() / l.tcp
}

// judge returns what of the figures of a herd is worse than it has to be.
func (f loadFigures) judge(l link, o overload) (faults []string) {
	round := o.round(l)
	if f.late || f.equal > round {
		faults = append(faults, fmt.Sprintf("equal %s after the load, due %.1f s", until(f.equal, f.late), round.Seconds()))
	}
	if float64(f.age) > 1.5*float64(round) {
		faults = append(faults, fmt.Sprintf("the median report is %.1f s old, due %.1f s", f.age.Seconds(), 1.5*round.Seconds()))
	}
	least := 0.8
	switch {
	case l.loss >= 0.1 && l.delay >= 600*time.Millisecond:
		least = 0.5
	case l.rate < bits(10):
		least = 0.7
	}
	if got := f.goodput(l, o); got < least {
		faults = append(faults, fmt.Sprintf("goodput %.2f of the rate, due %.2f", got, least))
	}
	if f.loaded > 2*f.quiet+resolution {
		faults = append(faults, fmt.Sprintf("p99 of the far server's clients %s, on a quiet link %s", milliseconds(f.loaded), milliseconds(f.quiet)))
	}
	if len(f.disconnections) > 0 {
		faults = append(faults, fmt.Sprintf("%d disconnections: %v", len(f.disconnections), f.disconnections))
	}
	return faults
}

const (
	resolution  = time.Millisecond      // by which percentiles differ where two processors serve all
	quietLink   = 20 * time.Second      // of the far server's clients on a quiet link
	probePeriod = 20 * time.Millisecond // between two lines of such a client
	probeNew    = 50                    // one in so many of its lines is new, and travels
)

// probe reports at the far server until it is ended, which returns the 99th percentile of the times until the reply.
func probe(w *wan) (end func() time.Duration) {
	w.t.Helper()
	conn := connectFrom(w.t, w.far, welshListen)
	stop, stopped := make(chan struct{}), make(chan struct{})
	var took []time.Duration
	go func() {
		defer close(stopped)
		defer conn.Close()
		in := bufio.NewReader(conn)
		line := ""
		for i, tick := 0, time.Tick(probePeriod); ; i++ {
			select {
			case <-stop:
				return
			case <-tick:
			}
			if i%probeNew == 0 {
				line = w.request("probe.example.org", time.Now())
			}
			began := time.Now()
			_, err := io.WriteString(conn, line)
			for reply := ""; err == nil && !strings.HasPrefix(reply, w.reply()); {
				reply, err = in.ReadString('\n')
			}
			if err != nil {
				w.t.Errorf("a client of the far server: %v", err)
				return
			}
			took = append(took, time.Since(began))
		}
	}()
	return func() time.Duration {
		close(stop)
		<-stopped
		slices.Sort(took)
		return took[len(took)*99/100]
	}
}

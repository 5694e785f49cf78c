//go:build lab

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	killRounds  = 40 // in each mode
	killConns   = 8
	killClients = 50 // of each connection
	killBatch   = 16 // lines on their way
)

// killedProcess is a process that is killed again and again, with the reports that were sent to it and those that it acknowledged.
type killedProcess struct {
	t       *testing.T
	program string
	args    []string
	address string
	command *exec.Cmd

	writers []*writer
	rnd     *rand.Rand
}

// writer is one connection's clients. Reports are numbered by their time.
type writer struct {
	first, last int         // reports that were tried: of this round, of all
	known       []time.Time // when each report of the round was acknowledged, as far as they were
	kept        []int       // of each client, what was there when it was queried
}

// TestKill kills herd up at random moments while clients report to it. What was acknowledged, in mode interval more than 100 ms before, is
// there when it is started again, and nothing that was not reported.
func TestKill(t *testing.T) {
	program := buildHerd(t)
	for _, tt := range []struct {
		mode    string
		promise time.Duration
	}{{"interval", 100 * time.Millisecond}, {"always", 0}} {
		t.Run(tt.mode, func(t *testing.T) {
			v := newKilledProcess(t, program, tt.mode)
			acknowledged, within, judged, oldest := 0, 0, 0, time.Duration(0)
			v.start()
			for range killRounds {
				killed, kept := v.report(time.Duration(20+v.rnd.IntN(500)) * time.Millisecond)
				if kept {
					judged++
				}
				v.start()
				held := v.query()
				for i, w := range v.writers {
					for n, at := range w.known {
						client, number := (w.first+n)%killClients, w.first+n
						acknowledged++
						if held[i][client] >= number {
							continue
						}
						within++
						if age := killed.Sub(at); age > oldest && (kept || tt.promise == 0) {
							oldest = age
						}
					}
					for client, number := range held[i] {
						if number > w.last || number >= 0 && number%killClients != client {
							t.Errorf("client %d-%d: there is report %d, which was never made", i, client, number)
						}
						if number < w.kept[client] {
							t.Errorf("client %d-%d: there is report %d, but %d was there before", i, client, number, w.kept[client])
						}
						w.kept[client] = number
					}
				}
			}
			v.stop()
			t.Logf("%s: killed %d times, %d reports acknowledged, %d of them lost, the oldest %s before, in the %d rounds in which the disk kept up",
				tt.mode, killRounds, acknowledged, within, oldest, judged)
			if judged < killRounds/4 {
				t.Errorf("%s: the disk kept up in %d rounds only", tt.mode, judged)
			}
			if oldest > tt.promise || tt.promise == 0 && within > 0 {
				t.Errorf("%s: lost what was acknowledged %s before", tt.mode, oldest)
			}
			if acknowledged < 100*killRounds {
				t.Errorf("%s: only %d reports were acknowledged", tt.mode, acknowledged)
			}
		})
	}
}

func newKilledProcess(t *testing.T, program, mode string) *killedProcess {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("%s: seed %d", mode, seed)
	v := &killedProcess{t: t, program: program, address: freeAddresses(t, 1)[0], rnd: rand.New(rand.NewPCG(seed, 0))}
	dir := t.TempDir()
	file := filepath.Join(dir, "herd.yaml")
	text := fmt.Sprintf("nodes: [{name: Goloman, listen: %q}]\nbus: {listen: \"\"}\nlog: {level: warn}\nstore: {dir: %q, mode: %s}\n", v.address, dir, mode)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v.args = []string{"up", "--config", file}
	for range killConns {
		w := &writer{kept: make([]int, killClients)}
		for i := range w.kept {
			w.kept[i] = -1
		}
		v.writers = append(v.writers, w)
	}
	return v
}

// start runs the program until it answers.
func (v *killedProcess) start() {
	v.t.Helper()
	v.command = exec.Command(v.program, v.args...)
	v.command.SysProcAttr = endsWithTest
	v.command.Stderr = os.Stderr
	if err := v.command.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = v.command.Process.Kill() }) // no longer there, as a rule
	deadline := time.Now().Add(patience)
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		conn, err := net.Dial("tcp", v.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatal(err)
		}
	}
}

func (v *killedProcess) stop() {
	v.t.Helper()
	_ = v.command.Process.Signal(os.Interrupt)
	if err := v.command.Wait(); err != nil {
		v.t.Errorf("herd up: %v", err)
	}
}

// report has all clients report until the process is killed, after a while. It returns when that was, and whether the disk, and the
// machine, kept up until then.
func (v *killedProcess) report(after time.Duration) (killed time.Time, kept bool) {
	v.t.Helper()
	var writing sync.WaitGroup
	ended, slowest := make(chan struct{}), make(chan time.Duration)
	go func() { slowest <- v.ruler(ended) }()
	for i, w := range v.writers {
		writing.Go(func() { w.write(v.address, i) })
	}
	time.Sleep(after)
	killed = time.Now()
	if err := v.command.Process.Kill(); err != nil {
		v.t.Fatal(err)
	}
	close(ended)
	_ = v.command.Wait() // it was killed
	writing.Wait()
	return killed, <-slowest <= keepsUp
}

// keepsUp is how long a round of the store may take for its promise to hold.
const keepsUp = 50 * time.Millisecond

// ruler does what a round of the store does, to a file beside it, over and over, and returns the longest time that one took.
func (v *killedProcess) ruler(ended <-chan struct{}) (slowest time.Duration) {
	f, err := os.Create(filepath.Join(v.t.TempDir(), "ruler"))
	if err != nil {
		v.t.Error(err)
		return 0
	}
	defer f.Close()
	block := make([]byte, 16<<10)
	for began := time.Now(); ; began = time.Now() {
		_, err := f.Write(block)
		if err := errors.Join(err, f.Sync()); err != nil {
			v.t.Error(err)
			return 0
		}
		select {
		case <-ended:
			return max(slowest, time.Since(began))
		case <-time.After(5 * time.Millisecond):
		}
		slowest = max(slowest, time.Since(began))
	}
}

// write reports until the connection breaks.
func (w *writer) write(address string, i int) {
	w.first, w.known = w.last+1, w.known[:0]
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var lines bytes.Buffer
	for {
		lines.Reset()
		for range killBatch {
			w.last++
			fmt.Fprintf(&lines, "IAMAT kill-%d-%d +1.5-1.5 %d\n", i, w.last%killClients, w.last)
		}
		if _, err := conn.Write(lines.Bytes()); err != nil {
			return
		}
		for range killBatch {
			reply, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if !strings.HasPrefix(reply, "AT ") {
				return // and there are too few acknowledged
			}
			w.known = append(w.known, time.Now())
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// query returns the number of the report that is there of each client, -1 if there is none.
func (v *killedProcess) query() [][]int {
	v.t.Helper()
	conn, err := net.Dial("tcp", v.address)
	if err != nil {
		v.t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	held := make([][]int, len(v.writers))
	for i := range v.writers {
		for client := range killClients {
			fmt.Fprintf(conn, "WHATSAT kill-%d-%d 0 0\n", i, client)
			reply, err := in.ReadString('\n')
			if err != nil {
				v.t.Fatal(err)
			}
			number := -1
			if fields := strings.Fields(reply); fields[0] == "AT" {
				if number, err = strconv.Atoi(fields[5]); err != nil {
					v.t.Fatal(err)
				}
				for l := reply; l != "\n"; {
					if l, err = in.ReadString('\n'); err != nil {
						v.t.Fatal(err)
					}
				}
			}
			held[i] = append(held[i], number)
		}
	}
	return held
}

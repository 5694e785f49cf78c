//go:build lab

package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/cmd/herd/internal/client"
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
	health  string // its address for health
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

// TestKill kills herd up at random moments while clients report to it. When it is started again, nothing is there that was not reported, and
// whatever was acknowledged is: in mode always all of it, in mode interval what the health said was no longer waiting for the disk. How old
// what was lost was is printed, for that is a matter of the disk and of the machine.
func TestKill(t *testing.T) {
	program := buildHerd(t)
	for _, mode := range []string{"interval", "always"} {
		t.Run(mode, func(t *testing.T) {
			v := newKilledProcess(t, program, mode)
			acknowledged, lost, promised := 0, 0, 0
			var oldest []time.Duration // of each kill, the age of the oldest report that was lost
			v.start()
			for range killRounds {
				killed, synced := v.report(time.Duration(20+v.rnd.IntN(500)) * time.Millisecond)
				if mode == "always" {
					synced = killed
				}
				v.start()
				held := v.query()
				oldest = append(oldest, 0)
				for i, w := range v.writers {
					for n, at := range w.known {
						client, number := (w.first+n)%killClients, w.first+n
						acknowledged++
						if at.Before(synced) {
							promised++
						}
						if held[i][client] >= number {
							continue
						}
						lost++
						oldest[len(oldest)-1] = max(oldest[len(oldest)-1], killed.Sub(at))
						if mode == "always" || at.Before(synced) {
							t.Errorf("client %d-%d: report %d is lost, acknowledged %s before what was synced", i, client, number, synced.Sub(at))
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
			slices.Sort(oldest)
			t.Logf("%s: killed %d times, %d reports acknowledged, of %d it was said that they are on the disk; %d lost, the oldest acknowledged %s before, in the middle %s",
				mode, killRounds, acknowledged, promised, lost, oldest[killRounds-1], oldest[killRounds/2])
			if promised < acknowledged/4 || acknowledged < 100*killRounds {
				t.Errorf("%s: only %d reports were acknowledged, and of %d of them the health said that they are on the disk", mode, acknowledged, promised)
			}
		})
	}
}

func newKilledProcess(t *testing.T, program, mode string) *killedProcess {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("%s: seed %d", mode, seed)
	addresses := freeAddresses(t, 2)
	v := &killedProcess{t: t, program: program, address: addresses[0], health: addresses[1], rnd: rand.New(rand.NewPCG(seed, 0))}
	dir := t.TempDir()
	file := filepath.Join(dir, "herd.yaml")
	text := fmt.Sprintf("nodes: [{name: Goloman, listen: %q, http: %q}]\nbus: {listen: \"\"}\nlog: {level: warn}\nstore: {dir: %q, mode: %s}\n", v.address, addresses[1], dir, mode)
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

// report has all clients report until the process is killed, after a while. It returns when that was, and a time: by what the health said, all
// that was acknowledged before is on the disk.
func (v *killedProcess) report(after time.Duration) (killed, synced time.Time) {
	v.t.Helper()
	var writing sync.WaitGroup
	for i, w := range v.writers {
		writing.Go(func() { w.write(v.address, i) })
	}
	writing.Go(func() { synced = v.watch() })
	time.Sleep(after)
	killed = time.Now()
	if err := v.command.Process.Kill(); err != nil {
		v.t.Fatal(err)
	}
	_ = v.command.Wait() // it was killed
	writing.Wait()
	return killed, synced
}

// watch asks for the health until the process no longer answers. What was acknowledged before the time that it returns is on the disk.
func (v *killedProcess) watch() (synced time.Time) {
	for tick := time.Tick(2 * time.Millisecond); ; <-tick {
		asked := time.Now()
		health, err := client.Health(context.Background(), v.health, "")
		if err != nil || health.Store == nil {
			return synced
		}
		lag := time.Duration(health.Store.LagSeconds * float64(time.Second))
		synced = asked.Add(-lag - time.Microsecond) // rounding
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

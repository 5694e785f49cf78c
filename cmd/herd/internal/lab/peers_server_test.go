//go:build lab

package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/configs"
	"herd/node/line"
)

// serveBare is what any line server in Go costs that a goroutine serves per connection, with the reply to each line as given.
// It has two threads for each processor, as herd up has.
func serveBare(address string, reply func(out *bufio.Writer, line []byte)) {
	runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			in, out := bufio.NewReaderSize(conn, 8<<10), bufio.NewWriterSize(conn, 32<<10)
			for {
				one, err := in.ReadSlice('\n')
				if err != nil {
					return
				}
				reply(out, one)
				if in.Buffered() == 0 && out.Flush() != nil {
					return
				}
			}
		}()
	}
}

func echoed(out *bufio.Writer, line []byte) { _, _ = out.Write(line) } // Flush has the error

// parsed replies as a herd does to lines that it parses and stores in a map with a lock.
func parsed() func(*bufio.Writer, []byte) {
	var mu sync.Mutex
	store := make(map[string]string)
	return func(out *bufio.Writer, one []byte) {
		c := line.Parse(one)
		report := string(one[len("IAMAT "):])
		mu.Lock()
		store[string(c.Client)] = report
		mu.Unlock()
		_, _ = out.WriteString("AT Goloman +0.263873386 ")
		_, _ = out.WriteString(report)
		_ = out.WriteByte('\n')
	}
}

// serverProcess is a process that listens, and ends with the row that it is measured for.
type serverProcess struct {
	t         testing.TB
	addresses []string
	nodes     []configs.Node // of a herd
	pid       int
	end       func()
	stderr    *safeBuffer
}

// safeBuffer is what a process writes, read while it does.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// serve starts a program and returns when it takes connections.
func (s *serverProcess) serve(program string, args ...string) *serverProcess {
	s.t.Helper()
	command := exec.Command(program, args...)
	s.stderr = new(safeBuffer)
	command.Stderr, command.SysProcAttr = s.stderr, endsWithTest
	command.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.pid = command.Process.Pid
	s.end = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	s.t.Cleanup(s.end)
	deadline := time.Now().Add(patience)
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		conn, err := net.Dial("tcp", s.addresses[0])
		if err == nil {
			_ = conn.Close()
			return s
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v: %s", program, err, s.stderr)
		}
	}
}

// startBare runs one of the programs of this test binary.
func startBare(t testing.TB, name string) *serverProcess {
	t.Helper()
	s := &serverProcess{t: t, addresses: freeAddresses(t, 1)}
	return s.serve("env", programVariable+"="+name, os.Args[0], s.addresses[0])
}

// startRedis runs Redis in memory alone, or with a file to which it appends with such an fsync.
func startRedis(t testing.TB, fsync string) *serverProcess {
	t.Helper()
	s := &serverProcess{t: t, addresses: freeAddresses(t, 1)}
	_, port, _ := net.SplitHostPort(s.addresses[0])
	args := []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir(), "--logfile", ""}
	if fsync != "" {
		args = append(args, "--appendonly", "yes", "--appendfsync", fsync)
	}
	return s.serve("redis-server", args...)
}

// cpu returns the processor time that the process has used.
func (s *serverProcess) cpu() time.Duration {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			s.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// collected returns the processor time that the collector of garbage has used, without what was idle anyway, as the process
// traces it (pkg.go.dev/runtime#hdr-Environment_Variables, gctrace).
func (s *serverProcess) collected() (used time.Duration) {
	s.t.Helper()
	for l := range strings.Lines(s.stderr.String()) {
		if !strings.HasPrefix(l, "gc ") {
			continue
		}
		_, costs, _ := strings.Cut(l, " ms clock, ")
		costs, _, ok := strings.Cut(costs, " ms cpu")
		if !ok {
			continue // the last line is not whole yet
		}
		for i, phase := range strings.Split(costs, "+") {
			for j, part := range strings.Split(phase, "/") {
				ms, err := strconv.ParseFloat(part, 64)
				if err != nil {
					s.t.Fatalf("%q: %v", l, err)
				}
				if i != 1 || j != 2 {
					used += time.Duration(ms * float64(time.Millisecond))
				}
			}
		}
	}
	return used
}

//go:build lab

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"herd/configs"
)

// attackedHerd is herd up as a process of its own, with the hardened sample.
type attackedHerd struct {
	t      *testing.T
	config *configs.Config
	pid    int
	log    string // file
	stop   func() // and wait
	peak   atomic.Int64
	usual  int64 // bytes of memory at most, with honest clients alone
}

// startAttackedHerd runs the program with a limit of file descriptors. It uses the sample with other addresses, which are free.
func startAttackedHerd(t *testing.T, program string, descriptors int) *attackedHerd {
	t.Helper()
	const sample = "configs/hardened.yaml"
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	config, err := configs.Load(sample, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	free := freeAddresses(t, 2*len(config.Nodes))
	for i := range config.Nodes {
		n := &config.Nodes[i]
		for j, address := range []*string{&n.Listen, &n.HTTP} {
			text = []byte(strings.Replace(string(text), strconv.Quote(*address), strconv.Quote(free[2*i+j]), 1))
			*address = free[2*i+j]
		}
	}
	f := &attackedHerd{t: t, config: config, log: filepath.Join(t.TempDir(), "log")}
	file := filepath.Join(t.TempDir(), "hardened.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(f.log)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-c", `ulimit -n "$1"; exec "$0" up --config "$2"`, program, strconv.Itoa(descriptors), file)
	command.Stderr = log
	command.SysProcAttr = endsWithTest
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	f.pid = command.Process.Pid
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.Tick(50 * time.Millisecond); ctx.Err() == nil; <-tick {
			f.peak.Store(max(f.peak.Load(), f.resident()))
		}
	})
	f.stop = sync.OnceFunc(func() {
		cancel()
		watching.Wait()
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("herd up: %v; its log ends with %s", err, f.lastWords())
		}
		_ = log.Close()
	})
	t.Cleanup(f.stop)
	for _, n := range config.Nodes {
		f.until(patience, "all are on the bus", func() bool { return health(n).Bus == "connected" })
	}
	return f
}

// until waits until a condition on another process holds, and returns how long that took.
func (f *attackedHerd) until(limit time.Duration, what string, so func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	for tick := time.Tick(20 * time.Millisecond); !so(); <-tick {
		if time.Since(began) > limit {
			f.t.Errorf("not in %s: %s; the log ends with %s", limit, what, f.lastWords())
			break
		}
	}
	return time.Since(began)
}

// resident returns the process's memory in bytes that is not a file's: the program's own code comes and goes with use.
func (f *attackedHerd) resident() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.pid))
	for l := range strings.Lines(string(text)) {
		if kilobytes, ok := strings.CutPrefix(l, "RssAnon:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(kilobytes)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// counts are sums of the nodes' health.
type counts struct {
	nodes    int // that answered
	sessions int
	clients  int // of the node that knows fewest
	refused  map[string]uint64
}

func (f *attackedHerd) counts() counts {
	c := counts{clients: 1 << 30, refused: make(map[string]uint64)}
	for _, n := range f.config.Nodes {
		h := health(n)
		if h.Node == "" {
			continue // no descriptor to answer on
		}
		c.nodes++
		c.sessions += h.Sessions
		c.clients = min(c.clients, h.Clients)
		for why, times := range h.Refused {
			c.refused[why] += times
		}
	}
	return c
}

// lastWords returns the end of the log.
func (f *attackedHerd) lastWords() string {
	text, err := os.ReadFile(f.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(text[max(0, len(text)-500):])
}

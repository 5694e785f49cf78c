//go:build lab

package lab

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ended half-way, .ci/engine leaves nothing behind.
func TestEngineEnds(t *testing.T) {
	const build, sleeping = "docker compose build --quiet", "docker run --detach --publish 127.0.0.1:12125:1 golang:1.26-alpine nc -lk -p 1 -e sh && echo '.ci/engine: sleeps' && sleep 600"
	terminate := func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
	interrupt := func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) } // all in the foreground, as a terminal does
	for _, tt := range []struct {
		name, command, moment string
		end                   func(pid int) error
		code                  int
	}{
		{"fetching, SIGTERM", build, "fetches", terminate, 143},
		{"building, SIGTERM", build, "runs", terminate, 143},
		{"running, SIGINT", sleeping, "sleeps", interrupt, 130},
		{"failing", "exit 7", "runs", func(int) error { return nil }, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			links, filters := outputOf(t, "ip", "-brief", "link"), outputOf(t, "iptables-save")
			c := exec.CommandContext(t.Context(), ".ci/engine", "sh", "-c", tt.command)
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			c.Stderr = c.Stdout
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			var work string
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				if path, ok := strings.CutPrefix(lines.Text(), ".ci/engine: works in "); ok {
					work = path
				}
				if strings.HasPrefix(lines.Text(), ".ci/engine: "+tt.moment) {
					break
				}
			}
			if work == "" {
				t.Fatal("the engine did not start")
			}
			began := time.Now()
			if err := tt.end(c.Process.Pid); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
				// to its end, so that nobody waits for us
			}
			if _ = c.Wait(); c.ProcessState.ExitCode() != tt.code {
				t.Errorf("%s, want exit code %d", c.ProcessState, tt.code)
			}
			t.Logf("ended within %s", time.Since(began).Round(time.Millisecond))
			if left := leftBy(t, filepath.Base(work)); left != nil {
				t.Errorf("left behind: %q", left)
			}
			if after := outputOf(t, "ip", "-brief", "link"); after != links {
				t.Errorf("network devices were\n%s\nand are\n%s", links, after)
			}
			if after := outputOf(t, "iptables-save"); after != filters {
				t.Errorf("packet filters were\n%s\nand are\n%s", filters, after)
			}
		})
	}
}

// leftBy lists the processes, mounts, cgroups and folders that bear a name.
func leftBy(t *testing.T, name string) (left []string) {
	t.Helper()
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/mountinfo", "/proc/[0-9]*/environ"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), name) {
				left = append(left, file)
			}
		}
	}
	for _, pattern := range []string{os.TempDir() + "/*", "/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, slices.DeleteFunc(files, func(f string) bool { return !strings.Contains(f, name) })...)
	}
	return left
}

func outputOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

//go:build attack || kill || numbers || peers || prometheus

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// endsWithTest has a process end when the test does without a word, as at its time-out.
var endsWithTest = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

// buildHerd returns the program, as a user builds it.
func buildHerd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "herd")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

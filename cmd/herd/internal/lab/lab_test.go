//go:build lab

// Package lab drives the program as its users build it: containers, attacks, kills, comparison with other servers, Prometheus, and
// measurements. It takes minutes to an hour and needs programs of Debian, so it stands behind a build tag; the targets of the Makefile run it.
package lab

import (
	"context"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"herd/cmd/herd/internal/client"
	"herd/configs"
	"herd/node/status"
)

const (
	repository = "../../../.." // from the folder of this package
	patience   = 30 * time.Second
)

// programVariable names the program of this test binary that runs instead of its tests.
const programVariable = "LAB_PROGRAM"

var programs = map[string]func(){
	"attackers":   attackers,
	"bare-server": func() { serveBare(os.Args[1], parsed()) },
	"nats-server": serveNATS,
	"echo-server": func() { serveBare(os.Args[1], echoed) },
}

// TestMain runs one of the programs, or the tests with the repository as their working directory.
func TestMain(m *testing.M) {
	if run, ok := programs[os.Getenv(programVariable)]; ok {
		run()
		return
	}
	if err := os.Chdir(repository); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// endsWithTest has a process end when the test does without a word, as at its time-out.
var endsWithTest = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

var herdFile = flag.String("herd", "", "drive this herd, built of another commit, instead of the one of this tree")

// buildHerd returns the path of the program, as a user builds it.
func buildHerd(t *testing.T) string {
	t.Helper()
	if *herdFile != "" {
		return *herdFile
	}
	path := filepath.Join(t.TempDir(), "herd")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/herd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// freeAddresses returns so many addresses at which nobody listens.
func freeAddresses(t testing.TB, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // not before all are found
		all = append(all, l.Addr().String())
	}
	return all
}

// health returns the health of a node, or nothing if it does not answer.
func health(n configs.Node) status.Health {
	h, _ := client.Health(context.Background(), n.HTTP, "")
	return h
}

// serveNATS is a NATS server with the arguments of NATS's own program.
func serveNATS() {
	options, err := server.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ExitOnError), os.Args[1:], nil, nil, nil)
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(options)
	if err != nil {
		panic(err)
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
}

//go:build lab

package lab

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herd/configs"
)

// TestIdle measures the memory of a herd's process with 10,000 clients connected, each of which has reported once and is silent since,
// their reports included: make numbers.
func TestIdle(t *testing.T) {
	const clients, limit = 10_000, 5 << 10 // bytes each
	program := buildHerd(t)
	plain := idle(t, program, "", clients, func(address string) (net.Conn, error) { return net.Dial("tcp", address) })
	t.Logf("%d bytes a connection", plain)
	if plain > limit {
		t.Errorf("that is more than %d", limit)
	}
	files, trust := serverCertificate(t)
	secure := idle(t, program, files, clients, func(address string) (net.Conn, error) { return tls.Dial("tcp", address, trust) })
	t.Logf("%d bytes a connection over TLS", secure)
}

// serverCertificate returns the configuration of a node that has a certificate, and that of a client that trusts it. They are those
// of package httptest.
func serverCertificate(t *testing.T) (node string, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: s.Certificate().Raw},
		key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client = &tls.Config{ServerName: "example.com", RootCAs: x509.NewCertPool()}
	client.RootCAs.AddCert(s.Certificate())
	return fmt.Sprintf("tls: {cert: %q, key: %q}\n", cert, key), client
}

// idle returns what a connection costs a process of the program, configured with more, in bytes resident.
func idle(t *testing.T, program, more string, clients int, dial func(address string) (net.Conn, error)) int {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	free := freeAddresses(t, 3)
	file := filepath.Join(t.TempDir(), "herd.yaml")
	must(os.WriteFile(file, fmt.Appendf(nil, "nodes: [{name: Goloman, listen: %q, http: %q}]\nlinks: []\nlog: {level: warn}\n"+
		"limits: {connections: 0, per_address: 0}\nbus: {listen: %q}\n%s", free[0], free[1], free[2], more), 0o600))
	herd := exec.Command(program, "up", "--config", file)
	herd.Stderr, herd.SysProcAttr = os.Stderr, endsWithTest
	must(herd.Start())
	defer func() {
		_ = herd.Process.Kill()
		_ = herd.Wait()
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !health(configs.Node{HTTP: free[1]}).Ready {
		<-tick.C
	}
	before := stableMemory(t, herd.Process.Pid)
	conns := make([]net.Conn, clients)
	for i := range conns {
		conn, err := dial(free[0])
		must(err)
		defer conn.Close()
		conns[i] = conn
	}
	for i, conn := range conns {
		_, err := fmt.Fprintf(conn, "IAMAT c%05d.example +34.068930-118.445127 1520023934.918963997\n", i)
		must(err)
		reply, err := bufio.NewReader(conn).ReadString('\n')
		must(err)
		if !strings.HasPrefix(reply, "AT Goloman ") {
			t.Fatalf("client %d is answered %q", i, reply)
		}
	}
	return (stableMemory(t, herd.Process.Pid) - before) / clients
}

// stableSeconds is for how long a process must give no memory back before it counts as stable: herd gives memory back once a minute.
var stableSeconds = 65

// stableMemory returns the memory of a process in bytes, its program's text included, when it has given nothing back for stableSeconds.
func stableMemory(t *testing.T, pid int) int {
	t.Helper()
	least, since := resident(t, pid), 0
	for tick := time.Tick(time.Second); since < stableSeconds; <-tick {
		now := resident(t, pid)
		if since++; now < least-least/100 {
			least, since = now, 0
		}
	}
	return least
}

func resident(t *testing.T, pid int) (bytes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

//go:build peers

package node

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	driver "herd/node/load"
	"herd/node/store"
)

// These tests compare herd with Redis, which has to be installed: make bench-five. Both get the same load of the same generator in turns, and a ratio
// is the median of those of the rounds: above 1, herd is the faster.

const rounds = 7

// redis runs a server with nothing on its disk but what arguments say, and returns its address.
func redis(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := socket.Addr().(*net.TCPAddr)
	_ = socket.Close() // for the server to take
	c := exec.Command("redis-server", append([]string{"--port", fmt.Sprint(address.Port), "--bind", "127.0.0.1", "--save", "", "--dir", dir}, args...)...)
	c.Stdout, err = os.Create(filepath.Join(dir, "log"))
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address.String())
		if err == nil {
			_ = conn.Close()
			return address.String()
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Five nodes that keep five copies, against Redis that keeps one.
func TestFiveAgainstRedis(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const clients, requests = 100_000, 500_000
	log := warnings(t)
	five := overNATS(t, campus(t), func(c *Config) { c.Log = log })
	peer := redis(t)
	var ratios, rates, peers []float64
	for range rounds {
		theirs := press(t, driver.GeoAdd{Key: "herd"}, []string{peer}, clients, loadPipeline, requests)
		ours := five.spread(five.addresses(), clients, requests)
		rates, peers = append(rates, requests/ours.Seconds()), append(peers, requests/theirs.Seconds())
		ratios = append(ratios, theirs.Seconds()/ours.Seconds())
	}
	told, conflated := five.conflated()
	t.Logf("five nodes %.0f reports/s until all are equal (%.1f %% of what was to be told conflated), GEOADD %.0f/s: %.2f × (%.2f–%.2f), target ≥ 1",
		median(rates), 100*float64(conflated)/float64(told+conflated), median(peers), median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// What a node costs that keeps its reports on disk, against one that does not, and against Redis that keeps its own as safe.
func TestDurableAgainstRedis(t *testing.T) {
	const clients, requests = 100_000, 500_000
	log := warnings(t)
	kept := func(always bool) string {
		return alone(t, func(c *Config) {
			s, err := store.Open(store.Config{Dir: t.TempDir(), Herd: "herd", Node: c.Name})
			if err != nil {
				t.Fatal(err)
			}
			c.Log, c.Store, c.Always = log, s, always
		}).address
	}
	aof := func(sync string) string { return redis(t, "--appendonly", "yes", "--appendfsync", sync) }
	none := alone(t, func(c *Config) { c.Log = log }).address
	interval, always := kept(false), kept(true)
	set, geo := driver.Set{}, driver.GeoAdd{Key: "herd"}
	runs := []struct {
		name     string
		protocol driver.Protocol
		address  string
		against  string
		target   float64 // 0: none
	}{
		{"none", driver.Herd{}, none, "none", 0},
		{"interval", driver.Herd{}, interval, "none", 0.8},
		{"always", driver.Herd{}, always, "none", 0},
		{"SET everysec", set, aof("everysec"), "interval", 0},
		{"GEOADD everysec", geo, aof("everysec"), "interval", 0},
		{"SET always", set, aof("always"), "always", 0},
		{"GEOADD always", geo, aof("always"), "always", 0},
	}
	times := make(map[string][]time.Duration)
	for range rounds {
		for _, r := range runs {
			times[r.name] = append(times[r.name], press(t, r.protocol, []string{r.address}, clients, loadPipeline, requests))
			time.Sleep(durablePause)
		}
	}
	for _, r := range runs {
		var rates, ratios []float64
		for i, took := range times[r.name] {
			rates = append(rates, requests/took.Seconds())
			ratios = append(ratios, times[r.against][i].Seconds()/took.Seconds())
		}
		t.Logf("%-16s %8.0f/s, %.2f × (%.2f–%.2f) %s, target %v", r.name, median(rates), median(ratios), slices.Min(ratios), slices.Max(ratios), r.against, r.target)
	}
}

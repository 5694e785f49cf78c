//go:build lab

package lab

import (
	"cmp"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

const (
	attackShare = 0.5              // of a core, for all attackers together
	maxRatio    = 3                // of honest clients' p99 under attack to the quiet one, for the attack that mixes all
	junkCost    = 120              // bytes of memory at a node for each junk ID, besides its own
	warmTime    = 30 * time.Second // of honest clients alone, before all attacks
	quietTime   = 5 * time.Second  // measured before each attack
	slack       = 1.2              // of what memory is left after an attack to what was there before
	recovery    = 90 * time.Second
)

// TestAttack attacks herd up with the hardened sample, in one way after the other, while honest clients report. The server, the attackers
// and the honest clients (this one) are three processes. ATTACK_ONLY plays the attacks whose names contain it, and no others.
func TestAttack(t *testing.T) {
	debug.SetGCPercent(1000) // or this process's collector would be what honest clients wait for
	program := buildHerd(t)
	scenes := []*attackRun{
		{name: "none, but half a core of arithmetic", plan: plan{Attack: "spin", Seconds: 10, Attackers: 1, Addresses: 1}},
		{name: "10,000 idle connections", plan: plan{Attack: "idle", Seconds: 20, Attackers: 10_000, Addresses: 1000}, settle: 8 * time.Second},
		{name: "10,000 connections from one address", plan: plan{Attack: "idle", Seconds: 10, Attackers: 10_000, Addresses: 1}},
		{name: "2,000 lines of a byte a second", plan: plan{Attack: "slow", Seconds: 25, Attackers: 2000, Addresses: 200}, settle: 3 * time.Second},
		{name: "500 clients that never read", plan: plan{Attack: "deaf", Seconds: 25, Attackers: 500, Addresses: 100}, settle: 2 * time.Second},
		{name: "200 with over-long and binary lines", plan: plan{Attack: "bad", Seconds: 15, Attackers: 200, Addresses: 200, Bytes: 20e6}},
		{name: "200 that search", plan: plan{Attack: "searches", Seconds: 15, Attackers: 200, Addresses: 200, Bytes: 20e6}},
		{name: "200 that connect and go", plan: plan{Attack: "churn", Seconds: 15, Attackers: 200, Addresses: 200}},
		{name: "200 mixing it all, 20 MB/s", plan: plan{Attack: "mix", Seconds: 5, Attackers: 200, Addresses: 200, Bytes: 20e6, First: 50_000_000}, rounds: 8},
		{name: "10,000 junk IDs from one address", plan: plan{Attack: "ids", Seconds: 10, Attackers: 20, Addresses: 1, IDs: 10_000}},
		{name: "100,000 junk IDs", plan: plan{Attack: "ids", Seconds: 60, Attackers: 50, Addresses: 2000, IDs: 100_000, First: 10_000_000}},
		{name: "5,000 connections for 400 descriptors", plan: plan{Attack: "idle", Seconds: 15, Attackers: 5000, Addresses: 1000}, descriptors: 400},
	}
	var table strings.Builder
	table.WriteString(tableHead)
	var f *attackedHerd
	var c *honestClients
	for _, s := range scenes {
		if !strings.Contains(s.name, os.Getenv("ATTACK_ONLY")) {
			continue
		}
		if f == nil || s.descriptors > 0 {
			if f != nil {
				c.converge(f)
				f.stop()
			}
			f = startAttackedHerd(t, program, cmp.Or(s.descriptors, 30_000))
			c = startHonestClients(t, f.config, 50, s.descriptors == 0)
			time.Sleep(warmTime) // for the process to become as large as honest clients make it
			f.usual = f.peak.Load()
		}
		s.play(f, c)
		c.check()
		s.check(t)
		t.Log(s.row())
		table.WriteString(s.row())
	}
	c.converge(f)
	f.stop()
	fmt.Println(table.String())
}

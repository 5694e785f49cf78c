//go:build lab

package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// attackRun is one attack and what was measured before, during and after it.
type attackRun struct {
	name   string
	plan   plan
	rounds int           // of quiet and attack in turn; 0: one
	settle time.Duration // within an attack, before it is measured

	descriptors int // of a server of its own; 0: the same as the last one, with enough of them

	quiet, under        [3]window // by kind
	ratios              []float64 // of honest clients' p99s, one for each round
	refused             map[string]uint64
	before, peak, after int64 // bytes of memory
	junk                int   // IDs that each node knows more
	recovered           time.Duration
	sessions            int     // at most
	cores               float64 // used by the attackers
	server              float64 // used by the server, under attack
	tally               attackerCounts
	sockets             int64 // bytes that the system holds for connections of the whole machine, at most
}

// play measures before, during and after.
func (s *attackRun) play(f *attackedHerd, c *honestClients) {
	f.t.Helper()
	for _, n := range f.config.Nodes {
		s.plan.Targets = append(s.plan.Targets, n.Listen)
	}
	begin := f.counts()
	f.peak.Store(0)
	var processor, wall time.Duration
	for range max(s.rounds, 1) {
		quiet := time.Now()
		time.Sleep(quietTime)
		if s.before == 0 {
			s.before = max(f.peak.Swap(0), f.usual) // not what it is for a moment after memory was given back
		}
		start := time.Now()
		used, _ := processorTime(f.pid)
		end := s.attack(f)
		now, _ := processorTime(f.pid)
		processor, wall = processor+now-used, wall+time.Since(start)
		for what := range s.quiet {
			before, during := c.window(kind(what), quiet, start), c.window(kind(what), start.Add(s.settle), end)
			s.quiet[what], s.under[what] = append(s.quiet[what], before...), append(s.under[what], during...)
			if kind(what) == reporting {
				s.ratios = append(s.ratios, float64(during.at(.99))/float64(before.at(.99)))
			}
		}
		s.recovered = max(s.recovered, f.until(recovery, "only honest clients are connected", func() bool {
			now := f.counts()
			return now.nodes == len(f.config.Nodes) && now.sessions <= len(c.clients)
		}))
		if s.recovered >= recovery {
			f.t.Fatalf("%s: %d honest clients, but %+v", s.name, len(c.clients), f.counts())
		}
	}
	for what := range s.quiet {
		slices.Sort(s.quiet[what])
		slices.Sort(s.under[what])
	}
	slices.Sort(s.ratios)
	s.server = processor.Seconds() / wall.Seconds()
	s.peak = f.peak.Load()
	now := f.counts()
	s.junk = now.clients - begin.clients
	began := time.Now()
	for s.after = f.resident(); float64(s.after) > s.allowed() && time.Since(began) < recovery; s.after = f.resident() {
		time.Sleep(100 * time.Millisecond)
	}
	s.recovered += time.Since(began)
	s.refused = maps.Clone(now.refused)
	for why, times := range begin.refused {
		if s.refused[why] -= times; s.refused[why] == 0 {
			delete(s.refused, why)
		}
	}
}

// attack runs the attackers' process, confined to its share, and returns when it ended.
func (s *attackRun) attack(f *attackedHerd) time.Time {
	f.t.Helper()
	s.plan.First += s.plan.IDs
	text, err := json.Marshal(s.plan)
	if err != nil {
		f.t.Fatal(err)
	}
	var out, complaints strings.Builder
	command := exec.Command("chrt", "--idle", "0", "taskset", "-c", "1", os.Args[0])
	command.Env = append(os.Environ(), programVariable+"=attackers", planVariable+"="+string(text), "GOMAXPROCS=1")
	command.Stdout, command.Stderr = &out, &complaints
	command.SysProcAttr = endsWithTest
	if err := command.Start(); err != nil {
		f.t.Fatal(err)
	}
	share := &share{pid: command.Process.Pid, cores: attackShare}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { share.confine(ctx) })
	watching.Go(func() {
		for tick := time.Tick(time.Second); ctx.Err() == nil; {
			s.sockets = max(s.sockets, socketMemory())
			s.sessions = max(s.sessions, f.counts().sessions)
			select {
			case <-tick:
			case <-ctx.Done():
			}
		}
	})
	err = command.Wait()
	end := time.Now()
	cancel()
	watching.Wait()
	s.cores = share.used.Seconds() / share.elapsed.Seconds()
	_, report, _ := strings.Cut(out.String(), "TALLY ")
	report, _, _ = strings.Cut(report, "\n")
	if err == nil {
		err = json.Unmarshal([]byte(report), &s.tally)
	}
	if err != nil {
		f.t.Errorf("%s: attackers: %v: %.300s%.300s", s.name, err, out.String(), complaints.String())
	}
	return end
}

// socketMemory returns what the kernel holds for all TCP connections of the machine, in bytes.
func socketMemory() int64 {
	text, _ := os.ReadFile("/proc/net/sockstat")
	_, rest, _ := strings.Cut(string(text), "TCP: ")
	var inuse, orphan, tw, alloc, pages int64
	_, _ = fmt.Sscanf(rest, "inuse %d orphan %d tw %d alloc %d mem %d", &inuse, &orphan, &tw, &alloc, &pages)
	return pages << 12
}

// allowed is the memory in bytes that the process may still hold after the attack.
func (s *attackRun) allowed() float64 {
	const nodes = 5
	return float64(s.before)*slack + float64(s.junk*nodes*(junkSize+junkCost))
}

// ratio is the median over the rounds, so that a short load by others on the machine does not decide it.
func (s *attackRun) ratio() float64 { return s.ratios[len(s.ratios)/2] }

const tableHead = "| attack | honest IAMAT p50 / p99, quiet | under attack | ratio of p99 | WHATSAT p99 | new connection and IAMAT p99 | memory before / peak / after | refused |\n" +
	"|---|---|---|---|---|---|---|---|\n"

// row is the line of the attack in the table.
func (s *attackRun) row() string {
	ms := func(w window, q float64) string { return fmt.Sprintf("%.2f", float64(w.at(q))/1e6) }
	change := func(what kind) string {
		if len(s.under[what]) == 0 {
			return "–"
		}
		return ms(s.quiet[what], .99) + " → " + ms(s.under[what], .99)
	}
	var refused []string
	for _, why := range slices.SortedFunc(maps.Keys(s.refused), func(a, b string) int { return cmp.Compare(s.refused[b], s.refused[a]) }) {
		refused = append(refused, fmt.Sprintf("%s %d", why, s.refused[why]))
	}
	memory := fmt.Sprintf("%.1f / %.1f / %.1f MB", float64(s.before)/1e6, float64(s.peak)/1e6, float64(s.after)/1e6)
	if s.junk > 1000 {
		memory += fmt.Sprintf(", %d B for each of %d IDs at each node", (s.after-s.before)/int64(s.junk*5), s.junk)
	}
	return fmt.Sprintf("| %s: %d connections, %.1f MB/s, %.2f cores; server %.2f cores, %d sessions; sockets %.0f MB; memory back after %.0f s | %s / %s ms | %s / %s ms | %.1f (%.1f–%.1f) | %s ms | %s ms | %s | %s |\n",
		s.name, s.tally.Connections, float64(s.tally.Bytes)/s.tally.Seconds/1e6, s.cores, s.server, s.sessions, float64(s.sockets)/1e6, math.Ceil(s.recovered.Seconds()),
		ms(s.quiet[reporting], .5), ms(s.quiet[reporting], .99), ms(s.under[reporting], .5), ms(s.under[reporting], .99),
		s.ratio(), s.ratios[0], s.ratios[len(s.ratios)-1], change(querying), change(connecting), memory, strings.Join(refused, ", "))
}

func (s *attackRun) check(t *testing.T) {
	if s.rounds > 1 && s.ratio() > maxRatio {
		t.Errorf("%s: honest p99 is %.1f × its quiet value", s.name, s.ratio())
	}
	if float64(s.after) > s.allowed() {
		t.Errorf("%s: %d bytes of memory are left, more than the %.0f allowed of %d before and %d junk IDs", s.name, s.after, s.allowed(), s.before, s.junk)
	}
	if s.descriptors > 0 && s.refused["out of file descriptors"] == 0 {
		t.Errorf("%s: none was refused for want of descriptors", s.name)
	}
}

package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"herd/bus/subject"

	"go.uber.org/zap/zapcore"
)

const pollInterval = 10 * time.Millisecond // between two checks of what is awaited

// wait lets time pass: so much, or until a condition holds, at most so much.
func (s *scenario) wait(words []string) string {
	if words[0] != "until" {
		time.Sleep(s.duration(words[0]))
		synctest.Wait()
		return ""
	}
	what, most, labels := words[1], s.duration(words[2]), words[3:]
	for started := time.Now(); ; time.Sleep(pollInterval) {
		synctest.Wait()
		switch took := time.Since(started); {
		case s.is(what, s.running(labels)):
			return fmt.Sprintf("%s after %s\n", what, took)
		case took >= most:
			return fmt.Sprintf("not %s within %s\n", what, most)
		}
	}
}

func (s *scenario) is(what string, nodes []*scenarioNode) bool {
	each := func(so func(*scenarioNode) bool) bool {
		return !slices.ContainsFunc(nodes, func(a *scenarioNode) bool { return !so(a) })
	}
	switch what {
	case "equal":
		return each(func(a *scenarioNode) bool { return a.contentsText() == nodes[0].contentsText() })
	case "ready":
		return each(func(a *scenarioNode) bool { return a.Health().Ready })
	case "up":
		return each(func(a *scenarioNode) bool {
			for _, l := range a.Health().Links {
				if l.State != "up" {
					return false
				}
			}
			return true
		})
	default:
		s.Fatalf("no condition is called %q", what)
		return false
	}
}

// outputs are what a scenario can print, with the words that follow.
var outputs = map[string]func(s *scenario, words []string) string{
	"known":    (*scenario).showKnown,    // [NODE …]: who knows what
	"links":    (*scenario).showLinks,    // [NODE …]: their states
	"herd":     (*scenario).showHerd,     // [NODE …]: how they say all are
	"ready":    (*scenario).showReady,    // [NODE …]: when and why
	"counts":   (*scenario).showCounts,   // A>B FIELD …: of the link in A's health
	"atmost":   (*scenario).showLimit,    // A>B FIELD NUMBER: the same, where it has no exact value
	"refused":  (*scenario).showRefused,  // [NODE …]
	"log":      (*scenario).showLog,      // [NODE …] [troubles] [times|distinct]: what is new, without the routine
	"messages": (*scenario).showMessages, // [DIRECTION …] [KIND …]: published since last printed
	"nothing":  (*scenario).skip,         // skips the messages and log entries so far
}

func (s *scenario) show(words []string) string {
	show := outputs[words[0]]
	if show == nil {
		s.Fatalf("there is no output %q", words[0])
	}
	synctest.Wait()
	return show(s, words[1:])
}

// contentsText returns the reports that a node holds, as words.
func (a *scenarioNode) contentsText() string {
	var words []string
	for r := range a.Registry().All() {
		f := strings.Fields(r.String())
		words = append(words, f[2]+"="+f[4]+"@"+f[0])
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// each returns what is the same of which nodes, in the order they came.
func (s *scenario) each(labels []string, of func(*scenarioNode) string) (all []string, who map[string]string) {
	who = make(map[string]string)
	for _, a := range s.running(labels) {
		what := of(a)
		if who[what] == "" {
			all, who[what] = append(all, what), a.label
		} else {
			who[what] += ", " + a.label
		}
	}
	return all, who
}

func (s *scenario) showHerd(labels []string) string {
	var out strings.Builder
	all, who := s.each(labels, func(a *scenarioNode) string {
		var words []string
		for _, n := range a.Herd() {
			var text strings.Builder
			text.WriteString(fmt.Sprintf("%s (clients %d", n.Name, n.Clients))
			for _, l := range n.Links {
				text.WriteString(", " + l.Peer + " " + l.State)
			}
			if n.AgeSeconds > 10 {
				text.WriteString(", long ago")
			}
			words = append(words, text.String()+")")
		}
		return strings.Join(words, " ")
	})
	for _, what := range all {
		fmt.Fprintf(&out, "%s: %s\n", who[what], what)
	}
	return out.String()
}

func (s *scenario) showKnown(labels []string) string {
	all, who := s.each(labels, (*scenarioNode).contentsText)
	var out strings.Builder
	for _, what := range all {
		names := who[what]
		switch n := strings.Count(what, "="); {
		case n == 0:
			what = "nothing"
		case n > 8:
			what = fmt.Sprint(n, " clients")
		}
		fmt.Fprintf(&out, "%s: %s\n", names, what)
	}
	return out.String()
}

func (s *scenario) showLinks(labels []string) string {
	var out strings.Builder
	for _, a := range s.running(labels) {
		var links []string
		for _, l := range a.Health().Links {
			text := l.Peer + " " + l.State
			if l.Topology != "" {
				text += " (" + l.Topology + ")"
			}
			links = append(links, text)
		}
		fmt.Fprintf(&out, "%s: %s\n", a.label, strings.Join(links, ", "))
	}
	return out.String()
}

func (s *scenario) showReady(labels []string) string {
	var out strings.Builder
	for _, a := range s.running(labels) {
		text := "not ready"
		for _, e := range a.logs.FilterMessage("ready").All() {
			text = fmt.Sprintf("ready after %s, %s", e.Time.Sub(a.started).Round(time.Millisecond), e.ContextMap()["why"])
		}
		fmt.Fprintf(&out, "%s: %s\n", a.label, text)
	}
	return out.String()
}

func (s *scenario) showCounts(words []string) string {
	fields := s.fields(words[0])
	var out strings.Builder
	out.WriteString(words[0] + ":")
	for _, f := range words[1:] {
		fmt.Fprintf(&out, " %s=%v", f, fields[f])
	}
	return out.String() + "\n"
}

func (s *scenario) showLimit(words []string) string {
	most := float64(s.number(words[2]))
	if n, ok := s.fields(words[0])[words[1]].(float64); !ok || n > most {
		return fmt.Sprintf("%s: %s=%v, more than %v\n", words[0], words[1], n, most)
	}
	return fmt.Sprintf("%s: %s at most %v\n", words[0], words[1], most)
}

// fields returns what A's health says of its link to B, for A>B, by the names in JSON.
func (s *scenario) fields(link string) (fields map[string]any) {
	label, peer, _ := strings.Cut(link, ">")
	for _, l := range s.nodesOf([]string{label})[0].Health().Links {
		if l.Peer != peer {
			continue
		}
		text, err := json.Marshal(l)
		if err == nil {
			err = json.Unmarshal(text, &fields)
		}
		if err != nil {
			s.Fatal(err)
		}
		return fields
	}
	s.Fatalf("there is no link %s", link)
	return nil
}

func (s *scenario) showRefused(labels []string) string {
	var out strings.Builder
	for _, a := range s.running(labels) {
		text, err := json.Marshal(a.Health().Refused)
		if err != nil {
			s.Fatal(err)
		}
		if string(text) != "{}" {
			fmt.Fprintf(&out, "%s: %s\n", a.label, text)
		}
	}
	return out.String()
}

// routine starts the messages that a node logs all the time.
var routine = strings.Fields("received replied published listening connected disconnected")

// entry is what a node has logged, as text.
type entry struct {
	at    time.Duration // after the node's start
	level zapcore.Level
	text  string
}

// newEntries returns the log entries that were not returned before, without the routine ones.
func (a *scenarioNode) newEntries() (newEntries []entry) {
	entries := a.logs.All()
	for _, e := range entries[a.logged:] {
		if slices.Contains(routine, strings.Fields(e.Message)[0]) && e.Level == zapcore.InfoLevel {
			continue
		}
		var text strings.Builder
		if e.Level > zapcore.InfoLevel {
			text.WriteString(e.Level.CapitalString() + " ")
		}
		text.WriteString(e.Message)
		values, separator := e.ContextMap(), ":"
		for _, f := range e.Context {
			if f.Type == zapcore.SkipType || f.Key == "bytes" || f.Key == "took" {
				continue // not written, or a little more or less, as neighbours repair each other at the same time
			}
			fmt.Fprintf(&text, "%s %s %v", separator, f.Key, values[f.Key])
			separator = ";"
		}
		newEntries = append(newEntries, entry{e.Time.Sub(a.started).Round(time.Millisecond), e.Level, text.String()})
	}
	a.logged = len(entries)
	return newEntries
}

// busiest returns how many of these entries came within a minute, at most, by text.
func busiest(entries []entry) map[string]int {
	most := make(map[string]int)
	for i, first := range entries {
		n := 0
		for _, e := range entries[i:] {
			if e.text == first.text && e.at-first.at < time.Minute {
				n++
			}
		}
		most[first.text] = max(most[first.text], n)
	}
	return most
}

func (s *scenario) showLog(words []string) string {
	times, distinct := slices.Contains(words, "times"), slices.Contains(words, "distinct")
	troubles := slices.Contains(words, "troubles")
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "times" || w == "distinct" || w == "troubles" })
	var out strings.Builder
	for _, a := range s.running(words) {
		entries := a.newEntries()
		if troubles {
			entries = slices.DeleteFunc(entries, func(e entry) bool { return e.level == zapcore.InfoLevel })
		}
		if times { // losses are logged in lots, which begin at any time
			entries = slices.DeleteFunc(entries, func(e entry) bool { return strings.Contains(e.text, "reason messages missing") })
		}
		if distinct {
			most := busiest(entries)
			for _, text := range slices.Sorted(maps.Keys(most)) {
				fmt.Fprintf(&out, "%s: at most %d a minute: %s\n", a.label, most[text], text)
			}
			continue
		}
		for _, e := range entries {
			if times {
				fmt.Fprintf(&out, "%s: after %s %s\n", a.label, e.at, e.text)
			} else {
				fmt.Fprintf(&out, "%s: %s\n", a.label, e.text)
			}
		}
	}
	return out.String()
}

// showMessages prints how many messages were published, in some directions or all, since they were last printed.
func (s *scenario) showMessages(words []string) string {
	kinds := []subject.Kind{subject.Propagate, subject.Heartbeat, subject.Sync}
	isKind := func(w string) bool { return slices.Contains(kinds, subject.Kind(w)) }
	directions := slices.DeleteFunc(slices.Clone(words), isKind)
	if len(directions) == 0 {
		for i, a := range s.names {
			for _, b := range s.names[:i] {
				directions = append(directions, string(a)+"-"+string(b))
			}
		}
	}
	all := make(map[subject.Kind]int)
	s.on(directions, func(w *direction) {
		for kind, n := range w.count {
			all[kind] += n
		}
		clear(w.count)
	})
	var out []string
	for _, kind := range kinds {
		if !slices.ContainsFunc(words, isKind) || slices.Contains(words, string(kind)) {
			out = append(out, fmt.Sprint(all[kind], " ", kind))
		}
	}
	return strings.Join(out, ", ") + "\n"
}

func (s *scenario) skip([]string) string {
	s.showMessages(nil)
	for _, a := range s.running(nil) {
		a.newEntries()
	}
	return ""
}

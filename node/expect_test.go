package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"herd/bus"
)

const glance = 10 * time.Millisecond // between two looks at what is awaited

// settle lets time pass: so much, or until something is so, at most so much.
func (s *scene) settle(words []string) string {
	if words[0] != "until" {
		time.Sleep(s.duration(words[0]))
		synctest.Wait()
		return ""
	}
	what, most, labels := words[1], s.duration(words[2]), words[3:]
	for began := time.Now(); ; time.Sleep(glance) {
		synctest.Wait()
		switch took := time.Since(began); {
		case s.is(what, s.running(labels)):
			return fmt.Sprintf("%s after %s\n", what, took)
		case took >= most:
			return fmt.Sprintf("not %s within %s\n", what, most)
		}
	}
}

func (s *scene) is(what string, actors []*actor) bool {
	each := func(so func(*actor) bool) bool {
		return !slices.ContainsFunc(actors, func(a *actor) bool { return !so(a) })
	}
	switch what {
	case "equal":
		return each(func(a *actor) bool { return a.holds() == actors[0].holds() })
	case "ready":
		return each(func(a *actor) bool { return a.Health().Ready })
	case "up":
		return each(func(a *actor) bool {
			for _, l := range a.Health().Links {
				if l.State != "up" {
					return false
				}
			}
			return true
		})
	default:
		s.Fatalf("nothing is ever %q", what)
		return false
	}
}

// showing are what can be expected, and the words that follow.
var showing = map[string]func(s *scene, words []string) string{
	"known":    (*scene).showKnown,    // [NODE …]: who knows what
	"links":    (*scene).showLinks,    // [NODE …]: their states
	"ready":    (*scene).showReady,    // [NODE …]: when and why
	"counts":   (*scene).showCounts,   // A>B FIELD …: of the link in A's health
	"refused":  (*scene).showRefused,  // [NODE …]
	"log":      (*scene).showLog,      // [NODE …] [times]: what is new, but for the chatter
	"messages": (*scene).showMessages, // [WAY …]: published since asked last, by kind
	"nothing":  (*scene).forget,       // passes over messages and log entries so far
}

func (s *scene) expect(words []string) string {
	show := showing[words[0]]
	if show == nil {
		s.Fatalf("nobody expects %q", words[0])
	}
	synctest.Wait()
	return show(s, words[1:])
}

// holds returns what a node knows, as words. Many clients are only counted, and told apart by their hash.
func (a *actor) holds() string {
	var words []string
	for r := range a.Registry().All() {
		f := strings.Fields(r.String())
		words = append(words, f[2]+"="+f[4]+"@"+f[0])
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (s *scene) showKnown(labels []string) string {
	var all []string
	who := make(map[string][]string)
	for _, a := range s.running(labels) {
		what := a.holds()
		if who[what] == nil {
			all = append(all, what)
		}
		who[what] = append(who[what], a.label)
	}
	var out strings.Builder
	for _, what := range all {
		names := strings.Join(who[what], ", ")
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

func (s *scene) showLinks(labels []string) string {
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

func (s *scene) showReady(labels []string) string {
	var out strings.Builder
	for _, a := range s.running(labels) {
		text := "not ready"
		for _, e := range a.logs.FilterMessage("ready").All() {
			text = fmt.Sprintf("ready after %s, %s", e.Time.Sub(a.began).Round(time.Millisecond), e.ContextMap()["why"])
		}
		fmt.Fprintf(&out, "%s: %s\n", a.label, text)
	}
	return out.String()
}

func (s *scene) showCounts(words []string) string {
	label, peer, _ := strings.Cut(words[0], ">")
	for _, l := range s.cast([]string{label})[0].Health().Links {
		if l.Peer != peer {
			continue
		}
		text, err := json.Marshal(l)
		if err != nil {
			s.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			s.Fatal(err)
		}
		out := words[0] + ":"
		for _, f := range words[1:] {
			out += fmt.Sprintf(" %s=%v", f, fields[f])
		}
		return out + "\n"
	}
	return words[0] + ": no such link\n"
}

func (s *scene) showRefused(labels []string) string {
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

// chatter is what a node logs all the time.
var chatter = strings.Fields("received replied published heard listening connected disconnected")

func (s *scene) showLog(words []string) string {
	times := slices.Contains(words, "times")
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "times" })
	var out strings.Builder
	for _, a := range s.running(words) {
		entries := a.logs.All()
		for _, e := range entries[a.logged:] {
			if slices.Contains(chatter, strings.Fields(e.Message)[0]) && e.Level == zapcore.InfoLevel {
				continue
			}
			fmt.Fprintf(&out, "%s:", a.label)
			if times {
				fmt.Fprintf(&out, " after %s", e.Time.Sub(a.began).Round(time.Millisecond))
			}
			if e.Level > zapcore.InfoLevel {
				fmt.Fprintf(&out, " %s", e.Level.CapitalString())
			}
			fmt.Fprintf(&out, " %s", e.Message)
			values := e.ContextMap()
			separator := ":"
			for _, f := range e.Context {
				if f.Key == "bytes" {
					continue // may be a few more or less, as neighbours repair each other at the same time
				}
				fmt.Fprintf(&out, "%s %s %v", separator, f.Key, values[f.Key])
				separator = ";"
			}
			out.WriteString("\n")
		}
		a.logged = len(entries)
	}
	return out.String()
}

// showMessages prints how many messages were published, on some ways or all, since that was asked last.
func (s *scene) showMessages(ways []string) string {
	if len(ways) == 0 {
		for i, a := range s.names {
			for _, b := range s.names[:i] {
				ways = append(ways, string(a)+"-"+string(b))
			}
		}
	}
	all := make(map[bus.Kind]int)
	s.on(ways, func(w *lane) {
		for kind, n := range w.count {
			all[kind] += n
		}
		clear(w.count)
	})
	return fmt.Sprintf("%d propagate, %d digest, %d repair\n", all[bus.Propagate], all[bus.Digest], all[bus.Repair])
}

func (s *scene) forget([]string) string {
	s.showMessages(nil)
	s.showLog(nil)
	return ""
}

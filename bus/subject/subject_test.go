package subject_test

import (
	"slices"
	"strings"
	"testing"

	"herd/bus/subject"
)

func TestSubjects(t *testing.T) {
	s := subject.Of("herd", subject.Propagate, "Goloman", "Hands")
	herd, kind, from, to, err := subject.Parse(s)
	if got := []string{s, herd, string(kind), from, to}; err != nil ||
		!slices.Equal(got, []string{"herd.propagate.Goloman.Hands", "herd", "propagate", "Goloman", "Hands"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "herd.propagate.a", "herd.propagate.a.b.c"} {
		if _, _, _, _, err := subject.Parse(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("subject %q: %v", bad, err)
		}
	}
}

// What is parsed formats to the same bytes, and nothing else is parsed: nodes that disagree about a number would repair for ever.
func FuzzStamp(f *testing.F) {
	f.Add(string(subject.Stamp{Incarnation: subject.Incarnation{1, 2, 3}, Number: 1}.Append(nil)))
	f.Add("AQIDAAAAAAAAAAAAAAAAAA.18446744073709551615")
	for _, bad := range []string{
		"", ".", "AQIDAAAAAAAAAAAAAAAAAA", "AQIDAAAAAAAAAAAAAAAAAA.", "AQIDAAAAAAAAAAAAAAAAAA.0",
		"AQIDAAAAAAAAAAAAAAAAAA.01", "AQIDAAAAAAAAAAAAAAAAAA.+1", "AQIDAAAAAAAAAAAAAAAAAB.1", "AQIDAAAAAAAAAAAAAAAA\n\n.1",
		"AQIDAAAAAAAAAAAAAAAAAA.18446744073709551616",
	} {
		if s, err := subject.ParseStamp(bad); err == nil {
			f.Errorf("ParseStamp(%q) = %v", bad, s)
		}
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := subject.ParseStamp(text)
		if err == nil && string(s.Append(nil)) != text {
			t.Errorf("%q is parsed as %q", text, s.Append(nil))
		}
	})
}

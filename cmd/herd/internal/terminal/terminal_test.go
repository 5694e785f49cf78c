package terminal

import "testing"

func TestLegible(t *testing.T) {
	for text, want := range map[string]string{
		"kiwi.cs.ucla.edu": "kiwi.cs.ucla.edu", "Düne 7": "Düne 7", `"a\b"`: `"a\b"`, "": "",
		"\x1b[31m": `"\x1b[31m"`, "\xff": `"\xff"`, "a\nb": `"a\nb"`, "\u202egnp": `"\u202egnp"`, "\x7f": `"\x7f"`,
	} {
		if got := Legible(text); got != want {
			t.Errorf("Legible(%q) = %s, want %s", text, got, want)
		}
	}
}

package line

import "testing"

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "\t\n\x00": "\t\n\x00", "é": "é", "\xff": `\xff`, "\u202e": `\u202e`, "\x7f": `\x7f`, "\"\xff\"": `\"\xff\"`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

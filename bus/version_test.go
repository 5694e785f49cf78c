package bus

import "testing"

func TestOlderThan(t *testing.T) {
	for _, test := range []struct {
		version, other string
		want           bool
	}{
		{"2.9.10", "2.9.10", false},
		{"2.9.9", "2.9.10", true},
		{"2.10.0", "2.9.10", false},
		{"2.8.99", "2.9.10", true},
		{"1.99.99", "2.9.10", true},
		{"3.0.0", "2.9.10", false},
		{"2.9.10-beta.1", "2.9.10", false},
		{"2.9", "2.9.10", true},
		{"", "2.9.10", true},
		{"2.x", "2.9.10", true},
	} {
		if got := olderThan(test.version, test.other); got != test.want {
			t.Errorf("%q is older than %q: %v", test.version, test.other, got)
		}
	}
}

package process

import "testing"

func TestReach(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", ":1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1",
		"[::1]:1": "[::1]:1", "node.example:1": "node.example:1",
	} {
		if got, err := Reach(address); err != nil || got != want {
			t.Errorf("Reach(%q) = %q, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{"", "host", "host:", "host:0", ":00", "::1"} {
		if got, err := Reach(address); err == nil {
			t.Errorf("Reach(%q) = %q", address, got)
		}
	}
}

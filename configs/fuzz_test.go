package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// FuzzLoad feeds arbitrary files: Load does not panic, and either returns a whole configuration or one line of error.
func FuzzLoad(f *testing.F) {
	for _, sample := range []string{"herd.yaml", "regions.yaml"} {
		data, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		"", "{", "- a", "a: b: c", "nodes: &n [*n]\nlinks: *n", "links: [[Goloman, Hands, {every: 10s}], [Hands, Wilkes, {every: {Hands: 1m, X: 1}}]]", "<<: {herd: x}", "bus: {url: \"nats://a@b\"}", "limits: {idle: 60}\n---\n",
		"nodes: [{name: \"a\\nb\", listen: \":1\"}]", "\"\\n\": 1", "herd: !!binary aGVyZA==", "herd: |\n  a\n  b\n", "\x00", "\xff\xfe",
	} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "my.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, nil, nil)
		if err == nil {
			if len(c.Topology().Nodes()) != len(c.Nodes) || len(c.Values()) != len(configKeys) {
				t.Errorf("half a configuration: %+v", c)
			}
			return
		}
		text := err.Error()
		if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || !strings.HasPrefix(text, path+":") {
			t.Errorf("error %q", text)
		}
	})
}

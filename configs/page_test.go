package configs

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew from herd.yaml")

const (
	configurationPage = "../docs/configuration.md"
	generated         = "<!-- made of configs/herd.yaml by: go test ./configs -run TestConfigurationPage -update -->\n"
)

// The page has every key with its default and what herd.yaml says of it.
func TestConfigurationPage(t *testing.T) {
	page, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(page), generated)
	if !found {
		t.Fatalf("%s has no line %s", configurationPage, generated)
	}
	text, keys := describe(t)
	for _, v := range mustLoad(t).Values() {
		if !slices.Contains(keys, v.Key) {
			t.Errorf("herd.yaml does not explain %s", v.Key)
		}
	}
	want := head + generated + text
	if want == string(page) {
		return
	}
	if !*update {
		t.Fatalf("%s is not made of herd.yaml as it is now; run: go test ./configs -run TestConfigurationPage -update", configurationPage)
	}
	if err := os.WriteFile(configurationPage, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T) *Config {
	t.Helper()
	c, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// describe makes the sections of the page, and returns the keys that they have.
func describe(t *testing.T) (text string, keys []string) {
	t.Helper()
	source, err := os.ReadFile("herd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	top := document.Content[0].Content
	for i := 0; i < len(top); i += 2 {
		key, value := top[i], top[i+1]
		fmt.Fprintf(&b, "\n## %s\n\n%s", key.Value, prose(key.HeadComment))
		if value.Kind != yaml.MappingNode {
			keys = append(keys, key.Value)
			if value.Kind == yaml.ScalarNode {
				fmt.Fprintf(&b, "\nDefault: `%s`\n", value.Value)
			}
			continue
		}
		b.WriteString("\n| key | default | |\n|---|---|---|\n")
		for _, row := range rows(value.Content) {
			var names, defaults []string
			for _, pair := range row {
				keys = append(keys, key.Value+"."+pair[0].Value)
				names = append(names, "`"+key.Value+"."+pair[0].Value+"`")
				if d := "`" + pair[1].Value + "`"; pair[1].Value == "" {
					defaults = append(defaults, "empty")
				} else {
					defaults = append(defaults, d)
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(names, "<br>"), strings.Join(defaults, "<br>"),
				strings.ReplaceAll(strings.TrimSpace(prose(row[0][0].HeadComment)), "\n", " "))
		}
	}
	return b.String(), keys
}

// rows groups the pairs of a section: a comment is of the key that follows it, and of those after that without one.
func rows(content []*yaml.Node) (all [][][2]*yaml.Node) {
	for i := 0; i < len(content); i += 2 {
		pair := [2]*yaml.Node{content[i], content[i+1]}
		if pair[0].HeadComment != "" || len(all) == 0 {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], pair)
	}
	return all
}

// prose takes the comment signs away. What is indented is a drawing or commands.
func prose(comment string) string {
	var b strings.Builder
	drawing := false
	lines := strings.Split(strings.ReplaceAll(comment, "\n\n", "\n#\n"), "\n")
	for i, l := range lines {
		l = strings.TrimPrefix(strings.TrimPrefix(l, "#"), " ")
		indented := strings.HasPrefix(l, " ") || drawing && l == "" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "#  ")
		if indented != drawing {
			b.WriteString("```")
			if indented {
				b.WriteString("text")
			}
			b.WriteString("\n")
			drawing = indented
		}
		b.WriteString(l + "\n")
	}
	if drawing {
		b.WriteString("```\n")
	}
	return b.String()
}

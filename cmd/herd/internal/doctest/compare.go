package doctest

import (
	"regexp"
	"strings"
)

// varying are the forms of what differs from run to run, each with what stands in its place while outputs are compared.
var varying = []struct {
	form  *regexp.Regexp
	stand string
}{
	{regexp.MustCompile(`localhost`), "127.0.0.1"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`), "CLOCK"},
	{regexp.MustCompile(`[+-]\d+\.\d{9}\b`), "SKEW"},
	{regexp.MustCompile(`\b1[6-9]\d{8}\.\d{9}\b`), "NOW"},
	{regexp.MustCompile(`\b\d+\.\d{7,}\b`), "FLOAT"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(e-\d+)?\s?(ns|µs|ms)(\s|,|$)`), "DURATION$4"},
	{regexp.MustCompile(`\b\d+(\.\d+)? s(\s|,|$)`), "DURATION$2"},
	{regexp.MustCompile(`:[3-6]\d{4}\b`), ":PORT"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "DIGEST"},
	{regexp.MustCompile(`\bgo1\.\d+(\.\d+)?\b`), "GO"},
	{regexp.MustCompile(`\bv\d+\.\d+\.\d+\S*`), "VERSION"},
	{regexp.MustCompile(`\blinux/\w+\b`), "PLATFORM"},
	{regexp.MustCompile(`(\S) +`), "$1 "},
	{regexp.MustCompile(`[ \t\r]+(\n|$)`), "$1"},
}

// form replaces what differs from run to run.
func form(text string) string {
	for _, v := range varying {
		text = v.form.ReplaceAllString(text, v.stand)
	}
	return text
}

// pattern matches an output that has these lines, with … as the package's comment says.
func pattern(lines []string) string {
	var p strings.Builder
	for _, l := range lines {
		if strings.TrimSpace(l) == "…" {
			p.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		for i, piece := range strings.Split(form(l), "…") {
			if i > 0 {
				p.WriteString(`[^\n]*?`)
			}
			p.WriteString(regexp.QuoteMeta(piece))
		}
		p.WriteString(`\n`)
	}
	return p.String()
}

// matches reports whether a command printed these lines and nothing else, except for empty lines in the end.
func matches(printed string, want []string) bool {
	printed = form(strings.TrimRight(printed, "\n") + "\n")
	if len(want) == 0 {
		return strings.TrimSpace(printed) == ""
	}
	return regexp.MustCompile(`\A` + pattern(want) + `\z`).MatchString(printed)
}

// contains reports whether a command printed these lines one after the other, whatever came before and after.
func contains(printed string, want []string) bool {
	return regexp.MustCompile(`(?m)^` + pattern(want)).MatchString(form(printed))
}

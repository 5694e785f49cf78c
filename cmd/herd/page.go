package main

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"runtime/debug"
)

//go:embed page.html bench.html simulate.html
var pageFiles embed.FS

// pages are the reports in HTML. None needs anything else, nor has a script.
var pages = template.Must(template.ParseFS(pageFiles, "*.html"))

// fillPage returns a page with what is to be in it.
func fillPage(name string, fill any) ([]byte, error) {
	var page bytes.Buffer
	err := pages.ExecuteTemplate(&page, name, fill)
	return page.Bytes(), err
}

// inPage returns a plot for a page: it is of our own making, its texts escaped.
func inPage(svg []byte) template.HTML { return template.HTML(svg) }

// madeBy says which program made a report.
func madeBy(version, revision, compiler, platform string) string {
	text := "herd " + cmp.Or(version, "(devel)")
	if revision != "" {
		text += " (" + revision[:min(12, len(revision))] + ")"
	}
	return fmt.Sprintf("%s, %s, %s", text, compiler, platform)
}

// thisProgram is what made a report here.
func thisProgram() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "herd"
	}
	made := describe(info)
	return madeBy(made.Version, made.Revision, made.Go, made.Platform)
}

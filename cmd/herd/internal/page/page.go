// Package page fills the reports in HTML.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
)

//go:embed page.html bench.html simulate.html
var files embed.FS

// pages are the reports. None loads anything or has a script.
var pages = template.Must(template.ParseFS(files, "*.html"))

// Fill returns a page: bench.html or simulate.html.
func Fill(name string, fill any) ([]byte, error) {
	var page bytes.Buffer
	err := pages.ExecuteTemplate(&page, name, fill)
	return page.Bytes(), err
}

// Picture returns a plot for a page. It is made by this module, its texts are escaped.
func Picture(svg []byte) template.HTML { return template.HTML(svg) }

// Program is the program that made a report.
type Program struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the sources
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (p Program) String() string {
	text := "herd " + p.Version
	if p.Revision != "" {
		text += " (" + p.Revision[:min(12, len(p.Revision))] + ")"
	}
	return fmt.Sprintf("%s, %s, %s", text, p.Go, p.Platform)
}

// Package page writes the reports of commands: in HTML, as JSON, and into files.
package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
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

// JSON returns a report for programs, with a newline at its end.
func JSON(report any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(report); err != nil {
		return nil, fmt.Errorf("encode %T: %w", report, err)
	}
	return text.Bytes(), nil
}

// Output is a file that a flag names. The zero Output is none.
type Output struct {
	flag string
	file *os.File
}

// Create makes the file that a flag names, if it names one. It is for before the work whose report the file gets: nothing is done in vain.
func Create(flag, name string) (Output, error) {
	if name == "" {
		return Output{}, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return Output{}, fmt.Errorf("%s: %w", flag, err)
	}
	return Output{flag, file}, nil
}

// Write writes a report, and closes the file.
func (o Output) Write(report func() ([]byte, error)) error {
	if o.file == nil {
		return nil
	}
	text, err := report()
	if err == nil {
		_, err = o.file.Write(text)
	}
	if err = errors.Join(err, o.file.Close()); err != nil {
		return fmt.Errorf("%s: %w", o.flag, err)
	}
	return nil
}

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

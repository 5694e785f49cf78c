package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// benchFiles are where a report goes.
type benchFiles struct {
	json, html, svg    string
	jsonFile, htmlFile *os.File
}

func (f *benchFiles) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.json, "json", "", "write all that was measured to `FILE`, or with - to standard output instead of the table")
	flags.StringVar(&f.html, "html", "", "write a page with plots, which needs nothing else, to `FILE`")
	flags.StringVar(&f.svg, "svg", "", "write the plots to files in `DIR`, which is made if there is none")
}

// open makes the files, so that nothing is measured in vain when one cannot be made.
func (f *benchFiles) open() (err error) {
	if f.json != "" && f.json != "-" {
		if f.jsonFile, err = os.Create(f.json); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if f.html != "" {
		if f.htmlFile, err = os.Create(f.html); err != nil {
			return errors.Join(fmt.Errorf("--html: %w", err), f.close())
		}
	}
	if f.svg != "" {
		if err := os.MkdirAll(f.svg, 0o777); err != nil {
			return errors.Join(fmt.Errorf("--svg: %w", err), f.close())
		}
	}
	return nil
}

func (f *benchFiles) close() (err error) {
	for _, file := range []*os.File{f.jsonFile, f.htmlFile} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	f.jsonFile, f.htmlFile = nil, nil
	return err
}

// write writes and closes the files.
func (f *benchFiles) write(r *benchReport) error {
	if f.jsonFile != nil {
		e := json.NewEncoder(f.jsonFile)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if f.htmlFile != nil {
		page, err := r.page()
		if err == nil {
			_, err = f.htmlFile.Write(page)
		}
		if err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	if f.svg != "" {
		for _, each := range r.figures() {
			if err := os.WriteFile(filepath.Join(f.svg, each.name+".svg"), each.chart.SVG(), 0o666); err != nil {
				return fmt.Errorf("--svg: %w", err)
			}
		}
	}
	return f.close()
}

// page is the report in HTML.
func (r *benchReport) page() ([]byte, error) {
	fill := struct {
		*benchReport
		Where, What, Failures, Version, Remark string
		Percentiles                            []string
		Rows                                   []row
		Figures                                []template.HTML
		Clean                                  bool
	}{
		benchReport: r, Where: r.where(), What: r.what(), Failures: r.failures(), Version: r.version(),
		Percentiles: percentiles, Rows: r.rows(), Clean: r.result.Clean(),
	}
	if r.Farthest != nil && r.Answered > 0 {
		fill.Remark = r.Farthest.remark()
	}
	for _, each := range r.figures() {
		fill.Figures = append(fill.Figures, inPage(each.chart.SVG()))
	}
	return fillPage("bench.html", fill)
}

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"herd/cmd/herd/internal/page"
)

// Files are where a report is written, besides standard output.
type Files struct {
	JSON, HTML, SVG    string // names of two files and a directory, or ""; JSON may be "-", which is not written here
	jsonFile, htmlFile *os.File
}

// Open makes the files, so that nothing is measured in vain when one cannot be made.
func (f *Files) Open() (err error) {
	if f.JSON != "" && f.JSON != "-" {
		if f.jsonFile, err = os.Create(f.JSON); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if f.HTML != "" {
		if f.htmlFile, err = os.Create(f.HTML); err != nil {
			return errors.Join(fmt.Errorf("--html: %w", err), f.Close())
		}
	}
	if f.SVG != "" {
		if err := os.MkdirAll(f.SVG, 0o777); err != nil {
			return errors.Join(fmt.Errorf("--svg: %w", err), f.Close())
		}
	}
	return nil
}

// Close closes the files.
func (f *Files) Close() (err error) {
	for _, file := range []*os.File{f.jsonFile, f.htmlFile} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	f.jsonFile, f.htmlFile = nil, nil
	return err
}

// Write writes the report, and closes the files.
func (f *Files) Write(r *Report) error {
	if f.jsonFile != nil {
		e := json.NewEncoder(f.jsonFile)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if f.htmlFile != nil {
		text, err := r.page()
		if err == nil {
			_, err = f.htmlFile.Write(text)
		}
		if err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	if f.SVG != "" {
		for _, each := range r.figures() {
			if err := os.WriteFile(filepath.Join(f.SVG, each.name+".svg"), each.chart.SVG(), 0o666); err != nil {
				return fmt.Errorf("--svg: %w", err)
			}
		}
	}
	return f.Close()
}

// page is the report in HTML.
func (r *Report) page() ([]byte, error) {
	fill := struct {
		*Report
		Where, What, Failures, Version, Remark string
		Percentiles                            []string
		Rows                                   []row
		Figures                                []template.HTML
	}{
		Report: r, Where: r.where(), What: r.what(), Failures: r.failures(), Version: r.version(),
		Percentiles: percentiles, Rows: r.rows(),
	}
	if r.Farthest != nil && r.Answered > 0 {
		fill.Remark = r.Farthest.remark()
	}
	for _, each := range r.figures() {
		fill.Figures = append(fill.Figures, page.Picture(each.chart.SVG()))
	}
	return page.Fill("bench.html", fill)
}

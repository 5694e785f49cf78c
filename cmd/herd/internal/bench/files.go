package bench

import (
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"herd/cmd/herd/internal/page"
)

// Files are where a report is written, besides standard output.
type Files struct {
	JSON, HTML, SVG string // names of two files and a directory, or ""; JSON may be "-", which is not written here
	json, html      page.Output
}

// Open makes the files, so that nothing is measured in vain when one cannot be made.
func (f *Files) Open() error {
	var faults [3]error
	if f.JSON != "-" {
		f.json, faults[0] = page.Create("--json", f.JSON)
	}
	f.html, faults[1] = page.Create("--html", f.HTML)
	if f.SVG != "" {
		if err := os.MkdirAll(f.SVG, 0o777); err != nil {
			faults[2] = fmt.Errorf("--svg: %w", err)
		}
	}
	return errors.Join(faults[:]...)
}

// Write writes the report, and closes the files.
func (f *Files) Write(r *Report) error {
	err := errors.Join(f.json.Write(func() ([]byte, error) { return page.JSON(r) }), f.html.Write(r.page))
	if err != nil || f.SVG == "" {
		return err
	}
	for _, each := range r.figures() {
		if err := os.WriteFile(filepath.Join(f.SVG, each.name+".svg"), each.chart.SVG(), 0o666); err != nil {
			return fmt.Errorf("--svg: %w", err)
		}
	}
	return nil
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

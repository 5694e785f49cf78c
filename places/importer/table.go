package importer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"herd/places"
	"herd/places/index"
)

// readTable writes the rows of a table, whose header names the columns. Columns are separated by tabs, and then a row is a line and a quote
// is an ordinary character, or else by commas or semicolons, and then a column may be in quotes (RFC 4180).
func readTable(r *bufio.Reader, s *sink) error {
	b := &budget{from: r}
	next, err := rows(r, b)
	if err != nil {
		return err
	}
	b.renew()
	first, _, err := next()
	if errors.Is(err, io.EOF) {
		return errors.New("the table is empty")
	}
	if err != nil {
		return err
	}
	columns, err := readHeader(first)
	if err != nil {
		return err
	}
	row := make(fields, len(columns))
	for {
		b.renew()
		values, line, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if line%4096 == 0 {
			s.report(s.in.read.n)
		}
		if len(values) != len(columns) {
			s.skip(BadRow)
			continue
		}
		for i, name := range columns {
			row[name] = values[i]
		}
		lat, latErr := places.ParseDegrees(latNames.of(row), 90)
		lng, lngErr := places.ParseDegrees(lngNames.of(row), 180)
		if latErr != nil || lngErr != nil {
			s.skip(BadPosition)
			continue
		}
		at := index.PointOf(places.Point{Lat: lat, Lng: lng}).Degrees() // the id of a place without one depends on it
		if err := s.addFields(row, "", at); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// rows returns the function that returns the next row of the table in r and its line, as the header requires. It reads through b.
func rows(r *bufio.Reader, b *budget) (next func() ([]string, int, error), err error) {
	if head, _ := r.Peek(len(utf8BOM)); bytes.Equal(head, utf8BOM) {
		_, _ = r.Discard(len(utf8BOM)) // it is buffered
	}
	head, err := r.Peek(r.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	header, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case bytes.Contains(header, []byte("\t")):
		return tabs(b), nil
	case bytes.Count(header, []byte(";")) > bytes.Count(header, []byte(",")):
		return quoted(b, ';'), nil
	}
	return quoted(b, ','), nil
}

// readHeader returns the names of the columns in small letters, or an error if a necessary one is missing.
func readHeader(header []string) ([]string, error) {
	columns := make([]string, len(header))
	known := make(fields)
	for i, name := range header {
		columns[i] = strings.ToLower(strings.TrimSpace(name))
		known[columns[i]] = "known"
	}
	var missing []string
	for _, must := range []struct {
		what string
		names
	}{{"the name", nameNames}, {"the latitude", latNames}, {"the longitude", lngNames}} {
		if must.of(known) == "" {
			missing = append(missing, fmt.Sprintf("%s (%s)", must.what, strings.Join(must.names, ", ")))
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("line 1: no column for %s; the header has %.300q", strings.Join(missing, ", "), header)
	}
	return columns, nil
}

// tabs returns a function that returns the columns of the next line that is not empty, and its number.
func tabs(b *budget) func() ([]string, int, error) {
	lines := bufio.NewScanner(b)
	lines.Buffer(nil, 2*maxObject)
	number := 0
	return func() ([]string, int, error) {
		for lines.Scan() {
			if number++; lines.Text() != "" {
				return strings.Split(lines.Text(), "\t"), number, nil
			}
		}
		if err := lines.Err(); err != nil {
			return nil, 0, fmt.Errorf("after line %d: %w", number, err)
		}
		return nil, 0, io.EOF
	}
}

// quoted is tabs for columns that are separated by comma and may be quoted.
func quoted(b *budget, comma rune) func() ([]string, int, error) {
	rows := csv.NewReader(b)
	rows.Comma, rows.FieldsPerRecord, rows.ReuseRecord = comma, -1, true
	number := 0
	return func() ([]string, int, error) {
		values, err := rows.Read()
		if err != nil {
			if b.left <= 0 { // an end within quotes would be another error
				err = errBudget
			}
			if _, located := errors.AsType[*csv.ParseError](err); !located && !errors.Is(err, io.EOF) {
				err = fmt.Errorf("after line %d: %w", number, err)
			}
			return nil, 0, err
		}
		number, _ = rows.FieldPos(0)
		return values, number, nil
	}
}

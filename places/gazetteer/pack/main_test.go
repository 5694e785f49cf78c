package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	rows = "#id\tname\tlat\tlon\tkind\tcountry\trank\tsource\tadmin1\n" +
		"g1\tA\t1\t2\tlocality\tAA\t0\tgeonames\t01\n" +
		"c1\tB\t1\t3\tmuseum\tAA\t0\tcurated\t01\n"
	regions = "#code\tname\nAA.01\tNorth\n"
)

// write makes a file in a new folder and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run([]string{"-dir", dir, "-places", write(t, "p", rows), "-regions", write(t, "r", regions)}, &out); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(dir, "places.zst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"curated            1 places\n", "geonames           1 places\n", "1 regions\n", "places.zst"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed %q, want %q in it", &out, want)
		}
	}

	out.Reset()
	if err := run([]string{"-dir", dir, "-print"}, &out); err != nil || out.String() != rows {
		t.Errorf("printed %q, %v, want %q", &out, err, rows)
	}

	if err := run([]string{"-dir", dir}, &out); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(filepath.Join(dir, "places.zst")); err != nil || !bytes.Equal(first, second) {
		t.Errorf("packed anew to other bytes, %v", err)
	}
}

func TestRunFails(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-dir", empty}, "places.zst: no such file or directory (give the rows with -places)"},
		{[]string{"-dir", empty, "-print"}, "places.zst: no such file or directory"},
		{[]string{"-dir", empty, "-places", filepath.Join(empty, "none")}, "none: no such file or directory"},
		{[]string{"-dir", empty, "-places", write(t, "p", rows)}, "admin1.tsv: no such file or directory"},
		{[]string{"-dir", empty, "-places", write(t, "p", rows+"x\n"), "-regions", write(t, "r", regions)}, "places: line 4: 1 columns, want 9"},
	} {
		err := run(c.args, new(bytes.Buffer))
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
	if files, err := os.ReadDir(empty); err != nil || len(files) > 0 {
		t.Errorf("a run that failed left %v, %v", files, err)
	}
}

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"herd/node/line"
)

const dir = "data/Goloman"

// files returns what is in the store's directory.
func files(t *testing.T, fs vfs.FS) map[string][]byte {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if all[name], err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return all
}

// disk makes a file system with these files.
func disk(t *testing.T, all map[string][]byte) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		f, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Clone(text)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, above := range []string{dir, "data", ""} {
		if err := syncDir(fs, above); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// kind says what sort of file a name is of.
func kind(name string) string {
	for _, k := range []string{".sst", ".log", ".seal", "OPTIONS", "marker.format", "marker.manifest", "MANIFEST", "LOCK"} {
		if strings.Contains(name, k) {
			return k
		}
	}
	return name
}

// TestDamage flips a byte, cuts off the end or takes away the whole, of every file: that does no harm, or it is an error, and when
// the file is put right everything is there. In the log the last write may be missing, which is what a crash does; and the one before, if the
// engine had not yet noted that it was synced when the last one was written: it wakes who waits a moment earlier.
func TestDamage(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, small(fs))
	h := newHistory()
	if err := h.work(s); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, small(fs))
	const writes = 9 // more than one block of the log, less than is kept in memory
	for client := range writes {
		if err := s.Write(texts(report(500+client, 1))); err != nil {
			t.Fatal(err)
		}
	}
	all, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	sound := files(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	shut(t, s)
	var torn [2]map[line.ClientID]line.Report // without the last write, and the one before
	for i := range torn {
		torn[i] = maps.Clone(all)
		for client := writes - 1 - i; client < writes; client++ {
			delete(torn[i], report(500+client, 1).Client())
		}
	}

	noticed, harmless := make(map[string]int), make(map[string]int)
	try := func(name, what string, damaged map[string][]byte) {
		fs := disk(t, damaged)
		var held map[line.ClientID]line.Report
		s, err := Open(small(fs))
		if err == nil {
			held, err = contents(s)
			_ = s.Close() // of what is damaged
		}
		after := files(t, fs)
		switch {
		case err == nil && (maps.Equal(held, all) || kind(name) == ".log" && (maps.Equal(held, torn[0]) || maps.Equal(held, torn[1]))):
			harmless[kind(name)]++
		case err == nil:
			t.Errorf("%s, %s: holds %d reports of %d, and says nothing", name, what, len(held), len(all))
		case !strings.HasPrefix(err.Error(), "store "+dir+": ") || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "nothing was deleted"):
			t.Errorf("%s, %s: unclear error %q", name, what, err)
		default:
			noticed[kind(name)]++
			if !bytes.Equal(after[name], damaged[name]) {
				t.Errorf("%s, %s: it was changed or deleted", name, what)
			}
			after[name] = sound[name]
			s := open(t, small(disk(t, after)))
			if held, err := contents(s); err != nil || !maps.Equal(held, all) {
				t.Errorf("%s, %s: put right, but holds %d reports of %d, %v", name, what, len(held), len(all), err)
			}
			shut(t, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sound)) {
		text := sound[name]
		damaged := maps.Clone(sound)
		delete(damaged, name)
		if kind(name) != ".log" { // without it nothing shows that there was one
			try(name, "taken away", damaged)
		}
		for i := range min(len(text), 16) {
			at := i * len(text) / min(len(text), 16)
			damaged[name] = bytes.Clone(text)
			damaged[name][at] ^= 0x40
			try(name, "flipped", damaged)
			damaged[name] = text[:at]
			if kind(name) != ".log" || at > len(text)-100 { // as after a crash, but for what was synced
				try(name, "cut off", damaged)
			}
		}
	}
	t.Logf("noticed %v, harmless %v", noticed, harmless)
	for _, k := range []string{".sst", ".log", ".seal", "MANIFEST", "marker.format", "marker.manifest"} {
		if noticed[k] == 0 {
			t.Errorf("no damage of %s was noticed", k)
		}
	}
}

// TestRefused opens what cannot be opened.
func TestRefused(t *testing.T) {
	readOnly := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if changes(op) || op.Kind == errorfs.OpLock {
			return syscall.EROFS
		}
		return nil
	})
	used := func() vfs.FS {
		fs := vfs.NewMem()
		shut(t, open(t, small(fs)))
		return fs
	}
	locked := used()
	holder := open(t, small(locked))
	defer shut(t, holder)
	file := vfs.NewMem()
	if f, err := file.Create("data", vfs.WriteCategoryUnspecified); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		fs     vfs.FS
		change func(*Config)
		want   string
	}{
		{"another node's", used(), func(c *Config) { c.Node = "Welsh" }, "store data/Goloman: it belongs to others: it says herd store 2, " +
			"herd herd, node Goloman; give another directory with --store-dir, or move this one away"},
		{"another herd's", used(), func(c *Config) { c.Herd = "flock" }, "store data/Goloman: it belongs to others: it says herd store 2, " +
			"herd herd, node Goloman; give another directory with --store-dir, or move this one away"},
		{"in use", locked, nil, "store data/Goloman: another process has it open; end that, or give another directory with --store-dir"},
		{"read-only", errorfs.Wrap(used(), readOnly), nil, "store data/Goloman: read-only file system; it must be a directory that this " +
			"user can write to"},
	} {
		config := small(c.fs)
		if c.change != nil {
			c.change(&config)
		}
		if _, err := Open(config); err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
	for _, path := range []string{"/dev/null", "/dev/null/Goloman"} {
		_, err := Open(Config{Dir: path, Herd: "herd", Node: "Goloman"})
		if want := "store " + path + ": mkdir /dev/null: not a directory; it must be a directory"; err == nil || err.Error() != want {
			t.Errorf("\ngot  %v\nwant %s", err, want)
		}
	}
}

// TestNotOurs opens a database that no herd made.
func TestNotOurs(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, small(fs))
	if err := s.engine.Load().DB.Delete([]byte(identityKey), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(texts(report(1, 1))); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	want := "store data/Goloman: it belongs to others: it says nothing; give another directory with --store-dir, or move this one away"
	if _, err := Open(small(fs)); err == nil || err.Error() != want {
		t.Errorf("\ngot  %v\nwant %s", err, want)
	}
}

// TestNoReport reads what is not a batch.
func TestNoReport(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{" r\x00\x00\x00\x00\x00\x00\x00\x07", "x\n", `what it has under " r\x00\x00\x00\x00\x00\x00\x00\a" is not a report: "x\n"`},
		{" r\x00\x00\x00\x00\x00\x00\x00\x07", report(1, 1).String(), `what it has under " r\x00\x00\x00\x00\x00\x00\x00\a" is not a report: ` +
			`"Goloman +0.263873386 client-001.example +34.068930-118.445127 1.5"`},
		{"kiwi", "x\n", `what it has under "kiwi" is not a report: "x\n"`},
	} {
		s := open(t, small(vfs.NewMem()))
		if err := s.engine.Load().DB.Set([]byte(c.key), []byte(c.value), nil); err != nil {
			t.Fatal(err)
		}
		want := "store data/Goloman: damaged: " + c.want + "; nothing was deleted: restore it from a copy, or move it away and start with an empty one"
		if _, err := contents(s); err == nil || err.Error() != want {
			t.Errorf("\ngot  %v\nwant %s", err, want)
		}
		shut(t, s)
	}
}

// What is not sound in a log is a torn write, unless a later chunk says that the log was synced beyond it.
func TestTornWrite(t *testing.T) {
	const number = 7
	chunk := func(synced int, text string) []byte {
		c := binary.LittleEndian.AppendUint16(make([]byte, 4), uint16(len(text)))
		c = binary.LittleEndian.AppendUint32(append(c, logLeast), number)
		c = append(binary.LittleEndian.AppendUint64(c, uint64(synced)), text...)
		sum := crc32.Checksum(c[6:], castagnoli)
		binary.LittleEndian.PutUint32(c, (sum>>15|sum<<17)+0xa282ead8)
		return c
	}
	first, second := chunk(0, "first"), chunk(0, "second")
	torn := bytes.Clone(second)
	torn[len(torn)-1] ^= 1
	whole := len(first) + len(second)
	for _, c := range []struct {
		what    string
		log     []byte
		damaged bool
	}{
		{"sound", slices.Concat(first, second, chunk(whole, "third")), false},
		{"the last write is torn", slices.Concat(first, torn), false},
		{"the last write is cut off", slices.Concat(first, second[:10]), false},
		{"of two writes at once, the first is torn", slices.Concat(first, torn, chunk(len(first), "third")), false},
		{"a write that was synced is torn", slices.Concat(first, torn, chunk(whole, "third")), true},
		{"a part of a write that was synced is torn", slices.Concat(first, torn, chunk(len(first)+1, "third")), true},
	} {
		fs := disk(t, map[string][]byte{"000007.log": c.log})
		if err := inspectLog(fs, "data/Goloman", "000007.log"); errors.Is(err, errDamaged) != c.damaged || !c.damaged && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// A manifest of which any byte is another is damaged, though the engine would take what follows for a torn write.
func TestSeal(t *testing.T) {
	fs := vfs.NewCrashableMem()
	shut(t, open(t, small(fs)))
	sound := files(t, fs)
	manifest, err := atomicfs.ReadMarker(fs, dir, "manifest") // not one before it
	if err != nil {
		t.Fatal(err)
	}
	if len(sound[manifest]) < 100 {
		t.Fatalf("manifest %q has %d bytes", manifest, len(sound[manifest]))
	}
	for at := range sound[manifest] {
		damaged := maps.Clone(sound)
		damaged[manifest] = bytes.Clone(sound[manifest])
		damaged[manifest][at] ^= 1
		if err := inspect(disk(t, damaged), dir); !errors.Is(err, errDamaged) {
			t.Fatalf("byte %d of %s is another: %v", at, manifest, err)
		}
	}
}

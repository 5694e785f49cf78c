package keys_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus/bustest"
	"herd/bus/keys"
)

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// files returns the content of every file under a directory by its path there, and the mode of all.
func files(t *testing.T, dir string) (texts map[string]string, modes map[string]fs.FileMode) {
	t.Helper()
	texts, modes = make(map[string]string), make(map[string]fs.FileMode)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		modes[name] = info.Mode().Perm()
		if !d.IsDir() {
			text, err := os.ReadFile(path)
			texts[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts, modes
}

// Made again, nothing changes; a node more gets a key, and the others keep theirs.
func TestMakeAgain(t *testing.T) {
	for name, adjust := range map[string][]func(*keys.Plan){
		"nkeys":         {},
		"nkeys and TLS": {bustest.Encrypted},
		"mtls":          {bustest.Mutual},
		"cluster": {func(p *keys.Plan) {
			p.Servers = []string{"a", "b", "c"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			k := keys.Keyring(t.TempDir())
			p := bustest.Plan(adjust...)
			six := []string{"Goloman", "Hands", "Hermit", "Holiday", "Welsh", "Wilkes"}
			made, err := k.Make(p)
			if err != nil || !slices.Equal(made.New, six) || made.Kept != nil || len(made.Files) != len(p.Servers) {
				t.Fatalf("%+v, %v", made, err)
			}
			first, modes := files(t, string(k))
			for path, mode := range modes {
				if mode != 0o600 && mode != 0o700 && path != "." {
					t.Errorf("%s has mode %o", path, mode)
				}
			}
			made, err = k.Make(p)
			if err != nil || made.New != nil || !slices.Equal(made.Kept, six) {
				t.Fatalf("%+v, %v", made, err)
			}
			second, _ := files(t, string(k))
			for path, text := range first {
				if second[path] != text {
					t.Errorf("%s has changed", path)
				}
			}
			if len(second) != len(first) {
				t.Errorf("%d files, then %d", len(first), len(second))
			}
			p.Neighbours = map[string][]string{"Goloman": {"Bruin"}, "Bruin": {"Goloman"}}
			made, err = k.Make(p)
			if err != nil || !slices.Equal(made.New, []string{"Bruin"}) || !slices.Equal(made.Kept, []string{"Goloman"}) ||
				!slices.Equal(made.Unused, []string{"Hands", "Hermit", "Holiday", "Welsh", "Wilkes"}) {
				t.Fatalf("%+v, %v", made, err)
			}
			third, _ := files(t, string(k))
			for path, text := range first {
				if strings.HasPrefix(path, "nodes") && third[path] != text {
					t.Errorf("%s has changed", path)
				}
			}
		})
	}
}

// A group may read the keys of nodes and servers, but not that of the authority.
func TestMakeForGroup(t *testing.T) {
	group := func(p *keys.Plan) { p.Group = true }
	if os.Getuid() != 0 {
		if _, err := keys.Keyring(t.TempDir()).Make(bustest.Plan(group)); err == nil || !strings.Contains(err.Error(), "only root can share keys with a group") {
			t.Error(err)
		}
		return
	}
	k := bustest.MakeKeys(t, bustest.Plan(bustest.Mutual, group))
	_, modes := files(t, string(k))
	for path, mode := range modes {
		file, folder := fs.FileMode(0o640), fs.FileMode(0o750)
		if strings.HasPrefix(path, "ca") {
			file, folder = 0o600, 0o700
		}
		if mode != file && mode != folder && path != "." {
			t.Errorf("%s has mode %o", path, mode)
		}
	}
}

// A certificate that another authority has issued, that names other hosts or that expires soon is issued anew.
func TestCertificatesAreRenewed(t *testing.T) {
	k := bustest.MakeKeys(t, bustest.Plan(bustest.Mutual))
	changed := func(change string, adjust ...func(*keys.Plan)) []string {
		before, _ := files(t, string(k))
		if _, err := k.Make(bustest.Plan(append(adjust, bustest.Mutual)...)); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		after, _ := files(t, string(k))
		var paths []string
		for path := range after {
			if strings.HasSuffix(path, "tls.crt") && after[path] != before[path] {
				paths = append(paths, path)
			}
		}
		slices.Sort(paths)
		return paths
	}
	if got := changed("nothing"); got != nil {
		t.Errorf("renewed without a reason: %q", got)
	}
	if got := changed("hosts", func(p *keys.Plan) { p.Hosts = []string{"10.0.0.1", "nats.example"} }); !slices.Equal(got, []string{"servers/nats/tls.crt"}) {
		t.Errorf("other hosts: %q", got)
	}
	if got := changed("names", func(p *keys.Plan) { p.Hosts = []string{"10.0.0.1", "nats2.example"} }); !slices.Equal(got, []string{"servers/nats/tls.crt"}) {
		t.Errorf("other names: %q", got)
	}
	if got := changed("addresses", func(p *keys.Plan) { p.Hosts = []string{"10.0.0.2", "nats2.example"} }); !slices.Equal(got, []string{"servers/nats/tls.crt"}) {
		t.Errorf("other addresses: %q", got)
	}
	if err := os.RemoveAll(filepath.Join(string(k), "ca")); err != nil {
		t.Fatal(err)
	}
	if got := changed("authority"); len(got) != 8 { // six nodes, the observer, the server
		t.Errorf("another authority: %q", got)
	}
}

// An authority whose key is kept elsewhere is not replaced.
func TestAuthorityIsKept(t *testing.T) {
	k := bustest.MakeKeys(t, bustest.Plan(bustest.Mutual))
	if err := os.Remove(filepath.Join(string(k), "ca", "ca.key")); err != nil {
		t.Fatal(err)
	}
	before, _ := files(t, string(k))
	if _, err := k.Make(bustest.Plan(bustest.Mutual)); err == nil || !strings.Contains(err.Error(), "put back the private key of "+string(k)+"/ca/ca.crt") {
		t.Errorf("error %v", err)
	}
	if after, _ := files(t, string(k)); !maps.Equal(after, before) {
		t.Error("something was made")
	}
}

// Keys of two modes in one directory would be of use in neither.
func TestMakeInAnotherMode(t *testing.T) {
	for name, test := range map[string]struct {
		first, then func(*keys.Plan)
		refused     string
	}{
		"nkeys, mtls": {bustest.Private, bustest.Mutual, "nodes/Goloman/seed"},
		"mtls, nkeys": {bustest.Mutual, bustest.Private, "nodes/Goloman/tls.crt"},
		"TLS, none":   {bustest.Encrypted, bustest.Private, "nodes/Goloman/ca.crt"},
		"none, TLS":   {bustest.Private, bustest.Encrypted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := bustest.MakeKeys(t, bustest.Plan(bustest.Private, test.first))
			before, _ := files(t, string(k))
			_, err := k.Make(bustest.Plan(bustest.Private, test.then))
			if test.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), filepath.Join(string(k), test.refused)+" was made with another mode or with TLS") {
				t.Errorf("error %v", err)
			}
			if after, _ := files(t, string(k)); !maps.Equal(after, before) {
				t.Error("something was made")
			}
		})
	}
}

// The servers of a cluster have one password, which a configuration alone cannot give them.
func TestConfigWithoutPassword(t *testing.T) {
	k := bustest.MakeKeys(t, bustest.Plan())
	p := bustest.Plan(func(p *keys.Plan) { p.Servers = []string{"a", "b"} })
	if _, err := k.Config(p, "a"); err == nil || !strings.Contains(err.Error(), "no server in "+string(k)+" has a password for the others") {
		t.Errorf("error %v", err)
	}
}

// A certificate lasts a year, and is issued anew in its last third.
func TestCertificatesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := bustest.MakeKeys(t, bustest.Plan(bustest.Mutual))
		for _, step := range []struct {
			after   time.Duration
			renewed int
		}{{243 * 24 * time.Hour, 0}, {24 * time.Hour, 6}, {243 * 24 * time.Hour, 0}, {400 * 24 * time.Hour, 6}} {
			<-time.After(step.after)
			made, err := k.Make(bustest.Plan(bustest.Mutual))
			if err != nil || len(made.New) != step.renewed {
				t.Errorf("after %s more %d nodes have new certificates, want %d: %v", step.after, len(made.New), step.renewed, err)
			}
		}
	})
}

// What cannot be used is refused with the file's name.
func TestLoad(t *testing.T) {
	sound := bustest.MakeKeys(t, bustest.Plan(bustest.Encrypted))
	seed, err := os.ReadFile(filepath.Join(string(sound), "nodes", "Goloman", "seed"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(string(sound), "nodes", "Goloman", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"sound":            {func(string) error { return nil }, ""},
		"seed with blanks": {func(dir string) error { return os.WriteFile(dir+"/seed", append([]byte(" \n"), seed...), 0o600) }, ""},
		"no directory":     {os.RemoveAll, "no such file or directory"},
		"nothing":          {func(dir string) error { return os.Remove(dir + "/seed") }, "has none of seed, tls.crt and ca.crt; make them with 'herd bus keys'"},
		"readable seed":    {func(dir string) error { return os.Chmod(dir+"/seed", 0o644) }, "seed can be read by others (mode 0644); run chmod"},
		"no seed":          {func(dir string) error { return os.WriteFile(dir+"/seed", []byte("SUXX"), 0o600) }, "seed is not a seed of an nkey"},
		"empty seed":       {func(dir string) error { return os.WriteFile(dir+"/seed", nil, 0o600) }, "seed is not a seed of an nkey"},
		"an account's seed": {func(dir string) error {
			return os.WriteFile(dir+"/seed", []byte("SAAEJPEXKA4MCOGT5WHOKTUFRKVQ5VJHYNQJJ3NZ5DBRJWTF6R2AHPLZ5M"), 0o600)
		}, "seed is not a seed of an nkey"},
		"no certificate":    {func(dir string) error { return os.WriteFile(dir+"/ca.crt", []byte("-----"), 0o600) }, "ca.crt: no certificate in PEM form"},
		"key alone":         {func(dir string) error { return os.WriteFile(dir+"/tls.key", nil, 0o600) }, "tls.crt: no such file or directory"},
		"certificate alone": {func(dir string) error { return os.WriteFile(dir+"/tls.crt", ca, 0o600) }, "tls.key: no such file or directory"},
		"empty certificate": {func(dir string) error { return os.WriteFile(dir+"/tls.crt", nil, 0o600) }, "tls.crt: no certificate in PEM form"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "seed"), string(seed))
			if err := test.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := keys.Load(dir)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir)):
				t.Errorf("error %v, want %q and the path", err, test.want)
			}
		})
	}
}

func TestPlanIsChecked(t *testing.T) {
	for want, adjust := range map[string]func(*keys.Plan){
		`mode "x" is neither nkeys nor mtls`:                   func(p *keys.Plan) { p.Mode = "x" },
		`observer "x" is neither flood nor all`:                func(p *keys.Plan) { p.Observer = "x" },
		`account "a b" is not a name`:                          func(p *keys.Plan) { p.Account = "a b" },
		`account "$SYS" is not a name`:                         func(p *keys.Plan) { p.Account = "$SYS" },
		`listen "nonsense" is not HOST:PORT`:                   func(p *keys.Plan) { p.Listen = "nonsense" },
		`listen "" is not HOST:PORT`:                           func(p *keys.Plan) { p.Listen = "" },
		`monitor "a b:1" is not HOST:PORT`:                     func(p *keys.Plan) { p.Monitor = "a b:1" },
		`directory "a\nb" of servers has characters`:           func(p *keys.Plan) { p.Files = "a\nb" },
		`no server is named`:                                   func(p *keys.Plan) { p.Servers = nil },
		`server "../a" is not a host`:                          func(p *keys.Plan) { p.Servers = []string{"../a"} },
		`server a is named twice`:                              func(p *keys.Plan) { p.Servers = []string{"a", "a"} },
		`host "a b" is neither a name nor an address`:          func(p *keys.Plan) { p.Hosts = []string{"a b"} },
		`Hands is a node and a server or its host`:             func(p *keys.Plan) { p.Mode, p.Hosts = keys.MTLS, []string{"Hands"} },
		`a node called observer and observers with a certific`: func(p *keys.Plan) { p.Mode, p.Neighbours = keys.MTLS, map[string][]string{"observer": nil} },
	} {
		dir := filepath.Join(t.TempDir(), "keys")
		_, err := keys.Keyring(dir).Make(bustest.Plan(adjust))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was made", want)
		}
	}
}

package doctest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 30 * time.Second // until a command ends, or prints what it is to print
	again    = 100 * time.Millisecond
	guard    = "12100" // the port at which a page shows others that its address is taken
)

// Run is how the blocks of a page are run.
type Run struct {
	Root   string            // the repository
	Files  map[string]string // what else is in the page's directory: the name there, and the path in the repository
	Name   string            // of the test that runs the blocks marked with it; "" for the blocks that no test is named for
	Update bool              // rewrite what blocks show, where it differs and has no …
	Env    []string          // added to the environment
	Moved  bool              // the page's 127.0.0.1 becomes an address of its own, so that pages and herds of the user do not meet
}

// runner runs the blocks of one page.
type runner struct {
	*testing.T
	Run
	page       *Page
	dir        string
	address    string // in place of 127.0.0.1, or ""
	background []*process
	edits      map[int]edit // by the line of the page that they replace from
}

type edit struct{ from, to []string }

// Test runs the page's blocks, each of which has to print what it shows.
func (p *Page) Test(t *testing.T, how Run) {
	r := &runner{T: t, Run: how, page: p, dir: t.TempDir(), edits: make(map[int]edit)}
	if how.Moved {
		r.address = ownAddress(t)
	}
	r.prepare()
	t.Cleanup(r.end)
	for _, s := range p.steps {
		switch {
		case s.test != how.Name:
		case s.mark == "end":
			r.end()
		case s.file != "":
			r.write(s.file, strings.Join(s.text, "\n")+"\n")
		case s.language == "sh":
			if out, err := r.bash(strings.Join(s.text, "\n")); err != nil {
				t.Fatalf("%s:%d: %v: %s", p.Path, s.line, err, out)
			}
		case s.language == "console":
			r.console(s)
		}
		if t.Failed() && !how.Update {
			return
		}
	}
	r.end()
	if how.Update {
		r.rewrite()
	}
}

// ownAddress takes an address of the loopback network until the test ends. It is as long as 127.0.0.1, so that columns stay as they are.
func ownAddress(t *testing.T) string {
	t.Helper()
	for i := range 900 {
		n := 100 + (os.Getpid()+i)%900
		a := fmt.Sprintf("127.%d.%d.%d", n/100, n/10%10, n%10)
		l, err := net.Listen("tcp", net.JoinHostPort(a, guard))
		if err == nil {
			t.Cleanup(func() { _ = l.Close() })
			return a
		}
	}
	t.Fatal("no address of 127.0.0.0/8 is free")
	return ""
}

// prepare copies what a reader has in the repository.
func (r *runner) prepare() {
	r.Helper()
	files, err := filepath.Glob(filepath.Join(r.Root, "configs", "*.yaml"))
	if err != nil || len(files) == 0 {
		r.Fatalf("%s has no configs: %v", r.Root, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			r.Fatal(err)
		}
		r.write(filepath.Join("configs", filepath.Base(f)), string(text))
	}
	for name, path := range r.Files {
		if err := os.Symlink(filepath.Join(r.Root, path), filepath.Join(r.dir, name)); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *runner) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(r.moved(text)), 0o644); err != nil {
		r.Fatal(err)
	}
}

// moved puts the page's own address into what a reader types, shown the other way round in what is printed.
func (r *runner) moved(text string) string {
	if r.address == "" {
		return text
	}
	return strings.NewReplacer("127.0.0.1", r.address, "localhost", r.address, "go run ./cmd/herd", "herd").Replace(text)
}

func (r *runner) shown(text string) string {
	text = strings.ReplaceAll(text, r.dir+"/", "")
	if r.address == "" {
		return text
	}
	return strings.ReplaceAll(text, r.address, "127.0.0.1")
}

// process is a command that runs, or has.
type process struct {
	cmd     *exec.Cmd
	command command
	ended   chan struct{}
	err     error // after ended
	mu      sync.Mutex
	out     bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (r *runner) printed(p *process) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.shown(p.out.String())
}

// start runs a script in a process group of its own, with both outputs in one.
func (r *runner) start(script string) *process {
	p := &process{cmd: exec.Command("bash", "-c", r.moved(script)), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = r.dir, p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	p.cmd.Env = append(os.Environ(), r.Env...)
	if r.address != "" {
		p.cmd.Env = append(p.cmd.Env, "HERD_CONFIG="+filepath.Join(r.dir, "configs/herd.yaml"), "HERD_BUS_LISTEN="+r.address+":4222")
	}
	if err := p.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) } // it may have ended

// bash runs a script to its end.
func (r *runner) bash(script string) (printed string, err error) {
	p := r.start(script)
	select {
	case <-p.ended:
		return r.printed(p), p.err
	case <-time.After(patience):
		p.signal(syscall.SIGKILL)
		<-p.ended
		return r.printed(p), fmt.Errorf("does not end within %s", patience)
	}
}

// console runs the commands of a block.
func (r *runner) console(s step) {
	all := s.commands()
	for i, c := range all {
		switch {
		case strings.HasPrefix(s.mark, "background") && i == len(all)-1:
			p := r.start(c.text)
			p.command = c
			r.background = append(r.background, p)
			r.seen(p, s.mark == "background, later")
		case s.mark == "until":
			r.until(c)
		default:
			printed, err := r.bash(c.text)
			if ok := matches(printed, c.want); !ok || err != nil && len(c.want) == 0 {
				r.differs(c, printed, err)
			}
		}
		if r.Failed() && !r.Update {
			return
		}
	}
}

// until repeats a command until it prints what it is to.
func (r *runner) until(c command) {
	for deadline := time.Now().Add(patience); ; time.Sleep(again) {
		printed, err := r.bash(c.text)
		if matches(printed, c.want) && (err == nil || len(c.want) > 0) {
			return
		}
		if time.Now().After(deadline) {
			r.differs(c, printed, err)
			return
		}
	}
}

// await waits until a background command has printed these lines.
func (r *runner) await(p *process, want []string) {
	for deadline := time.Now().Add(patience); !contains(r.printed(p), want); time.Sleep(again) {
		select {
		case <-p.ended:
			if contains(r.printed(p), want) {
				return
			}
			r.differs(p.command, r.printed(p), fmt.Errorf("ended: %v", p.err))
			return
		default:
		}
		if time.Now().After(deadline) {
			r.differs(p.command, r.printed(p), nil)
			return
		}
	}
}

// seen waits until a background command has printed what it is to, or the first line of that, and a whole herd is ready.
func (r *runner) seen(p *process, first bool) {
	want := p.command.want
	if first && len(want) > 0 {
		want = want[:1]
	}
	r.await(p, want)
	if m := wholeHerd.FindStringSubmatch(p.command.text); m != nil && !strings.Contains(p.command.text, " --only ") {
		r.until(command{text: "herd health " + m[1] + " >/dev/null", line: p.command.line})
	}
}

// wholeHerd matches a command that runs all servers of a configuration, and finds the flag that names its file.
var wholeHerd = regexp.MustCompile(`^(?:herd|go run ./cmd/herd) up.*?( --config \S+|$)`)

// end interrupts what runs in the background, which has to have printed what it is to.
func (r *runner) end() {
	for _, p := range slices.Backward(r.background) {
		if !r.Failed() {
			r.await(p, p.command.want)
		}
		select {
		case <-p.ended:
			r.Errorf("%s:%d: $ %s\nended by itself (%v) and printed\n%s", r.page.Path, p.command.line, p.command.text, p.err, r.printed(p))
		default:
		}
		p.signal(syscall.SIGINT)
		select {
		case <-p.ended:
		case <-time.After(patience):
			p.signal(syscall.SIGKILL)
			<-p.ended
			r.Errorf("%s:%d: %s does not end when it is interrupted", r.page.Path, p.command.line, p.command.text)
		}
	}
	r.background = nil
}

// differs reports that a command did not print what the page shows, or notes what the page is to show.
func (r *runner) differs(c command, printed string, err error) {
	r.Helper()
	if r.Update && !strings.Contains(strings.Join(c.want, "\n"), "…") {
		r.edits[c.line] = edit{c.want, strings.Split(strings.TrimRight(printed, "\n"), "\n")}
		return
	}
	r.Errorf("%s:%d: $ %s\nprints (%v)\n%s\nand the page shows\n%s", r.page.Path, c.line, c.text, err, printed, strings.Join(c.want, "\n"))
}

// rewrite puts what commands printed into the page.
func (r *runner) rewrite() {
	r.Helper()
	lines := slices.Clone(r.page.lines)
	for i := len(lines); i >= 0; i-- {
		if e, ok := r.edits[i]; ok {
			indent := lines[i-1][:len(lines[i-1])-len(strings.TrimLeft(lines[i-1], " "))]
			for j := range e.to {
				e.to[j] = strings.TrimRight(indent+e.to[j], " ")
			}
			lines = slices.Replace(lines, i, i+len(e.from), e.to...)
		}
	}
	if len(r.edits) > 0 {
		if err := os.WriteFile(r.page.Path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			r.Fatal(err)
		}
	}
}

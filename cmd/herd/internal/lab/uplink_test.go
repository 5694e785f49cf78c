//go:build lab

package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// conditions are what one direction of an uplink does to packets. The zero value passes all at once.
type conditions struct {
	rate   float64       // bytes a second; 0 is no limit
	queue  time.Duration // the longest wait for the rate: a packet that would wait longer is dropped, as by a modem
	delay  time.Duration // between the rate and the far side
	jitter time.Duration // at most so much more delay, at random; packets stay in order
	loss   float64       // share of the packets that are dropped at random
	limit  int           // bytes of the largest packet that passes; 0 is no limit
	cut    bool          // all are dropped, also those on their way
}

// bits returns the rate of a link that carries so many thousand bits a second.
func bits(thousands float64) float64 { return thousands * 1000 / 8 }

// direction is one direction of an uplink.
type direction struct {
	mu         sync.Mutex
	conditions conditions
	free       time.Time // when all that was admitted has passed at the rate
	last       time.Time // when the packet before arrives
	rnd        *rand.Rand
	received   int64 // bytes of packets that arrived
}

// admit returns when a packet of so many bytes that is sent now arrives, or false if it does not.
func (d *direction) admit(now time.Time, size int) (arrives time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.conditions
	if s.cut || s.limit > 0 && size > s.limit || d.rnd.Float64() < s.loss {
		return arrives, false
	}
	arrives = now
	if s.rate > 0 {
		if d.free.Before(now) {
			d.free = now
		}
		if d.free.Sub(now) > s.queue {
			return arrives, false
		}
		d.free = d.free.Add(time.Duration(float64(size) / s.rate * float64(time.Second)))
		arrives = d.free
	}
	arrives = arrives.Add(s.delay)
	if s.jitter > 0 {
		arrives = arrives.Add(time.Duration(d.rnd.Int64N(int64(s.jitter))))
	}
	if arrives.Before(d.last) {
		arrives = d.last
	}
	d.last = arrives
	return arrives, true
}

// arrive counts a packet that arrives, or returns false if the link has been cut.
func (d *direction) arrive(size int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.conditions.cut {
		d.received += int64(size)
	}
	return !d.conditions.cut
}

// carry passes packets from one device to the other until one of them is closed.
func (d *direction) carry(from io.Reader, to io.Writer) {
	type packet struct {
		arrives time.Time
		bytes   []byte
	}
	inFlight := make(chan packet, 1<<16)
	defer close(inFlight)
	go func() {
		for p := range inFlight {
			time.Sleep(time.Until(p.arrives))
			if d.arrive(len(p.bytes)) {
				_, _ = to.Write(p.bytes)
			}
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if arrives, ok := d.admit(time.Now(), n); ok {
			inFlight <- packet{arrives, append([]byte(nil), buffer[:n]...)}
		}
	}
}

// uplink joins two sites by a shaped link.
type uplink struct {
	hub, far     *site
	toFar, toHub direction
}

// Addresses of the two ends of an uplink.
const (
	hubAddress = "10.7.0.1"
	farAddress = "10.7.0.2"
)

// newUplink returns two sites and the link between them, which passes everything at once.
func newUplink(t *testing.T) *uplink {
	t.Helper()
	u := &uplink{hub: newSite(t, hubAddress, farAddress), far: newSite(t, farAddress, hubAddress)}
	u.toFar.rnd, u.toHub.rnd = rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, 2))
	go u.toFar.carry(u.hub.device, u.far.device)
	go u.toHub.carry(u.far.device, u.hub.device)
	return u
}

// set changes the conditions of both directions.
func (u *uplink) set(change func(*conditions)) {
	for _, d := range []*direction{&u.toFar, &u.toHub} {
		d.mu.Lock()
		change(&d.conditions)
		d.mu.Unlock()
	}
}

// bytes returns how many bytes of packets have arrived at the far site.
func (u *uplink) bytes() int64 {
	u.toFar.mu.Lock()
	defer u.toFar.mu.Unlock()
	return u.toFar.received
}

// site is a network of its own with one way out, the device of an uplink. A thread of this process is in it and nowhere else.
type site struct {
	t      *testing.T
	calls  chan func()
	device *os.File
}

// newSite returns a network namespace with a loopback device, and a TUN device with this address that leads to the peer's. Needs root.
func newSite(t *testing.T, address, peer string) *site {
	t.Helper()
	s := &site{t: t, calls: make(chan func())}
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, since nobody unlocks it
		for call := range s.calls {
			call()
		}
	}()
	t.Cleanup(func() { close(s.calls) })
	var err error
	s.do(func() { s.device, err = openSite(address, peer) })
	if err != nil {
		t.Fatalf("a network of its own, which only root can make: %v", err)
	}
	t.Cleanup(func() { _ = s.device.Close() })
	return s
}

// openSite moves the calling thread into a new network namespace and returns its TUN device.
func openSite(address, peer string) (device *os.File, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("unshare: %w", err)
	}
	if *congestion != "" {
		if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(*congestion), 0o644); err != nil {
			allowed, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
			return nil, fmt.Errorf("congestion control %q, where %q are allowed: %w", *congestion, bytes.TrimSpace(allowed), err)
		}
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(control) }()
	flags := func(name string, flags uint16) error {
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(flags)
		return unix.IoctlIfreq(control, unix.SIOCSIFFLAGS, request)
	}
	tun, err := unix.NewIfreq("uplink")
	if err != nil {
		return nil, err
	}
	tun.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, tun); err != nil {
		return nil, fmt.Errorf("TUNSETIFF: %w", err)
	}
	device = os.NewFile(uintptr(fd), "uplink") // now, since a TUN device without a name cannot be polled
	for _, end := range []struct {
		request uint
		ip      string
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFDSTADDR, peer}} {
		request, err := unix.NewIfreq("uplink")
		if err != nil {
			return nil, err
		}
		if err := request.SetInet4Addr(net.ParseIP(end.ip).To4()); err != nil {
			return nil, err
		}
		if err := unix.IoctlIfreq(control, end.request, request); err != nil {
			return nil, fmt.Errorf("address %s: %w", end.ip, err)
		}
	}
	if err := flags("lo", unix.IFF_UP|unix.IFF_RUNNING); err != nil {
		return nil, fmt.Errorf("lo: %w", err)
	}
	return device, flags("uplink", unix.IFF_UP|unix.IFF_RUNNING)
}

// do runs a function in the site: sockets that it makes are there.
func (s *site) do(f func()) {
	done := make(chan struct{})
	s.calls <- func() { defer close(done); f() }
	<-done
}

// dial connects to an address from the site.
func (s *site) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	s.do(func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) })
	return conn, err
}

// listen opens an address of the site.
func (s *site) listen(address string) (listener net.Listener) {
	s.t.Helper()
	var err error
	s.do(func() { listener, err = net.Listen("tcp", address) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// start starts a command in the site, which ends with the test or by the function that it returns. What it printed last is logged if the test fails.
func (s *site) start(command *exec.Cmd) (kill func()) {
	s.t.Helper()
	output := &tail{}
	command.Stdout, command.Stderr, command.SysProcAttr = output, output, endsWithTest
	var err error
	s.do(func() { err = command.Start() })
	if err != nil {
		s.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	s.t.Cleanup(func() {
		kill()
		if s.t.Failed() {
			s.t.Logf("%s printed last:\n%s", command, output)
		}
	})
	return kill
}

// tail keeps the last 2 KiB that were written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-2<<10):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

//go:build linux

package tray_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A victim is a child process that listens. It is the test binary again.
type victim struct {
	*process
	name  string
	ports []uint16 // in the order of the addresses
	since time.Time
	seen  string // a file that grows by a byte for each connection
}

type victimOptions struct {
	name       string // process name; "" means victim
	dir        string // working directory; "" means the home directory
	ignoreTerm bool   // ignores SIGTERM
	tls        bool   // HTTPS instead of HTTP
	child      string // a program to run, with the same environment
	apart      bool   // each listener belongs to a process of its own, named sleep
}

// victimRole is the environment variable that makes the test binary a victim. It holds the addresses. Variables with
// this prefix hold the options.
const victimRole = "PORTTRAY_TEST_VICTIM"

// startVictim returns a victim once it listens on all addresses. They have the form of net.Listen: "127.0.0.1:0", ":0".
// Port 0 becomes a free port outside of the ephemeral range, because the main list does not show ephemeral ports.
func (d *testDesktop) startVictim(o victimOptions, addrs ...string) *victim {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	addrs = slices.Clone(addrs)
	for i, addr := range addrs {
		if host, ok := strings.CutSuffix(addr, ":0"); ok {
			addrs[i] = fmt.Sprintf("%s:%d", host, d.freePort())
		}
	}
	v := &victim{name: cmp.Or(o.name, "victim"), since: time.Now(), seen: filepath.Join(d.t.TempDir(), "seen")}
	// Linux has two names for a process: its file name, and its comm. The file name can be longer, but only comm can
	// hold a slash.
	path := filepath.Join(d.t.TempDir(), strings.ReplaceAll(v.name, "/", "-"))
	if err := os.Symlink(self, path); err != nil {
		d.t.Fatal(err)
	}
	cmd := d.command(path)
	cmd.Dir = cmp.Or(o.dir, cmd.Dir)
	for key, value := range map[string]string{"": strings.Join(addrs, ","), "_NAME": v.name, "_SEEN": v.seen,
		"_CHILD": o.child} {
		cmd.Env = append(cmd.Env, victimRole+key+"="+value)
	}
	if o.ignoreTerm {
		cmd.Env = append(cmd.Env, victimRole+"_IGNORE_TERM=1")
	}
	if o.apart {
		cmd.Env = append(cmd.Env, victimRole+"_APART=1")
	}
	if o.tls {
		cmd.Env = append(cmd.Env, victimRole+"_TLS=1")
	}
	v.process = startProcess(d.t, cmd)
	ready := func() bool { return strings.Count(v.output(), "\n") >= len(addrs) }
	if !poll(patience, func() bool { return v.exited() || ready() }) || v.exited() {
		d.t.Fatalf("the victim does not listen on %v:\n%s", addrs, v.output())
	}
	for line := range strings.Lines(v.output()) {
		addr, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err != nil {
			d.t.Fatalf("the victim does not listen on %v:\n%s", addrs, v.output())
		}
		v.ports = append(v.ports, addr.Port())
	}
	return v
}

// freePort returns a port without a listener. Each call returns another one.
func (d *testDesktop) freePort() uint16 {
	const first, last = 28000, 32000
	for {
		port := first + lastPort.Add(1)%(last-first)
		if d.network != nil {
			return uint16(port)
		}
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			l.Close()
			return uint16(port)
		}
	}
}

var lastPort atomic.Uint32

// connections returns how often somebody connected to the victim.
func (v *victim) connections() int {
	seen, _ := os.ReadFile(v.seen) // no file before the first connection
	return len(seen)
}

// who returns the victim's name in the texts of the program.
func (v *victim) who() string { return fmt.Sprintf("%s (PID %d)", v.name, v.pid()) }

// beVictim runs in the victim's process. It prints a line for each listener, and returns only on an error.
func beVictim(addrs string) error {
	if os.Getenv(victimRole+"_IGNORE_TERM") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	if err := os.WriteFile("/proc/self/comm", []byte(os.Getenv(victimRole+"_NAME")), 0); err != nil {
		return err
	}
	runtime.LockOSThread() // its children die with the thread that started them
	var ready bytes.Buffer
	if os.Getenv(victimRole+"_APART") != "" {
		if err := handOver(addrs, &ready); err != nil {
			return err
		}
		addrs = ""
	}
	for _, addr := range strings.FieldsFunc(addrs, func(r rune) bool { return r == ',' }) {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		serve(l)
		fmt.Fprintln(&ready, l.Addr())
	}
	os.Stdout.Write(ready.Bytes())
	if path := os.Getenv(victimRole + "_CHILD"); path != "" {
		child := exec.Command(path)
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := child.Start(); err != nil {
			return err
		}
	}
	select {}
}

// handOver gives each address to a process of its own. All listen at the same moment, and all die with this process.
func handOver(addrs string, ready io.Writer) error {
	var files []*os.File
	for addr := range strings.SplitSeq(addrs, ",") {
		at := netip.MustParseAddrPort(addr)
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), addr)
		files = append(files, file)
		holder := exec.Command("sleep", "1d")
		holder.ExtraFiles = []*os.File{file}
		holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := holder.Start(); err != nil {
			return err
		}
		fmt.Fprintln(ready, at)
	}
	for _, file := range files {
		if err := syscall.Listen(int(file.Fd()), 1); err != nil {
			return err
		}
	}
	for _, file := range files {
		file.Close()
	}
	return nil
}

// serve answers on a listener of a victim, and counts the connections.
func serve(l net.Listener) {
	note := func(_ net.Conn, state http.ConnState) {
		if state != http.StateNew {
			return
		}
		f, err := os.OpenFile(os.Getenv(victimRole+"_SEEN"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		f.WriteString("!")
	}
	// No error log: a port scanner that hangs up must not add to the lines.
	config := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0), ConnState: note}
	s := &httptest.Server{Listener: l, Config: config}
	if os.Getenv(victimRole+"_TLS") != "" {
		s.StartTLS()
	} else {
		s.Start()
	}
}

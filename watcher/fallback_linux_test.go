package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refusal is the environment variable with the error number that a sandbox returns for netlink.
const refusal = "PORTTRAY_TEST_REFUSAL"

// wantSource returns the expected source of a scan, which depends on the sandbox.
func wantSource() string {
	if os.Getenv(refusal) != "" {
		return "/proc/net/tcp"
	}
	return "sock_diag"
}

// TestSandbox runs tests again in a sandbox that refuses sock_diag.
func TestSandbox(t *testing.T) {
	tests := []struct {
		errno unix.Errno
		tests string
	}{
		{unix.EPERM, "^(TestFast|TestSearch|TestRunForReal|TestScanUnknownOwner|TestTraffic)"},
		{unix.EACCES, "^TestFastFacts$"},
		{unix.EAFNOSUPPORT, "^TestFastFacts$"},
	}
	for _, tt := range tests {
		t.Run(tt.errno.Error(), func(t *testing.T) {
			cmd := roleCommand("sandbox", "-test.run="+tt.tests, "-test.v")
			cmd.Env = append(cmd.Env, refusal+"="+strconv.Itoa(int(tt.errno)), "GORACE=atexit_sleep_ms=0")
			cmd.Stderr = nil
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestFastFacts") {
				t.Errorf("in a sandbox that answers %q: %v\n%s", tt.errno, err, out)
			}
		})
	}
}

// roleSandbox runs tests in a process that may not use netlink. The same holds for its children.
func roleSandbox(m *testing.M) error {
	errno, err := strconv.ParseUint(os.Getenv(refusal), 10, 16)
	if err != nil {
		return err
	}
	if err := refuseNetlink(uint32(errno)); err != nil {
		return err
	}
	os.Unsetenv("PORTTRAY_TEST_ROLE")
	m.Run()
	return nil
}

// refuseNetlink makes the system refuse all netlink sockets.
func refuseNetlink(errno uint32) error { return refuse(unix.SYS_SOCKET, 0, unix.AF_NETLINK, errno) }

// refuse makes the system return an error from a call if an argument has the given value. It installs a seccomp filter
// (seccomp(2)) for all threads.
func refuse(call uint32, argument int, value, errno uint32) error {
	const number, firstArg = 0, 16       // in struct seccomp_data
	low := uint32(firstArg + 8*argument) // the low half of the argument
	if one := uint16(1); *(*byte)(unsafe.Pointer(&one)) == 0 {
		low += 4
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: low},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return fmt.Errorf("install a seccomp filter: %w", e)
	}
	return nil
}

// TestFastListFails has a list that fails once during a run.
func TestFastListFails(t *testing.T) {
	p := newStage(t).enter()
	port := p.listen("a", "127.0.0.1:0")
	for _, err := range []error{unix.EPERM, unix.EINTR, unix.ENOBUFS, unix.EAGAIN, errCutOff, io.ErrUnexpectedEOF} {
		s := newFast(t)
		expectFast(t, s, port, on(p.Process))
		so, stop, stopped := sockOn(t, s, port), s.how.stop, 0
		s.how.stop = func() {
			stopped++
			stop()
		}
		s.how.list = func([]row) ([]row, bool, error) { return nil, false, fmt.Errorf("read: %w", err) }
		snapshot, failed := s.scan(t.Context())
		if got := foundOurs(snapshot, port); failed != nil || got != on(p.Process) || snapshot.Source != wantSource() {
			t.Errorf("after %v: %q from %s, %v, want %q from %s", err, got, snapshot.Source, failed, on(p.Process),
				wantSource())
		}
		if stopped != 1 || sockOn(t, s, port) != so {
			t.Errorf("after %v: stopped %d times, remembers %+v, want %+v", err, stopped, sockOn(t, s, port), so)
		}
	}
}

// TestFastListRefused switches from one way to list sockets to the other.
func TestFastListRefused(t *testing.T) {
	stage := newStage(t)
	parent := stage.enter()
	port := parent.listen("a", "127.0.0.1:0")
	child := parent.bear("a")
	s := newFast(t)
	expectFast(t, s, port, on(parent.Process))
	s.useProc()
	expectFast(t, s, port, on(parent.Process))
	if settled(t, s).Source != "/proc/net/tcp" {
		t.Errorf("the source is %q", settled(t, s).Source)
	}
	parent.kill()
	expectAfterEnd(t, s, port, on(child.Process))
	// After a failure the scanner tries the better way again.
	s.how.list = func([]row) ([]row, bool, error) { return nil, false, io.ErrUnexpectedEOF }
	expectFast(t, s, port, on(child.Process))
	if got := settled(t, s).Source; got != wantSource() {
		t.Errorf("the source is %q, want %q", got, wantSource())
	}
}

// TestFastListIncomplete has lists that lack a listener.
func TestFastListIncomplete(t *testing.T) {
	tests := []struct {
		name   string
		lists  int // number of lists without the listener
		parted bool
		closed bool // the listener really is closed
		want   bool // the scan finds the listener
		looks  int  // number of lists that are read
	}{
		{"whole list", 1, false, false, false, 1},
		{"list in parts", 1, true, false, true, 2},
		{"lists in parts", 3, true, false, true, 4},
		{"all lists in parts", 100, true, false, false, attempts},
		{"list in parts, and it is closed", 1, true, true, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listenTCP(t, "127.0.0.1:0")
			defer l.Close()
			port, want := portOf(l), fmt.Sprintf("%d@127.0.0.1", os.Getpid())
			s := newFast(t)
			expectFast(t, s, port, want)
			real, looks := s.how.list, 0
			s.how.list = func(rows []row) ([]row, bool, error) {
				rows, _, err := real(rows)
				if looks++; looks <= tt.lists {
					rows = slices.DeleteFunc(rows, func(r row) bool { return r.port == port })
				}
				return rows, tt.parted, err
			}
			if tt.closed {
				l.Close()
			}
			snapshot, err := s.scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := foundOurs(snapshot, port); (got == want) != tt.want || !tt.want && got != "" {
				t.Errorf("found %q", got)
			}
			// Another listener of this machine can close in between. That is unlikely to happen twice.
			if looks < tt.looks || looks > tt.looks+1 {
				t.Errorf("%d lists were read, want %d", looks, tt.looks)
			}
			if looks = tt.lists; !tt.closed { // later lists are complete
				expectFast(t, s, port, want)
			}
		})
	}
}

// TestFastListTwice has lists that show a listener more than once.
func TestFastListTwice(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	bothWays(t, func(t *testing.T, s *fastScanner) {
		real := s.how.list
		s.how.list = func(rows []row) ([]row, bool, error) {
			rows, parted, err := real(rows)
			return append(rows, rows...), parted, err
		}
		for range 3 {
			expectFast(t, s, port, fmt.Sprintf("%d@127.0.0.1", os.Getpid()))
		}
		n := 0
		for _, so := range s.order {
			if so.port == port {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the socket is remembered %d times", n)
		}
	})
}

// withoutFiles calls f while this process may not open any more files.
func withoutFiles(t *testing.T, f func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &before, nil); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// TestFastReopenFails has a list fail while no file can be opened. Another file may then get the closed descriptor.
func TestFastReopenFails(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	want := fmt.Sprintf("%d@127.0.0.1", os.Getpid())
	s := newFast(t)
	if s.how.name != "sock_diag" {
		t.Skip("there is no sock_diag")
	}
	expectFast(t, s, port, want)
	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	fd := d.fd
	d.buf = d.buf[:16] // too small for anything
	s.how.stop()
	s.how = listing{name: "sock_diag", list: d.list, stop: d.close}
	withoutFiles(t, func() {
		for range 3 {
			if snapshot, err := s.scan(t.Context()); !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.EBADF) {
				t.Errorf("got %d listeners, %v", len(snapshot.Listeners), err)
			}
		}
	})
	dir := t.TempDir()
	for reused := false; !reused; { // until a file has the descriptor of the closed socket
		file, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		defer func() {
			if _, err := file.WriteString("mine"); err != nil {
				t.Errorf("a file opened afterwards cannot be written: %v", err)
			}
			if data, err := os.ReadFile(file.Name()); string(data) != "mine" {
				t.Errorf("a file opened afterwards holds %q, %v", data, err)
			}
		}()
		reused = int(file.Fd()) >= fd
	}
	expectFast(t, s, port, want)
}

// TestFastNoFiles opens a listener while this process may not open any more files.
func TestFastNoFiles(t *testing.T) {
	s := newFast(t)
	settled(t, s)
	if s.how.name != "sock_diag" {
		t.Skip("the other way to list sockets opens a file each time")
	}
	l := listenTCP(t, "127.0.0.1:0")
	defer l.Close()
	var so *sock
	withoutFiles(t, func() {
		for range 5 {
			expectFast(t, s, portOf(l), "0@127.0.0.1")
			so = sockOn(t, s, portOf(l))
			so.retry = time.Now()
		}
		expectFast(t, s, portOf(l), "0@127.0.0.1")
	})
	if so.pause != 0 || time.Until(so.retry) > retryAtFirst {
		t.Errorf("the pause is %v, the next search in %v", so.pause, time.Until(so.retry))
	}
	so.retry = time.Now()
	expectFast(t, s, portOf(l), fmt.Sprintf("%d@127.0.0.1", os.Getpid()))
}

// TestNewSource starts without files, so only the portable way to list sockets works.
func TestNewSource(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	var source source
	withoutFiles(t, func() { source = newSource(false) })
	defer source.close()
	snapshot, err := source.scan(t.Context())
	if got, want := foundOurs(snapshot, port), fmt.Sprintf("%d@127.0.0.1", os.Getpid()); err != nil || got != want ||
		snapshot.Source != "gopsutil" || source.wake != nil {
		t.Errorf("found %q from %s, %v, want %q from gopsutil", got, snapshot.Source, err, want)
	}
	if !errors.Is(source.detour, unix.EMFILE) {
		t.Errorf("the reason is %v, want %v", source.detour, unix.EMFILE)
	}
}

// TestRunHoldsState has a scanner that cannot list anything for a while.
func TestRunHoldsState(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	want := fmt.Sprintf("%d@127.0.0.1", os.Getpid())
	s := newFast(t)
	var broken atomic.Bool
	scan := func(ctx context.Context) (snapshot Snapshot, err error) {
		if !broken.Load() {
			return s.scan(ctx)
		}
		s.how.list = func([]row) ([]row, bool, error) { return nil, false, unix.ENOBUFS }
		withoutFiles(t, func() { snapshot, err = s.scan(ctx) })
		return snapshot, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	updates, ended := make(chan Update), make(chan struct{})
	go func() {
		defer close(ended)
		(&Watcher{Interval: 20 * time.Millisecond, Scan: scan}).Run(ctx, updates)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	until := func(failed bool) {
		t.Helper()
		for {
			select {
			case u := <-updates:
				if got := foundOurs(u.Snapshot, port); got != want {
					t.Errorf("found %q, want %q (%v)", got, want, u.Err)
				}
				if u.Err != nil && !errors.Is(u.Err, unix.ENOBUFS) {
					t.Errorf("%v, want %v", u.Err, unix.ENOBUFS)
				}
				if (u.Err != nil) == failed {
					return
				}
			case <-ctx.Done():
				t.Fatalf("no update came, failed: %v", failed)
			}
		}
	}
	until(false)
	broken.Store(true)
	until(true)
	broken.Store(false)
	until(false)
}

// TestFastNoPins runs without notice of the end of a process.
func TestFastNoPins(t *testing.T) {
	parent := newStage(t).enter()
	port := parent.listen("a", "127.0.0.1:0")
	child := parent.bear("a")
	s := newFast(t)
	if s.pins != nil {
		s.pins.Close()
		s.pins = nil
	}
	if s.wake() != nil {
		t.Error("there is a wake channel without pins")
	}
	expectFast(t, s, port, on(parent.Process))
	parent.kill()
	if got := foundOurs(rechecked(t, s), port); got != on(child.Process) {
		t.Errorf("found %q, want %q", got, on(child.Process))
	}
	child.kill()
	expectFast(t, s, port, "")
}

// TestFastNetwork scans in its own network namespace. A process there listens on the same address and port.
func TestFastNetwork(t *testing.T) {
	port := listen(t, "tcp4", "0.0.0.0:0")
	cmd := roleCommand("network", fmt.Sprint(port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if probe := (&exec.Cmd{Path: cmd.Path, Args: []string{cmd.Path, "-test.run=^$"},
		SysProcAttr: cmd.SysProcAttr}); probe.Run() != nil {
		mayNot(t, "this user may not make a network")
	}
	if got, want := strings.Join(start(t, cmd), " "),
		fmt.Sprintf("%d: %d@0.0.0.0", port, cmd.Process.Pid); got != want {
		t.Errorf("inside, found %q, want %q", got, want)
	}
	expectFast(t, newFast(t), port, fmt.Sprintf("%d@0.0.0.0", os.Getpid()))
}

// roleNetwork listens on a port and prints the whole result of a scan.
func roleNetwork(port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: int(n)}), unix.Listen(fd, 1)); err != nil {
		return err
	}
	s, err := Scan(context.Background())
	if err != nil {
		return err
	}
	var said []any
	for _, l := range s.Listeners {
		said = append(said, fmt.Sprintf("%d: %s", l.Port, found(s, l.Port)))
	}
	stay(said...)
	return nil
}

// TestFastStranger scans as an ordinary user while a process of root listens.
func TestFastStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run processes as other users")
	}
	port := listen(t, "tcp4", "127.0.0.1:0")
	cmd := roleCommand("stranger", fmt.Sprint(port))
	cmd.Path, cmd.Dir = copyBinary(t, 0o755), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	want := "0@127.0.0.1 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s 1"
	if got := strings.Join(start(t, cmd), " "); got != want {
		t.Errorf("another user found %q, want %q", got, want)
	}
}

// roleStranger prints the result of a scan on a port, the pauses between the searches for its owner, and the number of
// searches through all processes.
func roleStranger(arg string) error {
	n, err := strconv.ParseUint(arg, 10, 16)
	if err != nil {
		return err
	}
	port := uint16(n)
	s, err := newFastScanner()
	if err != nil {
		return err
	}
	defer s.close()
	s.heed(&[]uint16{port})
	var said []any
	var walks []time.Time
	for range 10 {
		snapshot, err := s.scan(context.Background())
		for err == nil && len(s.order) == 1 && !s.order[0].retry.After(time.Now()) { // the search goes on
			snapshot, err = s.scan(context.Background())
		}
		if err != nil || len(s.order) != 1 {
			return fmt.Errorf("found %d sockets: %w", len(s.order), err)
		}
		so := s.order[0]
		if said == nil {
			said = append(said, found(snapshot, port))
		}
		if said = append(said, so.pause); !slices.Contains(walks, so.walked) {
			walks = append(walks, so.walked)
		}
		so.retry = time.Now()
	}
	stay(append(said, len(walks))...)
	return nil
}

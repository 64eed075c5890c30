package watcher

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// An option is a socket option to turn on.
type option struct{ level, name int }

// On some processors package syscall lacks some of these.
var (
	reusePort    = option{syscall.SOL_SOCKET, 15}
	ipFreeBind   = option{syscall.IPPROTO_IP, 15}
	ipv6FreeBind = option{syscall.IPPROTO_IPV6, 78}
)

// listenRaw listens with socket options and returns the socket and its port. The caller or the test closes the socket.
func listenRaw(t testing.TB, addr netip.Addr, port uint16, options ...option) (*os.File, uint16) {
	t.Helper()
	family, to := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: addr.As16(), Port: int(port)})
	if addr.Is4() {
		family, to = syscall.AF_INET, &syscall.SockaddrInet4{Addr: addr.As4(), Port: int(port)}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), addr.String())
	t.Cleanup(func() { file.Close() })
	for _, o := range options {
		if err := syscall.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Bind(fd, to); err != nil {
		t.Fatalf("bind to %v: %v", addr, err)
	}
	if err := syscall.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if in6, ok := bound.(*syscall.SockaddrInet6); ok {
		return file, uint16(in6.Port)
	}
	return file, uint16(bound.(*syscall.SockaddrInet4).Port)
}

func TestScanAddresses(t *testing.T) { eachScanner(t, testScanAddresses) }

func testScanAddresses(t *testing.T, newScanner func() *scanner) {
	tests := []struct {
		name  string
		addrs string // all on one port
		want  string // empty if nothing should be found
	}{
		{"another loopback address", "127.0.0.2", "127.0.0.2"},
		{"loopback addresses", "127.0.0.3 127.0.0.2 127.0.0.1", "127.0.0.1,127.0.0.2,127.0.0.3"},
		{"IPv4 loopback in IPv6", "::ffff:127.0.0.1", "127.0.0.1"},
		{"IPv4 wildcard in IPv6", "::ffff:0.0.0.0", "0.0.0.0"},
		{"IPv4 and IPv4 in IPv6", "127.0.0.1 ::ffff:127.0.0.2 ::1", "127.0.0.1,127.0.0.2,::1"},
		{"other interface", "192.0.2.1", ""},
		{"other interface in IPv6", "2001:db8::1", ""},
		{"other interface's IPv4 in IPv6", "::ffff:192.0.2.1", ""},
		{"other interfaces", "192.0.2.1 2001:db8::1", ""},
		{"other interface and loopback", "192.0.2.1 127.0.0.1", "127.0.0.1,192.0.2.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.addrs, ":") {
				needIPv6(t)
			}
			port := uint16(0)
			for addr := range strings.FieldsSeq(tt.addrs) {
				// These options allow addresses of no interface.
				options := []option{ipFreeBind}
				if strings.Contains(addr, ":") {
					options = append(options, ipv6FreeBind)
				}
				_, port = listenRaw(t, netip.MustParseAddr(addr), port, options...)
			}
			want := ""
			if tt.want != "" {
				want = fmt.Sprintf("%d@%s", os.Getpid(), tt.want)
			}
			expect(t, newScanner(), port, want)
		})
	}
}

// TestScanReusePort has processes with separate sockets on one address and port. gopsutil lists only one of them.
func TestScanReusePort(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	port := uint16(0)
	process := func() *exec.Cmd {
		var socket *os.File
		socket, port = listenRaw(t, loopback, port, reusePort)
		defer socket.Close()
		return holder(t, socket)
	}
	s := newScanner()
	scan := func() string {
		t.Helper()
		snapshot, err := s.scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return found(snapshot, port)
	}
	known := map[string]*exec.Cmd{} // by the result of a scan
	for range 3 {
		cmd := process()
		name := fmt.Sprintf("%d@127.0.0.1", cmd.Process.Pid)
		now := scan()
		for name := range known {
			if !strings.Contains(now, name) {
				t.Errorf("found %q, want it to contain %q", now, name)
			}
		}
		if len(known) == 0 && now != name {
			t.Fatalf("found %q, want %q", now, name)
		}
		if strings.Contains(now, name) {
			known[name] = cmd
		}
	}
	for name, cmd := range known {
		kill(cmd)
		if now := scan(); strings.Contains(now, name) {
			t.Errorf("found %q after the end of %s", now, name)
		}
	}
}

// copyBinary copies the test binary to a place where every user can run it.
func copyBinary(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "porttray")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(dir, "copy")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScanUnknownOwner scans while a process listens and hides its files. As root, another user scans a process of
// root. As an ordinary user, the process runs from a file that is executable but not readable: then the system hides
// its files, too.
func TestScanUnknownOwner(t *testing.T) {
	if os.Geteuid() == 0 {
		port := listen(t, "tcp4", "127.0.0.1:0")
		scan := roleCommand("scan", fmt.Sprint(port))
		scan.Path, scan.Dir = copyBinary(t, 0o755), "/"
		scan.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if got := strings.Join(start(t, scan), " "); got != "0@127.0.0.1" {
			t.Errorf("another user found %q, want %q", got, "0@127.0.0.1")
		}
		return
	}
	victim := roleCommand("listen", "127.0.0.1:0")
	victim.Path = copyBinary(t, 0o111)
	port := uint16(number(t, start(t, victim)[0]))
	expect(t, newScanner(), port, "0@127.0.0.1")
}

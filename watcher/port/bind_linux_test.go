package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const reusePort = unix.SO_REUSEPORT // syscall lacks it

// TestMain lets the test binary run itself in a role: as another user, or in a new network namespace.
func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv("PORTTRAY_TEST_ROLE"); role {
	case "":
		m.Run()
	case "try":
		err = roleTry(os.Args[1:])
	case "network":
		err = roleNetwork(os.Args[1], os.Args[2:])
	case "no IPv6":
		if err = noIPv6(); err == nil {
			err = roleTry(os.Args[1:])
		}
	case "no listening":
		if err = noListening(); err == nil {
			err = roleTry(os.Args[1:])
		}
	case "listening":
		if err = noListening(); err == nil {
			_, err = net.Listen("tcp", os.Args[1])
		}
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// roleCommand returns the command for a role. It runs a copy of this test binary that every user may run.
func roleCommand(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "porttray") // t.TempDir is for this user only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "copy")
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, text, 0o755), os.Chmod(program, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	return cmd
}

// ordinary makes a command run as an ordinary user, if this user is not one already.
func ordinary(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
}

// inNetwork makes a command run in a new, empty network namespace. It may change the settings there, but nothing else.
func inNetwork(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		const netAdmin = 12 // CAP_NET_ADMIN, within the new user namespace
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{netAdmin}
	}
}

// needNetwork skips a test if this user may not make a network namespace. Root may, except in a container.
func needNetwork(t *testing.T) {
	t.Helper()
	cmd := roleCommand(t, "network", "")
	inNetwork(cmd)
	err := cmd.Run()
	for _, refused := range []error{syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSPC} {
		if errors.Is(err, refused) {
			lack(t, fmt.Sprintf("this user may not make a network: %v", err))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// said runs a command and returns the lines of its output.
func said(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd.Args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// roleTry prints the result of Try at the given addresses and ports, and the first free port from 1 on.
func roleTry(attempts []string) error {
	for _, a := range attempts {
		to, err := netip.ParseAddrPort(a)
		if err != nil {
			return err
		}
		fmt.Println(a, brief(System{}.Try(to)))
	}
	ports, err := FreeFrom(1, 1)
	fmt.Println("from 1:", ports)
	return err
}

// noIPv6 makes the system refuse all IPv6 sockets, like a kernel without IPv6.
func noIPv6() error {
	const family = 16 // the first argument in struct seccomp_data
	low := uint32(family)
	if one := uint16(1); *(*byte)(unsafe.Pointer(&one)) == 0 {
		low += 4
	}
	return filter([]unix.SockFilter{
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: low},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_INET6, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
	})
}

// noListening makes the system kill this process when it listens.
func noListening() error {
	return filter([]unix.SockFilter{
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LISTEN, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
	})
}

// filter installs rules about system call numbers (seccomp(2)) for all threads. It allows calls without a rule.
func filter(rules []unix.SockFilter) error {
	const number = 0 // in struct seccomp_data
	rules = append([]unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}, rules...)
	rules = append(rules, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(rules)), Filter: &rules[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return os.NewSyscallError("install a seccomp filter", errno)
	}
	return nil
}

// roleNetwork changes the settings of a new network namespace and prints the result of Read. Then it runs roleTry as an
// ordinary user.
func roleNetwork(settings string, attempts []string) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	for setting := range strings.FieldsSeq(settings) {
		name, value, _ := strings.Cut(setting, "=")
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	s := Read()
	fmt.Println(s.Privileged, s.Reserved, s.Withheld)
	cmd := exec.Command("/proc/self/exe", attempts...)
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_ROLE=try")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	ordinary(cmd)
	return cmd.Run()
}

// loopbackUp brings up the only interface of a new network namespace.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	up := struct { // struct ifreq of netdevice(7)
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{name: [syscall.IFNAMSIZ]byte{'l', 'o'}, flags: syscall.IFF_UP}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&up)))
	if errno != 0 {
		return os.NewSyscallError("bring up loopback", err)
	}
	return nil
}

func TestTryInNetwork(t *testing.T) {
	needNetwork(t)
	tests := []struct {
		name, settings string
		want           []string // the addresses to try come from here too
	}{
		{"as it is", "", []string{
			"[{1 1023}] [] []", "127.0.0.1:1023 not permitted", "127.0.0.1:1024 free", "[::1]:80 not permitted",
			"0.0.0.0:443 not permitted", "[::]:1 not permitted", "[::]:8080 free", "from 1: [1024]",
		}},
		{"everything allowed", "ipv4/ip_unprivileged_port_start=0", []string{
			"[] [] []", "127.0.0.1:1 free", "[::1]:80 free", "0.0.0.0:443 free", "[::]:22 free", "from 1: [1]",
		}},
		{"all but one allowed", "ipv4/ip_unprivileged_port_start=2", []string{
			"[{1 1}] [] []", "127.0.0.1:1 not permitted", "from 1: [2]",
		}},
		{"less allowed", "ipv4/ip_unprivileged_port_start=5000", []string{
			"[{1 4999}] [] []", "127.0.0.1:3000 not permitted", "[::]:5000 free", "from 1: [5000]",
		}},
		{"ports withheld", "ipv4/ip_local_reserved_ports=50051,40000-40009", []string{
			"[{1 1023}] [] [{40000 40009} {50051 50051}]", "127.0.0.1:40000 free", "[::]:50051 free", "from 1: [1024]",
		}},
		{"no IPv6 address", "ipv6/conf/all/disable_ipv6=1", []string{
			"[{1 1023}] [] []", "127.0.0.1:8080 free", "[::1]:8080 unavailable", "0.0.0.0:8080 free", "[::]:8080 free",
			"from 1: [1024]",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{tt.settings}
			for _, line := range tt.want[1 : len(tt.want)-1] {
				to, _, _ := strings.Cut(line, " ")
				args = append(args, to)
			}
			cmd := roleCommand(t, "network", args...)
			inNetwork(cmd)
			if got := said(t, cmd); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTryWithoutIPv6 calls Try while the system refuses all IPv6 sockets, like a kernel without IPv6.
func TestTryWithoutIPv6(t *testing.T) {
	port := unused(t)
	cmd := roleCommand(t, "no IPv6", at("127.0.0.1", port).String(), "[::1]:8080", "[::]:8080", "[2001:db8::1]:8080")
	ordinary(cmd)
	got := said(t, cmd)
	want := []string{
		fmt.Sprintf("127.0.0.1:%d free", port), "[::1]:8080 unavailable", "[::]:8080 unavailable",
		"[2001:db8::1]:8080 unavailable",
	}
	if len(got) != 5 || !slices.Equal(got[:4], want) || got[4] == "from 1: []" {
		t.Errorf("got %q, want %q and a free port", got, want)
	}
}

// TestTryNeverListens calls Try for ports of all kinds. The system would kill the process if it listened.
func TestTryNeverListens(t *testing.T) {
	needLoopback(t)
	lingering, used := newVisit(t, syscall.SO_REUSEADDR), newVisit(t, syscall.SO_REUSEADDR)
	lingering.server.Close()
	lingering.listener.Close()
	free := at("127.0.0.1", unused(t)).String()
	args := []string{
		free, at("127.0.0.1", lingering.port).String(),
		at("127.0.0.1", used.port).String(), at("::", used.port).String(),
	}
	got := said(t, roleCommand(t, "no listening", args...))
	want := []string{args[0] + " free", args[1] + " lingering+", args[2] + " in use", args[3] + " in use"}
	if len(got) != 5 || !slices.Equal(got[:4], want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var killed *exec.ExitError
	err := roleCommand(t, "listening", free).Run()
	if !errors.As(err, &killed) || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
		t.Errorf("a process that listens ended with %v, so the test shows nothing", err)
	}
}

// TestTryWithoutFiles calls Try when this process may not open more files. The failure tells nothing about the port.
func TestTryWithoutFiles(t *testing.T) {
	port := unused(t)
	var before unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	a := System{}.Try(at("127.0.0.1", port))
	ports, err := FreeFrom(port, 1)
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	if a.State != Unknown || !errors.Is(a.Err, syscall.EMFILE) {
		t.Errorf("got %s, %v", a.State, a.Err)
	}
	want := fmt.Sprintf("look for free ports: bind [::]:%d: socket: too many open files", port)
	if len(ports) != 0 || err == nil || err.Error() != want {
		t.Errorf("got %d, %v, want %s", ports, err, want)
	}
}

// TestTryNotPermitted tries a privileged port in this machine's own network.
func TestTryNotPermitted(t *testing.T) {
	privileged, _, _ := limits()
	want := "free"
	if yes, known := privileged.Has(1); yes {
		want = "not permitted"
	} else if !known {
		t.Fatal("this system does not tell which ports are privileged")
	}
	cmd := roleCommand(t, "try", "127.0.0.1:1", "[::1]:1")
	ordinary(cmd)
	if got := said(t, cmd); got[0] != "127.0.0.1:1 "+want {
		t.Errorf("got %q, want %s", got, want)
	}
}

// TestTryHeld tries ports that connections and sockets hold. For bind alone these cases look the same.
func TestTryHeld(t *testing.T) {
	needIPv6(t)
	tests := []struct {
		name    string
		hold    func(t *testing.T) (port uint16)
		want    string // at 127.0.0.1 and both wildcards
		servers bool   // a server with SO_REUSEADDR can bind it
	}{
		{"bound with SO_REUSEADDR", func(t *testing.T) uint16 {
			port := unused(t)
			socket(t, at("127.0.0.1", port), syscall.SO_REUSEADDR)
			return port
		}, "in use+", true},
		{"bound with SO_REUSEPORT", func(t *testing.T) uint16 {
			port := unused(t)
			socket(t, at("127.0.0.1", port), reusePort)
			return port
		}, "in use", false},
		{"listener without SO_REUSEADDR", func(t *testing.T) uint16 {
			return newVisit(t, noOption).port
		}, "in use", false},
		{"connection of a server that listens no more", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.listener.Close()
			return v.port
		}, "in use+", true},
		{"the same, closed by the client", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.listener.Close()
			v.client.Close()
			return v.port
		}, "in use+", true},
		{"half closed by the server", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.listener.Close()
			if err := syscall.Shutdown(int(v.server.Fd()), syscall.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			return v.port
		}, "in use+", true},
		{"connection of a server without SO_REUSEADDR", func(t *testing.T) uint16 {
			v := newVisit(t, noOption)
			v.listener.Close()
			return v.port
		}, "in use", false},
		{"TIME_WAIT of a server without SO_REUSEADDR", func(t *testing.T) uint16 {
			v := newVisit(t, noOption)
			v.listener.Close()
			v.server.Close()
			v.client.Close()
			return v.port
		}, "lingering", false},
		{"outgoing connection", func(t *testing.T) uint16 {
			return newVisit(t, syscall.SO_REUSEADDR).from
		}, "in use", false},
		{"TIME_WAIT of an outgoing connection", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.client.Close()
			v.server.Close()
			return v.from
		}, "lingering", false},
		{"TIME_WAIT beside a connection", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.again(t)
			v.listener.Close()
			v.server.Close()
			v.client.Close()
			return v.port
		}, "in use+", true},
		{"TIME_WAIT beside a connection of an IPv6 socket", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.listener.Close()
			v.server.Close()
			v.client.Close()
			l, err := net.Listen("tcp", at("::", v.port).String())
			if err != nil {
				t.Fatal(err)
			}
			client, err := net.Dial("tcp4", at("127.0.0.1", v.port).String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			l.Close()
			return v.port
		}, "in use+", true},
		{"nothing", func(t *testing.T) uint16 {
			v := newVisit(t, syscall.SO_REUSEADDR)
			v.client.Close() // first, so that the lingering end is the client's
			v.listener.Close()
			v.server.Close()
			return v.port
		}, "free", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := tt.hold(t)
			expect(t, port, tt.want, "free", tt.want, tt.want)
			expectServers(t, port, tt.servers, true, tt.servers, tt.servers)
			if got := (System{}).Try(at("127.0.0.2", port)); got.State != Free {
				t.Errorf("127.0.0.2: got %s, %v", got.State, got.Err)
			}
		})
	}
}

// TestTryLingeringElsewhere is like TestTryLingering, with servers at other addresses.
func TestTryLingeringElsewhere(t *testing.T) {
	needIPv6(t)
	const lingers, free = "lingering+", "free"
	for _, tt := range []struct {
		server, client string
		want           []string
	}{
		{"::1", "::1", []string{free, lingers, free, lingers}},
		{"::", "::1", []string{free, lingers, lingers, lingers}},
		{"::", "127.0.0.1", []string{lingers, free, lingers, lingers}},
		{"0.0.0.0", "127.0.0.1", []string{lingers, free, lingers, lingers}},
		{"0.0.0.0", "127.0.0.2", []string{free, free, lingers, lingers}},
	} {
		port := unused(t)
		l, err := net.Listen("tcp", at(tt.server, port).String())
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", at(tt.client, port).String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		server.Close()
		client.Close()
		expect(t, port, tt.want...)
	}
}

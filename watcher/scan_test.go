package watcher

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gopsnet "github.com/shirou/gopsutil/v3/net"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// patience bounds every wait without a limit of its own. A test that reaches it fails.
const patience = 20 * time.Second

// TestMain lets the test binary run itself in a role, as a watched process or as a watcher.
func TestMain(m *testing.M) {
	var err error
	switch args, role := os.Args[1:], os.Getenv("PORTTRAY_TEST_ROLE"); role {
	default:
		err = systemRole(m, role, args)
	case "":
		m.Run()
	case "listen":
		err = roleListen(args[0])
	case "fork":
		err = roleFork()
	case "hold":
		stay()
	case "scan":
		err = roleScan(args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// stay prints that the role is ready, with further words, and returns when the role should end. Standard input ends
// when the test closes it or dies.
func stay(said ...any) {
	fmt.Println(said...)
	io.Copy(io.Discard, os.Stdin) // an error also means the end
}

// roleListen listens on an address and prints the port.
func roleListen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	stay(portOf(l))
	return nil
}

// roleFork shares a socket with two children, and prints the port and the PIDs of the children.
func roleFork() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	said := []any{portOf(l)}
	for range 2 {
		child, err := hand(file, os.Stdin)
		if err != nil {
			return err
		}
		said = append(said, child.Process.Pid)
	}
	stay(said...)
	return nil
}

// roleScan scans once and prints the listeners on a port.
func roleScan(arg string) error {
	port, err := strconv.ParseUint(arg, 10, 16)
	if err != nil {
		return err
	}
	s, err := Scan(context.Background())
	if err != nil {
		return err
	}
	stay(found(s, uint16(port)))
	return nil
}

// hand starts a process that only holds a socket until in ends.
func hand(socket, in *os.File) (*exec.Cmd, error) {
	cmd := roleCommand("hold")
	cmd.Stdin = in
	cmd.ExtraFiles = []*os.File{socket}
	return cmd, cmd.Start()
}

// roleCommand returns the command that runs this test binary in a role.
func roleCommand(role string, args ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0]
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_ROLE="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a role and returns the words of its first line. The role ends with the test.
func start(t testing.TB, cmd *exec.Cmd) []string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in := stdin(t)
	defer in.Close()
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v said %q: %v", cmd.Args, line, err)
	}
	return strings.Fields(line)
}

// holder starts a process that holds a socket for the length of the test.
func holder(t testing.TB, socket *os.File) *exec.Cmd {
	t.Helper()
	in := stdin(t)
	defer in.Close()
	cmd, err := hand(socket, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

// stdin returns a file that ends with the test. exec.Cmd.StdinPipe would end with the command, but children of the
// command read it, too.
func stdin(t testing.TB) *os.File {
	t.Helper()
	in, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	return in
}

// kill kills a role and waits for its end.
func kill(cmd *exec.Cmd) {
	cmd.Process.Kill() // fails if it has ended
	cmd.Wait()         // fails because it was killed
}

// listen listens for the length of the test and returns the port.
func listen(t testing.TB, network, addr string) uint16 {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return portOf(l)
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// found returns the PIDs and addresses on a port of a snapshot.
func found(s Snapshot, port uint16) string {
	var list []string
	for _, l := range server.OnPort(s.Listeners, port) {
		list = append(list, fmt.Sprintf("%d@%s", l.Owner.PID, addresses(l)))
	}
	return strings.Join(list, " ")
}

// expect fails the test unless a scan finds want on the port.
func expect(t *testing.T, s *scanner, port uint16, want string) {
	t.Helper()
	snapshot, err := s.scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := found(snapshot, port); got != want {
		t.Errorf("port %d: found %q, want %q", port, got, want)
	}
}

// listed returns the PID that scans report for a process: 0 under Wine.
func listed(pid int) int {
	if wine() {
		return 0
	}
	return pid
}

// needOwners skips a test if scans report no owners.
func needOwners(t testing.TB) {
	t.Helper()
	if wine() {
		t.Skip("Wine lists listeners without their owners")
	}
}

// lack skips a test if something is missing. Under CI the test fails instead.
func lack(t testing.TB, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func needIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		lack(t, fmt.Sprint("this system has no IPv6 loopback: ", err))
	}
	l.Close()
}

// needLoopback skips a test if the loopback interface is down. A system without addresses allows listening on every
// address, but no connections.
func needLoopback(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		lack(t, fmt.Sprint("loopback is down: ", err))
	}
	conn.Close()
}

// eachScanner runs a test with every scanner of this system.
func eachScanner(t *testing.T, test func(t *testing.T, newScanner func() *scanner)) {
	for name, newScanner := range scanners() {
		t.Run(name, func(t *testing.T) { test(t, newScanner) })
	}
}

func TestScan(t *testing.T) {
	type socket struct{ network, host string }
	tests := []struct {
		name    string
		sockets []socket // all on one port
		want    string
	}{
		{"IPv4", []socket{{"tcp4", "127.0.0.1"}}, "127.0.0.1"},
		{"IPv6", []socket{{"tcp6", "::1"}}, "::1"},
		{"IPv4 wildcard", []socket{{"tcp4", "0.0.0.0"}}, "0.0.0.0"},
		{"IPv6 wildcard", []socket{{"tcp6", "::"}}, "::"},
		{"dual-stack wildcard", []socket{{"tcp", ""}}, "::"},
		{"both families", []socket{{"tcp4", "127.0.0.1"}, {"tcp6", "::1"}}, "127.0.0.1,::1"},
		{"loopback and wildcard", []socket{{"tcp4", "127.0.0.1"}, {"tcp6", "::"}}, "127.0.0.1,::"},
	}
	for _, tt := range tests {
		eachScanner(t, func(t *testing.T, newScanner func() *scanner) {
			t.Run(tt.name, func(t *testing.T) {
				if strings.Contains(tt.want, ":") {
					needIPv6(t)
				}
				port := uint16(0)
				for _, so := range tt.sockets {
					port = listen(t, so.network, net.JoinHostPort(so.host, strconv.Itoa(int(port))))
				}
				expect(t, newScanner(), port, fmt.Sprintf("%d@%s", listed(os.Getpid()), tt.want))
			})
		})
	}
}

func TestScanTwoOwners(t *testing.T) { eachScanner(t, testScanTwoOwners) }

func testScanTwoOwners(t *testing.T, newScanner func() *scanner) {
	needIPv6(t)
	needOwners(t)
	port := listen(t, "tcp4", "127.0.0.1:0")
	other := roleCommand("listen", fmt.Sprintf("[::1]:%d", port))
	start(t, other)
	s := newScanner()
	snapshot, err := s.scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := fmt.Sprintf("%d@127.0.0.1", os.Getpid()), fmt.Sprintf("%d@::1", other.Process.Pid)
	if got := found(snapshot, port); got != mine+" "+theirs && got != theirs+" "+mine {
		t.Errorf("port %d: found %q, want %q and %q", port, got, mine, theirs)
	}
	kill(other)
	expect(t, s, port, mine)
}

// TestScanShared kills the main process of a server that forked before it accepted.
func TestScanShared(t *testing.T) { eachScanner(t, testScanShared) }

func testScanShared(t *testing.T, newScanner func() *scanner) {
	if runtime.GOOS == "windows" {
		t.Skip("processes share no sockets on Windows")
	}
	parent := roleCommand("fork")
	said := start(t, parent)
	port, children := uint16(number(t, said[0])), said[1:]
	s := newScanner()
	expect(t, s, port, fmt.Sprintf("%d@127.0.0.1", parent.Process.Pid))
	kill(parent)
	for _, s := range []*scanner{s, newScanner()} {
		snapshot, err := s.scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := found(snapshot, port); got != children[0]+"@127.0.0.1" && got != children[1]+"@127.0.0.1" {
			t.Errorf("after the end of the main process found %q, want one of %q", got, children)
		}
	}
}

// TestScanLone has a list with one of the children that share a socket, but without their parent.
func TestScanLone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes share no sockets on Windows")
	}
	parent := roleCommand("fork")
	said := start(t, parent)
	child := int32(number(t, said[1]))
	holders := []int32{int32(parent.Process.Pid), child}
	so := socket{addr: netip.MustParseAddr("127.0.0.1"), port: uint16(number(t, said[0]))}
	s := scannerOf("test", func(_ context.Context, pid int32) ([]socket, error) {
		so := so
		if so.pid = pid; pid == 0 {
			so.pid = child
		} else if !slices.Contains(holders, pid) {
			return nil, nil
		}
		return []socket{so}, nil
	})
	for range 2 {
		expect(t, s, so.port, fmt.Sprintf("%d@127.0.0.1", parent.Process.Pid))
	}
	holders = []int32{child}
	expect(t, s, so.port, fmt.Sprintf("%d@127.0.0.1", child))
}

// TestTopmost starts from each process that shares a socket. The system may list any of them.
func TestTopmost(t *testing.T) { eachScanner(t, testTopmost) }

func testTopmost(t *testing.T, newScanner func() *scanner) {
	if runtime.GOOS == "windows" {
		t.Skip("processes share no sockets on Windows")
	}
	parent := roleCommand("fork")
	said := start(t, parent)
	port, holders := uint16(number(t, said[0])), append(said[1:], strconv.Itoa(parent.Process.Pid))
	s := newScanner()
	sockets, err := s.list(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range holders {
		so := socket{addr: netip.MustParseAddr("127.0.0.1"), port: port, pid: int32(number(t, pid))}
		top, ok := s.topmost(t.Context(), so, sockets)
		if int(top.PID) != parent.Process.Pid || !ok {
			t.Errorf("the topmost process above %s is %d, %v, want %d", pid, top.PID, ok, parent.Process.Pid)
		}
	}
}

// TestScanHandOver has a process that passes its socket on and keeps running.
func TestScanHandOver(t *testing.T) { eachScanner(t, testScanHandOver) }

func testScanHandOver(t *testing.T, newScanner func() *scanner) {
	if runtime.GOOS == "windows" {
		t.Skip("processes share no sockets on Windows")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	heir := holder(t, file)
	s := newScanner()
	expect(t, s, portOf(l), fmt.Sprintf("%d@127.0.0.1", os.Getpid()))
	l.Close()
	file.Close()
	expect(t, s, portOf(l), fmt.Sprintf("%d@127.0.0.1", heir.Process.Pid))
	kill(heir)
	expect(t, s, portOf(l), "")
}

// TestScanForeign has sockets of hidden processes. Those on one port are one listener. It belongs to another user only
// if all of them do.
func TestScanForeign(t *testing.T) {
	unseen := func(addr string, port uint16, foreign bool) socket {
		return socket{addr: netip.MustParseAddr(addr), port: port, foreign: foreign}
	}
	s := scannerOf("test", func(context.Context, int32) ([]socket, error) {
		return []socket{
			unseen("127.0.0.1", 1, true), unseen("::1", 1, true),
			unseen("127.0.0.1", 2, true), unseen("::1", 2, false),
			unseen("127.0.0.1", 3, false), unseen("::1", 3, true),
			unseen("127.0.0.1", 4, false),
		}, nil
	})
	snapshot, err := s.scan(t.Context())
	if err != nil || snapshot.Source != "test" {
		t.Fatalf("from %s: %v", snapshot.Source, err)
	}
	for port, want := range map[uint16]bool{1: true, 2: false, 3: false, 4: false} {
		holders := snapshot.Holders(port)
		if len(holders) != 1 || holders[0] != (owner.Process{Foreign: want}) {
			t.Errorf("port %d is held by %+v, want an unknown process that is foreign: %v", port, holders, want)
		}
	}
}

func TestScanOwner(t *testing.T) {
	needOwners(t)
	victim := roleCommand("listen", "127.0.0.1:0")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	victim.Dir = dir
	before := time.Now()
	port := uint16(number(t, start(t, victim)[0]))
	snapshot, err := Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holders := snapshot.Holders(port)
	if len(holders) != 1 {
		t.Fatalf("port %d has the holders %+v, want one", port, holders)
	}
	got := holders[0]
	if int(got.PID) != victim.Process.Pid {
		t.Errorf("PID %d, want %d", got.PID, victim.Process.Pid)
	}
	if want := strings.TrimSuffix(filepath.Base(victim.Path), ".exe"); got.Name != want {
		t.Errorf("name %q, want %q", got.Name, want)
	}
	if filepath.Clean(got.Dir) != dir { // Windows adds a backslash
		t.Errorf("directory %q, want %q", got.Dir, dir)
	}
	// Systems round the start of a process to seconds. Linux also rounds the boot time.
	if got.Since.Before(before.Add(-3*time.Second)) || got.Since.After(time.Now().Add(2*time.Second)) {
		t.Errorf("since %v, started %v", got.Since, before)
	}
	if got.Refusal != "" {
		t.Errorf("refusal %q, want none", got.Refusal)
	}
	if id, err := owner.Identify(got.PID); err != nil || !id.Is(got) {
		t.Errorf("start %d, want that of %+v (%v)", got.Start, id, err)
	}
}

func TestLocal(t *testing.T) {
	tests := []struct{ name, all, want string }{
		{"loopback", "80/7@127.0.0.1 81/7@127.255.255.254 82/7@::1", "80/7@127.0.0.1 81/7@127.255.255.254 82/7@::1"},
		{"wildcards", "80/7@0.0.0.0 81/7@::", "80/7@0.0.0.0 81/7@::"},
		{"other interfaces", "80/7@192.0.2.1 81/7@2001:db8::1 82/7@fe80::1 83/7@128.0.0.1", ""},
		{"other interface as well", "80/7@192.0.2.1,127.0.0.1", "80/7@127.0.0.1,192.0.2.1"},
		{"order", "90/7 80/8@::1 80/7.2 80/7 80/0@::1", "80/0@::1 80/7 80/7.2 80/8@::1 90/7"},
		{"addresses twice and out of order", "80/7@::1,127.0.0.1,::1,0.0.0.0", "80/7@0.0.0.0,127.0.0.1,::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := map[server.ID]*server.Listener{}
			for _, l := range parse(t, tt.all) {
				all[l.ID()] = &l
			}
			if got := format(sorted(all, false)...); got != format(parse(t, tt.want)...) {
				t.Errorf("%q: local are %q, want %q", tt.all, got, tt.want)
			}
		})
	}
}

func TestBindAddress(t *testing.T) {
	tests := []struct {
		ip     string
		family uint32
		want   string // empty for an error
	}{
		{"127.0.0.1", syscall.AF_INET, "127.0.0.1"},
		{"::1", syscall.AF_INET6, "::1"},
		{"::ffff:127.0.0.1", syscall.AF_INET6, "127.0.0.1"},
		{"::ffff:0.0.0.0", syscall.AF_INET6, "0.0.0.0"},
		{"fe80::1%lo0", syscall.AF_INET6, "fe80::1"},
		{"*", syscall.AF_INET, "0.0.0.0"},
		{"*", syscall.AF_INET6, "::"},
		{"", syscall.AF_INET, "0.0.0.0"},
		{"", syscall.AF_INET6, "::"},
		{"localhost", syscall.AF_INET, ""},
		{"127.0.0.1:80", syscall.AF_INET, ""},
	}
	for _, tt := range tests {
		got, err := bindAddress(gopsnet.ConnectionStat{Family: tt.family, Laddr: gopsnet.Addr{IP: tt.ip}})
		want, _ := netip.ParseAddr(tt.want) // the zero address for an error
		if got != want || (err != nil) != (tt.want == "") {
			t.Errorf("%q of family %d: got %v, %v, want %q", tt.ip, tt.family, got, err, tt.want)
		}
	}
}

// chosenPort returns a free port outside the ephemeral range. In that range the listener of a child is a further port
// of its parent's server.
func chosenPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// TestRunForReal watches the system while a process opens a new port and is killed.
func TestRunForReal(t *testing.T) {
	mine := listen(t, "tcp4", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	updates := make(chan Update)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&Watcher{Interval: 20 * time.Millisecond}).Run(ctx, updates)
	}()
	// until returns the first update that satisfies ok. Other listeners of the machine may change.
	until := func(what string, ok func(Update) bool) Update {
		for {
			select {
			case u := <-updates:
				if ok(u) {
					return u
				}
			case <-ctx.Done():
				t.Fatalf("no update came for: %s", what)
			}
		}
	}
	baseline := until("a snapshot", func(u Update) bool { return u.Err == nil })
	if len(baseline.Events) > 0 || len(baseline.Snapshot.Holders(mine)) != 1 {
		t.Errorf("the baseline has the events %q and on port %d %q", formatEvents(baseline.Events), mine,
			found(baseline.Snapshot, mine))
	}

	victim := roleCommand("listen", fmt.Sprintf("127.0.0.1:%d", chosenPort(t)))
	port := uint16(number(t, start(t, victim)[0]))
	happened := func(kind Kind) func(Update) bool {
		return func(u Update) bool {
			for _, e := range u.Events {
				if e.Listener.Port == port && e.Kind == kind {
					return true
				}
			}
			return false
		}
	}
	opened := until("the open port", happened(Opened))
	want := fmt.Sprintf("%d@127.0.0.1", listed(victim.Process.Pid))
	if found(opened.Snapshot, port) != want { // right after its opening a socket may have no owner yet
		until("the owner", func(u Update) bool { return found(u.Snapshot, port) == want })
	}
	kill(victim)
	if closed := until("the closed port", happened(Closed)); found(closed.Snapshot, port) != "" {
		t.Errorf("after the closing, port %d has %q", port, found(closed.Snapshot, port))
	}
	cancel()
	<-ended
}

func BenchmarkScan(b *testing.B) {
	for range 20 {
		listen(b, "tcp4", "127.0.0.1:0")
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Scan(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		s := newScanner()
		for b.Loop() {
			if _, err := s.scan(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

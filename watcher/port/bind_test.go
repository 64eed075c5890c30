package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// lack skips a test because this machine lacks something. Under CI it fails the test instead.
func lack(t testing.TB, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// unused returns a port without listeners and lingering connections. No system hands it out, so other programs do not
// disturb the test.
func unused(t testing.TB) uint16 {
	t.Helper()
	ports, err := FreeFrom(uint16(10000+rand.IntN(20000)), 1)
	if err != nil || len(ports) != 1 {
		t.Fatalf("there is no unused port: %d, %v", ports, err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return ports[0]
}

func haveIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func needIPv6(t testing.TB) {
	t.Helper()
	if !haveIPv6() {
		lack(t, "this machine has no IPv6")
	}
}

// needLoopback skips a test if the loopback interface is down. A system without any address lets programs bind every
// address, but none can connect.
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

// listen listens for the length of the test, and returns the port.
func listen(t testing.TB, network, addr string) uint16 {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

// here lists the addresses in most tests.
var here = []string{"127.0.0.1", "::1", "0.0.0.0", "::"}

// expect compares the results of Try at the addresses in here. A plus sign behind a state means that the port is
// reusable.
func expect(t *testing.T, port uint16, want ...string) {
	t.Helper()
	for i, addr := range here {
		a := System{}.Try(at(addr, port))
		if got := brief(a); got != want[i] {
			t.Errorf("%s: got %s, %v, want %s", a.Addr, got, a.Err, want[i])
		}
		if (a.Err == nil) != (a.State == Free) {
			t.Errorf("%s: %s, and the error is %v", a.Addr, a.State, a.Err)
		}
	}
}

func brief(a Attempt) string {
	if a.Reusable {
		return a.State.String() + "+"
	}
	return a.State.String()
}

// expectServers checks at which addresses in here a server can listen. The server sets SO_REUSEADDR on Unix.
func expectServers(t *testing.T, port uint16, want ...bool) {
	t.Helper()
	for i, addr := range here {
		l, err := net.Listen("tcp", at(addr, port).String())
		if (err == nil) != want[i] {
			t.Errorf("%s: a server gets %v, want success: %t", at(addr, port), err, want[i])
		}
		if err == nil {
			l.Close()
		}
	}
}

func TestState(t *testing.T) {
	want := []string{"unknown", "free", "lingering", "in use", "not permitted", "reserved", "unavailable", "State(7)"}
	for s, want := range want {
		if got := State(s).String(); got != want {
			t.Errorf("%d: got %q, want %q", s, got, want)
		}
	}
	if (Attempt{}).State != Unknown {
		t.Error("an attempt that was not made says something")
	}
}

func TestTryFree(t *testing.T) {
	needIPv6(t)
	port := unused(t)
	for range 3 { // Try leaves nothing behind
		expect(t, port, "free", "free", "free", "free")
	}
	expectServers(t, port, true, true, true, true)
}

func TestTryListener(t *testing.T) {
	needIPv6(t)
	const used, free = "in use", "free"
	tests := []struct {
		network, addr string
		want          []string
	}{
		{"tcp4", "127.0.0.1", []string{used, free, used, used}},
		{"tcp6", "::1", []string{free, used, free, used}},
		{"tcp4", "0.0.0.0", []string{used, free, used, used}},
		{"tcp6", "::", []string{free, used, free, used}},
		{"tcp", "::", []string{used, used, used, used}},
	}
	for _, tt := range tests {
		t.Run(tt.network+" "+tt.addr, func(t *testing.T) {
			port := unused(t)
			l, err := net.Listen(tt.network, at(tt.addr, port).String())
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS == "linux" {
				expect(t, port, tt.want...)
			} else {
				expectStates(t, port, tt.want...)
			}
			l.Close()
			expect(t, port, free, free, free, free)
		})
	}
}

// expectStates is like expect, but ignores Reusable: some Unixes let a server with SO_REUSEADDR bind beside a wildcard.
// On Windows it ignores specific addresses: the same user may bind them beside a wildcard.
func expectStates(t *testing.T, port uint16, want ...string) {
	t.Helper()
	for i, addr := range here {
		a := System{}.Try(at(addr, port))
		shared := runtime.GOOS == "windows" && !a.Addr.Addr().IsUnspecified()
		if got := a.State.String(); got != want[i] && !shared {
			t.Errorf("%s: got %s, %v, want %s", a.Addr, got, a.Err, want[i])
		}
	}
}

func TestInUse(t *testing.T) {
	free := unused(t)
	if Read().InUse(free) {
		t.Errorf("port %d, which is free, is in use", free)
	}
	if taken := listen(t, "tcp4", "127.0.0.1:0"); !Read().InUse(taken) {
		t.Errorf("port %d, which is taken, is not in use", taken)
	}
}

func TestTryMapped(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	a := System{}.Try(at("::ffff:127.0.0.1", port))
	if a.Addr != at("127.0.0.1", port) || a.State != InUse {
		t.Errorf("got %s at %s, want it in use at 127.0.0.1", a.State, a.Addr)
	}
}

func TestTryBadAddress(t *testing.T) {
	needLoopback(t)
	tests := []struct {
		name string
		at   netip.AddrPort
		want State
		err  string // the end of it
	}{
		{"nothing", netip.AddrPort{}, Unknown, "there is no address"},
		{"no address", netip.AddrPortFrom(netip.Addr{}, 8080), Unknown, "there is no address"},
		{"port 0", at("127.0.0.1", 0), Unknown, "bind 127.0.0.1:0: a port is a number from 1 to 65535"},
		{"another machine's address", at("198.51.100.1", 8080), Unavailable, ""},
		{"another machine's IPv6 address", at("2001:db8::1", 8080), Unavailable, ""},
		{"no zone", at("fe80::1", 8080), Unknown,
			"bind [fe80::1]:8080: a link-local address needs its interface, like fe80::1%eth0"},
		{"no such zone", at("fe80::1%none", 8080), Unavailable, "bind [fe80::1%none]:8080: no such interface"},
		{"zone of too large a number", at("fe80::1%4294967296", 8080), Unavailable, "no such interface"},
		{"number of no interface", at("fe80::1%4294967295", 8080), Unavailable, ""},
		{"not its interface's address", at("fe80::dead:1%1", 8080), Unavailable, ""},
	}
	for _, tt := range tests {
		a := System{}.Try(tt.at)
		if a.State != tt.want || a.Err == nil || !strings.HasSuffix(a.Err.Error(), tt.err) {
			t.Errorf("%s: got %s, %v, want %s, %s", tt.name, a.State, a.Err, tt.want, tt.err)
		}
	}
}

// TestTryZone binds every link-local address of this machine.
func TestTryZone(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	port := unused(t)
	tried := 0
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || !prefix.Addr().Is6() || !prefix.Addr().IsLinkLocalUnicast() {
				continue
			}
			for _, zone := range []string{i.Name, fmt.Sprint(i.Index)} {
				to := netip.AddrPortFrom(prefix.Addr().WithZone(zone), port)
				if a := (System{}).Try(to); a.State != Free || a.Addr != to {
					t.Errorf("%s: got %s at %s, %v", to, a.State, a.Addr, a.Err)
				}
				tried++
			}
		}
	}
	if tried == 0 {
		t.Skip("this machine has no link-local address")
	}
}

func TestAccessDenied(t *testing.T) {
	tests := []struct {
		name   string
		system System
		want   State
	}{
		{"reserved", System{Reserved: Ranges{{1, 5}, {8000, 8099}}}, Reserved},
		{"not reserved", System{Reserved: Ranges{{1, 5}, {8081, 8099}}}, InUse},
		{"nothing reserved", System{Reserved: Ranges{}}, InUse},
		{"only withheld", System{Reserved: Ranges{}, Withheld: Ranges{{8080, 8080}}}, InUse},
		{"not known", System{}, NotPermitted},
	}
	for _, tt := range tests {
		if got := tt.system.accessDenied(8080); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNeighbours(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("192.0.2.1")}
	tests := []struct{ addr, want string }{
		{"127.0.0.1", "[[::]:80 0.0.0.0:80]"},
		{"192.0.2.1", "[[::]:80 0.0.0.0:80]"},
		{"::1", "[[::]:80]"},
		{"fe80::1%eth0", "[[::]:80]"},
		{"0.0.0.0", "[[::]:80 127.0.0.1:80 192.0.2.1:80]"},
		{"::", "[0.0.0.0:80 127.0.0.1:80 [::1]:80 192.0.2.1:80]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(neighbours(at(tt.addr, 80), own)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.addr, got, tt.want)
		}
	}
}

// freeFrom is FreeFrom, and fails the test on an error.
func freeFrom(t testing.TB, from uint16, count int) []uint16 {
	t.Helper()
	ports, err := FreeFrom(from, count)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func TestFreeFrom(t *testing.T) {
	ports := freeFrom(t, 10000, 20)
	distinct := slices.Compact(slices.Clone(ports))
	if len(ports) != 20 || !slices.IsSorted(ports) || len(distinct) != 20 || ports[0] < 10000 {
		t.Errorf("got %d", ports)
	}
	for _, port := range ports {
		for _, network := range []string{"127.0.0.1", "0.0.0.0", "::1", "::"} {
			if network[0] == ':' && !haveIPv6() {
				continue
			}
			l, err := net.Listen("tcp", at(network, port).String())
			if err != nil {
				t.Error(err)
				continue
			}
			l.Close()
		}
	}
	for _, count := range []int{0, -1} {
		if got := freeFrom(t, 10000, count); len(got) != 0 {
			t.Errorf("%d ports: got %d", count, got)
		}
	}
}

func TestFreeFromTaken(t *testing.T) {
	for _, addr := range append(ownAddrs(t), here...) {
		if strings.Contains(addr, ":") && !haveIPv6() {
			continue
		}
		port := unused(t)
		if got := freeFrom(t, port, 1); len(got) != 1 || got[0] != port {
			t.Errorf("%d: got %d", port, got)
		}
		l, err := net.Listen("tcp", at(addr, port).String())
		if err != nil {
			t.Fatal(err)
		}
		if got := freeFrom(t, port, 1); len(got) != 1 || got[0] == port {
			t.Errorf("%s: got %d", l.Addr(), got)
		}
		l.Close()
	}
}

// ownAddrs returns the addresses of this machine without link-local ones.
func ownAddrs(t testing.TB) []string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			t.Fatal(err)
		}
		if !prefix.Addr().IsLinkLocalUnicast() {
			addrs = append(addrs, prefix.Addr().String())
		}
	}
	return addrs
}

func TestFreeFromLast(t *testing.T) {
	got := freeFrom(t, 65530, 100)
	if len(got) > 6 || !slices.IsSorted(got) || len(got) > 0 && got[0] < 65530 {
		t.Errorf("got %d", got)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:65535")
	if err != nil {
		t.Skip("port 65535 is taken")
	}
	defer l.Close()
	if got := freeFrom(t, 65535, 1); len(got) != 0 {
		t.Errorf("got %d, want none", got)
	}
}

// TestFreeFromFirst asks for ports from the lowest on. Not every user may bind them.
func TestFreeFromFirst(t *testing.T) {
	got := freeFrom(t, 0, 1)
	if len(got) != 1 || got[0] == 0 {
		t.Fatalf("got %d", got)
	}
	for _, addr := range anywhere {
		a := System{}.Try(netip.AddrPortFrom(addr, got[0]))
		if a.State != Free && a.State != Unavailable {
			t.Errorf("%s: %s, %v", a.Addr, a.State, a.Err)
		}
	}
}

func TestBindError(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	err := System{}.Try(at("127.0.0.1", port)).Err
	want := fmt.Sprintf("bind 127.0.0.1:%d: ", port)
	if err == nil || !strings.HasPrefix(err.Error(), want) || errors.Unwrap(err) == nil {
		t.Errorf("got %v, want %s and why", err, want)
	}
}

func BenchmarkTry(b *testing.B) {
	free, used := unused(b), listen(b, "tcp4", "127.0.0.1:0")
	for _, bb := range []struct {
		name string
		port uint16
	}{{"free", free}, {"in use", used}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				System{}.Try(at("127.0.0.1", bb.port))
			}
		})
	}
}

func BenchmarkFreeFrom(b *testing.B) {
	for _, count := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				freeFrom(b, 10000, count)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Read()
	}
}

package watcher

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// capacity returns the Traffic capacity of a queue with this backlog: 0 in a sandbox without sock_diag.
func capacity(backlog int) int {
	if wantSource() != "sock_diag" {
		return 0
	}
	return backlog + 1
}

// TestTrafficQueue fills the queues of listeners that never accept.
func TestTrafficQueue(t *testing.T) {
	needIPv6(t)
	tests := []struct{ name, listen, dial, want string }{
		{"IPv4", "127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "::1", "::1", "::1"},
		{"dual-stack", "::", "127.0.0.1", "::"},
		{"IPv4 in IPv6", "::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for backlog := range 3 {
				file, port := listenRaw(t, netip.MustParseAddr(tt.listen), freePort(t))
				if err := unix.Listen(int(file.Fd()), backlog); err != nil {
					t.Fatal(err)
				}
				expectTraffic(t, port, fmt.Sprintf("queue:%s:0/%d", tt.want, capacity(backlog)))
				address := hostPort(tt.dial, port)
				for n := range backlog + 1 {
					client, err := net.Dial("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					defer client.Close()
					expectTraffic(t, port,
						fmt.Sprintf("queue:%s:%d/%d connected:%d", tt.want, n+1, capacity(backlog), n+1))
				}
				got, err := ReadTraffic(t.Context(), port)
				if err != nil || len(got.Queues) != 1 || got.Queues[0].Full() != (capacity(backlog) > 0) {
					t.Errorf("with a backlog of %d: got %+v, %v", backlog, got, err)
				}
				// The queue is full: new clients get no answer.
				if client, err := net.DialTimeout("tcp", address, 50*time.Millisecond); err == nil {
					client.Close()
					t.Errorf("a listener with the backlog %d answered more clients than its backlog plus one", backlog)
				}
				accepted, _, err := unix.Accept4(int(file.Fd()), unix.SOCK_CLOEXEC)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(accepted)
				expectTraffic(t, port,
					fmt.Sprintf("queue:%s:%d/%d connected:%d", tt.want, backlog, capacity(backlog), backlog+1))
			}
		})
	}
}

// TestTrafficQueues has several sockets on one port, some of them at the same address.
func TestTrafficQueues(t *testing.T) {
	needIPv6(t)
	port := freePort(t)
	for _, addr := range []string{"::1", "127.0.0.1", "127.0.0.1", "127.0.0.2"} {
		listenRaw(t, netip.MustParseAddr(addr), port, reusePort)
	}
	c := capacity(1)
	expectTraffic(t, port,
		fmt.Sprintf("queue:127.0.0.1:0/%d queue:127.0.0.1:0/%d queue:127.0.0.2:0/%d queue:::1:0/%d", c, c, c, c))
}

// bindAlone tries to bind a port of 127.0.0.1 without sharing it.
func bindAlone(t testing.TB, port uint16) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
}

// TestTrafficEnds follows a connection through its states at both ends, and then closes the listener.
func TestTrafficEnds(t *testing.T) {
	needLoopback(t)
	me := os.Getpid()
	tests := []struct {
		name           string
		do             func(client, server *net.TCPConn) error
		server, client string // the traffic at the port of each end
	}{
		{"open", func(client, server *net.TCPConn) error { return nil }, "connected:1", "connected:1 stray"},
		{"closed for writing by the server", func(client, server *net.TCPConn) error { return server.CloseWrite() },
			"connected:1", "connected:1 stray"},
		{"closed for writing by the client", func(client, server *net.TCPConn) error { return client.CloseWrite() },
			"connected:1", "connected:1 stray"},
		{"closed by the client only", func(client, server *net.TCPConn) error { return client.Close() }, "connected:1",
			"lingering:1"},
		{"closed by the server only", func(client, server *net.TCPConn) error { return server.Close() }, "lingering:1",
			"connected:1 stray"},
		{"closed by the server first",
			func(client, server *net.TCPConn) error { server.Close(); return client.Close() }, "lingering:1", ""},
		{"closed by the client first",
			func(client, server *net.TCPConn) error { client.Close(); return server.Close() }, "", "lingering:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listenAlone(t, "127.0.0.1")
			if err := unixListen(l, 3); err != nil {
				t.Fatal(err)
			}
			port := portOf(l)
			client, server := connect(t, l)
			own := ownPort(client)
			if err := tt.do(client, server); err != nil {
				t.Fatal(err)
			}
			expectTraffic(t, port, strings.TrimSpace(fmt.Sprintf("queue:127.0.0.1:0/%d %s", capacity(3), tt.server)))
			expectTraffic(t, own,
				strings.Replace(tt.client, "stray", fmt.Sprintf("stray:127.0.0.1>127.0.0.1:%d@%d", port, me), 1))
			l.Close()
			want := tt.server
			if strings.HasPrefix(want, "connected") { // the connection has outlived its listener
				want += fmt.Sprintf(" stray:127.0.0.1>127.0.0.1:%d@%d", own, me)
			}
			expectTraffic(t, port, want)
			// While there is traffic, the port is not free.
			for p, what := range map[uint16]string{port: tt.server, own: tt.client} {
				if err := bindAlone(t, p); (err != nil) != (what != "") || err != nil && err != unix.EADDRINUSE {
					t.Errorf("with %q at a port, binding to it returned %v", what, err)
				}
			}
		})
	}
}

// unixListen changes the backlog of a listener.
func unixListen(l *net.TCPListener, backlog int) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var listened error
	if err := raw.Control(func(fd uintptr) { listened = unix.Listen(int(fd), backlog) }); err != nil {
		return err
	}
	return listened
}

// TestTrafficStray has connections to other addresses from ports without a listener.
func TestTrafficStray(t *testing.T) {
	needLoopback(t)
	me := os.Getpid()
	t.Run("IPv6", func(t *testing.T) {
		needIPv6(t)
		l := listenAlone(t, "::1")
		client, _ := connect(t, l)
		expectTraffic(t, ownPort(client), fmt.Sprintf("connected:1 stray:::1>[::1]:%d@%d", portOf(l), me))
	})
	t.Run("IPv4 in IPv6", func(t *testing.T) {
		needIPv6(t)
		l := listenAlone(t, "127.0.0.1")
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		loopback, own := netip.MustParseAddr("::ffff:127.0.0.1").As16(), freePort(t)
		if err := unix.Bind(fd, &unix.SockaddrInet6{Port: int(own), Addr: loopback}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet6{Port: int(portOf(l)), Addr: loopback}); err != nil {
			t.Fatal(err)
		}
		expectTraffic(t, own, fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@%d", portOf(l), me))
	})
	t.Run("beside a listener", func(t *testing.T) {
		l := listenAlone(t, "127.0.0.1")
		client, _ := connect(t, l)
		listenRaw(t, netip.MustParseAddr("127.0.0.2"), ownPort(client))
		want := fmt.Sprintf("queue:127.0.0.2:0/%d connected:1 stray:127.0.0.1>127.0.0.1:%d@%d", capacity(1), portOf(l),
			me)
		expectTraffic(t, ownPort(client), want)
	})
	t.Run("another process's", func(t *testing.T) {
		l := listenAlone(t, "127.0.0.1")
		own := freePort(t)
		cmd := roleCommand("dial", l.Addr().String(), fmt.Sprint(own))
		start(t, cmd)
		expectTraffic(t, own, fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@%d", portOf(l), cmd.Process.Pid))
	})
	t.Run("without an answer", func(t *testing.T) {
		file, port := listenRaw(t, netip.MustParseAddr("127.0.0.1"), 0)
		if err := unix.Listen(int(file.Fd()), 0); err != nil {
			t.Fatal(err)
		}
		first, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		loopback, own := [4]byte{127, 0, 0, 1}, freePort(t)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(own), Addr: loopback}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: loopback}); err != unix.EINPROGRESS {
			t.Fatalf("connecting returned %v, want %v", err, unix.EINPROGRESS)
		}
		expectTraffic(t, own, fmt.Sprintf("stray:127.0.0.1>127.0.0.1:%d@%d", port, me))
	})
	t.Run("many", func(t *testing.T) {
		l := listenAlone(t, "127.0.0.1")
		port := portOf(l)
		for range maxStrays + 10 {
			connect(t, l)
		}
		l.Close()
		got, err := ReadTraffic(t.Context(), port)
		if err != nil || got.Connected != maxStrays+10 || len(got.Strays) != maxStrays {
			t.Errorf("got %d connections, %d of them listed, %v, want %d and %d", got.Connected, len(got.Strays), err,
				maxStrays+10, maxStrays)
		}
		for _, so := range got.Strays {
			if int(so.Owner.PID) != me || so.Owner.Name == "" || so.Owner.Since.IsZero() {
				t.Errorf("the connection to %v has the owner %+v", so.Remote, so.Owner)
			}
		}
	})
}

// roleDial connects from a port and prints a line when it is connected.
func roleDial(addr, port string) error {
	own, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	c, err := dial(addr, uint16(own))
	if err != nil {
		return err
	}
	defer c.Close()
	stay("ready")
	return nil
}

// tellsBound reports whether the kernel lists sockets that are only bound.
func tellsBound(t testing.TB) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return wantSource() == "sock_diag" && (major > 6 || major == 6 && minor >= 8)
}

// TestTrafficBound has sockets that are bound but do not listen yet.
func TestTrafficBound(t *testing.T) {
	needIPv6(t)
	port := freePort(t)
	for _, bind := range []struct {
		family int
		to     unix.Sockaddr
	}{
		{unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}},
		{unix.AF_INET6, &unix.SockaddrInet6{Port: int(port), Addr: netip.IPv6Loopback().As16()}},
		{unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}}, // on another port
	} {
		fd, err := unix.Socket(bind.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, bind.to); err != nil {
			t.Fatal(err)
		}
	}
	want := ""
	if tellsBound(t) {
		want = fmt.Sprintf("bound:127.0.0.1@%d bound:::1@%d", os.Getpid(), os.Getpid())
	}
	expectTraffic(t, port, want)
	if err := bindAlone(t, port); err != unix.EADDRINUSE {
		t.Errorf("binding to it returned %v", err)
	}
}

// TestTrafficNothing has a port that was used a moment ago.
func TestTrafficNothing(t *testing.T) {
	l := listenAlone(t, "127.0.0.1")
	l.Close()
	expectTraffic(t, portOf(l), "")
}

func TestTrafficUDP(t *testing.T) {
	needIPv6(t)
	me := os.Getpid()
	tests := []struct{ name, network, host, want string }{
		{"IPv4", "udp4", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "udp6", "::1", "::1"},
		{"IPv4 wildcard", "udp4", "0.0.0.0", "0.0.0.0"},
		{"dual-stack wildcard", "udp", "", "::"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			udp(t, tt.network, hostPort(tt.host, port))
			expectTraffic(t, port, fmt.Sprintf("udp:%s@%d", tt.want, me))
		})
	}
	t.Run("IPv4 in IPv6", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		port := freePort(t)
		if err := unix.Bind(fd,
			&unix.SockaddrInet6{Port: int(port), Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}); err != nil {
			t.Fatal(err)
		}
		expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1@%d", me))
	})
	t.Run("connected", func(t *testing.T) {
		port := freePort(t)
		loopback := net.IPv4(127, 0, 0, 1)
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: loopback, Port: int(port)}, &net.UDPAddr{IP: loopback, Port: 9})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1>127.0.0.1:9@%d", me))
	})
	t.Run("beside TCP, in another process", func(t *testing.T) {
		l := listenAlone(t, "127.0.0.1")
		if err := unixListen(l, 3); err != nil {
			t.Fatal(err)
		}
		other := roleCommand("datagrams", l.Addr().String())
		start(t, other)
		udp(t, "udp6", hostPort("::1", portOf(l)))
		want := fmt.Sprintf("queue:127.0.0.1:0/%d udp:127.0.0.1@%d udp:::1@%d", capacity(3), other.Process.Pid, me)
		expectTraffic(t, portOf(l), want)
		kill(other)
		expectTraffic(t, portOf(l), fmt.Sprintf("queue:127.0.0.1:0/%d udp:::1@%d", capacity(3), me))
	})
	t.Run("of a main process and its worker", func(t *testing.T) {
		port := freePort(t)
		socket := udp(t, "udp4", hostPort("127.0.0.1", port))
		file, err := socket.File()
		if err != nil {
			t.Fatal(err)
		}
		worker := holder(t, file)
		expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1@%d", me))
		file.Close()
		socket.Close()
		expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1@%d", worker.Process.Pid))
	})
}

// roleDatagrams opens a UDP socket and prints a line when it is open.
func roleDatagrams(addr string) error {
	socket, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	defer socket.Close()
	stay("ready")
	return nil
}

// TestTrafficStranger has sockets of another user. Then another user reads the traffic of root's sockets.
func TestTrafficStranger(t *testing.T) {
	needLoopback(t)
	needStrangers(t)
	path := copyBinary(t, 0o755)
	stranger := func(role string, args ...string) (*exec.Cmd, []string) {
		cmd := roleCommand(role, args...)
		cmd.Path, cmd.Dir = path, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd, start(t, cmd)
	}
	port := freePort(t)
	cmd, _ := stranger("datagrams", hostPort("127.0.0.1", port))
	expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1@%d!", cmd.Process.Pid))

	l := listenAlone(t, "127.0.0.1")
	port = freePort(t)
	cmd, _ = stranger("dial", l.Addr().String(), fmt.Sprint(port))
	expectTraffic(t, port, fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@%d!", portOf(l), cmd.Process.Pid))

	client, _ := connect(t, l)
	udp(t, "udp4", hostPort("127.0.0.1", ownPort(client)))
	want := fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@0! udp:127.0.0.1@0!", portOf(l))
	if _, said := stranger("traffic", fmt.Sprint(ownPort(client))); strings.Join(said, " ") != want {
		t.Errorf("another user finds %q, want %q", said, want)
	}
}

// roleTraffic prints the traffic at a port.
func roleTraffic(arg string) error {
	port, err := strconv.ParseUint(arg, 10, 16)
	if err != nil {
		return err
	}
	t, err := ReadTraffic(context.Background(), uint16(port))
	if err != nil {
		return err
	}
	stay(traffic(t))
	return nil
}

// TestTrafficFails runs without a way to list sockets.
func TestTrafficFails(t *testing.T) {
	port := freePort(t)
	withoutFiles(t, func() {
		want := fmt.Sprintf("read the traffic at port %d: list TCP sockets: open /proc/net/tcp: too many open files",
			port)
		if got, err := ReadTraffic(t.Context(), port); err == nil || err.Error() != want || traffic(got) != "" {
			t.Errorf("got %q, %v, want %s", traffic(got), err, want)
		}
	})
}

// BenchmarkTraffic reads the traffic at a port with 20,000 connections, with or without a listener, and at an idle one.
//
//	go test -run '^$' -bench Traffic -benchtime 20x ./watcher
func BenchmarkTraffic(b *testing.B) {
	crowd := load{processes: 40, connections: 20_000}
	port := crowd.start(b)
	run := func(name string, port uint16, connections int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got, err := ReadTraffic(b.Context(), port)
				if err != nil || got.Connected != connections {
					b.Fatalf("got %d connections, %v, want %d", got.Connected, err, connections)
				}
			}
		})
	}
	run("without a listener", port, crowd.connections)
	l := listenTCP(b, fmt.Sprintf("127.0.0.1:%d", port))
	run("with a listener", port, crowd.connections)
	b.Run("proc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if sockets, err := procSocketsAt(unix.IPPROTO_TCP, port); err != nil || len(sockets) <= crowd.connections {
				b.Fatalf("got %d sockets, %v, want more than %d", len(sockets), err, crowd.connections)
			}
		}
	})
	l.Close()
	run("listener only", portOf(listenAlone(b, "127.0.0.1")), 0)
	datagrams := freePort(b)
	udp(b, "udp4", hostPort("127.0.0.1", datagrams))
	run("UDP", datagrams, 0)
}

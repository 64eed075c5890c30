package watcher

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// capacity returns the capacity of a queue with this backlog as a Traffic gives it where the test runs.
func capacity(backlog int) int {
	if wantSource() != "sock_diag" {
		return 0
	}
	return backlog + 1
}

// listenQuiet is listenRaw at a port where nothing is left of another connection, which may have had it as its own.
func listenQuiet(t testing.TB, addr netip.Addr) (*os.File, uint16) {
	t.Helper()
	for {
		file, port := listenRaw(t, addr, 0)
		if now, err := ReadTraffic(t.Context(), port); err != nil || now.Connected == 0 && now.Lingering <= 0 {
			return file, port
		}
	}
}

// TestTrafficQueue fills the queues of listeners that do not accept anything.
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
				file, port := listenQuiet(t, netip.MustParseAddr(tt.listen))
				if err := unix.Listen(int(file.Fd()), backlog); err != nil {
					t.Fatal(err)
				}
				expectTraffic(t, port, fmt.Sprintf("queue:%s:0/%d", tt.want, capacity(backlog)))
				address := net.JoinHostPort(tt.dial, strconv.Itoa(int(port)))
				for n := range backlog + 1 {
					client, err := net.Dial("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					defer client.Close()
					expectTraffic(t, port, fmt.Sprintf("queue:%s:%d/%d connected:%d", tt.want, n+1, capacity(backlog), n+1))
				}
				got, err := ReadTraffic(t.Context(), port)
				if err != nil || len(got.Queues) != 1 || got.Queues[0].Full() != (capacity(backlog) > 0) {
					t.Errorf("with a backlog of %d: got %+v, %v", backlog, got, err)
				}
				// That is what being full means. Whoever connects waits for an answer, with a port of its own.
				if client, err := net.DialTimeout("tcp", address, 50*time.Millisecond); err == nil {
					client.Close()
					t.Errorf("a listener with a backlog of %d has answered once more than that and one", backlog)
				}
				accepted, _, err := unix.Accept4(int(file.Fd()), unix.SOCK_CLOEXEC)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(accepted)
				expectTraffic(t, port, fmt.Sprintf("queue:%s:%d/%d connected:%d", tt.want, backlog, capacity(backlog), backlog+1))
			}
		})
	}
}

// TestTrafficQueues has several sockets listen on one port, some of them at the same address.
func TestTrafficQueues(t *testing.T) {
	needIPv6(t)
	port := uint16(0)
	for _, addr := range []string{"::1", "127.0.0.1", "127.0.0.1", "127.0.0.2"} {
		_, port = listenRaw(t, netip.MustParseAddr(addr), port, reusePort)
	}
	c := capacity(1)
	expectTraffic(t, port, fmt.Sprintf("queue:127.0.0.1:0/%d queue:127.0.0.1:0/%d queue:127.0.0.2:0/%d queue:::1:0/%d", c, c, c, c))
}

// connect returns both ends of a connection that is accepted, the client's first.
func connect(t testing.TB, l net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// ownPort returns the port of this end of a connection.
func ownPort(c net.Conn) uint16 { return uint16(c.LocalAddr().(*net.TCPAddr).Port) }

// bindAlone tries whether a program can have a port of 127.0.0.1 that does not ask to share it.
func bindAlone(t testing.TB, port uint16) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
}

// TestTrafficEnds follows a connection through its states, at both of its ends, and then has the listener go.
func TestTrafficEnds(t *testing.T) {
	me := os.Getpid()
	tests := []struct {
		name           string
		do             func(client, server *net.TCPConn) error
		server, client string // what there is at each end's port
	}{
		{"open", func(client, server *net.TCPConn) error { return nil }, "connected:1", "connected:1 stray"},
		{"closed for writing by the server", func(client, server *net.TCPConn) error { return server.CloseWrite() }, "connected:1", "connected:1 stray"},
		{"closed for writing by the client", func(client, server *net.TCPConn) error { return client.CloseWrite() }, "connected:1", "connected:1 stray"},
		{"closed by the client only", func(client, server *net.TCPConn) error { return client.Close() }, "connected:1", "lingering:1"},
		{"closed by the server only", func(client, server *net.TCPConn) error { return server.Close() }, "lingering:1", "connected:1 stray"},
		{"closed by the server first", func(client, server *net.TCPConn) error { server.Close(); return client.Close() }, "lingering:1", ""},
		{"closed by the client first", func(client, server *net.TCPConn) error { client.Close(); return server.Close() }, "", "lingering:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := listenTCP(t, "127.0.0.1:0")
			defer l.Close()
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
			expectTraffic(t, own, strings.Replace(tt.client, "stray", fmt.Sprintf("stray:127.0.0.1>127.0.0.1:%d@%d", port, me), 1))
			l.Close()
			want := tt.server
			if strings.HasPrefix(want, "connected") { // it has outlived its listener
				want += fmt.Sprintf(" stray:127.0.0.1>127.0.0.1:%d@%d", own, me)
			}
			expectTraffic(t, port, want)
			// As long as there is something, the port cannot be had.
			for p, what := range map[uint16]string{port: tt.server, own: tt.client} {
				if err := bindAlone(t, p); (err != nil) != (what != "") || err != nil && err != unix.EADDRINUSE {
					t.Errorf("with %q at a port, binding to it gives %v", what, err)
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

// TestTrafficStray has connections to somewhere else, whose ports nobody listens on.
func TestTrafficStray(t *testing.T) {
	me := os.Getpid()
	t.Run("IPv6", func(t *testing.T) {
		needIPv6(t)
		l := listenTCP(t, "[::1]:0")
		defer l.Close()
		client, _ := connect(t, l)
		expectTraffic(t, ownPort(client), fmt.Sprintf("connected:1 stray:::1>[::1]:%d@%d", portOf(l), me))
	})
	t.Run("IPv4 in IPv6", func(t *testing.T) {
		needIPv6(t)
		l := listenTCP(t, "127.0.0.1:0")
		defer l.Close()
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		to := &unix.SockaddrInet6{Port: int(portOf(l)), Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
		if err := unix.Connect(fd, to); err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		own := uint16(name.(*unix.SockaddrInet6).Port)
		expectTraffic(t, own, fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@%d", portOf(l), me))
	})
	t.Run("beside a listener", func(t *testing.T) {
		l := listenTCP(t, "127.0.0.1:0")
		defer l.Close()
		client, _ := connect(t, l)
		listenRaw(t, netip.MustParseAddr("127.0.0.2"), ownPort(client))
		want := fmt.Sprintf("queue:127.0.0.2:0/%d connected:1 stray:127.0.0.1>127.0.0.1:%d@%d", capacity(1), portOf(l), me)
		expectTraffic(t, ownPort(client), want)
	})
	t.Run("another process's", func(t *testing.T) {
		l := listenTCP(t, "127.0.0.1:0")
		defer l.Close()
		cmd := roleCommand("dial", l.Addr().String())
		own := uint16(number(t, start(t, cmd)[0]))
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
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != unix.EINPROGRESS {
			t.Fatalf("connecting gives %v, want %v", err, unix.EINPROGRESS)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		expectTraffic(t, uint16(name.(*unix.SockaddrInet4).Port), fmt.Sprintf("stray:127.0.0.1>127.0.0.1:%d@%d", port, me))
	})
	t.Run("many", func(t *testing.T) {
		l := listenTCP(t, "127.0.0.1:0")
		port := portOf(l)
		for range maxStrays + 10 {
			connect(t, l)
		}
		l.Close()
		got, err := ReadTraffic(t.Context(), port)
		if err != nil || got.Connected != maxStrays+10 || len(got.Strays) != maxStrays {
			t.Errorf("got %d connections, %d of them listed, %v, want %d and %d", got.Connected, len(got.Strays), err, maxStrays+10, maxStrays)
		}
		for _, so := range got.Strays {
			if int(so.Owner.PID) != me || so.Owner.Name == "" || so.Owner.Since.IsZero() {
				t.Errorf("the owner of the one to %v is %+v", so.Remote, so.Owner)
			}
		}
	})
}

// roleDial connects and says its port.
func roleDial(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stay(ownPort(c))
	return nil
}

// tellsBound reports whether the kernel tells of sockets that are bound and nothing else.
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

// TestTrafficBound has sockets that do not listen yet.
func TestTrafficBound(t *testing.T) {
	needIPv6(t)
	bindTo := func(family int, to unix.Sockaddr) uint16 {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, to); err != nil {
			t.Fatal(err)
		}
		bound, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		if six, ok := bound.(*unix.SockaddrInet6); ok {
			return uint16(six.Port)
		}
		return uint16(bound.(*unix.SockaddrInet4).Port)
	}
	port := bindTo(unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	bindTo(unix.AF_INET6, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16(), Port: int(port)})
	bindTo(unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) // another port
	want := ""
	if tellsBound(t) {
		want = fmt.Sprintf("bound:127.0.0.1@%d bound:::1@%d", os.Getpid(), os.Getpid())
	}
	expectTraffic(t, port, want)
	if err := bindAlone(t, port); err != unix.EADDRINUSE {
		t.Errorf("binding to it gives %v", err)
	}
}

// TestTrafficNothing has a port that was used until just now.
func TestTrafficNothing(t *testing.T) {
	l := listenTCP(t, "127.0.0.1:0")
	l.Close()
	expectTraffic(t, portOf(l), "")
}

func TestTrafficUDP(t *testing.T) {
	needIPv6(t)
	me := os.Getpid()
	tests := []struct{ name, network, addr, want string }{
		{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "udp6", "[::1]:0", "::1"},
		{"IPv4 wildcard", "udp4", "0.0.0.0:0", "0.0.0.0"},
		{"dual-stack wildcard", "udp", ":0", "::"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectTraffic(t, udp(t, tt.network, tt.addr), fmt.Sprintf("udp:%s@%d", tt.want, me))
		})
	}
	t.Run("IPv4 in IPv6", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}); err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		expectTraffic(t, uint16(name.(*unix.SockaddrInet6).Port), fmt.Sprintf("udp:127.0.0.1@%d", me))
	})
	t.Run("connected", func(t *testing.T) {
		c, err := net.Dial("udp4", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		expectTraffic(t, uint16(c.LocalAddr().(*net.UDPAddr).Port), fmt.Sprintf("udp:127.0.0.1>127.0.0.1:9@%d", me))
	})
	t.Run("beside TCP, in another process", func(t *testing.T) {
		l := listenTCP(t, "127.0.0.1:0")
		defer l.Close()
		if err := unixListen(l, 3); err != nil {
			t.Fatal(err)
		}
		other := roleCommand("datagrams", l.Addr().String())
		start(t, other)
		udp(t, "udp6", fmt.Sprintf("[::1]:%d", portOf(l)))
		want := fmt.Sprintf("queue:127.0.0.1:0/%d udp:127.0.0.1@%d udp:::1@%d", capacity(3), other.Process.Pid, me)
		expectTraffic(t, portOf(l), want)
		kill(other)
		expectTraffic(t, portOf(l), fmt.Sprintf("queue:127.0.0.1:0/%d udp:::1@%d", capacity(3), me))
	})
	t.Run("of a main process and its worker", func(t *testing.T) {
		socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := socket.(*net.UDPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		worker := holder(t, file)
		port := uint16(socket.LocalAddr().(*net.UDPAddr).Port)
		expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1@%d", me))
		file.Close()
		socket.Close()
		expectTraffic(t, port, fmt.Sprintf("udp:127.0.0.1@%d", worker.Process.Pid))
	})
}

// roleDatagrams opens a UDP socket and says its port.
func roleDatagrams(addr string) error {
	socket, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	defer socket.Close()
	stay(socket.LocalAddr().(*net.UDPAddr).Port)
	return nil
}

// TestTrafficStranger has another user's sockets, and then another user look at those of root's.
func TestTrafficStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run processes as other users")
	}
	path := copyBinary(t, 0o755)
	stranger := func(role, arg string) (*exec.Cmd, []string) {
		cmd := roleCommand(role, arg)
		cmd.Path, cmd.Dir = path, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd, start(t, cmd)
	}
	cmd, said := stranger("datagrams", "127.0.0.1:0")
	expectTraffic(t, uint16(number(t, said[0])), fmt.Sprintf("udp:127.0.0.1@%d!", cmd.Process.Pid))

	l := listenTCP(t, "127.0.0.1:0")
	defer l.Close()
	cmd, said = stranger("dial", l.Addr().String())
	expectTraffic(t, uint16(number(t, said[0])), fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@%d!", portOf(l), cmd.Process.Pid))

	client, _ := connect(t, l)
	udp(t, "udp4", fmt.Sprintf("127.0.0.1:%d", ownPort(client)))
	want := fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@0! udp:127.0.0.1@0!", portOf(l))
	if _, said := stranger("traffic", fmt.Sprint(ownPort(client))); strings.Join(said, " ") != want {
		t.Errorf("another user finds %q, want %q", said, want)
	}
}

// roleTraffic says what there is at a port.
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

// TestTrafficFails has no way to list sockets.
func TestTrafficFails(t *testing.T) {
	port := udp(t, "udp4", "127.0.0.1:0")
	withoutFiles(t, func() {
		want := fmt.Sprintf("read the traffic at port %d: list TCP sockets: open /proc/net/tcp: too many open files", port)
		if got, err := ReadTraffic(t.Context(), port); err == nil || err.Error() != want || traffic(got) != "" {
			t.Errorf("got %q, %v, want %s", traffic(got), err, want)
		}
	})
}

// TestListingsAtPort has both ways to list sockets agree, and one take over where the other breaks off.
func TestListingsAtPort(t *testing.T) {
	l := listenTCP(t, "127.0.0.1:0")
	defer l.Close()
	port := portOf(l)
	udp(t, "udp4", fmt.Sprintf("127.0.0.1:%d", port))
	for range 3 {
		connect(t, l)
	}
	client, server := connect(t, l)
	server.Close()
	client.Close()
	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	lingers := func(so inetSocket) bool { return so.state == tcpTimeWait }
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(time.Millisecond) { // or states change under way
		if all, err := d.socketsAt(unix.IPPROTO_TCP, port); err != nil || slices.ContainsFunc(all, lingers) {
			break
		}
	}
	broken := &diag{fd: -1}
	small := &diag{fd: d.fd, buf: make([]byte, 16)} // too small for anything
	for protocol, want := range map[uint8]int{unix.IPPROTO_TCP: 5, unix.IPPROTO_UDP: 1} {
		better, err := socketsOf(protocol, port, d)
		if err != nil {
			t.Fatal(err)
		}
		for i, so := range better {
			if so.cookie == 0 || !so.limited || so.protocol != protocol {
				t.Errorf("%+v does not come from sock_diag", so)
			}
			better[i].cookie, better[i].cgroup, better[i].limit, better[i].limited = 0, 0, 0, false
		}
		if len(better) != want {
			t.Errorf("protocol %d: %d sockets, want %d", protocol, len(better), want)
		}
		for name, d := range map[string]*diag{"no sock_diag": nil, "a broken one": broken, "a failing one": small} {
			sockets, err := socketsOf(protocol, port, d)
			if err != nil {
				t.Fatal(err)
			}
			for _, so := range sockets {
				if !slices.Contains(better, so) {
					t.Errorf("%s: %+v is not among %+v", name, so, better)
				}
			}
			if len(sockets) != want {
				t.Errorf("%s: %d sockets, want %d", name, len(sockets), want)
			}
		}
	}
}

func TestDistinct(t *testing.T) {
	four := netip.MustParseAddr("127.0.0.1")
	a := inetSocket{row: row{addr: four, port: 80, cookie: 1}, state: tcpEstablished}
	later, other, cookieless, inode := a, a, a, a
	later.state = tcpFinWait2
	other.cookie = 2
	cookieless.cookie = 0
	inode.cookie, inode.inode = 0, 7
	got := distinct([]inetSocket{a, cookieless, later, other, a, inode, cookieless, inode})
	if want := []inetSocket{a, cookieless, other, inode}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestInetSocketEnd(t *testing.T) {
	four := netip.MustParseAddr("127.0.0.1")
	at := row{addr: four, port: 80, inode: 7}
	orphan := row{addr: four, port: 80}
	far := netip.MustParseAddrPort("10.0.0.1:443")
	zero := netip.MustParseAddrPort("0.0.0.0:0")
	const tcp, udp = unix.IPPROTO_TCP, unix.IPPROTO_UDP
	tests := []struct {
		name   string
		socket inetSocket
		want   end
	}{
		{"listener", inetSocket{row: at, protocol: tcp, state: tcpListen, remote: zero, waiting: 3, limit: 4096, limited: true},
			end{use: listens, local: four, queue: Queue{four, 3, 4097}}},
		{"listener of unknown limit", inetSocket{row: at, protocol: tcp, state: tcpListen, remote: zero, waiting: 3}, end{use: listens, local: four, queue: Queue{four, 3, 0}}},
		{"established", inetSocket{row: at, protocol: tcp, state: tcpEstablished, remote: far}, end{use: connected, local: four, remote: far}},
		{"not accepted yet", inetSocket{row: orphan, protocol: tcp, state: tcpEstablished, remote: far}, end{use: connected, local: four, remote: far}},
		{"not accepted yet and closed", inetSocket{row: orphan, protocol: tcp, state: tcpCloseWait, remote: far}, end{use: connected, local: four, remote: far}},
		{"about to be made", inetSocket{row: at, protocol: tcp, state: tcpSynSent, remote: far}, end{use: connects, local: four, remote: far}},
		{"half of a handshake", inetSocket{row: orphan, protocol: tcp, state: 3, remote: far}, end{local: four, remote: far}},
		{"closed for writing 1", inetSocket{row: at, protocol: tcp, state: tcpFinWait1, remote: far}, end{use: connected, local: four, remote: far}},
		{"closed for writing 2", inetSocket{row: at, protocol: tcp, state: tcpFinWait2, remote: far}, end{use: connected, local: four, remote: far}},
		{"closed 1", inetSocket{row: orphan, protocol: tcp, state: tcpFinWait1, remote: far}, end{use: lingers, local: four, remote: far}},
		{"closed 2", inetSocket{row: orphan, protocol: tcp, state: tcpFinWait2, remote: far}, end{use: lingers, local: four, remote: far}},
		{"closed by both", inetSocket{row: orphan, protocol: tcp, state: tcpLastAck, remote: far}, end{use: lingers, local: four, remote: far}},
		{"closed at once by both", inetSocket{row: orphan, protocol: tcp, state: tcpClosing, remote: far}, end{use: lingers, local: four, remote: far}},
		{"lingering", inetSocket{row: orphan, protocol: tcp, state: tcpTimeWait, remote: far}, end{use: lingers, local: four, remote: far}},
		{"bound", inetSocket{row: at, protocol: tcp, state: tcpClose, remote: zero}, end{use: bound, local: four}},
		{"UDP", inetSocket{row: at, protocol: udp, state: tcpClose, remote: zero}, end{use: datagrams, local: four}},
		{"connected UDP", inetSocket{row: at, protocol: udp, state: tcpEstablished, remote: far}, end{use: datagrams, local: four, remote: far}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.socket.end()
			if got.use != listens {
				got.queue = Queue{} // which is no queue
			}
			if got != tt.want {
				t.Errorf("%+v: got %+v, want %+v", tt.socket, got, tt.want)
			}
		})
	}
}

// trafficMessage is what the kernel sends of a socket, without attributes.
func trafficMessage(so inetSocket) []byte {
	ne := binary.NativeEndian
	b := diagSocket(so.row)
	b[1] = so.state
	binary.BigEndian.PutUint16(b[6:], so.remote.Port())
	copy(b[24:40], so.remote.Addr().AsSlice())
	ne.PutUint32(b[56:], so.waiting)
	ne.PutUint32(b[60:], so.limit)
	return b
}

func TestParseDiagTraffic(t *testing.T) {
	four := row{addr: netip.MustParseAddr("127.0.0.1"), port: 80, uid: 1000, inode: 1<<32 - 1, cookie: 1<<40 + 5}
	six := row{addr: netip.MustParseAddr("::1"), port: 65535, inode: 12}
	mapped := row{addr: netip.MustParseAddr("::ffff:127.0.0.1"), port: 80, uid: 1000, inode: 1<<32 - 1, cookie: 1<<40 + 5}
	tests := []struct {
		name   string
		socket inetSocket
		want   inetSocket
	}{
		{"listener", inetSocket{row: four, state: tcpListen, remote: netip.MustParseAddrPort("0.0.0.0:0"), waiting: 2, limit: 1<<32 - 1},
			inetSocket{row: four, state: tcpListen, remote: netip.MustParseAddrPort("0.0.0.0:0"), waiting: 2, limit: 1<<32 - 1, limited: true}},
		{"IPv6", inetSocket{row: six, state: tcpTimeWait, remote: netip.MustParseAddrPort("[2001:db8::1:2]:443")},
			inetSocket{row: six, state: tcpTimeWait, remote: netip.MustParseAddrPort("[2001:db8::1:2]:443"), limited: true}},
		{"IPv4 in IPv6", inetSocket{row: mapped, state: tcpEstablished, remote: netip.MustParseAddrPort("[::ffff:10.1.2.3]:1")},
			inetSocket{row: four, state: tcpEstablished, remote: netip.MustParseAddrPort("10.1.2.3:1"), limited: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := trafficMessage(tt.socket)
			if got, wanted, whole := parseDiagTraffic(b); got != tt.want || !wanted || !whole {
				t.Errorf("%x: got %+v, %v, %v, want %+v", b, got, wanted, whole, tt.want)
			}
			b[0] = unix.AF_APPLETALK
			if got, wanted, whole := parseDiagTraffic(b); got != (inetSocket{}) || wanted || whole {
				t.Errorf("of an unknown family: got %+v, %v, %v", got, wanted, whole)
			}
		})
	}
}

func FuzzParseDiagTraffic(f *testing.F) {
	l := listenTCP(f, "127.0.0.1:0")
	f.Cleanup(func() { l.Close() })
	connect(f, l)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			for _, part := range answers(f, question{family: family, protocol: protocol, states: trafficStates}) {
				f.Add(part, uint32(1))
				f.Add(part[:len(part)/2], uint32(1))
			}
		}
	}
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, 0, diagSocket(row{addr: netip.IPv6Loopback()})), uint32(7))
	f.Fuzz(func(t *testing.T, part []byte, seq uint32) {
		sockets, done, err := parseDiag(part, seq, nil, parseDiagTraffic)
		rows, doneToo, errToo := parseDiag(part, seq, nil, parseDiagSocket)
		if errToo == nil && err == nil && (len(rows) > len(sockets) || done != doneToo) || err == nil && errToo != nil {
			t.Errorf("%x: got %d sockets, %v, %v, of which %d listen, %v, %v", part, len(sockets), done, err, len(rows), doneToo, errToo)
		}
		if err != nil && (sockets != nil || done) || len(sockets) > len(part)/inetDiagMsg {
			t.Errorf("%x: got %d sockets, %v, %v", part, len(sockets), done, err)
		}
		for _, so := range sockets {
			checkSocket(t, so)
		}
	})
}

// checkSocket fails the test if a socket that was read from anything at all makes no sense.
func checkSocket(t *testing.T, so inetSocket) {
	t.Helper()
	for _, addr := range []netip.Addr{so.addr, so.remote.Addr()} {
		if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" {
			t.Errorf("%+v: address %v", so, addr)
		}
	}
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		so.protocol = protocol
		e := so.end()
		if e.local != so.addr || e.remote.IsValid() != (so.remote.Port() != 0) || (e.queue.Capacity != 0) != so.limited {
			t.Errorf("%+v: got %+v", so, e)
		}
		tally([]end{e})
	}
}

func TestParseProcSocket(t *testing.T) {
	const good = "0: 0100007F:1F90 0200007F:0050 0A 00000001:00000003 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0"
	bad := map[string]string{
		"empty":                     "",
		"cut off before the inode":  good[:90],
		"no local port":             strings.Replace(good, ":1F90", "", 1),
		"no remote port":            strings.Replace(good, ":0050", "", 1),
		"remote address of a name":  strings.Replace(good, "0200007F", "localhost", 1),
		"state that is no number":   strings.Replace(good, " 0A ", " LI ", 1),
		"state of more than 8 bits": strings.Replace(good, " 0A ", " 10A ", 1),
		"one queue":                 strings.Replace(good, ":00000003", "", 1),
		"queue of more than 32 bit": strings.Replace(good, ":00000003", ":100000000", 1),
		"negative uid":              strings.Replace(good, " 1000", " -1000", 1),
	}
	for name, line := range bad {
		if got, err := parseProcSocket(line); err == nil || got != (inetSocket{}) {
			t.Errorf("%s: %q: got %+v, %v, want an error", name, line, got, err)
		}
	}
	for _, state := range []uint8{tcpEstablished, tcpTimeWait, tcpClose, tcpListen} {
		line := strings.Replace(good, " 0A ", fmt.Sprintf(" %02X ", state), 1)
		want := inetSocket{
			row: row{addr: netip.MustParseAddr("127.0.0.1"), port: 8080, uid: 1000, inode: 12345}, state: state,
			remote: netip.MustParseAddrPort("127.0.0.2:80"), waiting: 3,
		}
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			t.Skip("the lines are those of a machine with the other order of bytes")
		}
		if got, err := parseProcSocket(line); got != want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", line, got, err, want)
		}
	}
}

func TestParseProcTraffic(t *testing.T) {
	line := func(port uint16, state string, inode uint32) string {
		return procLine([]byte{127, 0, 0, 1}, port, state, 0, inode) + "\n"
	}
	remote := strings.Replace(line(81, "01", 9), "00000000:0000", "0100007F:0050", 1)
	tests := []struct{ name, file, want string }{
		{"heading only", heading, "[]"},
		{"one of each", heading + line(80, "0A", 5) + line(81, "0A", 6) + line(80, "01", 7) + line(80, "06", 0), "[5 7 0]"},
		{"port at the other end", heading + line(80, "01", 5) + remote, "[5]"},
		{"broken line of another port", heading + "x\n" + line(80, "01", 5), "[5]"},
		{"broken line", heading + "x :0050 y\n", "a line of 3 fields"},
		{"empty file", "", "the file is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sockets, err := parseProcTraffic(strings.NewReader(tt.file), 80, nil)
			inodes := []uint32{}
			for _, so := range sockets {
				inodes = append(inodes, so.inode)
			}
			got := fmt.Sprint(inodes)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzParseProcSocket(f *testing.F) {
	f.Add("")
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
		file, _ := os.ReadFile("/proc/net/" + name) // there may be no IPv6
		for line := range strings.Lines(string(file)) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		so, err := parseProcSocket(line)
		if err != nil {
			if so != (inetSocket{}) {
				t.Errorf("%q: got %+v along with %v", line, so, err)
			}
			return
		}
		checkSocket(t, so)
		// What is read as a listener is read as the same one by those who look for nothing else, and the other way round.
		if r, listening, err := parseProcLine(line); err != nil || listening && (r != so.row || so.state != tcpListen) {
			t.Errorf("%q: got %+v, and as a listener %+v, %v, %v", line, so, r, listening, err)
		}
	})
}

// BenchmarkTraffic reads the traffic at a port with 20,000 connections, of which somebody or nobody listens, and at one with none.
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
	run("listener only", portOf(listenLoopback(b)), 0)
	run("UDP", udp(b, "udp4", "127.0.0.1:0"), 0)
}

//go:build unix

package port

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

// noOption means that a socket has no option.
const noOption = 0

// socket binds a socket with options to a port at an address. It closes the socket when the test ends.
func socket(t testing.TB, to netip.AddrPort, options ...int) *os.File {
	t.Helper()
	family, addr, err := socketAddress(to)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), to.String())
	t.Cleanup(func() { file.Close() })
	for _, o := range options {
		if o == noOption {
			continue
		}
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, o, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Bind(fd, addr); err != nil {
		t.Fatal(err)
	}
	return file
}

// A visit is a connection to a server at 127.0.0.1.
type visit struct {
	port     uint16 // the server's
	listener *os.File
	server   *os.File // the server's end of the connection
	client   net.Conn
	from     uint16 // the client's port
}

// newVisit starts a server with a socket option and connects to it.
func newVisit(t testing.TB, option int) visit {
	t.Helper()
	v := visit{port: unused(t)}
	v.listener = socket(t, at("127.0.0.1", v.port), option)
	if err := syscall.Listen(int(v.listener.Fd()), 1); err != nil {
		t.Fatal(err)
	}
	v.client, v.server = v.again(t)
	v.from = uint16(v.client.LocalAddr().(*net.TCPAddr).Port)
	return v
}

// again makes another connection to the server.
func (v visit) again(t testing.TB) (client net.Conn, server *os.File) {
	t.Helper()
	client, err := net.Dial("tcp4", at("127.0.0.1", v.port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, _, err := syscall.Accept(int(v.listener.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(accepted)
	server = os.NewFile(uintptr(accepted), "accepted")
	t.Cleanup(func() { server.Close() })
	return client, server
}

// TestTryLingering ends a server that closes a connection before its client does. The connection then stays in
// TIME_WAIT, or in an earlier state until the client answers.
func TestTryLingering(t *testing.T) {
	needIPv6(t)
	v := newVisit(t, syscall.SO_REUSEADDR)
	v.server.Close()
	expect(t, v.port, "in use", "free", "in use", "in use")
	v.listener.Close()
	expect(t, v.port, "lingering+", "free", "lingering+", "lingering+")
	v.client.Close()
	expect(t, v.port, "lingering+", "free", "lingering+", "lingering+")
	expectServers(t, v.port, true, true, true, true)
	if got := freeFrom(t, v.port, 1); len(got) != 1 || got[0] == v.port {
		t.Errorf("got %d for free", got)
	}
	l, err := net.Listen("tcp4", at("127.0.0.1", v.port).String()) // the server is back
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	expect(t, v.port, "in use", "free", "in use", "in use")
}

// TestTryBound tries the port of a socket that does not listen.
func TestTryBound(t *testing.T) {
	needIPv6(t)
	port := unused(t)
	s := socket(t, at("127.0.0.1", port))
	expectStates(t, port, "in use", "free", "in use", "in use")
	if got := freeFrom(t, port, 1); len(got) != 1 || got[0] == port {
		t.Errorf("got %d for free", got)
	}
	s.Close()
	expect(t, port, "free", "free", "free", "free")
}

// TestTrySharedPort has several servers on one port. All of them set SO_REUSEPORT too.
func TestTrySharedPort(t *testing.T) {
	needIPv6(t)
	port := unused(t)
	for range 2 {
		s := socket(t, at("127.0.0.1", port), reusePort)
		if err := syscall.Listen(int(s.Fd()), 1); err != nil {
			t.Fatal(err)
		}
	}
	expectStates(t, port, "in use", "free", "in use", "in use")
}

func BenchmarkTryLingering(b *testing.B) {
	v := newVisit(b, syscall.SO_REUSEADDR)
	v.server.Close()
	v.listener.Close()
	v.client.Close()
	b.ReportAllocs()
	for b.Loop() {
		System{}.Try(at("127.0.0.1", v.port))
	}
}

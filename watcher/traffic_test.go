package watcher

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gopsnet "github.com/shirou/gopsutil/v3/net"

	"porttray/watcher/owner"
)

// traffic formats a Traffic: the queues as address, length and capacity, then the counts, then other sockets as local
// address, remote address and owner. Missing parts are left out.
func traffic(t Traffic) string {
	var all []string
	for _, q := range t.Queues {
		all = append(all, fmt.Sprintf("queue:%v:%d/%d", q.Addr, q.Waiting, q.Capacity))
	}
	for _, count := range []struct {
		name string
		n    int
	}{{"connected", t.Connected}, {"lingering", t.Lingering}} {
		if count.n != 0 {
			all = append(all, fmt.Sprintf("%s:%d", count.name, count.n))
		}
	}
	for _, list := range []struct {
		name    string
		sockets []Socket
	}{{"stray", t.Strays}, {"bound", t.Bound}, {"udp", t.UDP}} {
		for _, so := range list.sockets {
			remote := ""
			if so.Remote.IsValid() {
				remote = fmt.Sprintf(">%v", so.Remote)
			}
			foreign := ""
			if so.Owner.Foreign {
				foreign = "!"
			}
			all = append(all, fmt.Sprintf("%s:%v%s@%d%s", list.name, so.Local, remote, so.Owner.PID, foreign))
		}
	}
	return strings.Join(all, " ")
}

// readTraffic returns the present traffic at a port.
func readTraffic(t testing.TB, port uint16) string {
	t.Helper()
	got, err := ReadTraffic(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	return traffic(got)
}

// expectTraffic waits until the traffic at a port is want: the two ends of a connection do not change at once.
func expectTraffic(t testing.TB, port uint16, want string) {
	t.Helper()
	var got string
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if got = readTraffic(t, port); got == want {
			return
		}
	}
	t.Errorf("port %d: %q, want %q", port, got, want)
}

// freePort returns a port without traffic, for both protocols and all addresses. A port that the system chooses can
// have old connections of earlier tests.
func freePort(t testing.TB) uint16 {
	t.Helper()
	for {
		socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := uint16(socket.LocalAddr().(*net.UDPAddr).Port)
		socket.Close()
		ends, err := readEnds(t.Context(), port)
		if err != nil {
			t.Fatal(err)
		}
		if len(ends) == 0 {
			return port
		}
	}
}

// hostPort joins an address and a port.
func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// udp opens a UDP socket for the length of the test.
func udp(t testing.TB, network, addr string) *net.UDPConn {
	t.Helper()
	socket, err := net.ListenPacket(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket.(*net.UDPConn)
}

// listenAlone listens for the length of the test on a port without other traffic.
func listenAlone(t testing.TB, host string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", hostPort(host, freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// connect returns both ends of an accepted connection, client first. The client has a port without other traffic.
func connect(t testing.TB, l net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	client, err := dial(l.Addr().String(), freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return client, accepted.(*net.TCPConn)
}

// dial connects to an address from the given port of the same address.
func dial(to string, port uint16) (*net.TCPConn, error) {
	addr, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Addr(), port))
	return net.DialTCP("tcp", from, net.TCPAddrFromAddrPort(addr))
}

// ownPort returns the port of this end of a connection.
func ownPort(c net.Conn) uint16 { return uint16(c.LocalAddr().(*net.TCPAddr).Port) }

func TestTally(t *testing.T) {
	addr := netip.MustParseAddr
	remote := netip.MustParseAddrPort("192.0.2.7:443")
	made := func(use use, local string, pid int32) end {
		e := end{use: use, local: addr(local), owner: owner.Process{PID: pid}, queue: Queue{addr(local), int(pid), 5}}
		if use == connects || use == connected || use == lingers {
			e.remote = remote
		}
		return e
	}
	many := make([]string, maxStrays)
	for i := range many {
		many[i] = fmt.Sprintf("stray:10.0.0.1>192.0.2.7:443@%d", i+1)
	}
	crowd := []string{"listens 127.0.0.1 3"}
	for i := range maxStrays + 10 {
		crowd = append(crowd, fmt.Sprintf("connected 10.0.0.1 %d", i+1))
	}
	uses := map[string]use{"ignored": ignored, "listens": listens, "connects": connects, "connected": connected,
		"lingers": lingers, "bound": bound, "datagrams": datagrams}
	tests := []struct {
		name   string
		ends   string // use, address and PID, or the length of the queue, of each
		want   string
		owners string // indexes of the ends whose owners count
	}{
		{name: "nothing"},
		{name: "half of a handshake", ends: "ignored 127.0.0.1 1"},
		{name: "queues in order", ends: "listens ::1 2,listens 127.0.0.1 3,listens 0.0.0.0 0,listens 127.0.0.1 1",
			want: "queue:0.0.0.0:0/5 queue:127.0.0.1:3/5 queue:127.0.0.1:1/5 queue:::1:2/5"},
		{name: "connections of a listener", ends: "connected 127.0.0.1 8,listens 127.0.0.1 0,connected 127.0.0.1 9",
			want: "queue:127.0.0.1:0/5 connected:2"},
		{name: "connections that linger", ends: "lingers 127.0.0.1 0,lingers ::1 0", want: "lingering:2"},
		{name: "of an IPv4 wildcard", ends: "listens 0.0.0.0 0,connected 10.0.0.1 9,connected ::1 8",
			want: "queue:0.0.0.0:0/5 connected:2 stray:::1>192.0.2.7:443@8", owners: "2"},
		{name: "of an IPv6 wildcard, which may be dual-stack",
			ends: "listens :: 0,connected 10.0.0.1 9,connected ::1 8", want: "queue::::0/5 connected:2"},
		{name: "listener elsewhere", ends: "listens 127.0.0.2 0,connected 127.0.0.1 9",
			want: "queue:127.0.0.2:0/5 connected:1 stray:127.0.0.1>192.0.2.7:443@9", owners: "1"},
		{name: "no listener", ends: "connected ::1 7,connected 127.0.0.1 9,connected 127.0.0.1 8",
			want: "connected:3 stray:127.0.0.1>192.0.2.7:443@8 stray:127.0.0.1>192.0.2.7:443@9" +
				" stray:::1>192.0.2.7:443@7",
			owners: "0 1 2"},
		{name: "no answer yet", ends: "listens 127.0.0.1 0,connects 127.0.0.1 9",
			want: "queue:127.0.0.1:0/5 stray:127.0.0.1>192.0.2.7:443@9", owners: "1"},
		{name: "bound", ends: "bound ::1 4,bound 127.0.0.1 0", want: "bound:127.0.0.1@0 bound:::1@4", owners: "0 1"},
		{name: "UDP", ends: "datagrams ::1 4,listens 127.0.0.1 0,datagrams 0.0.0.0 0,lingers 127.0.0.1 0",
			want: "queue:127.0.0.1:0/5 lingering:1 udp:0.0.0.0@0 udp:::1@4", owners: "0 2"},
		{name: "too many", ends: strings.Join(crowd, ","),
			want:   "queue:127.0.0.1:3/5 connected:74 " + strings.Join(many, " "),
			owners: strings.Trim(fmt.Sprint(upTo(maxStrays)), "[]")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ends []end
			for one := range strings.SplitSeq(tt.ends, ",") {
				if f := strings.Fields(one); len(f) == 3 {
					ends = append(ends, made(uses[f[0]], f[1], int32(number(t, f[2]))))
				}
			}
			if got := traffic(tally(ends)); got != tt.want {
				t.Errorf("%q: got %q, want %q", tt.ends, got, tt.want)
			}
			if got := strings.Trim(fmt.Sprint(ownersWanted(ends)), "[]"); got != tt.owners {
				t.Errorf("%q: asks for the owners of %s, want %s", tt.ends, got, tt.owners)
			}
		})
	}
}

// upTo returns the numbers from 1 to n.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

func TestQueueFull(t *testing.T) {
	tests := []struct {
		waiting, capacity int
		want              bool
	}{{0, 0, false}, {5, 0, false}, {0, 1, false}, {1, 1, true}, {128, 129, false}, {129, 129, true}, {130, 129, true}}
	for _, tt := range tests {
		if got := (Queue{Waiting: tt.waiting, Capacity: tt.capacity}).Full(); got != tt.want {
			t.Errorf("%d of %d: full is %v, want %v", tt.waiting, tt.capacity, got, tt.want)
		}
	}
}

func TestTellsLingering(t *testing.T) {
	for goos, want := range map[string]bool{"linux": true, "windows": true, "darwin": false, "freebsd": false} {
		if got := tellsLingering(goos); got != want {
			t.Errorf("%s: %v, want %v", goos, got, want)
		}
	}
}

func TestPortableEnd(t *testing.T) {
	tcp := func(local, remote gopsnet.Addr, state string, pid int32) gopsnet.ConnectionStat {
		return gopsnet.ConnectionStat{Family: syscall.AF_INET, Type: syscall.SOCK_STREAM, Laddr: local, Raddr: remote,
			Status: state, Pid: pid}
	}
	four, six := gopsnet.Addr{IP: "127.0.0.1", Port: 80}, gopsnet.Addr{IP: "fe80::1%eth0", Port: 80}
	mapped := gopsnet.Addr{IP: "::ffff:127.0.0.1", Port: 443}
	star := gopsnet.Addr{IP: "*", Port: 80}
	none := gopsnet.Addr{}
	datagram := gopsnet.ConnectionStat{Family: syscall.AF_INET6, Type: syscall.SOCK_DGRAM, Laddr: star, Status: "NONE",
		Pid: 7}
	tests := []struct {
		name string
		conn gopsnet.ConnectionStat
		use  use
		want string // local address and remote one
	}{
		{"listener", tcp(four, none, "LISTEN", 7), listens, "127.0.0.1 invalid AddrPort"},
		{"listener of lsof's", tcp(star, none, "LISTEN", 7), listens, "0.0.0.0 invalid AddrPort"},
		{"nobody at the other end", tcp(four, gopsnet.Addr{IP: "0.0.0.0"}, "LISTEN", 7), listens,
			"127.0.0.1 invalid AddrPort"},
		{"connection", tcp(four, mapped, "ESTABLISHED", 7), connected, "127.0.0.1 127.0.0.1:443"},
		{"connection with zones", tcp(six, six, "ESTABLISHED", 7), connected, "fe80::1 [fe80::1]:80"},
		{"closed by the other side", tcp(four, mapped, "CLOSE_WAIT", 7), connected, "127.0.0.1 127.0.0.1:443"},
		{"about to be made", tcp(four, mapped, "SYN_SENT", 7), connects, "127.0.0.1 127.0.0.1:443"},
		{"half of a handshake", tcp(four, mapped, "SYN_RECV", 0), ignored, "127.0.0.1 127.0.0.1:443"},
		{"half of a handshake on Windows", tcp(four, mapped, "SYN_RECEIVED", 0), ignored, "127.0.0.1 127.0.0.1:443"},
		{"closed for writing", tcp(four, mapped, "FIN_WAIT2", 7), connected, "127.0.0.1 127.0.0.1:443"},
		{"closed", tcp(four, mapped, "FIN_WAIT2", 0), lingers, "127.0.0.1 127.0.0.1:443"},
		{"closed for writing on Windows", tcp(four, mapped, "FIN_WAIT_1", 7), connected, "127.0.0.1 127.0.0.1:443"},
		{"closed on Windows", tcp(four, mapped, "FIN_WAIT_1", 0), lingers, "127.0.0.1 127.0.0.1:443"},
		{"closed by both", tcp(four, mapped, "LAST_ACK", 0), lingers, "127.0.0.1 127.0.0.1:443"},
		{"closed at once by both", tcp(four, mapped, "CLOSING", 0), lingers, "127.0.0.1 127.0.0.1:443"},
		{"lingering", tcp(four, mapped, "TIME_WAIT", 0), lingers, "127.0.0.1 127.0.0.1:443"},
		{"bound", tcp(four, none, "CLOSE", 7), bound, "127.0.0.1 invalid AddrPort"},
		{"bound on macOS", tcp(four, none, "CLOSED", 7), bound, "127.0.0.1 invalid AddrPort"},
		{"state that nobody knows", tcp(four, none, "DELETE", 7), ignored, "127.0.0.1 invalid AddrPort"},
		{"UDP", datagram, datagrams, ":: invalid AddrPort"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := portableEnd(tt.conn)
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(got.local, " ", got.remote); got.use != tt.use || text != tt.want ||
				got.queue != (Queue{Addr: got.local}) {
				t.Errorf("%+v: got use %d, %s, %+v, want use %d, %s", tt.conn, got.use, text, got.queue, tt.use,
					tt.want)
			}
		})
	}
	for _, bad := range []gopsnet.ConnectionStat{
		tcp(gopsnet.Addr{IP: "localhost", Port: 80}, none, "LISTEN", 7),
		tcp(four, gopsnet.Addr{IP: "localhost", Port: 80}, "ESTABLISHED", 7),
		tcp(four, gopsnet.Addr{Port: 80}, "ESTABLISHED", 7),
	} {
		if got, err := portableEnd(bad); err == nil || got != (end{}) {
			t.Errorf("%+v: got %+v, want an error", bad, got)
		}
	}
}

// TestTrafficPortable has the kinds of sockets that every system reports.
func TestTrafficPortable(t *testing.T) {
	needLoopback(t)
	needOwners(t)
	l := listenAlone(t, "127.0.0.1")
	port, me := portOf(l), os.Getpid()
	udp(t, "udp4", hostPort("127.0.0.1", port))
	client, _ := connect(t, l)
	own := ownPort(client)
	tests := []struct {
		name string
		port uint16
		want string
	}{
		{"server", port, fmt.Sprintf("queue:127.0.0.1:0/0 connected:1 udp:127.0.0.1@%d", me)},
		{"client", own, fmt.Sprintf("connected:1 stray:127.0.0.1>127.0.0.1:%d@%d", port, me)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ends, err := portableEnds(t.Context(), tt.port)
			if err != nil {
				t.Fatal(err)
			}
			if got := traffic(tally(ends)); got != tt.want {
				t.Errorf("port %d: %q, want %q", tt.port, got, tt.want)
			}
			if runtime.GOOS == "linux" {
				return // ReadTraffic knows more there
			}
			want := tt.want
			if !tellsLingering(runtime.GOOS) {
				want = strings.Replace(want, "connected:1", "connected:1 lingering:-1", 1)
			}
			expectTraffic(t, tt.port, want)
		})
	}
}

// FuzzPortableEnd has arbitrary sockets.
func FuzzPortableEnd(f *testing.F) {
	f.Add("127.0.0.1", uint32(80), "::1%lo", uint32(443), "ESTABLISHED", uint32(syscall.SOCK_STREAM), int32(1))
	f.Add("*", uint32(80), "", uint32(0), "LISTEN", uint32(syscall.SOCK_STREAM), int32(0))
	f.Add("::ffff:0.0.0.0", uint32(1<<16), "::ffff:10.0.0.1", uint32(1<<17), "", uint32(syscall.SOCK_DGRAM), int32(-1))
	f.Fuzz(func(t *testing.T, local string, port uint32, remote string, remotePort uint32, state string, kind uint32,
		pid int32) {
		c := gopsnet.ConnectionStat{
			Laddr: gopsnet.Addr{IP: local, Port: port}, Raddr: gopsnet.Addr{IP: remote, Port: remotePort},
			Status: state, Type: kind, Pid: pid,
		}
		e, err := portableEnd(c)
		if err != nil {
			if e != (end{}) {
				t.Errorf("%+v: got %+v along with %v", c, e, err)
			}
			return
		}
		for _, addr := range []netip.Addr{e.local, e.remote.Addr()} {
			if addr.Is4In6() || addr.Zone() != "" {
				t.Errorf("%+v: got %v", c, addr)
			}
		}
		if !e.local.IsValid() || e.remote.IsValid() != (remotePort != 0) ||
			(e.use == datagrams) != (kind != syscall.SOCK_STREAM) {
			t.Errorf("%+v: got %+v", c, e)
		}
		tally([]end{e, e})
	})
}

package watcher

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestListingsAtPort checks that both ways to list sockets agree, and that one replaces the other after a failure.
func TestListingsAtPort(t *testing.T) {
	needLoopback(t)
	l := listenAlone(t, "127.0.0.1")
	port := portOf(l)
	udp(t, "udp4", hostPort("127.0.0.1", port))
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
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(time.Millisecond) {
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
		{"listener",
			inetSocket{row: at, protocol: tcp, state: tcpListen, remote: zero, waiting: 3, limit: 4096, limited: true},
			end{use: listens, local: four, queue: Queue{four, 3, 4097}}},
		{"listener of unknown limit", inetSocket{row: at, protocol: tcp, state: tcpListen, remote: zero, waiting: 3},
			end{use: listens, local: four, queue: Queue{four, 3, 0}}},
		{"established", inetSocket{row: at, protocol: tcp, state: tcpEstablished, remote: far},
			end{use: connected, local: four, remote: far}},
		{"not accepted yet", inetSocket{row: orphan, protocol: tcp, state: tcpEstablished, remote: far},
			end{use: connected, local: four, remote: far}},
		{"not accepted yet and closed", inetSocket{row: orphan, protocol: tcp, state: tcpCloseWait, remote: far},
			end{use: connected, local: four, remote: far}},
		{"about to be made", inetSocket{row: at, protocol: tcp, state: tcpSynSent, remote: far},
			end{use: connects, local: four, remote: far}},
		{"half of a handshake", inetSocket{row: orphan, protocol: tcp, state: 3, remote: far},
			end{local: four, remote: far}},
		{"closed for writing 1", inetSocket{row: at, protocol: tcp, state: tcpFinWait1, remote: far},
			end{use: connected, local: four, remote: far}},
		{"closed for writing 2", inetSocket{row: at, protocol: tcp, state: tcpFinWait2, remote: far},
			end{use: connected, local: four, remote: far}},
		{"closed 1", inetSocket{row: orphan, protocol: tcp, state: tcpFinWait1, remote: far},
			end{use: lingers, local: four, remote: far}},
		{"closed 2", inetSocket{row: orphan, protocol: tcp, state: tcpFinWait2, remote: far},
			end{use: lingers, local: four, remote: far}},
		{"closed by both", inetSocket{row: orphan, protocol: tcp, state: tcpLastAck, remote: far},
			end{use: lingers, local: four, remote: far}},
		{"closed at once by both", inetSocket{row: orphan, protocol: tcp, state: tcpClosing, remote: far},
			end{use: lingers, local: four, remote: far}},
		{"lingering", inetSocket{row: orphan, protocol: tcp, state: tcpTimeWait, remote: far},
			end{use: lingers, local: four, remote: far}},
		{"bound", inetSocket{row: at, protocol: tcp, state: tcpClose, remote: zero}, end{use: bound, local: four}},
		{"UDP", inetSocket{row: at, protocol: udp, state: tcpClose, remote: zero}, end{use: datagrams, local: four}},
		{"connected UDP", inetSocket{row: at, protocol: udp, state: tcpEstablished, remote: far},
			end{use: datagrams, local: four, remote: far}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.socket.end()
			if got.use != listens {
				got.queue = Queue{} // not a queue
			}
			if got != tt.want {
				t.Errorf("%+v: got %+v, want %+v", tt.socket, got, tt.want)
			}
		})
	}
}

// trafficMessage returns a socket as the kernel sends it, without attributes.
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
	mapped := row{addr: netip.MustParseAddr("::ffff:127.0.0.1"), port: 80, uid: 1000, inode: 1<<32 - 1,
		cookie: 1<<40 + 5}
	tests := []struct {
		name   string
		socket inetSocket
		want   inetSocket
	}{
		{"listener",
			inetSocket{row: four, state: tcpListen, remote: netip.MustParseAddrPort("0.0.0.0:0"), waiting: 2,
				limit: 1<<32 - 1},
			inetSocket{row: four, state: tcpListen, remote: netip.MustParseAddrPort("0.0.0.0:0"), waiting: 2,
				limit: 1<<32 - 1, limited: true}},
		{"IPv6", inetSocket{row: six, state: tcpTimeWait, remote: netip.MustParseAddrPort("[2001:db8::1:2]:443")},
			inetSocket{row: six, state: tcpTimeWait, remote: netip.MustParseAddrPort("[2001:db8::1:2]:443"),
				limited: true}},
		{"IPv4 in IPv6",
			inetSocket{row: mapped, state: tcpEstablished, remote: netip.MustParseAddrPort("[::ffff:10.1.2.3]:1")},
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
				t.Errorf("unknown family: got %+v, %v, %v", got, wanted, whole)
			}
		})
	}
}

func FuzzParseDiagTraffic(f *testing.F) {
	needLoopback(f)
	needIPv6(f)
	l := listenAlone(f, "127.0.0.1")
	connect(f, l)
	udp(f, "udp4", l.Addr().String())
	udp(f, "udp6", hostPort("::1", portOf(l)))
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			for _, part := range answers(f,
				question{family: family, protocol: protocol, states: trafficStates, port: portOf(l)}) {
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
			t.Errorf("%x: got %d sockets, %v, %v, but %d listeners, %v, %v", part, len(sockets), done, err, len(rows),
				doneToo, errToo)
		}
		if err != nil && (sockets != nil || done) || len(sockets) > len(part)/inetDiagMsg {
			t.Errorf("%x: got %d sockets, %v, %v", part, len(sockets), done, err)
		}
		for _, so := range sockets {
			checkSocket(t, so)
		}
	})
}

// checkSocket fails the test if a socket parsed from arbitrary data makes no sense.
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
		if e.local != so.addr || e.remote.IsValid() != (so.remote.Port() != 0) ||
			(e.queue.Capacity != 0) != so.limited {
			t.Errorf("%+v: got %+v", so, e)
		}
		tally([]end{e})
	}
}

func TestParseProcSocket(t *testing.T) {
	const good = "0: 0100007F:1F90 0200007F:0050 0A 00000001:00000003 00:00000000 00000000  1000        0 12345" +
		" 1 0000000000000000 100 0 0 10 0"
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
			t.Skip("the lines come from a machine with the other byte order")
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
		{"one of each", heading + line(80, "0A", 5) + line(81, "0A", 6) + line(80, "01", 7) + line(80, "06", 0),
			"[5 7 0]"},
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
		file, _ := os.ReadFile("/proc/net/" + name) // without IPv6 a file is missing
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
		// parseProcLine must find the same listeners.
		if r, listening, err := parseProcLine(line); err != nil || listening && (r != so.row || so.state != tcpListen) {
			t.Errorf("%q: got %+v, and as a listener %+v, %v, %v", line, so, r, listening, err)
		}
	})
}

package watcher

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// procLine returns a line as the kernel writes it. An address has one or four words in native byte order.
func procLine(ip []byte, port uint16, state string, uid, inode uint32) string {
	var addr strings.Builder
	for word := range slices.Chunk(ip, 4) {
		fmt.Fprintf(&addr, "%08X", binary.NativeEndian.Uint32(word))
	}
	return fmt.Sprintf("%4d: %s:%04X %s:0000 %s 00000000:00000000 00:00000000 00000000 %5d %8d %d"+
		" 1 ffff888000000000 100 0 0 10 0",
		0, addr.String(), port, strings.Repeat("0", addr.Len()), state, uid, 0, inode)
}

func TestParseProcLine(t *testing.T) {
	const rest = " 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345" +
		" 1 0000000000000000 100 0 0 10 0"
	bad := map[string]string{
		"empty": "",
		"cut off before the inode": "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000" +
			" 00000000  1000        0",
		"cut off in the inode": "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000" +
			" 00000000  1000        0 123",
		"no port":                    "0: 0100007F" + rest,
		"empty port":                 "0: 0100007F:" + rest,
		"too large a port":           "0: 0100007F:10000" + rest,
		"address of three bytes":     "0: 00007F:1F90" + rest,
		"address of eight bytes":     "0: 0100007F0100007F:1F90" + rest,
		"address of half a byte":     "0: 0100007:1F90" + rest,
		"address of no digits":       "0: :1F90" + rest,
		"address of something else":  "0: localhost:1F90" + rest,
		"negative uid":               strings.Replace("0: 0100007F:1F90"+rest, "1000", "-1", 1),
		"inode that is no number":    strings.Replace("0: 0100007F:1F90"+rest, "12345", "0x12", 1),
		"inode of more than 32 bits": strings.Replace("0: 0100007F:1F90"+rest, "12345", "4294967296", 1),
	}
	for name, line := range bad {
		if r, listening, err := parseProcLine(line); err == nil || listening || r != (row{}) {
			t.Errorf("%s: %q: got %+v, %v, %v, want an error", name, line, r, listening, err)
		}
	}
	for _, addr := range []string{"127.0.0.1", "0.0.0.0", "255.254.253.252", "::", "::1", "2001:db8::1:2",
		"::ffff:127.0.0.1"} {
		a := netip.MustParseAddr(addr)
		line := procLine(a.AsSlice(), 8080, "0A", 4294967294, 4294967295)
		want := row{addr: a.Unmap(), port: 8080, uid: 4294967294, inode: 4294967295}
		if got, listening, err := parseProcLine(line); got != want || !listening || err != nil {
			t.Errorf("%q: got %+v, %v, %v, want %+v", line, got, listening, err, want)
		}
	}
	line := procLine([]byte{127, 0, 0, 1}, 8080, "01", 0, 5)
	if got, listening, err := parseProcLine(line); got != (row{}) || listening || err != nil {
		t.Errorf("%q: got %+v, %v, %v, want no listener", line, got, listening, err)
	}
}

func TestParseProc(t *testing.T) {
	one := procLine([]byte{127, 0, 0, 1}, 80, "0A", 0, 5) + "\n"
	two := procLine([]byte{127, 0, 0, 1}, 81, "0A", 0, 6) + "\n"
	portless := procLine([]byte{127, 0, 0, 1}, 0, "0A", 0, 7) + "\n"
	connected := procLine([]byte{127, 0, 0, 1}, 82, "01", 0, 8) + "\n"
	tests := []struct{ name, file, want string }{
		{"heading only", heading, "[]"},
		{"listeners", heading + one + two, "[80 81]"},
		{"listeners and connections", heading + one + two + connected, "[80 81]"},
		{"connections only", heading + connected, "[]"},
		{"without a port", heading + portless + one, "[80]"},
		{"broken line behind the listeners", heading + one + connected + "x\n", "[80]"},
		{"empty file", "", "the file is empty"},
		{"broken line", heading + one + "x\n", "a line of 1 fields"},
		{"endless line", heading + one + strings.Repeat("x", 100_000), "bufio.Scanner: token too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := parseProc(strings.NewReader(tt.file), nil)
			ports := []uint16{}
			for _, r := range rows {
				ports = append(ports, r.port)
			}
			got := fmt.Sprint(ports)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzParseProcLine(f *testing.F) {
	f.Add("", []byte{127, 0, 0, 1}, uint16(80), uint32(0), uint32(5), 100)
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, _ := os.ReadFile(name) // there may be no IPv6
		for line := range strings.Lines(string(file)) {
			f.Add(line, make([]byte, 16), uint16(65535), uint32(1<<32-1), uint32(1<<32-1), len(line)/2)
		}
	}
	f.Fuzz(func(t *testing.T, line string, ip []byte, port uint16, uid, inode uint32, cut int) {
		if r, listening, err := parseProcLine(line); (err != nil || !listening) && r != (row{}) || err != nil &&
			listening || listening && (!r.addr.IsValid() || r.addr.Is4In6()) {
			t.Errorf("%q: got %+v, %v, %v", line, r, listening, err)
		}
		rows, _ := parseProc(strings.NewReader(heading+line+"\n"), nil)
		for _, r := range rows {
			if r.port == 0 {
				t.Errorf("%q: got %+v", line, r)
			}
		}
		if len(ip) != 4 && len(ip) != 16 {
			return
		}
		addr, _ := netip.AddrFromSlice(ip)
		want := row{addr: addr.Unmap(), port: port, uid: uid, inode: inode}
		line = procLine(ip, port, "0A", uid, inode)
		if got, listening, err := parseProcLine(line); got != want || !listening || err != nil {
			t.Errorf("%q: got %+v, %v, %v, want %+v", line, got, listening, err, want)
		}
		line = line[:min(max(cut, 0), len(line))]
		if got, listening, err := parseProcLine(line); err == nil && (got != want || !listening) {
			t.Errorf("%q: got %+v, %v, want %+v or an error", line, got, listening, want)
		}
	})
}

// inodeOf returns the inode number of an open socket.
func inodeOf(t testing.TB, socket syscall.Conn) uint32 {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if e := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return uint32(st.Ino)
}

// TestListings checks that both ways to list sockets agree. There are sockets of all kinds, and connections.
func TestListings(t *testing.T) {
	needIPv6(t)
	mine := map[uint32]string{} // addresses and ports by inode
	add := func(addr string, port uint16, options ...option) uint16 {
		socket, port := listenRaw(t, netip.MustParseAddr(addr), port, options...)
		mine[inodeOf(t, socket)] = netip.AddrPortFrom(netip.MustParseAddr(addr).Unmap(), port).String()
		return port
	}
	v6only := option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}
	for _, addr := range []string{"127.0.0.1", "127.8.9.10", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"} {
		add(addr, 0)
	}
	add("192.0.2.1", 0, ipFreeBind)
	add("::", 0)         // dual-stack
	add("::", 0, v6only) // not dual-stack
	group := add("127.0.0.1", 0, reusePort)
	add("127.0.0.1", group, reusePort)
	add("127.0.0.1", group, reusePort)
	add("::", add("0.0.0.0", 0), v6only) // one port in both families

	multipath := net.ListenConfig{}
	multipath.SetMultipathTCP(true) // if the system has it
	server, err := multipath.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	mine[inodeOf(t, server.(*net.TCPListener))] = server.Addr().String()
	others := map[uint32]bool{} // sockets that do not listen
	for i := range 4 {
		client, err := net.Dial("tcp4", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		accepted, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		others[inodeOf(t, client.(*net.TCPConn))], others[inodeOf(t, accepted.(*net.TCPConn))] = true, true
		if i%2 == 0 { // the end that closes first enters TIME_WAIT
			accepted.Close()
			client.Close()
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"01", "06"} {
		if !strings.Contains(string(table), fmt.Sprintf(":%04X 0100007F:", portOf(server))) ||
			!strings.Contains(string(table), " "+state+" ") {
			t.Errorf("no connection is in state %s, so this test is too weak", state)
		}
	}

	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	lists := map[string][]row{}
	for name, list := range map[string]func([]row) ([]row, bool, error){"sock_diag": d.list,
		"/proc/net/tcp": listProc} {
		rows, _, err := list(nil)
		if err != nil {
			t.Fatal(err)
		}
		rows = slices.DeleteFunc(rows, func(r row) bool {
			if others[r.inode] {
				t.Errorf("%s: %+v does not listen", name, r)
			}
			return mine[r.inode] == ""
		})
		slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.inode, b.inode) })
		for i, r := range rows {
			if got := netip.AddrPortFrom(r.addr, r.port).String(); got != mine[r.inode] || int(r.uid) != os.Geteuid() {
				t.Errorf("%s: socket %d is %s of user %d, want %s of user %d", name, r.inode, got, r.uid, mine[r.inode],
					os.Geteuid())
			}
			if (r.cookie != 0) != (name == "sock_diag") {
				t.Errorf("%s: cookie %d", name, r.cookie)
			}
			rows[i].cookie, rows[i].cgroup = 0, 0
		}
		if len(rows) != len(mine) {
			t.Errorf("%s: %d sockets, want %d", name, len(rows), len(mine))
		}
		lists[name] = rows
	}
	if a, b := lists["sock_diag"], lists["/proc/net/tcp"]; !slices.Equal(a, b) {
		t.Errorf("sock_diag has %+v\n/proc/net/tcp has %+v", a, b)
	}
}

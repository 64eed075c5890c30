package port

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// hexed writes an address as the kernel does: one or four words in the machine's byte order.
func hexed(addr string) string {
	var text strings.Builder
	for word := range slices.Chunk(netip.MustParseAddr(addr).AsSlice(), 4) {
		fmt.Fprintf(&text, "%08X", binary.NativeEndian.Uint32(word))
	}
	return text.String()
}

// connection writes a line of the kernel's list. The remote end is port 8080 at the same address.
func connection(addr string, port uint16, state string, inode uint32) string {
	return fmt.Sprintf("%4d: %s:%04X %s:1F90 %s 00000000:00000000 00:00000000 00000000 "+
		"%5d %8d %d 1 ffff888000000000 20 4 30 10 -1\n",
		0, hexed(addr), port, hexed(addr), state, 1000, 0, inode)
}

func TestFindConnections(t *testing.T) {
	const listens, open, finWait2, timeWait = "0A", "01", "05", "06"
	over := connection("127.0.0.1", 3000, timeWait, 0)
	tests := []struct {
		name, lines, addr  string
		reusable           bool
		wantOver, wantUsed bool
	}{
		{name: "nothing", addr: "127.0.0.1"},
		{name: "TIME_WAIT", lines: over, addr: "127.0.0.1", wantOver: true},
		{name: "TIME_WAIT, reusable", lines: over, addr: "127.0.0.1", reusable: true, wantOver: true},
		{name: "FIN_WAIT2", lines: connection("127.0.0.1", 3000, finWait2, 0), addr: "127.0.0.1", wantOver: true},
		{name: "open", lines: connection("127.0.0.1", 3000, open, 5), addr: "127.0.0.1", wantUsed: true},
		{name: "open, reusable", lines: connection("127.0.0.1", 3000, open, 5), addr: "127.0.0.1",
			reusable: true, wantUsed: true},
		{name: "TIME_WAIT and open", lines: over + connection("127.0.0.1", 3000, open, 5), addr: "0.0.0.0",
			wantUsed: true},
		{name: "broken behind what decides", lines: connection("127.0.0.1", 3000, open, 5) + "x:0BB8 \n",
			addr: "127.0.0.1", wantUsed: true},
		{name: "listener", lines: connection("127.0.0.1", 3000, listens, 5), addr: "127.0.0.1", wantUsed: true},
		{name: "listener without a file", lines: connection("127.0.0.1", 3000, listens, 0), addr: "127.0.0.1",
			wantUsed: true},
		{name: "listener, reusable", lines: connection("::", 3000, listens, 5) + over, addr: "127.0.0.1",
			reusable: true, wantOver: true},
		{name: "other port", lines: connection("127.0.0.1", 3001, open, 5), addr: "127.0.0.1"},
		{name: "other end's port", addr: "127.0.0.1",
			lines: strings.Replace(connection("127.0.0.1", 3001, open, 5), ":1F90", ":0BB8", 1)},
		{name: "other address", lines: connection("127.0.0.2", 3000, open, 5), addr: "127.0.0.1"},
		{name: "an address of a wildcard", lines: connection("127.0.0.2", 3000, timeWait, 0), addr: "0.0.0.0",
			wantOver: true},
		{name: "an IPv4 address in IPv6 form", lines: connection("::ffff:127.0.0.1", 3000, timeWait, 0),
			addr: "127.0.0.1", wantOver: true},
		{name: "the wildcard of IPv6", lines: connection("::", 3000, listens, 5), addr: "127.0.0.1", wantUsed: true},
		{name: "the wildcard of IPv4", lines: connection("0.0.0.0", 3000, listens, 5), addr: "127.0.0.1",
			wantUsed: true},
		{name: "the wildcard of IPv4, and IPv6", lines: connection("0.0.0.0", 3000, listens, 5), addr: "::1"},
		{name: "IPv6 and a wildcard of IPv4", lines: connection("::1", 3000, timeWait, 0), addr: "0.0.0.0",
			wantOver: true},
		{name: "IPv6 and IPv4", lines: connection("::1", 3000, timeWait, 0), addr: "127.0.0.1"},
		{name: "a zone", lines: connection("fe80::1", 3000, timeWait, 0), addr: "fe80::1%eth0", wantOver: true},
	}
	for _, tt := range tests {
		over, used, err := findConnections(strings.NewReader(heading+tt.lines), at(tt.addr, 3000), tt.reusable)
		if over != tt.wantOver || used != tt.wantUsed || err != nil {
			t.Errorf("%s: %q: got %t, %t, %v, want %t, %t", tt.name, tt.lines, over, used, err,
				tt.wantOver, tt.wantUsed)
		}
	}
}

func TestFindConnectionsBroken(t *testing.T) {
	whole := connection("127.0.0.1", 3000, "06", 0)
	for name, line := range map[string]string{
		"cut off":                  whole[:60],
		"cut off in the inode":     whole[:strings.LastIndex(whole, " 1 ffff")],
		"address of three bytes":   strings.Replace(whole, " "+hexed("127.0.0.1"), " 00007F", 1),
		"address of half a byte":   strings.Replace(whole, " "+hexed("127.0.0.1"), " 0100007", 1),
		"address of no hex digits": strings.Replace(whole, " "+hexed("127.0.0.1"), " localhost", 1),
		"too long a line":          strings.Repeat("x", 1<<17) + "\n",
	} {
		over, used, err := findConnections(strings.NewReader(heading+line), at("127.0.0.1", 3000), false)
		if err == nil || over || used {
			t.Errorf("%s: got %t, %t, %v, want an error", name, over, used, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "tcp")
	if _, _, err := readConnections(missing, at("127.0.0.1", 3000), false); err == nil {
		t.Error("there is no list, and no error")
	}
	if over, used, err := readConnections(missing+"6", at("127.0.0.1", 3000), false); over || used || err != nil {
		t.Errorf("without IPv6: got %t, %t, %v", over, used, err)
	}
}

func FuzzFindConnections(f *testing.F) {
	f.Add([]byte(heading + connection("127.0.0.1", 3000, "06", 0) + connection("::1", 3000, "01", 7)))
	f.Add([]byte(" :0BB8 \n"))
	if text, err := os.ReadFile("/proc/net/tcp"); err == nil {
		f.Add(text[:min(len(text), 4096)])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, addr := range here {
			over, used, err := findConnections(strings.NewReader(string(text)), at(addr, 3000), false)
			if (over || used) && (err != nil || !strings.Contains(string(text), ":0BB8 ")) {
				t.Errorf("%s: %q: got %t, %t, %v", addr, text, over, used, err)
			}
		}
	})
}

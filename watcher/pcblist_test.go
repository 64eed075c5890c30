package watcher

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// formatTable writes sockets as "place#generation by uid".
func formatTable(sockets []tableSocket) string {
	var list []string
	for _, so := range sockets {
		list = append(list, fmt.Sprintf("%v#%d by %d", so.addrPort, so.gen, so.uid))
	}
	return strings.Join(list, ", ")
}

func TestParseTable(t *testing.T) {
	const self = 4242
	web, shell := listeningAt("127.0.0.1:3000", 5), listeningAt("0.0.0.0:22", 6)
	shell.uid, shell.user = 0, 1
	own := listeningAt("[::1]:8080", 7)
	own.user = self
	dual, mapped, scoped := listeningAt("[::]:5432", 8), listeningAt("127.0.0.1:9000", 9),
		listeningAt("[fe80:4::1]:7000", 10)
	dual.flags, mapped.flags = 1|2, 1|4
	unbound := listeningAt("0.0.0.0:0", 11)
	connection := listeningAt("127.0.0.1:3000", 12)
	connection.state = 4
	timeWait := openSocket{addrPort: connection.addrPort, gen: 13, state: 10} // without a process
	tests := []struct {
		name    string
		sockets []openSocket
		want    string
		others  bool
	}{
		{"nothing", nil, "", false},
		{"IPv4", []openSocket{web}, "127.0.0.1:3000#5 by 501", true},
		{"another user's wildcard", []openSocket{shell}, "0.0.0.0:22#6 by 0", true},
		{"this process's own", []openSocket{own}, "[::1]:8080#7 by 501", false},
		{"IPv6 that takes IPv4 too", []openSocket{dual}, "[::]:5432#8 by 501", true},
		{"IPv6 bound to an IPv4 address", []openSocket{mapped}, "127.0.0.1:9000#9 by 501", true},
		{"an address of one link", []openSocket{scoped}, "[fe80::1]:7000#10 by 501", true},
		{"without a port", []openSocket{unbound}, "", true},
		{"a connection", []openSocket{connection}, "", true},
		{"a connection that nobody has", []openSocket{timeWait, own}, "[::1]:8080#7 by 501", false},
		{"several, in order", []openSocket{own, connection, web, shell},
			"[::1]:8080#7 by 501, 127.0.0.1:3000#5 by 501, 0.0.0.0:22#6 by 0", true},
	}
	for _, tt := range tests {
		for _, macOS12 := range []bool{false, true} {
			got, others, err := parseTable(tableOf(macOS12, tt.sockets...), self)
			if formatTable(got) != tt.want || others != tt.others || err != nil {
				t.Errorf("%s (macOS 12: %v): got %q, %v, %v, want %q, %v", tt.name, macOS12, formatTable(got), others,
					err, tt.want, tt.others)
			}
		}
	}
	if got, others, err := parseTable(withheld(), self); len(got) > 0 || others || err != nil {
		t.Errorf("withheld: got %q, %v, %v", formatTable(got), others, err)
	}
}

// TestTableSize compares the tables of the other tests with real ones. On macOS 27 a table of 89 sockets had 54,872
// bytes, and a withheld one 48 (github.com/juspay/osfacts, tests/fixtures/darwin/macos27-pcblist.json). The reader in
// github.com/MetaCubeX/mihomo, component/process/process_darwin.go, expects 408 bytes per socket since macOS 13, 384
// before, and 208 more for TCP.
func TestTableSize(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want int
	}{
		{"macOS 27", len(tableOf(false, make([]openSocket, 89)...)), 54872},
		{"macOS 27, withheld", len(withheld()), 48},
		{"macOS 13", len(tableOf(false, make([]openSocket, 2)...)), 48 + 2*(408+208)},
		{"macOS 12", len(tableOf(true, make([]openSocket, 2)...)), 48 + 2*(384+208)},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: the table has %d bytes, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestParseTableErrors(t *testing.T) {
	so := listeningAt("127.0.0.1:3000", 5)
	records := so.records(false)
	// table puts records between the two end records.
	table := func(records ...[]byte) []byte {
		return append(append(xinpgen(1, 1000), bytes.Join(records, nil)...), xinpgen(1, 1000)...)
	}
	// resized returns the records with the size of one changed, in its header and in fact.
	resized := func(at, size int) [][]byte {
		changed := append([][]byte(nil), records...)
		changed[at] = record(append(append([]byte(nil), records[at]...), make([]byte, 256)...)[:size])
		return changed
	}
	noVersion := so
	noVersion.flags = 8
	endless := tableOf(false, so)
	binary.LittleEndian.PutUint32(endless[sizeofXinpgen:], 0)
	huge := tableOf(false, so)
	binary.LittleEndian.PutUint32(huge[sizeofXinpgen:], 1<<32-1)
	tests := map[string][]byte{
		"nothing":                     nil,
		"another beginning":           append(record(make([]byte, 32)), tableOf(false, so)[sizeofXinpgen:]...),
		"more behind the end":         append(tableOf(false, so), 0),
		"two ends":                    append(tableOf(false, so), xinpgen(1, 1000)...),
		"an end that is newer":        append(tableOf(false, so)[:sizeofXinpgen+616], xinpgen(1, 1001)...),
		"a record of no bytes":        endless,
		"a record of 4 GB":            huge,
		"no control block":            table(records[1:]...),
		"two control blocks":          table(append(records[:1:1], records...)...),
		"two sockets":                 table(append(records[:2:2], records[1:]...)...),
		"no socket":                   table(append(records[:1:1], records[2:]...)...),
		"no state":                    table(records[:5]...),
		"a control block of 108":      table(resized(0, 108)...),
		"a socket of 72":              table(resized(1, 72)...),
		"a socket of 108":             table(resized(1, 108)...),
		"a state of 208":              table(resized(5, 208)...),
		"neither IPv4 nor IPv6":       tableOf(false, noVersion),
		"the number of a bigger host": {0, 0, 0, 24, 0, 0, 0, 0},
	}
	for name, table := range tests {
		if got, others, err := parseTable(table, 0); err == nil || len(got) > 0 || others {
			t.Errorf("%s: got %q, %v and no error", name, formatTable(got), others)
		}
	}
	whole := tableOf(false, so, so)
	for n := range whole {
		if got, _, err := parseTable(whole[:n], 0); err == nil {
			t.Errorf("cut off after %d bytes: got %q and no error", n, formatTable(got))
		}
	}
	// Records without needed fields may change.
	if got, _, err := parseTable(table(resized(2, 48)...), 0); len(got) != 1 || err != nil {
		t.Errorf("with a larger buffer record: got %q, %v", formatTable(got), err)
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add(tableOf(false, listeningAt("127.0.0.1:3000", 5), listeningAt("[::]:80", 6)))
	f.Add(tableOf(true, listeningAt("[fe80:4::1]:3000", 5)))
	f.Add(tableOf(false))
	f.Add(withheld())
	f.Fuzz(func(t *testing.T, table []byte) {
		sockets, others, err := parseTable(table, 1)
		if err != nil {
			if len(sockets) > 0 || others {
				t.Errorf("got %q, %v with the error %v", formatTable(sockets), others, err)
			}
			return
		}
		if len(sockets) > len(table)/(sizeofXinpcb+sizeofXsocket12+sizeofXtcpcb) {
			t.Errorf("got %d sockets from %d bytes", len(sockets), len(table))
		}
		for _, so := range sockets {
			if !so.addrPort.IsValid() || so.addrPort.Port() == 0 || so.addrPort.Addr().Is4In6() {
				t.Errorf("got a socket at %v", so.addrPort)
			}
		}
	})
}

// BenchmarkParseTable reads a table of 500 sockets, 50 of them listening.
func BenchmarkParseTable(b *testing.B) {
	var sockets []openSocket
	for i := range 500 {
		so := listeningAt("127.0.0.1:3000", uint64(i))
		if i >= 50 {
			so.state = 4
		}
		sockets = append(sockets, so)
	}
	table := tableOf(false, sockets...)
	b.ReportAllocs()
	for b.Loop() {
		if got, _, err := parseTable(table, 1); len(got) != 50 || err != nil {
			b.Fatal(len(got), err)
		}
	}
}

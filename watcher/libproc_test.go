package watcher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func TestParseSocket(t *testing.T) {
	dual, mapped, scoped := listeningAt("[::]:5432", 8), listeningAt("127.0.0.1:9000", 9),
		listeningAt("[fe80:4::1]:7000", 10)
	dual.flags, mapped.flags = 1|2, 1|4
	connection := listeningAt("127.0.0.1:3000", 12)
	connection.state = 4
	noVersion := listeningAt("127.0.0.1:3000", 13)
	noVersion.flags = 8
	unix := listeningAt("127.0.0.1:3000", 14).info()
	binary.LittleEndian.PutUint32(unix[256:], 3) // SOCKINFO_UN
	whole := listeningAt("127.0.0.1:3000", 5).info()
	tests := []struct {
		name    string
		info    []byte
		want    string
		gen     uint64
		listens bool
		fails   bool
	}{
		{"IPv4", whole, "127.0.0.1:3000", 5, true, false},
		{"IPv6", listeningAt("[2001:db8::1]:1", 6).info(), "[2001:db8::1]:1", 6, true, false},
		{"IPv6 that takes IPv4 too", dual.info(), "[::]:5432", 8, true, false},
		{"IPv6 bound to an IPv4 address", mapped.info(), "127.0.0.1:9000", 9, true, false},
		{"an address of one link", scoped.info(), "[fe80::1]:7000", 10, true, false},
		{"a connection", connection.info(), "invalid AddrPort", 0, false, false},
		{"another kind of socket", unix, "invalid AddrPort", 0, false, false},
		{"neither IPv4 nor IPv6", noVersion.info(), "invalid AddrPort", 0, false, true},
		{"nothing", nil, "invalid AddrPort", 0, false, true},
		{"too short", whole[:len(whole)-1], "invalid AddrPort", 0, false, true},
		{"too long", append(bytes.Clone(whole), 0), "invalid AddrPort", 0, false, true},
	}
	for _, tt := range tests {
		got, listens, err := parseSocket(tt.info)
		if got.addrPort.String() != tt.want || got.gen != tt.gen || listens != tt.listens || (err != nil) != tt.fails {
			t.Errorf("%s: got %v#%d, %v, %v, want %s#%d, %v", tt.name, got.addrPort, got.gen, listens, err, tt.want,
				tt.gen, tt.listens)
		}
	}
}

// TestEnough has a list that is longer than announced.
func TestEnough(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name          string
		buf, n, bytes int // sizes of the buffer, of the announced list and of the real list
		err           error
		asked         int
		fails         bool
	}{
		{"as it was said", 0, 100, 100, nil, 1, false},
		{"nothing", 0, 100, 0, nil, 1, false},
		{"a little more", 0, 100, 355, nil, 1, false},
		{"more, which fills the room", 0, 100, 356, nil, 2, false},
		{"far more", 0, 100, 2000, nil, 4, false},
		{"with a buffer that is large enough", 5000, 100, 4999, nil, 1, false},
		{"with one that is not", 5000, 100, 5001, nil, 2, false},
		{"failing", 0, 100, 100, broken, 1, true},
		{"less than nothing", 0, 100, -1, nil, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			list, buf, err := readList(make([]byte, tt.buf), tt.n, func(room []byte) (int, error) {
				asked++
				for i := range min(tt.bytes, len(room)) {
					room[i] = byte(i)
				}
				return min(tt.bytes, len(room)), tt.err
			})
			if (err != nil) != tt.fails || asked != tt.asked || !tt.fails &&
				(len(list) != tt.bytes || len(buf) <= tt.bytes) {
				t.Errorf("got %d bytes in %d, %v, after %d questions, want %d after %d", len(list), len(buf), err,
					asked, tt.bytes, tt.asked)
			}
			for i, b := range list {
				if b != byte(i) {
					t.Fatalf("byte %d is %d", i, b)
				}
			}
		})
	}
	if _, _, err := readList(nil, 100, func([]byte) (int, error) { return 1 << 20, nil }); err == nil {
		t.Error("more bytes than the buffer holds: no error")
	}
}

func TestParseProcesses(t *testing.T) {
	list := pidList(0, 1, 99998)
	if got, err := parseProcesses(list); !slices.Equal(got, []int32{0, 1, 99998}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseProcesses(list[:len(list)-1]); err == nil {
		t.Errorf("truncated list: got %v and no error", got)
	}
}

func TestParseFiles(t *testing.T) {
	// The other kinds of files are a vnode, a kqueue and a pipe.
	list := slices.Concat(fdinfo(0, 1), fdinfo(3, fdtypeSocket), fdinfo(4, 5), fdinfo(1<<20, fdtypeSocket),
		fdinfo(9, 6))
	if got, err := parseFiles(list); !slices.Equal(got, []int32{3, 1 << 20}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseFiles(nil); len(got) > 0 || err != nil {
		t.Errorf("no files: got %v, %v", got, err)
	}
	if got, err := parseFiles(list[:len(list)-1]); err == nil {
		t.Errorf("truncated list: got %v and no error", got)
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add(listeningAt("127.0.0.1:3000", 5).info())
	f.Add(listeningAt("[fe80:4::1]:3000", 5).info())
	f.Fuzz(func(t *testing.T, info []byte) {
		so, listens, err := parseSocket(info)
		if listens != so.addrPort.IsValid() || listens && (err != nil || so.addrPort.Addr().Is4In6()) {
			t.Errorf("got %v, %v, %v", so, listens, err)
		}
	})
}

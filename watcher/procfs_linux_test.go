package watcher

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProcfs(t *testing.T) {
	p := newProcfs()
	self := int32(os.Getpid())
	pids, err := p.pids(nil)
	if err != nil || !slices.Contains(pids, self) || !slices.IsSorted(pids) || pids[0] <= 0 {
		t.Errorf("pids are %v, %v", pids, err)
	}

	// These are more files than one read of the directory returns.
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	const many = 1800 // below the usual limits, with the other files
	var copies []int
	defer func() {
		for _, fd := range copies {
			unix.Close(fd)
		}
	}()
	for range many {
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Skip("cannot open that many files:", err)
		}
		copies = append(copies, fd)
	}
	l := listenTCP(t, "127.0.0.1:0")
	defer l.Close()
	inode := inodeOf(t, l)
	found := map[int]uint32{}
	if err := p.sockets(self, func(fd int, inode uint32) bool {
		found[fd] = inode
		return true
	}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for fd, is := range found {
		if again, ok := p.socketAt(self, fd); !ok || again != is {
			t.Errorf("file %d is socket %d, %v, and in the directory %d", fd, again, ok, is)
		}
		if is == inode {
			at = fd
		}
	}
	if at < copies[0] {
		t.Errorf("socket %d is not among %v", inode, found)
	}
	if _, ok := p.socketAt(self, int(null.Fd())); ok {
		t.Error("a device counts as a socket")
	}
	if _, ok := p.socketAt(self, 1<<30); ok {
		t.Error("a closed file counts as a socket")
	}
	calls := 0
	if err := p.sockets(self, func(int, uint32) bool { calls++; return false }); calls != 1 || err != nil {
		t.Errorf("called %d times, want once, %v", calls, err)
	}
	if n, uid, ok := p.files(self); !ok || int(uid) != os.Geteuid() || n > 0 && n < many {
		t.Errorf("%d files of user %d, %v, want more than %d", n, uid, ok, many)
	}

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(p.program(self, nil)); got != exe[:min(len(exe), 256)] {
		t.Errorf("the program is %q, want %q", got, exe)
	}

	const nobody = 1<<31 - 1 // above any limit
	if err := p.sockets(nobody, func(int, uint32) bool { return true }); err != unix.ENOENT {
		t.Errorf("no process: %v, want %v", err, unix.ENOENT)
	}
	if _, _, ok := p.files(nobody); ok || len(p.program(nobody, []byte("x"))) > 0 {
		t.Error("no process has files and a program")
	}
}

func TestDecimal(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "7": 7, "0012": 12, "4294967295": 4294967295,
		"10000000000000": 10000000000000} {
		if got, ok := decimal([]byte(text)); got != want || !ok {
			t.Errorf("decimal(%q) = %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1 ", "self", "0x1", "99999999999999999999"} {
		if got, ok := decimal([]byte(text)); ok {
			t.Errorf("decimal(%q) = %d", text, got)
		}
	}
}

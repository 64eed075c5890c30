package watcher

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// afloat makes a listener without a holder: its descriptor is in a message nobody has received. Function catch receives
// it and holds the listener until the end of the test.
func afloat(t *testing.T) (port uint16, catch func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	l := listenTCP(t, "127.0.0.1:0")
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(int(f.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	return portOf(l), func() {
		var rights [64]byte
		_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), rights[:], unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:n])
		if err != nil {
			t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[0]) })
	}
}

// TestSearchRetry searches for a missing owner, less and less often.
func TestSearchRetry(t *testing.T) {
	port, catch := afloat(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector would close files
	s := newFast(t)
	s.heed(&[]uint16{port})
	expectFast(t, s, port, "0@127.0.0.1")
	so := sockOn(t, s, port)
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		if want *= time.Second; so.pause != want || time.Until(so.retry) > want {
			t.Errorf("the pause is %v, the next search in %v, want %v", so.pause, time.Until(so.retry), want)
		}
		retry, walked := so.retry, so.walked
		for range 3 {
			rechecked(t, s)
		}
		if so.retry != retry || so.walked != walked {
			t.Errorf("searched again within %v", so.pause)
		}
		so.retry = time.Now()
		settled(t, s)
		if so.walked != walked {
			t.Errorf("after %v, searched all processes again", so.pause)
		}
	}
	walked := so.walked.Add(-retryAtMost)
	so.retry, so.walked = time.Now(), walked
	settled(t, s)
	if so.walked == walked {
		t.Errorf("after %v, did not search all processes again", retryAtMost)
	}

	catch() // now this process holds it and has one more file
	so.retry = time.Now()
	if n, _, _ := s.fs.files(int32(os.Getpid())); n == 0 {
		so.walked = time.Time{} // before Linux 6.2 the number of files is unknown
	}
	expectFast(t, s, port, fmt.Sprintf("%d@127.0.0.1", os.Getpid()))
	if so.owner == nil || so.pause != 0 {
		t.Errorf("the pause is still %v", so.pause)
	}
}

// TestSearchCopies has a process that holds one of its new sockets several times.
func TestSearchCopies(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		p := newStage(t).enter()
		settled(t, s)
		one := p.listen("a", "127.0.0.1:0")
		p.tell("copy a")
		p.tell("copy a")
		two := p.listen("b", "127.0.0.1:0")
		for _, port := range []uint16{one, two} {
			expectFast(t, s, port, on(p.Process))
		}
	})
}

// TestSearchLate opens a socket while a search is running and has already passed its process.
func TestSearchLate(t *testing.T) {
	p := newStage(t).enter()
	defer listenTCP(t, "127.0.0.1:0").Close() // so that there is a first search, even if nobody else listens here
	s := newFast(t)
	s.useProc() // it lacks the cgroup
	settled(t, s)
	port := p.listen("a", "127.0.0.1:0")
	s.search.rest = []int32{int32(os.Getpid())} // the rest of the search
	s.search.files[p.PID], _, _ = s.fs.files(p.PID)
	s.search.former = nil
	expectFast(t, s, port, on(p.Process))
}

// TestSearchInSteps limits the time, so that each tick checks only a few processes.
func TestSearchInSteps(t *testing.T) {
	stage := newStage(t)
	var puppets []*puppet
	for range 4 {
		puppets = append(puppets, stage.enter())
	}
	defer listenTCP(t, "127.0.0.1:0").Close() // so that there is a first search, even if nobody else listens here
	s := newFast(t)
	settled(t, s)
	ports := map[uint16]*puppet{}
	want := map[uint32]*sock{}
	for _, p := range puppets {
		ports[p.listen("a", "127.0.0.1:0")] = p
	}
	rows, _, err := s.how.list(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if ports[r.port] != nil {
			want[r.inode] = &sock{row: r}
		}
	}
	holders := map[uint16]int32{}
	h := searchRun{search: &s.search, want: want, seen: map[int32]bool{}, found: func(so *sock, pid int32, _ int) bool {
		holders[so.port] = pid
		return true
	}}
	steps := 0
	for left := s.search.likely(s.search.pids, want, true); len(left) > 0; steps++ {
		h.until = time.Now() // expires at once
		if again := h.visit(left); !slices.Equal(again, left) {
			t.Fatalf("after the time limit, %v of %v remain", again, left)
		}
		h.until = time.Time{}
		if again := h.visit(left[:1]); len(again) > 0 && len(h.want) > 0 {
			t.Fatalf("%v remains", again)
		}
		left = left[1:]
	}
	for port, p := range ports {
		if holders[port] != p.PID {
			t.Errorf("port %d is held by %d, want %d", port, holders[port], p.PID)
		}
	}
	if len(h.want) > 0 || steps < len(puppets) {
		t.Errorf("after %d steps, %d sockets remain", steps, len(h.want))
	}
}

// TestSearchShortcuts has sockets that the scanner finds without a search through all processes.
func TestSearchShortcuts(t *testing.T) {
	stage := newStage(t)
	old := stage.enter()
	s := newFast(t)
	var mine []uint16
	s.heed(&mine)
	// soon makes a process listen, and fails the test if the scanner searched all processes.
	soon := func(what string, p *puppet) {
		t.Helper()
		mine = append(mine, p.listen(what, "127.0.0.1:0"))
		s.search.files = nil
		expectFast(t, s, mine[len(mine)-1], on(p.Process))
		if s.search.files != nil {
			t.Errorf("all processes were searched for the listener of %s process", what)
		}
	}
	mine = append(mine, old.listen("first", "127.0.0.1:0"))
	expectFast(t, s, mine[0], on(old.Process))
	soon("a-young", stage.enter())
	old.tell("close first")
	settled(t, s)
	soon("a-former", old)
	if s.how.name != "sock_diag" {
		return // the cgroup of a socket is unknown
	}
	if id, member := cgroupOf(t, stage); member != nil {
		settled(t, s) // the puppet is no longer young
		s.search.pids, _ = s.fs.pids(nil)
		s.search.cgroups.walked = time.Time{} // otherwise the new cgroup is not searched for yet
		soon("a-cgroup's", member)
		if got := sockOn(t, s, mine[len(mine)-1]).cgroup; got != id {
			t.Errorf("the socket is of cgroup %d, want %d", got, id)
		}
		if got, want := s.search.cgroups.members(id), []int32{member.PID}; !slices.Equal(got, want) {
			t.Errorf("the cgroup has the members %v, want %v", got, want)
		}
	}
}

// cgroupOf makes a cgroup with one puppet in it. Without permission it returns a nil puppet.
func cgroupOf(t *testing.T, s *stage) (id uint64, member *puppet) {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(root, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(root, "porttray")
		if err != nil {
			t.Log("there is no cgroup for this test:", err)
			return 0, nil
		}
		p := s.enter()
		t.Cleanup(func() {
			p.kill()
			os.Remove(dir)
		})
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(int(p.PID))), 0); err != nil {
			t.Log("there is no cgroup for this test:", err)
			return 0, nil
		}
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino, p
	}
	return 0, nil
}

func TestCgroups(t *testing.T) {
	var c cgroups
	if got := c.members(1 << 60); got != nil {
		t.Errorf("a missing cgroup has the members %v", got)
	}
	// Ordinary directories serve as cgroups here.
	dir := t.TempDir()
	c.dirs[1], c.dirs[2], c.dirs[3] = dir, filepath.Join(dir, "gone"), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("12\n3456\n0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dirs[3], "cgroup.procs"), bytes.Repeat([]byte("1\n"), 65),
		0o600); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[uint64][]int32{1: {12, 3456, 0}, 2: nil, 3: nil} {
		if got := c.members(id); !slices.Equal(got, want) {
			t.Errorf("cgroup %d has the members %v, want %v", id, got, want)
		}
	}
	if !c.large[3] || c.dirs[2] != "" {
		t.Errorf("large: %v, directories %v", c.large, c.dirs)
	}
}

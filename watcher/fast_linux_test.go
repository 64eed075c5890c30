package watcher

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

func newFast(t testing.TB) *fastScanner {
	t.Helper()
	s, err := newFastScanner()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// useProc makes a scanner list sockets from /proc/net/tcp.
func (s *fastScanner) useProc() {
	s.how.stop()
	s.how = listing{name: "/proc/net/tcp", list: listProc, stop: func() {}}
}

// heed limits a scanner to these ports of 127.0.0.1. Other listeners of this machine may come and go.
func (s *fastScanner) heed(ports *[]uint16) {
	list := s.how.list
	s.how.list = func(rows []row) ([]row, bool, error) {
		rows, parted, err := list(rows)
		return slices.DeleteFunc(rows, func(r row) bool {
			return r.addr != netip.MustParseAddr("127.0.0.1") || !slices.Contains(*ports, r.port)
		}), parted, err
	}
}

// bothWays runs a test for each way to list sockets.
func bothWays(t *testing.T, test func(*testing.T, *fastScanner)) {
	for _, how := range []string{"sock_diag", "/proc/net/tcp"} {
		t.Run(strings.ReplaceAll(how, "/", ""), func(t *testing.T) {
			s := newFast(t)
			if how != "sock_diag" {
				s.useProc()
			}
			test(t, s)
		})
	}
}

// settled scans until every search is over. The time of a search per tick is limited.
func settled(t testing.TB, s *fastScanner) Snapshot {
	t.Helper()
	for {
		snapshot, err := s.scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(s.order, func(so *sock) bool {
			return so.owner == nil && so.inode != 0 && !so.retry.After(time.Now())
		}) {
			return snapshot
		}
	}
}

// rechecked scans with all rechecks due. Normally they are spread over recheckWithin.
func rechecked(t testing.TB, s *fastScanner) Snapshot {
	t.Helper()
	s.last = time.Time{}
	return settled(t, s)
}

// foundOurs is found without the listeners of other people's processes on that port at other addresses.
func foundOurs(s Snapshot, port uint16) string {
	s.Listeners = slices.DeleteFunc(slices.Clone(server.OnPort(s.Listeners, port)), func(l server.Listener) bool {
		p, ok := l.Owner, l.Owner.Known() && !l.Owner.Gone()
		for ok && int(p.PID) != os.Getpid() {
			if p, ok = owner.Parent(p); !ok {
				return true
			}
		}
		return false
	})
	return found(s, port)
}

// expectFast fails the test unless a scan finds want on the port.
func expectFast(t testing.TB, s *fastScanner, port uint16, want string) {
	t.Helper()
	if got := foundOurs(settled(t, s), port); got != want {
		t.Errorf("port %d: found %q, want %q", port, got, want)
	}
}

// expectAfterEnd waits until the end of a process wakes the scanner and a scan finds one of want on the port. Other
// processes may end in the meantime.
func expectAfterEnd(t testing.TB, s *fastScanner, port uint16, want ...string) {
	t.Helper()
	if s.wake() == nil {
		s.last = time.Time{}
	}
	for late := time.After(patience); ; {
		got := foundOurs(settled(t, s), port)
		if slices.Contains(want, got) {
			return
		}
		select {
		case <-s.wake():
		case <-late:
			t.Fatalf("port %d: found %q, want one of %q", port, got, want)
		}
	}
}

// on returns a process that listens on 127.0.0.1, in the format of found.
func on(p owner.Process) string { return fmt.Sprintf("%d@127.0.0.1", p.PID) }

// sockOn returns the scanner's record of the socket on a port.
func sockOn(t testing.TB, s *fastScanner, port uint16) *sock {
	t.Helper()
	i := slices.IndexFunc(s.order, func(so *sock) bool { return so.port == port })
	if i < 0 {
		t.Fatalf("port %d is not listened on", port)
	}
	return s.order[i]
}

func TestFastScan(t *testing.T) {
	tests := []struct {
		name  string
		addrs string // all on one port
		want  string // empty if nothing should be found
	}{
		{"IPv4", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "::1", "::1"},
		{"IPv4 wildcard", "0.0.0.0", "0.0.0.0"},
		{"IPv6 wildcard", "::", "::"},
		{"both families", "127.0.0.1 ::1", "127.0.0.1,::1"},
		{"loopback addresses", "127.0.0.3 127.0.0.2 127.0.0.1", "127.0.0.1,127.0.0.2,127.0.0.3"},
		{"IPv4 in IPv6", "127.0.0.1 ::ffff:127.0.0.2 ::1", "127.0.0.1,127.0.0.2,::1"},
		{"IPv4 wildcard in IPv6", "::ffff:0.0.0.0", "0.0.0.0"},
		{"other interfaces", "192.0.2.1 2001:db8::1 ::ffff:192.0.2.2", ""},
		{"other interface and loopback", "192.0.2.1 127.0.0.1", "127.0.0.1,192.0.2.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.addrs, ":") {
				needIPv6(t)
			}
			bothWays(t, func(t *testing.T, s *fastScanner) {
				settled(t, s)
				port, sockets := uint16(0), []*os.File(nil)
				for addr := range strings.FieldsSeq(tt.addrs) {
					options := []option{ipFreeBind}
					if strings.Contains(addr, ":") {
						options = append(options, ipv6FreeBind)
					}
					var socket *os.File
					socket, port = listenRaw(t, netip.MustParseAddr(addr), port, options...)
					sockets = append(sockets, socket)
				}
				want := ""
				if tt.want != "" {
					want = fmt.Sprintf("%d@%s", os.Getpid(), tt.want)
				}
				expectFast(t, s, port, want)
				for _, socket := range sockets {
					socket.Close()
				}
				expectFast(t, s, port, "")
			})
		})
	}
}

// TestFastFacts compares the owner that a scan reports with owner.Read.
func TestFastFacts(t *testing.T) {
	stage := newStage(t)
	p := stage.enter()
	port := p.listen("a", "127.0.0.1:0")
	facts, err := owner.Read(t.Context(), p.PID)
	if err != nil {
		t.Fatal(err)
	}
	s := newFast(t)
	for range 2 {
		snapshot := settled(t, s)
		if got := snapshot.Holders(port); len(got) != 1 || got[0] != facts || got[0].Name != "puppet" {
			t.Errorf("port %d has %+v, want %+v", port, got, facts)
		}
		if snapshot.Source != wantSource() {
			t.Errorf("the source is %q, want %q", snapshot.Source, wantSource())
		}
	}
}

// TestFastUnchanged checks that unchanged scans share one list.
func TestFastUnchanged(t *testing.T) {
	s := newFast(t)
	s.heed(&[]uint16{listen(t, "tcp4", "127.0.0.1:0")})
	before := settled(t, s)
	after := settled(t, s)
	if len(before.Listeners) != 1 || &before.Listeners[0] != &after.Listeners[0] || !after.Time.After(before.Time) {
		t.Errorf("%+v and %+v are not in the same memory", before, after)
	}
}

// TestFastShared kills the main process of a server that forked before it accepted. The process stays a zombie.
func TestFastShared(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		parent := newStage(t).enter()
		port := parent.listen("a", "127.0.0.1:0")
		settled(t, s)
		one, two := parent.bear("a"), parent.bear("a")
		expectFast(t, s, port, on(parent.Process))
		parent.kill()
		expectAfterEnd(t, s, port, on(one.Process), on(two.Process))
		heir, other := one, two
		if foundOurs(settled(t, s), port) == on(two.Process) {
			heir, other = two, one
		}
		heir.kill()
		expectAfterEnd(t, s, port, on(other.Process))
		other.kill()
		expectFast(t, s, port, "") // although none of them has been reaped
		if _, err := owner.Identify(other.PID); err != nil {
			t.Error("the process is no zombie:", err)
		}
	})
}

// TestFastGenerations has a socket that only some ancestors of a process hold.
func TestFastGenerations(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		first := newStage(t).enter()
		second := first.bear()
		port := second.listen("a", "127.0.0.1:0")
		third := second.bear("a")
		fourth := third.bear("a")
		expectFast(t, s, port, on(second.Process))
		second.kill()
		first.tell("bury")
		expectAfterEnd(t, s, port, on(third.Process))
		third.tell("close a")
		if got := foundOurs(rechecked(t, s), port); got != on(fourth.Process) {
			t.Errorf("found %q, want %q", got, on(fourth.Process))
		}
	})
}

// TestFastHandOver has a process that passes its socket on and keeps running.
func TestFastHandOver(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		stage := newStage(t)
		giver, taker := stage.enter(), stage.enter()
		port := giver.listen("a", "127.0.0.1:0")
		expectFast(t, s, port, on(giver.Process))
		giver.pass("a", taker)
		expectFast(t, s, port, on(giver.Process))
		giver.tell("close a")
		if got := foundOurs(rechecked(t, s), port); got != on(taker.Process) {
			t.Errorf("passed on: found %q, want %q", got, on(taker.Process))
		}
		child := taker.bear("a")
		taker.tell("close a")
		if got := foundOurs(rechecked(t, s), port); got != on(child.Process) {
			t.Errorf("inherited: found %q, want %q", got, on(child.Process))
		}
		child.tell("copy a")
		child.tell("close a") // one of its two descriptors
		if got := foundOurs(rechecked(t, s), port); got != on(child.Process) {
			t.Errorf("one of two descriptors is closed: found %q, want %q", got, on(child.Process))
		}
	})
}

// TestFastRecheck counts the ticks until each socket has been rechecked while others come and go.
func TestFastRecheck(t *testing.T) {
	for _, n := range []int{1, 2, 9, 10, 11, 95} {
		s := &fastScanner{fs: newProcfs(), socks: map[rowKey]*sock{}}
		looked := 0
		now := time.Now()
		s.last = now
		ticks := 0
		for range n {
			s.order = append(s.order, &sock{owner: &program{}}) // a check finds that it does not hold the socket
		}
		for ; looked < n && ticks < 1000; ticks++ {
			s.order = s.order[:n]
			if ticks%2 == 0 {
				s.order = append(s.order, &sock{})
			}
			now = now.Add(time.Second)
			s.check(t.Context(), now)
			s.last = now
			looked = 0
			for _, so := range s.order[:n] {
				if so.owner == nil {
					looked++
				}
			}
		}
		if limit := int(recheckWithin/time.Second) + 2; ticks > limit {
			t.Errorf("checking %d sockets took %d ticks, want at most %d", n, ticks, limit)
		}
	}
}

// TestFastExec has a process that calls exec and keeps its listener.
func TestFastExec(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		p := newStage(t).enter()
		port := p.listen("a", "127.0.0.1:0")
		for _, name := range []string{"puppet", "actor", "dancer"} {
			if name != "puppet" {
				p.become(name)
			}
			for range 2 * programRounds {
				rechecked(t, s)
			}
			got := rechecked(t, s).Holders(port)
			if len(got) != 1 || !got[0].Is(p.Process) || got[0].Name != name {
				t.Errorf("port %d has %+v, want %q of process %d", port, got, name, p.PID)
			}
		}
		p.kill()
		expectFast(t, s, port, "")
	})
}

// TestFastMainThread has a server whose main thread has ended. It looks like a zombie and hides its files.
func TestFastMainThread(t *testing.T) {
	p := newStage(t).enter()
	port := p.listen("a", "127.0.0.1:0")
	s := newFast(t)
	expectFast(t, s, port, on(p.Process))
	p.tell("end-main-thread")
	unknown := fmt.Sprintf("%d@127.0.0.1", 0)
	for range 3 {
		if got := foundOurs(rechecked(t, s), port); got != on(p.Process) && got != unknown {
			t.Errorf("found %q, want %q or %q", got, on(p.Process), unknown)
		}
	}
	p.tell("close a")
	expectFast(t, s, port, "")
}

// TestFastThread listens in a thread other than the main thread.
func TestFastThread(t *testing.T) {
	s := newFast(t)
	port := make(chan uint16)
	end := make(chan struct{})
	defer close(end)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			close(port)
			return
		}
		defer l.Close()
		port <- portOf(l)
		<-end
	}()
	expectFast(t, s, <-port, fmt.Sprintf("%d@127.0.0.1", os.Getpid()))
}

// TestFastReusePort has processes with separate sockets on one address and port.
func TestFastReusePort(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		stage := newStage(t)
		var puppets []*puppet
		addr := "127.0.0.1:0"
		want := func() string {
			var list []string
			for _, p := range puppets {
				list = append(list, on(p.Process))
			}
			slices.SortFunc(list, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) }) // by PID
			return strings.Join(list, " ")
		}
		port := uint16(0)
		for range 3 {
			p := stage.enter()
			answer, _ := p.tell("share a " + addr)
			addr = "127.0.0.1:" + answer
			port = uint16(number(t, answer))
			puppets = append(puppets, p)
			expectFast(t, s, port, want())
		}
		for len(puppets) > 0 {
			puppets[1%len(puppets)].kill()
			puppets = slices.Delete(puppets, 1%len(puppets), 1%len(puppets)+1)
			expectFast(t, s, port, want())
		}
	})
}

// TestFastListenAgain has a socket that stops listening and then listens on another port, between two scans.
func TestFastListenAgain(t *testing.T) {
	bothWays(t, func(t *testing.T, s *fastScanner) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		listen := func() uint16 { // on a port of the system's choice
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatal(err)
			}
			name, err := unix.Getsockname(fd)
			if err != nil {
				t.Fatal(err)
			}
			return uint16(name.(*unix.SockaddrInet4).Port)
		}
		port := listen()
		want := fmt.Sprintf("%d@0.0.0.0", os.Getpid())
		expectFast(t, s, port, want)
		former := port
		for port == former {
			if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
				t.Fatal(err)
			}
			port = listen()
		}
		expectFast(t, s, port, want)
		if got := foundOurs(settled(t, s), former); strings.Contains(got, want) {
			t.Errorf("port %d: found %q, though it is free", former, got)
		}
	})
}

// TestFastNoInode has a socket of the kernel itself. No process holds it, so the scanner must not search for an owner.
func TestFastNoInode(t *testing.T) {
	s := newFast(t)
	nfs := row{addr: netip.MustParseAddr("0.0.0.0"), port: 2049}
	s.how.list = func(rows []row) ([]row, bool, error) { return append(rows, nfs), false, nil }
	for range 3 {
		if got := foundOurs(settled(t, s), 2049); got != "0@0.0.0.0" {
			t.Errorf("found %q, want %q", got, "0@0.0.0.0")
		}
	}
	if so := sockOn(t, s, 2049); so.pause != 0 || s.search.pids != nil {
		t.Errorf("the scanner searched for its owner: %+v", so)
	}
}

// TestFastFiles checks that the scanner leaks no files and no records while sockets come and go.
func TestFastFiles(t *testing.T) {
	p := newStage(t).enter()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector would close them
	files := func() int {
		t.Helper()
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := files()
	s, err := newFastScanner()
	if err != nil {
		t.Fatal(err)
	}
	var mine []uint16
	s.heed(&mine)
	fixed := p.listen("fixed", "127.0.0.1:0")
	var first int
	ticks := 1000
	if s.how.name != "sock_diag" {
		ticks = 100 // each takes longer
	}
	for tick := range ticks {
		if tick%4 > 0 {
			settled(t, s)
			continue
		}
		l := listenTCP(t, "127.0.0.1:0")
		mine = []uint16{fixed, portOf(l)}
		want := []string{on(p.Process), fmt.Sprintf("%d@127.0.0.1", os.Getpid())}
		snapshot := settled(t, s)
		for i, port := range mine {
			if got := foundOurs(snapshot, port); got != want[i] {
				t.Fatalf("tick %d: port %d has %q, want %q", tick, port, got, want[i])
			}
		}
		l.Close()
		if tick == 0 {
			first = files()
		}
	}
	mine = []uint16{fixed}
	settled(t, s)
	if now := files(); now > first {
		t.Errorf("%d files are open, %d were after the first tick", now, first)
	}
	if len(s.socks) != 1 || len(s.order) != 1 || len(s.owners) != 1 || len(s.search.former) > 16 {
		t.Errorf("%d and %d sockets, %d owners and %d former ones are remembered, want one of each", len(s.socks),
			len(s.order), len(s.owners), len(s.search.former))
	}
	s.close()
	if now := files(); now > before {
		t.Errorf("%d files are open, %d were before", now, before)
	}
}

// TestFastAllocs measures a tick that finds nothing new.
func TestFastAllocs(t *testing.T) {
	for range 20 {
		listen(t, "tcp4", "127.0.0.1:0")
	}
	s := newFast(t)
	if s.how.name != "sock_diag" {
		t.Skip("/proc/net/tcp needs more allocations")
	}
	settled(t, s)
	const most, mostBytes = 20, 1000
	allocs, size := 0.0, uint64(0)
	for range 20 { // until a run is not disturbed by other processes
		const runs = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		allocs = testing.AllocsPerRun(runs, func() { settled(t, s) })
		runtime.ReadMemStats(&after)
		size = (after.TotalAlloc - before.TotalAlloc) / runs
		if allocs <= most && size <= mostBytes {
			t.Logf("%.0f allocations, %d bytes", allocs, size)
			return
		}
	}
	t.Errorf("a tick makes %.0f allocations of %d bytes, want no more than %d of %d", allocs, size, most, mostBytes)
}

package watcher

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/facts"
	"porttray/watcher/server"
)

// A log follows a Watcher and checks each update: its events must lead to its list.
type log struct {
	t       *testing.T
	wake    chan struct{}
	updates chan Update
	heads   map[uint16]bool // the head ports of servers
	listed  map[uint16]bool // all ports
	last    Update
	events  map[Kind]int
	count   int      // number of updates
	watched []uint16 // ports without changes or events
}

// keepLog starts a Watcher that ends with the test, and waits for its first list.
func keepLog(t *testing.T, w *Watcher, watched ...uint16) *log {
	t.Helper()
	l := &log{t: t, wake: make(chan struct{}), updates: make(chan Update), heads: map[uint16]bool{},
		events: map[Kind]int{}, watched: watched}
	w.Wake = l.wake
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var turn sync.Mutex
	if scan := w.Scan; scan != nil { // a scan may outlast Run; wait for it
		w.Scan = func(ctx context.Context) (Snapshot, error) {
			turn.Lock()
			defer turn.Unlock()
			if ctx.Err() != nil {
				return Snapshot{}, ctx.Err()
			}
			return scan(ctx)
		}
	}
	wg.Go(func() { w.Run(ctx, l.updates) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		turn.Lock()
		defer turn.Unlock()
	})
	l.read(time.Now().Add(patience))
	l.heads = headPorts(l.last.Snapshot)
	l.count = 0
	return l
}

// read takes the next update. It returns false if none comes before the time.
func (l *log) read(by time.Time) bool {
	l.t.Helper()
	select {
	case u := <-l.updates:
		l.note(u)
		return true
	case <-time.After(time.Until(by)):
		return false
	}
}

func (l *log) note(u Update) {
	l.t.Helper()
	first := l.last.Snapshot.Time.IsZero()
	l.last = u
	l.count++
	for _, e := range u.Events {
		l.events[e.Kind]++
		if slices.Contains(l.watched, e.Listener.Port) {
			l.t.Errorf("got %v for port %d, which has not changed: %+v", e.Kind, e.Listener.Port, e)
		}
		if known := l.heads[e.Port] || e.Kind == Closed &&
			l.listed[e.Port]; known != (e.Kind == Closed || e.Kind == Exposed) && e.Kind != Restarted &&
			e.Kind != Replaced {
			l.t.Errorf("got %v for port %d; it was a head before: %v", e.Kind, e.Port, known)
		}
		l.heads[e.Port] = e.Kind != Closed
	}
	l.last.Events = nil // there may be thousands of events
	listed := map[uint16]bool{}
	for _, listener := range u.Snapshot.Listeners {
		listed[listener.Port] = true
	}
	if first {
		l.listed = listed
		return
	}
	maps.DeleteFunc(l.heads, func(_ uint16, open bool) bool { return !open })
	// When its owner is found, a server can become a part of another one, or separate. There is no event for that.
	heads := headPorts(u.Snapshot)
	maps.DeleteFunc(l.heads, func(port uint16, _ bool) bool { return listed[port] && !heads[port] })
	for _, on := range u.Snapshot.Servers { // a server with too few known facts has no event yet
		unborn := !on.Owner.Known() || on.Facts == facts.Facts{}
		if !l.heads[on.Port] && (unborn || l.listed[on.Port]) {
			delete(heads, on.Port)
		}
	}
	l.listed = listed
	if !maps.Equal(heads, l.heads) {
		l.t.Errorf("%d events lead to %d servers, but %d are listed", len(u.Events), len(l.heads), len(heads))
		l.heads = heads
	}
	for _, port := range l.watched {
		if !listed[port] {
			l.t.Errorf("port %d is not listed", port)
		}
	}
}

// headPorts returns the head ports of the servers in a snapshot.
func headPorts(s Snapshot) map[uint16]bool {
	heads := map[uint16]bool{}
	for _, on := range s.Servers {
		if !on.Rest {
			heads[on.Port] = true
		}
	}
	return heads
}

// until follows until ok returns true. With asking it requests scans, like a person.
func (l *log) until(what string, asking bool, ok func() bool) {
	l.t.Helper()
	began := time.Now()
	defer func() { l.t.Logf("%s after %v", what, time.Since(began)) }()
	for late := began.Add(3 * patience); !ok(); {
		if time.Now().After(late) {
			l.t.Fatalf("%s: not after %v and %v; the last update has %d listeners, slow %v, %v", what, 3*patience,
				l.events,
				len(l.last.Snapshot.Listeners), l.last.Slow, l.last.Err)
		}
		if asking {
			select {
			case l.wake <- struct{}{}:
			case u := <-l.updates:
				l.note(u)
			}
		}
		l.read(time.Now().Add(100 * time.Millisecond))
	}
}

// settles follows until the list equals an independent slow reading.
func (l *log) settles() {
	l.t.Helper()
	truth := ""
	l.until("the list is right", true, func() bool {
		truth = reading(l.t)
		return truth == written(l.last.Snapshot)
	})
}

// reading returns the PID, port and address of each listener according to gopsutil.
func reading(t *testing.T) string {
	t.Helper()
	s, err := newScanner().scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return written(s)
}

func written(s Snapshot) string {
	var list []string
	for _, l := range s.Listeners {
		list = append(list, fmt.Sprintf("%d: %d@%s", l.Port, l.Owner.PID, addresses(l)))
	}
	return strings.Join(list, "\n")
}

// memory returns the memory of this process in MB: resident, and in use after a garbage collection.
func memory(t *testing.T) (resident, used int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return number(t, strings.Fields(after)[0]) >> 10, int(m.HeapAlloc >> 20)
}

// TestStormBomb starts hundreds of short-lived listening processes per second.
func TestStormBomb(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	steady := newStage(t).enter()
	port := steady.listen("a", "127.0.0.1:0")
	l := keepLog(t, &Watcher{Interval: 100 * time.Millisecond}, port)
	bomb := run(t, roleCommand("bomb", "300", "200"))
	began, atRest := time.Now(), cpuTime()
	l.until("scans count as expensive", false, func() bool { return l.last.Slow > 0 })
	t.Logf("after %v, %d updates and %v, it scans every %v", time.Since(began), l.count, l.events, l.last.Slow)

	const span = 8 * time.Second
	// The rest of the budget may be spent first.
	for end := began.Add(8 * span); cpuTime()-atRest < cpuBudget && l.read(end); {
	}

	// The limit is a hundredth of the CPU. A tenth is above it on any machine, and below the use without it.
	before, count := cpuTime(), l.count
	for end := time.Now().Add(span); l.read(end); {
	}
	cpu := cpuTime() - before
	t.Logf("%v of CPU time and %d updates in the %v after that", cpu, l.count-count, span)
	if cpu > span/10 {
		t.Errorf("%v of CPU time in %v", cpu, span)
	}
	t.Logf("%s processes have listened", bomb.finish(t))
	l.settles()
	if got, want := foundOurs(l.last.Snapshot, port), on(steady.Process); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestStormRebind has a process that closes and reopens its port a thousand times a second.
func TestStormRebind(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	rebinder := run(t, roleCommand("rebind"))
	port := uint16(number(t, rebinder.said[0]))
	s := newFast(t)
	var scans atomic.Int32
	l := keepLog(t, &Watcher{Interval: 20 * time.Millisecond, Scan: func(ctx context.Context) (Snapshot, error) {
		scans.Add(1)
		return s.scan(ctx)
	}})
	before := cpuTime()
	for end := time.Now().Add(4 * time.Second); l.read(end); {
	}
	t.Logf("%d scans, %d updates with %v, %v of CPU time", scans.Load(), l.count, l.events, cpuTime()-before)
	if n := l.events[Opened] + l.events[Replaced]; n > 0 {
		t.Errorf("got the events %v for a process that keeps running", l.events)
	}
	if rebinder.finish(t) != "done" {
		t.Fatal("the rebinder did not finish")
	}
	l.settles()
	if got, want := found(l.last.Snapshot, port), fmt.Sprintf("%d@127.0.0.1", rebinder.cmd.Process.Pid); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A cost is the average cost of a tick without changes.
type cost struct {
	cpu    time.Duration
	allocs float64
	bytes  int // from the kernel
}

// String is for test messages.
func (c cost) String() string {
	return fmt.Sprintf("%.3f ms, %.0f allocations, %d bytes from the kernel", c.cpu.Seconds()*1e3, c.allocs, c.bytes)
}

// bytesOf is the maximum number of bytes that the kernel sends per listener.
const bytesOf = 200

// costOf measures ticks without changes. The number of bytes does not depend on other activity of the machine.
func costOf(t *testing.T, s *fastScanner) (c cost) {
	t.Helper()
	settled(t, s)
	const ticks = 20
	before := cpuTime()
	c.allocs = testing.AllocsPerRun(ticks-1, func() { settled(t, s) })
	c.cpu = (cpuTime() - before) / ticks
	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := d.ask(question{family: family, protocol: unix.IPPROTO_TCP, states: 1 << tcpListen}); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			n, _, err := unix.Recvfrom(d.fd, d.buf, 0)
			if err != nil {
				t.Fatal(err)
			}
			c.bytes += n
			if _, done, err = parseDiag(d.buf[:n], d.seq, nil, parseDiagSocket); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// TestStormListeners opens and closes ten thousand listeners at once.
func TestStormListeners(t *testing.T) {
	for _, processes := range []int{1, 50} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			if !(world{}).enter(t) {
				return
			}
			const all = 10_000
			l := keepLog(t, &Watcher{}, newStage(t).enter().listen("a", "127.0.0.1:0"))
			rss, heap := memory(t)
			var holders []*running
			for range processes {
				holders = append(holders, run(t, roleCommand("many", fmt.Sprint(all/processes), "0", "0")))
			}
			before := cpuTime()
			l.until("all are listed", true, func() bool {
				return l.last.Snapshot.Ports() == all+1 &&
					!slices.ContainsFunc(l.last.Snapshot.Listeners, func(l server.Listener) bool { return !l.Owner.Known() })
			})
			most, _ := memory(t)
			t.Logf("opening took %v of CPU time; memory was %d MB and is %d MB; slow: %v", cpuTime()-before, rss, most,
				l.last.Slow)
			measured := newFast(t)
			t.Logf("a tick takes %v", costOf(t, measured))
			measured.found = Snapshot{} // frees the large list, which would count below
			l.settles()
			for _, h := range holders {
				h.in.Close()
			}
			before = cpuTime()
			l.until("all are gone", true, func() bool { return l.last.Snapshot.Ports() == 1 })
			t.Logf("closing took %v of CPU time", cpuTime()-before)
			l.settles()
			if now := l.events; now[Opened] != processes || now[Closed] != processes {
				t.Errorf("got the events %v for %d servers that opened and closed", now, processes)
			}
			l.until("the memory is given back", true, func() bool {
				_, now := memory(t)
				return now <= heap+16
			})
		})
	}
}

// mayOpen raises the limit of open files to n, if allowed, and returns it.
func mayOpen(t *testing.T, n uint64) int {
	t.Helper()
	var now unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil) == nil { // root usually may
		return int(n)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: now.Max, Max: now.Max}, nil); err != nil {
		t.Fatal(err)
	}
	if now.Max < n {
		t.Logf("ONLY %d FILES MAY BE OPEN HERE, WANT %d: this run does not test more", now.Max, n)
	}
	return int(min(n, now.Max))
}

// TestStormGrowth has processes with very many files or connections. The cost of a tick must not grow.
func TestStormGrowth(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	files := mayOpen(t, 100_100) - 100
	s := newFast(t)
	first := costOf(t, s)
	t.Logf("at first, a tick takes %v", first)
	for _, tt := range []struct {
		what               string
		files, connections int // per process
		processes          int
	}{{"files", files, 0, 1}, {"connections", 0, 4000, 5}} {
		for range tt.processes {
			r := run(t, roleCommand("many", "1", fmt.Sprint(tt.files), fmt.Sprint(tt.connections)))
			before := cpuTime()
			port := uint16(number(t, r.said[0]))
			got, want := foundOurs(settled(t, s), port), fmt.Sprintf("%d@127.0.0.1", r.cmd.Process.Pid)
			if got != want {
				t.Errorf("with %s, found %q, want %q", tt.what, got, want)
			}
			t.Logf("finding its owner took %v", cpuTime()-before)
			first.bytes += bytesOf
		}
		now := costOf(t, s)
		t.Logf("with %d %s, a tick takes %v", (tt.files+tt.connections)*tt.processes, tt.what, now)
		if now.bytes > first.bytes || now.allocs > first.allocs+5 {
			t.Errorf("with %s, a tick takes %v, want no more than %v", tt.what, now, first)
		}
	}
	keepLog(t, &Watcher{}).settles()
}

// TestStormRename has a process that changes its name and arguments every millisecond.
func TestStormRename(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	r := run(t, roleCommand("rename"))
	port := uint16(number(t, r.said[0]))
	l := keepLog(t, &Watcher{Interval: 20 * time.Millisecond}, port)
	was := server.OnPort(l.last.Snapshot.Listeners, port)
	before := cpuTime()
	for end := time.Now().Add(2 * recheckWithin / 5); l.read(end); {
	}
	t.Logf("%d updates, %v of CPU time", l.count, cpuTime()-before)
	l.settles()
	now := server.OnPort(l.last.Snapshot.Listeners, port)
	if l.count > 1 || len(now) != 1 || now[0].Owner != was[0].Owner {
		t.Errorf("%d updates; the listener was %+v and is %+v", l.count, was, now)
	}
	if n := number(t, r.finish(t)); n < 100 {
		t.Errorf("the process renamed itself only %d times", n)
	}
}

// TestStormArguments has a server with two megabytes of arguments. It looks like ssh, so its arguments are read, too.
func TestStormArguments(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	dir := t.TempDir()
	program := dir + "/ssh"
	if err := copyFile("/proc/self/exe", program); err != nil {
		t.Fatal(err)
	}
	cmd := roleCommand("listen", "127.0.0.1:0")
	cmd.Path, cmd.Args[0] = program, strings.Repeat("n", 120<<10)
	for range 16 {
		cmd.Args = append(cmd.Args, strings.Repeat("x", 110<<10))
	}
	port := uint16(number(t, start(t, cmd)[0]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	l := keepLog(t, &Watcher{}, port)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	got := server.OnPort(l.last.Snapshot.Listeners, port)
	if len(got) != 1 || got[0].Owner.Name != "ssh" || got[0].Facts.Command != "" ||
		len([]rune(got[0].Name())) > 2*24+10 {
		t.Fatalf("found %.2000v", got)
	}
	took := (after.TotalAlloc - before.TotalAlloc) >> 10
	t.Logf("its name is %q; it took %v of CPU time and %d kB", got[0].Name(), cpu, took)
	if took > 32<<10 {
		t.Errorf("reading it took %d kB", took)
	}
	l.settles()
}

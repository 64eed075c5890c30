package watcher

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A log follows a Watcher, and makes sure of each update that its events lead to its list.
type log struct {
	t       *testing.T
	wake    chan struct{}
	updates chan Update
	ports   map[uint16]bool // that are listened on
	last    Update
	events  map[Kind]int
	count   int      // of updates
	watched []uint16 // ports that stay as they are: nothing happens to them
}

// keepLog starts a Watcher, which ends with the test, and waits for its first list.
func keepLog(t *testing.T, w *Watcher, watched ...uint16) *log {
	t.Helper()
	l := &log{t: t, wake: make(chan struct{}), updates: make(chan Update), ports: map[uint16]bool{}, events: map[Kind]int{}, watched: watched}
	w.Wake = l.wake
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, l.updates) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	l.read(time.Now().Add(patience))
	for _, listener := range l.last.Snapshot.Listeners {
		l.ports[listener.Port] = true
	}
	l.count = 0
	return l
}

// read takes the next update, or returns false when there is none by then.
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
			l.t.Errorf("%v is told of port %d, with which nothing has happened: %+v", e.Kind, e.Listener.Port, e)
		}
		if known := l.ports[e.Listener.Port]; known != (e.Kind == Closed || e.Kind == Exposed) && e.Kind != Restarted && e.Kind != Replaced {
			l.t.Errorf("%v is told of port %d, which was listened on before: %v", e.Kind, e.Listener.Port, known)
		}
		l.ports[e.Listener.Port] = e.Kind != Closed
	}
	if first {
		return
	}
	maps.DeleteFunc(l.ports, func(_ uint16, open bool) bool { return !open })
	listed := map[uint16]bool{}
	for _, listener := range u.Snapshot.Listeners {
		listed[listener.Port] = true
	}
	if !maps.Equal(listed, l.ports) {
		l.t.Errorf("%d events lead to %d ports, and %d are listed", len(u.Events), len(l.ports), len(listed))
		l.ports = listed
	}
	for _, port := range l.watched {
		if !listed[port] {
			l.t.Errorf("port %d is not listed", port)
		}
	}
}

// until follows until ok, and asks for scans where a person would.
func (l *log) until(what string, asking bool, ok func() bool) {
	l.t.Helper()
	began := time.Now()
	defer func() { l.t.Logf("%s after %v", what, time.Since(began)) }()
	for late := began.Add(3 * patience); !ok(); {
		if time.Now().After(late) {
			l.t.Fatalf("%s: not so after %v; the last update has %d listeners, slow %v, %v", what, 3*patience,
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

// settles follows until the list is what a slow reading, which shares nothing with the scan, says as well.
func (l *log) settles() {
	l.t.Helper()
	truth := ""
	l.until("the list is right", true, func() bool {
		truth = reading(l.t)
		return truth == written(l.last.Snapshot)
	})
}

// reading is what gopsutil reads: PID, port and address of each listener.
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

// rest is how much memory a process has, in kB.
func residentKB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	return number(t, strings.Fields(after)[0])
}

// TestStormBomb has hundreds of processes a second come, listen for a moment, and end.
func TestStormBomb(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	steady := newStage(t).enter()
	port := steady.listen("a", "127.0.0.1:0")
	l := keepLog(t, &Watcher{Interval: 100 * time.Millisecond}, port)
	bomb := run(t, roleCommand("bomb", "300", "200"))
	began := time.Now()
	l.until("looking is said to be expensive", false, func() bool { return l.last.Slow > 0 })
	t.Logf("after %v, %d updates and %v, it looks every %v", time.Since(began), l.count, l.events, l.last.Slow)

	// From now on it takes no more than a hundredth; a tenth is more than any machine's hundredth, and less than without a limit.
	const span = 8 * time.Second
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

// TestStormRebind has a process close its port and open it again a thousand times a second.
func TestStormRebind(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	rebinder := run(t, roleCommand("rebind"))
	port := uint16(number(t, rebinder.said[0]))
	s := newFast(t)
	scans := 0
	l := keepLog(t, &Watcher{Interval: 20 * time.Millisecond, Scan: func(ctx context.Context) (Snapshot, error) {
		scans++
		return s.scan(ctx)
	}})
	before := cpuTime()
	for end := time.Now().Add(4 * time.Second); l.read(end); {
	}
	t.Logf("%d scans, %d updates with %v, %v of CPU time", scans, l.count, l.events, cpuTime()-before)
	if n := l.events[Opened] + l.events[Replaced]; n > 0 {
		t.Errorf("of a process that goes on %v is told", l.events)
	}
	if rebinder.finish(t) != "done" {
		t.Fatal("it is not done")
	}
	l.settles()
	if got, want := found(l.last.Snapshot, port), fmt.Sprintf("%d@127.0.0.1", rebinder.cmd.Process.Pid); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

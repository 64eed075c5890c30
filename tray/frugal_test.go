//go:build linux

package tray_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

var frugalFor = flag.Duration("frugal.for", 30*time.Second,
	"how long BenchmarkFrugal measures a program while nothing changes")

const (
	// calming is more than the time from the start until the scans slow down.
	calming = 40 * time.Second
	// changeEvery is the pause between two changes.
	changeEvery = time.Minute
)

// BenchmarkFrugal measures the cost of the tray. It runs the shipped program with a real panel, and then a bare program
// with the same dependencies, an icon and an empty menu. It takes a quarter of an hour; the second line takes an hour.
//
//	go test -run '^$' -bench Frugal ./tray
//	go test -run '^$' -bench Frugal/listeners=50/unchanged ./tray -frugal.for 1h
//
// In the changing part a server comes or goes once a minute, for one minute and then two measured ones. The columns:
//
//	%core           CPU time, user and system, in percent of one core
//	cpu-s/h         the same in seconds an hour
//	wakeups/s       voluntary context switches of all threads
//	MB-rss          resident memory at the end, in millions of bytes
//	MB-anon         the program's own part of it; the rest are pages of its file, and the system can drop them
//	MB-growth       growth of MB-rss since the beginning
//	msgs/h          messages on the session bus that the program sent or received
//	own/change      messages for one change, begun by the program: signals, and calls with their answers
//	asked/change    messages for one change, begun by others: calls with the replies to them
//
// With -frugal.for 1m, under xfce4-panel, on a virtual machine with two cores and Linux 6.18:
//
//	                     50 listeners, unchanged   50, changing   bare
//	cpu-s/h              1.7                       4.3            0.008
//	%core                0.05                      0.12
//	wakeups/s            7.3                       13             0.03
//	MB-rss               17.3                      17.1           7.1
//	own/change                                     10.5
//	asked/change                                   68
//
// MB-anon is 6. With 300 listeners the tray takes 0.06 % and 23 MB unchanged, 0.54 % and 26 MB changing.
func BenchmarkFrugal(b *testing.B) {
	for _, n := range []int{10, 50, 300} {
		b.Run(fmt.Sprintf("listeners=%d", n), func(b *testing.B) {
			f := startFrugal(b, "porttray", n)
			time.Sleep(calming)
			b.Run("unchanged", f.unchanged)
			b.Run("changing", f.changing)
		})
	}
	b.Run("bare", func(b *testing.B) {
		f := startFrugal(b, "porttray/tray/testdata/bare", 0)
		time.Sleep(calming)
		f.unchanged(b)
	})
}

// A frugal is a program under measurement in the tray of a real panel.
type frugal struct {
	desktop *testDesktop
	program *process
	bus     *monitor
}

// startFrugal starts a program on a desktop with so many listeners. It waits for the icon and the complete menu.
func startFrugal(b *testing.B, pkg string, listeners int) *frugal {
	b.Helper()
	d := newDesktop(b)
	d.needNetwork()
	d.startScreen(800, 600).startPanel()
	d.startNotifier(notifierShows)
	if listeners > 0 {
		d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, listeners)...)
	}
	program := d.start(shipped(b, pkg))
	i := d.panelItem()
	if listeners > 0 {
		header := fmt.Sprintf("%d servers", listeners)
		i.waitFor(header, patience, func(menu *node) bool { return menu.children[0].label == header })
	}
	return &frugal{d, program, d.monitorOf(program)}
}

// shipped builds a program as .package/build does, and returns its path.
func shipped(b *testing.B, pkg string) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), path.Base(pkg))
	cmd := exec.CommandContext(b.Context(), "go", "build", "-buildvcs=false", "-race=false", "-trimpath",
		"-ldflags=-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return file
}

// panelItem waits for an icon in the tray of a panel in another process.
func (d *testDesktop) panelItem() *item {
	d.t.Helper()
	h := &host{d: d, conn: d.connect(func(*dbus.Signal) {})}
	var names []string
	if !poll(patience, func() bool {
		v, err := call(h.conn.Object(hostName, hostPath), "org.freedesktop.DBus.Properties.Get", hostName,
			"RegisteredStatusNotifierItems")
		return err == nil && dbus.Store(v, &names) == nil && len(names) > 0
	}) {
		d.t.Fatal("there is no icon in the panel")
	}
	sender, at, _ := strings.Cut(names[0], "/")
	return &item{h: h, sender: sender, name: names[0], path: dbus.ObjectPath("/" + at)}
}

// unchanged measures while nothing changes. A long measurement logs how memory grows.
func (f *frugal) unchanged(b *testing.B) {
	m := f.begin(b)
	for b.Loop() {
		const parts = 12
		for range parts {
			time.Sleep(*frugalFor / parts)
			if now := f.program.usage(b); *frugalFor >= 10*time.Minute {
				// The log of the benchmark would come only at its end.
				fmt.Fprintf(os.Stderr, "after %v: %v\n", now.at.Sub(m.usage.at).Round(time.Second), now)
			}
		}
	}
	m.end(b)
}

// changing measures while a server comes or goes once a minute.
func (f *frugal) changing(b *testing.B) {
	d := *f.desktop
	d.t = b // these programs end with this part
	server := d.startVictim(victimOptions{}, "127.0.0.1:0")
	time.Sleep(changeEvery)
	m := f.begin(b)
	for b.Loop() {
		server.signal(os.Kill)
		time.Sleep(changeEvery)
		server = d.startVictim(victimOptions{}, "127.0.0.1:0")
		time.Sleep(changeEvery)
		m.changes += 2
	}
	m.end(b)
}

// A measurement is the state at the start of a measured part.
type measurement struct {
	of      *frugal
	usage   usage
	bus     traffic
	changes int
}

func (f *frugal) begin(b *testing.B) *measurement {
	b.Helper()
	return &measurement{of: f, usage: f.program.usage(b), bus: f.bus.traffic()}
}

// end reports the results.
func (m *measurement) end(b *testing.B) {
	b.Helper()
	before, after, bus := m.usage, m.of.program.usage(b), m.of.bus.traffic().minus(m.bus)
	took := after.at.Sub(before.at)
	cpu := (after.cpu - before.cpu).Seconds()
	b.ReportMetric(0, "ns/op") // it would be the length of the measurement
	b.ReportMetric(100*cpu/took.Seconds(), "%core")
	b.ReportMetric(cpu/took.Hours(), "cpu-s/h")
	b.ReportMetric(float64(after.wakeups-before.wakeups)/took.Seconds(), "wakeups/s")
	b.ReportMetric(float64(after.resident)/1e6, "MB-rss")
	b.ReportMetric(float64(after.anonymous)/1e6, "MB-anon")
	b.ReportMetric(float64(after.resident-before.resident)/1e6, "MB-growth")
	b.ReportMetric(float64(bus.all())/took.Hours(), "msgs/h")
	if m.changes > 0 {
		b.ReportMetric(float64(bus.own())/float64(m.changes), "own/change")
		b.ReportMetric(float64(bus.asked+bus.replies)/float64(m.changes), "asked/change")
	}
	if bus.all() > 0 {
		b.Logf("%d changes: %v", m.changes, bus)
	}
	b.Logf("%v: %v", took.Round(time.Second), after)
}

// A usage is a process's use of the system so far, and its memory now.
type usage struct {
	at                  time.Time
	cpu                 time.Duration // user and system, of all threads, ended ones too
	wakeups             int           // of the present threads
	resident, anonymous int           // in bytes
	peak                int           // of resident
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f MB resident, %.1f MB of that its own, at most %.1f MB up to now; %v CPU time",
		float64(u.resident)/1e6, float64(u.anonymous)/1e6, float64(u.peak)/1e6, u.cpu.Round(time.Millisecond))
}

func (p *process) usage(b *testing.B) usage {
	b.Helper()
	u := usage{at: time.Now()}
	// This reads the clock of a process's CPU time (clock_getcpuclockid(3)). /proc counts it in ticks of 10 ms only.
	const sched = 2
	var cpu unix.Timespec
	if err := unix.ClockGettime(int32(^p.pid()<<3|sched), &cpu); err != nil {
		b.Fatal(err)
	}
	u.cpu = time.Duration(cpu.Nano())
	dir := fmt.Sprintf("/proc/%d/", p.pid())
	u.resident, u.anonymous = 1024*statusField(b, dir, "VmRSS"), 1024*statusField(b, dir, "RssAnon")
	u.peak = 1024 * statusField(b, dir, "VmHWM")
	tasks, _ := filepath.Glob(dir + "task/[0-9]*") // the pattern is valid
	for _, task := range tasks {
		u.wakeups += statusField(b, task, "voluntary_ctxt_switches")
	}
	return u
}

// statusField returns a number in the status of a process or a thread, see proc_pid_status(5).
func statusField(b *testing.B, dir, field string) int {
	b.Helper()
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		b.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+)`).FindSubmatch(status)
	if found == nil {
		b.Fatalf("no %s in\n%s", field, status)
	}
	n, _ := strconv.Atoi(string(found[1])) // it is a number
	return n
}

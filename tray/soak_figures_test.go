//go:build linux && soak

package tray_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/godbus/dbus/v5"
)

// figuresAt is the environment variable with the path of a socket. There the program answers with its figures, see
// testdata/soak/figures.go.
const figuresAt = "PORTTRAY_SOAK_FIGURES"

// A figure is a quantity that must not grow.
type figure struct {
	name  string
	slack int // allowed growth since the start, at rest
	unit  int // the report divides by this
}

// measured lists the figures. They differ a little after each busy time. The slack is less than a leak in each step
// would add in an hour.
//
// The program keeps menu entries once it has used them: 64 places for rows with some 27 entries each, and some hundred
// others. The 27 include the entries for further ports and for servers that do not run. At the start a third to a half
// of all entries exist, and all of them only after hours. So their limit is the largest possible number.
var measured = []figure{
	{"goroutines", 6, 1},
	{"heap in use, kB", 2_000_000, 1000}, // includes the menu entries
	{"timers, about", 30, 1},
	{"open files", 4, 1},
	{"threads", 6, 1},
	{"RSS, kB", 10_000_000, 1000},
	{"D-Bus match rules", 0, 1},
	{"D-Bus connections", 1, 1}, // beeep opens one and keeps it when the notification service fails
	{"menu entries", 0, 1},
	{"home directory, kB", 64_000, 1000},
}

// maxEntries is the largest number of menu entries at rest.
const maxEntries = 2100

// allowed returns the limit of a figure at rest.
func (f *figures) allowed(m figure) int {
	if m.name == "menu entries" {
		return maxEntries
	}
	return f.start[m.name] + m.slack
}

// figures holds measured values by the name of the figure. least and most cover the whole time.
type figures struct {
	start, end  map[string]int
	least, most map[string]int
	lastSample  time.Time
	startedWith string // the stacks of the goroutines at the start
}

// sample measures every ten seconds at most, while the program is busy.
func (s *soak) sample() {
	s.t.Helper()
	if time.Since(s.figures.lastSample) > 10*time.Second {
		s.measure()
	}
}

// measure returns the figures of the program and the stacks of its goroutines.
func (s *soak) measure() (map[string]int, string) {
	s.t.Helper()
	conn, err := net.DialTimeout("unix", s.path("figures"), patience)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	text, err := r.ReadBytes('\n')
	var inside struct{ Goroutines, Heap, Timers int }
	if err == nil {
		err = json.Unmarshal(text, &inside)
	}
	stacks, err2 := io.ReadAll(r)
	if err != nil || err2 != nil {
		s.t.Fatal(err, err2)
	}
	outside := s.tray.load(s.t)
	rules, conns := s.matchRules()
	now := map[string]int{
		"goroutines":         inside.Goroutines,
		"heap in use, kB":    inside.Heap,
		"timers, about":      inside.Timers,
		"open files":         outside.files,
		"threads":            outside.tasks,
		"RSS, kB":            outside.memory,
		"D-Bus match rules":  rules,
		"D-Bus connections":  conns,
		"menu entries":       s.item.allNodes().count(),
		"home directory, kB": size(s.path("home")),
	}
	f := &s.figures
	if f.least == nil {
		f.least, f.most = map[string]int{}, map[string]int{}
	}
	for name, n := range now {
		if least, ok := f.least[name]; !ok || n < least {
			f.least[name] = n
		}
		f.most[name] = max(f.most[name], n)
	}
	f.lastSample = time.Now()
	return now, string(stacks)
}

// matchRules returns how many connections to the bus the program has, and how many match rules they have together.
func (s *soak) matchRules() (rules, conns int) {
	s.t.Helper()
	bus := s.host.conn.BusObject()
	reply, err := call(s.host.conn.Object("org.freedesktop.DBus", "/org/freedesktop/DBus"),
		"org.freedesktop.DBus.Debug.Stats.GetAllMatchRules")
	if err != nil {
		lack(s.t, fmt.Errorf("the bus does not tell its match rules: %w", err))
	}
	var all map[string][]string
	if err := dbus.Store(reply, &all); err != nil {
		s.t.Fatal(err)
	}
	for name, list := range all {
		reply, err := call(bus, "org.freedesktop.DBus.GetConnectionUnixProcessID", name)
		if err != nil {
			continue // it has left the bus meanwhile
		}
		if reply[0] == uint32(s.tray.pid()) {
			rules, conns = rules+len(list), conns+1
		}
	}
	return rules, conns
}

// size returns the size of all files below a directory, in bytes.
func size(dir string) (sum int) {
	entries, _ := os.ReadDir(dir) // none if the directory has been removed meanwhile
	for _, e := range entries {
		if e.IsDir() {
			sum += size(dir + "/" + e.Name())
		} else if info, err := e.Info(); err == nil {
			sum += int(info.Size())
		}
	}
	return sum
}

// checkpoint compares the figures with those of the start; if first is set, it records them as such. Figures that are
// too high have some time to sink.
func (s *soak) checkpoint(what string, first bool) {
	s.t.Helper()
	f := &s.figures
	now, stacks := s.measure()
	if first {
		f.start, f.startedWith = now, stacks
		s.t.Logf("%s: %v", what, now)
		return
	}
	more := func() (list []string) {
		for _, m := range measured {
			if now[m.name] > f.allowed(m) {
				list = append(list, fmt.Sprintf("%s: %d, and %d at the start", m.name, now[m.name]/m.unit,
					f.start[m.name]/m.unit))
			}
		}
		return list
	}
	for begin := time.Now(); len(more()) > 0 && time.Since(begin) < patience; {
		time.Sleep(time.Second)
		s.sync()
		now, stacks = s.measure()
	}
	f.end = now
	s.t.Logf("%s: %v", what, now)
	if list := more(); len(list) > 0 {
		s.t.Errorf("%s: figures have grown too much:\n%s\nThe goroutines at the start:\n%s\nnow:\n%s\n%s",
			what, strings.Join(list, "\n"), f.startedWith, stacks, f.table())
		s.t.FailNow()
	}
}

// table returns the figures as a text table.
func (f *figures) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tstart\tleast\tmost\tend\tallowed\t")
	for _, m := range measured {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", m.name, f.start[m.name]/m.unit, f.least[m.name]/m.unit,
			f.most[m.name]/m.unit, f.end[m.name]/m.unit,
			f.allowed(m)/m.unit)
	}
	w.Flush()
	return "\n" + b.String()
}

//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestManyListeners(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	before := s.tray.load(t)
	s.flood(300)
	first := s.tray.loadWithin(t, before.files+5)
	s.flood(300)
	second := s.tray.loadWithin(t, before.files+5)
	t.Logf("before: %v; after the first flood: %v; after the second: %v", before, first, second)
	// A flood's leftovers go a minute later, and memory returns to the system later still. Runs have shown 22 to 43 MB.
	if second.files > first.files+5 || second.tasks > first.tasks+5 || second.memory > first.memory+80e6 {
		t.Error("the second flood left too much")
	}
}

// flood starts n servers, more than the top level shows. It makes sure that each has its row, and ends them.
func (s *session) flood(n int) {
	s.t.Helper()
	v := s.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, n)...)
	menu := s.redrawn(fmt.Sprintf("%d servers", n))
	var got []uint16
	for _, row := range menu.rows() {
		got = append(got, row.port())
		if row.find("Stop sleep (PID ") == nil {
			s.t.Fatalf("the row %q has no Stop:\n%v", row.label, row)
		}
	}
	slices.Sort(v.ports)
	if !slices.Equal(got, v.ports) {
		s.t.Errorf("there are rows for the ports %v, want %v", got, v.ports)
	}
	if top := len(got) - len(menu.find("More (").rows()); top == 0 || top > 8 {
		s.t.Errorf("%d rows are at the top level, want at most 8", top)
	}
	v.signal(os.Kill)
	menu = s.redrawn("No servers")
	if len(menu.rows()) > 0 || menu.child("More (") != nil {
		s.t.Errorf("without servers the menu is\n%v", menu)
	}
}

// redrawn waits for a menu with that header and all its entries, and returns it.
func (s *session) redrawn(header string) *node {
	s.t.Helper()
	begin, before := time.Now(), s.item.signals()
	s.item.waitFor(header, patience, func(menu *node) bool { return menu.children[0].label == header })
	signals := s.item.settle() - before // the header changes first
	s.t.Logf("the menu of %s was complete within %v, by %d signals", header,
		time.Since(begin).Round(time.Millisecond)-quiet, signals)
	return s.item.menu()
}

// A load is a process's use of system resources.
type load struct {
	memory       int // resident, in bytes
	files, tasks int
}

func (p *process) load(t testing.TB) load {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.pid())
	statm, err := os.ReadFile(dir + "statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(dir + "fd/*") // the patterns are valid
	tasks, _ := filepath.Glob(dir + "task/*")
	return load{pages * os.Getpagesize(), len(files), len(tasks)}
}

// loadWithin waits until a process has at most that many open files, and returns its load. The program closes files
// about other processes a while after those have ended.
func (p *process) loadWithin(t *testing.T, files int) (l load) {
	t.Helper()
	poll(patience, func() bool {
		l = p.load(t)
		return l.files <= files
	})
	return l
}

func (l load) String() string {
	return fmt.Sprintf("%.1f MB, %d files, %d threads", float64(l.memory)/1e6, l.files, l.tasks)
}

// count returns the number of entries below n.
func (n *node) count() int {
	sum := len(n.children)
	for _, c := range n.children {
		sum += c.count()
	}
	return sum
}

// TestNothingLeaks lets many listeners come and go, and counts the leftovers a minute later. Until then the program
// keeps the entries, because a panel may still show them.
func TestNothingLeaks(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes over a minute")
	}
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	s.flood(120)
	full := s.item.allNodes().count()
	begin := time.Now()
	const rows = 48 * 10 // at most: the items of rows at the top level stay, with their submenus
	looked, left := s.item.settle(), full
	if !poll(2*patience, func() bool {
		// Reading such a menu takes long, so read only after a change.
		if now := s.item.signals(); now > looked {
			looked, left = s.item.settle(), s.item.allNodes().count()
		}
		return left <= rows
	}) {
		t.Errorf("the menu has kept %d of %d entries", left, full)
	}
	t.Logf("after %v: %v; of %d entries %d are left", time.Since(begin).Round(time.Second), s.tray.load(t), full, left)
	n := s.goroutines()
	t.Logf("%d goroutines", n)
	if n > 100 {
		t.Error("that is too many")
	}
}

// goroutines ends the program by SIGQUIT and returns its number of goroutines. A Go program lists them then.
func (s *session) goroutines() int {
	s.t.Helper()
	s.tray.signal(syscall.SIGQUIT)
	if _, err := s.tray.wait(patience); err != nil {
		s.t.Fatal(err)
	}
	last := s.tray.output()
	os.Truncate(s.tray.log, 0) // a failed test shows the output, and this one is long
	return len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(last, -1))
}

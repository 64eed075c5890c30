//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A program that was stopped for a minute sees the servers at once. A single notice reports those really gone.
func TestStoppedForAMinute(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes over a minute")
	}
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	still := d.startVictim(victimOptions{name: "stays"}, "127.0.0.1:0")
	gone := d.startVictim(victimOptions{name: "gone"}, "127.0.0.1:0")
	back := d.startVictim(victimOptions{name: "back"}, "127.0.0.1:0")
	second := d.startVictim(victimOptions{name: "second"}, "127.0.0.1:0")
	s := d.startTray()
	for _, v := range []*victim{still, gone, back, second} {
		s.row(v, v.ports[0])
	}
	s.tray.halt(t)
	begin := time.Now()
	gone.signal(os.Kill)
	second.signal(os.Kill)
	back.signal(os.Kill)
	for _, v := range []*victim{gone, second, back} {
		if _, err := v.wait(patience); err != nil {
			t.Fatal(err)
		}
	}
	back = d.startVictim(victimOptions{name: "back"}, fmt.Sprintf("127.0.0.1:%d", back.ports[0]))
	fresh := d.startVictim(victimOptions{name: "fresh"}, "127.0.0.1:0")
	time.Sleep(time.Until(begin.Add(time.Minute)))
	s.tray.signal(syscall.SIGCONT)
	s.noRow(gone.ports[0])
	s.noRow(second.ports[0])
	for _, v := range []*victim{still, back, fresh} {
		s.row(v, v.ports[0])
	}
	n := s.notes.waitFor(patience, func(n note) bool {
		return n.summary == "2 servers are gone since the computer slept"
	})
	for _, v := range []*victim{gone, second} {
		if !strings.Contains(n.body, fmt.Sprintf("%d %s", v.ports[0], v.name)) {
			t.Errorf("the notification says %q", n.body)
		}
	}
	if all := s.notes.all(); len(all) != 1 {
		t.Errorf("there are %d notifications, want 1: %v", len(all), all)
	}
}

// While no file can be opened, the list stays and nothing counts as closed. Afterwards everything recovers at once.
func TestNoFilesLeft(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	many := d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 12)...)
	one := d.startVictim(victimOptions{name: "one"}, "127.0.0.1:0")
	s := d.startTray()
	s.redrawn("13 servers")
	whole := s.item.menu().rows()
	var before unix.Rlimit
	limit := func(files uint64) {
		t.Helper()
		now := &unix.Rlimit{Cur: files, Max: before.Max}
		if err := unix.Prlimit(s.tray.pid(), unix.RLIMIT_NOFILE, now, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Prlimit(s.tray.pid(), unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	limit(3) // open files stay open
	late := d.startVictim(victimOptions{name: "late"}, "127.0.0.1:0")
	if !stays(8*time.Second, func() bool {
		menu := s.item.menu()
		for _, row := range whole {
			if menu.row(row.port()) == nil {
				t.Errorf("port %d is missing:\n%v", row.port(), menu)
			}
		}
		return !t.Failed()
	}) {
		t.FailNow()
	}
	t.Logf("meanwhile the menu begins with %q and %q", s.item.menu().children[0].label, s.item.menu().children[1].label)
	limit(before.Cur)
	s.row(late, late.ports[0])
	one.signal(os.Kill)
	s.noRow(one.ports[0])
	s.hear(fmt.Sprintf("one (:%d) crashed", one.ports[0]), "killed by SIGKILL")
	for _, port := range many.ports {
		if titles := s.heard(port); len(titles) > 0 {
			t.Errorf("of port %d it was told: %q", port, titles)
		}
	}
	s.item.click(s.item.menu().find("Quit"))
	s.mustEnd()
}

// With a low limit on open files, the tray still watches more servers than that.
func TestFewFiles(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	program := buildProgram(t)
	s := &session{testDesktop: d, host: d.startHost(), notes: d.startNotifier(notifierShows)}
	s.tray = d.start("sh", "-c", `ulimit -n 32 && exec "$0" tray`, program)
	s.item = s.host.item(patience)
	v := d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 60)...)
	// waitFor would print the whole menu.
	all := func() bool { return len(s.item.menu().rows()) == len(v.ports) && s.item.menu().find("Other") == nil }
	if !poll(patience, all) || !stays(5*time.Second, all) {
		t.Fatalf("the menu begins with %q and has %d rows", s.item.menu().children[0].label, len(s.item.menu().rows()))
	}
	one := d.startVictim(victimOptions{name: "one"}, "127.0.0.1:0")
	s.row(one, one.ports[0])
	s.hear(fmt.Sprintf("one (:%d) is up", one.ports[0]), "in ~")
	one.signal(os.Kill)
	s.noRow(one.ports[0])
	s.notes.waitFor(patience, func(n note) bool {
		return strings.HasPrefix(n.summary, fmt.Sprintf("one (:%d) ", one.ports[0])) &&
			!strings.Contains(n.summary, "is up")
	})
	for _, n := range s.notes.all() {
		if strings.Contains(n.summary, "closed") {
			t.Errorf("it was told: %v", n)
		}
	}
}

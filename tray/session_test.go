//go:build linux

package tray_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A session is a desktop with the program in its tray.
type session struct {
	*testDesktop
	host  *host
	notes *notifier
	tray  *process
	item  *item
}

// startTray starts a panel, a notification service and the program, and waits for its icon and its first scan.
func (d *testDesktop) startTray() *session {
	d.t.Helper()
	return d.startTrayWith(d.startNotifier(notifierShows))
}

// startTrayWith is startTray with the notification service n, or without one if n is nil.
func (d *testDesktop) startTrayWith(n *notifier) *session {
	d.t.Helper()
	program := buildProgram(d.t)
	s := &session{testDesktop: d, host: d.startHost(), notes: n}
	s.tray = d.start(program, "tray")
	s.item = s.host.item(patience)
	s.item.waitFor("list of ports", patience, func(menu *node) bool {
		return !strings.HasPrefix(menu.children[0].label, "Looking")
	})
	return s
}

// row waits for the complete row of a victim's port and returns it. Its last entry is Kill.
func (s *session) row(v *victim, port uint16) *node {
	s.t.Helper()
	complete := regexp.MustCompile(fmt.Sprintf(`, PID %d,(.*\n)*\(?(Kill .*PID %[1]d\)|Cannot kill .*\))\n$`, v.pid()))
	var row *node
	s.item.waitFor(fmt.Sprintf("row of %s on port %d", v.who(), port), patience, func(menu *node) bool {
		row = menu.row(port)
		return complete.MatchString(row.String())
	})
	return row
}

// noRow waits until the menu has no row of a port.
func (s *session) noRow(port uint16) {
	s.t.Helper()
	s.item.waitFor(fmt.Sprintf("menu without port %d", port), patience,
		func(menu *node) bool { return menu.row(port) == nil })
}

// hear waits for a notification by the beginning of its title, and compares its body.
func (s *session) hear(title, body string) {
	s.t.Helper()
	n := s.notes.waitFor(patience, func(n note) bool { return strings.HasPrefix(n.summary, title) })
	if n.body != body {
		s.t.Errorf("the notification %q says %q, want %q", title, n.body, body)
	}
}

// heard returns the titles of all notifications that name a port.
func (s *session) heard(port uint16) []string {
	var titles []string
	for _, n := range s.notes.all() {
		if regexp.MustCompile(fmt.Sprintf(`\b%d\b`, port)).MatchString(n.summary + "\n" + n.body) {
			titles = append(titles, n.summary)
		}
	}
	return titles
}

// hearList waits for a notification with that title and compares its entries, one for each port. The order does not
// matter: ports that only the next scan finds come last.
func (s *session) hearList(title, separator string, ports []uint16, entry string) {
	s.t.Helper()
	n := s.notes.waitFor(patience, func(n note) bool { return n.summary == title })
	var want []string
	for _, port := range ports {
		want = append(want, fmt.Sprintf(entry, port))
	}
	got := strings.Split(n.body, separator)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.t.Errorf("the notification %q says %q, want %q", title, got, want)
	}
}

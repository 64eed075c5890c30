//go:build linux

package tray_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"porttray/assets"
)

// These tests are about the session around the program: its bus traffic, panels and notification services that come, go
// or hang, a missing tray, and the end of the program.

func TestStartup(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	program, h := buildProgram(t), d.startHost()
	var took []time.Duration
	for range 5 {
		begin := time.Now()
		p := d.start(program, "tray")
		i := h.item(patience)
		took = append(took, time.Since(begin).Round(time.Millisecond))
		if i.id() != "porttray" {
			t.Errorf("panels know the icon as %q, want porttray", i.id())
		}
		if w, _, _ := i.icon(); w == 0 {
			t.Error("the icon has no picture")
		}
		p.signal(syscall.SIGTERM)
		if _, err := p.wait(patience); err != nil {
			t.Fatal(err)
		}
		if !poll(patience, func() bool { return len(h.shown()) == 0 }) {
			t.Fatal("the icon of a program that has ended is still there")
		}
	}
	t.Logf("the icon was there after %v", took)
	if slices.Min(took) > 5*time.Second {
		t.Errorf("that is too late")
	}
}

// TestQuietBus counts the messages beside the panel's requests: none without a change, and few for one.
func TestQuietBus(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 50)...)
	s := d.startTray()
	s.redrawn("50 servers")
	bus := d.monitorOf(s.tray)
	before := bus.traffic()
	if !stays(5*time.Second, func() bool { return bus.traffic().all() == before.all() }) {
		t.Errorf("while nothing changed: %v", bus.traffic().minus(before))
	}
	for range 2 {
		before = bus.traffic()
		v := d.startVictim(victimOptions{}, "127.0.0.1:0")
		s.row(v, v.ports[0])
		s.notes.waitFor(patience, func(n note) bool {
			return strings.Contains(n.summary,
				fmt.Sprintf(":%d) is up", v.ports[0]))
		})
		s.item.settle()
		opened := bus.traffic()
		v.signal(os.Kill)
		s.noRow(v.ports[0])
		s.notes.waitFor(patience, func(n note) bool {
			return strings.Contains(n.summary, fmt.Sprintf(":%d) crashed",
				v.ports[0]))
		})
		s.item.settle()
		for what, cost := range map[string]traffic{"a new listener": opened.minus(before),
			"its end": bus.traffic().minus(opened)} {
			t.Logf("%s costs %d messages: %v", what, cost.own(), cost)
			if cost.own() >= 15 {
				t.Error("that is too many")
			}
		}
	}
}

// The icon shows the count and the alarm in its picture, its words and its status, until somebody opens the menu.
func TestIconTells(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v, w := d.startVictim(victimOptions{}, "127.0.0.1:0"), d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startTray()
	told := func(count int, alarm bool, title, status string) {
		t.Helper()
		icon, attention := assets.Pixmaps(count, alarm), []assets.Pixmap{}
		if alarm {
			attention = icon
		}
		want := fmt.Sprint(title, title, title, status, icon, attention)
		var got string
		if !poll(patience, func() bool {
			var props map[string]dbus.Variant
			s.item.call([]any{&props}, s.item.path, "org.freedesktop.DBus.Properties.GetAll", itemName)
			var icon, attention []assets.Pixmap
			if err := errors.Join(props["IconPixmap"].Store(&icon),
				props["AttentionIconPixmap"].Store(&attention)); err != nil {
				t.Fatal(err)
			}
			got = fmt.Sprint(props["Title"].Value(), props["IconAccessibleDesc"].Value(),
				props["AttentionAccessibleDesc"].Value(),
				props["Status"].Value(), icon, attention)
			return got == want
		}) {
			t.Errorf("the icon tells %.200s…, want %.200s…", got, want)
		}
	}
	told(2, false, "porttray, 2 servers", "Active")
	time.Sleep(2 * time.Second) // an earlier end raises no alarm
	v.signal(os.Kill)
	told(1, true, "porttray, 1 server, alarm", "NeedsAttention")
	s.item.opened()
	told(1, false, "porttray, 1 server", "Active")
	s.item.event(0, "closed")
	w.signal(os.Interrupt)
	told(0, false, "porttray, 0 servers", "Active")
}

// An open menu does not change until the host reports that it is closed.
func TestOpenedMenuIsHeld(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	first := d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startTray()
	s.row(first, first.ports[0])
	opening := map[string]func(){
		"an event":    s.item.opened,
		"AboutToShow": func() { s.item.aboutToShow(0) },
	}
	for _, how := range []string{"AboutToShow", "an event"} { // after a host's first event its calls count no more
		for _, closes := range []bool{false, true} {
			time.Sleep(2 * time.Second) // earlier, a host may call AboutToShow without a click
			s.item.settle()
			before := s.item.menu().String()
			opening[how]()
			v := d.startVictim(victimOptions{}, "127.0.0.1:0")
			if !stays(3*time.Second, func() bool { return s.item.menu().String() == before }) {
				t.Errorf("the menu that was opened by %s changed to\n%v", how, s.item.menu())
			}
			if closes {
				s.item.event(0, "closed")
			} else {
				opening[how]() // opening again means that it was closed
			}
			s.row(v, v.ports[0])
			s.item.event(0, "closed")
		}
	}
}

// Panels read the kind of an item once, so it must not change.
func TestItemsKeepTheirKind(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	kinds := map[int32]string{}
	look := func() {
		t.Helper()
		var all []itemProperties
		s.item.call([]any{&all}, s.item.menuPath(), menuName+".GetGroupProperties", []int32{}, []string{})
		for _, i := range all {
			kind := fmt.Sprint(i.Props["type"], i.Props["toggle-type"], i.Props["children-display"])
			if was, ok := kinds[i.ID]; ok && was != kind {
				t.Errorf("%v was %s", i, was)
			}
			kinds[i.ID] = kind
		}
	}
	look()
	for range 2 {
		v := d.startVictim(victimOptions{}, slices.Repeat([]string{"127.0.0.1:0"}, 3)...)
		many := d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 12)...)
		s.item.click(s.row(v, v.ports[0]).find("Pin"))
		look()
		menu := s.item.waitFor("rows of all", patience, func(menu *node) bool { return menu.row(many.ports[3]) != nil })
		s.item.click(menu.row(many.ports[3]).find("Hide"))
		look()
		time.Sleep(2 * time.Second) // a shorter life leaves no entry
		v.signal(os.Kill)
		many.signal(os.Kill)
		s.redrawn("No servers")
		s.item.waitFor("list of what closed", patience,
			func(menu *node) bool { return menu.find("Recently closed") != nil })
		look()
	}
	if len(kinds) < 300 {
		t.Errorf("only %d items were seen", len(kinds))
	}
}

// A panel that reads one level at a time need not read anything when a server comes. Opening the menu announces the
// submenus that it has not read, so that each is complete when shown.
func TestPanelReadsALevelAtATime(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	var mu sync.Mutex
	var told []int32
	panel := d.connect(func(sig *dbus.Signal) {
		if sig.Name == menuName+".LayoutUpdated" {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, sig.Body[1].(int32))
		}
	})
	asked := func() []int32 {
		mu.Lock()
		defer mu.Unlock()
		defer func() { told = nil }()
		slices.Sort(told)
		return told
	}
	menu := panel.Object(s.item.sender, s.item.menuPath())
	read := func(id int32) {
		t.Helper()
		if _, err := call(menu, menuName+".GetLayout", id, int32(1), []string{}); err != nil {
			t.Fatal(err)
		}
	}
	show := func(id int32) (update bool) {
		t.Helper()
		reply, err := call(menu, menuName+".AboutToShow", id)
		if err == nil {
			err = dbus.Store(reply, &update)
		}
		if err != nil {
			t.Fatal(err)
		}
		return update
	}
	read(0)
	v := d.startVictim(victimOptions{}, "127.0.0.1:0", "127.0.0.1:0")
	row := s.row(v, v.ports[0])
	visible := s.item.menu()
	want := []int32{row.id, visible.find("Notifications").id, visible.find("Settings").id}
	if other := visible.find("Other"); other != nil {
		want = append(want, other.id)
	}
	slices.Sort(want)
	if got := asked(); len(got) > 0 {
		t.Errorf("it is told of %v without need", got)
	}
	if show(0) {
		t.Error("the top level is to be read again")
	}
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("when the menu is opened it is told of %v, want %v", got, want)
	}
	for _, id := range want {
		read(id)
	}
	if show(0); len(asked()) > 0 {
		t.Error("it is told of what it has read")
	}
	if show(row.id) {
		t.Error("a submenu is to be read again")
	}
	if got, also := asked(), row.find("Also"); !slices.Equal(got, []int32{also.id}) {
		t.Errorf("when the row is opened it is told of %v, want %d", got, also.id)
	}
}

func TestHostRestarts(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startTray()
	sender := s.item.sender
	var slowest time.Duration
	for round := range 20 {
		// Each notification also brings a closed signal. Every other round clicks, below the limit on clicks.
		if closed := s.notes.closed(); round%2 == 0 {
			s.item.click(s.item.menu().find("Settings", "About porttray"))
			if !poll(patience, func() bool { return s.notes.closed() > closed }) {
				t.Fatalf("no notification in round %d", round)
			}
		}
		s.host.stop()
		s.host = d.startHost()
		begin := time.Now()
		s.item = s.host.item(patience)
		slowest = max(slowest, time.Since(begin))
		s.row(v, v.ports[0])
		if items := s.host.shown(); len(items) != 1 || items[0].sender != sender {
			t.Fatalf("round %d: there are %d icons in the tray, want the one of %s", round, len(items), sender)
		}
	}
	t.Logf("the icon was back after %v at most", slowest.Round(time.Millisecond))
}

func TestNoHost(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	n := d.startNotifier(notifierShows)
	begin := time.Now()
	p := d.start(buildProgram(t), "tray")
	told := func(n note) bool { return n.summary == "porttray cannot show its icon" }
	if got := n.waitFor(patience, told); !strings.Contains(got.body, "AppIndicator") {
		t.Errorf("the notification names no cure: %v", got)
	}
	t.Logf("the missing panel was told after %v", time.Since(begin).Round(10*time.Millisecond))
	if took := time.Since(begin); took < 5*time.Second {
		t.Errorf("it was told after %v already; a panel can come late", took)
	}

	for range 2 {
		s := &session{testDesktop: d, host: d.startHost(), notes: n, tray: p}
		s.item = s.host.item(patience)
		s.row(v, v.ports[0])
		s.host.stop()
	}
	once := func() bool {
		all := n.all()
		return len(slices.DeleteFunc(all, func(n note) bool { return !told(n) })) == 1
	}
	if !stays(10*time.Second, once) {
		t.Errorf("the missing panel was told again: %v", n.all())
	}
}

func TestNotificationTrouble(t *testing.T) {
	parallel(t)
	tests := map[string]func(*testDesktop) *notifier{
		"hangs": func(d *testDesktop) *notifier { return d.startNotifier(notifierHangs) },
		"fails": func(d *testDesktop) *notifier { return d.startNotifier(notifierFails) },
		"none":  func(*testDesktop) *notifier { return nil },
	}
	for name, start := range tests {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			d := newDesktop(t)
			s := d.startTrayWith(start(d))
			about := s.item.menu().find("Settings", "About porttray")
			for range 12 { // more than the program's queue holds
				s.item.click(about)
			}
			v := d.startVictim(victimOptions{}, "127.0.0.1:0")
			s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
			s.noRow(v.ports[0])
			if !v.exited() {
				t.Error("Stop did not end the process")
			}
			if s.notes != nil {
				if len(s.notes.all()) == 0 {
					t.Error("the service was not even asked")
				}
				s.notes.stop()
			}
			s.notes = d.startNotifier(notifierShows)
			s.item.click(about)
			s.notes.waitFor(patience, func(n note) bool { return strings.HasPrefix(n.summary, "porttray ") })
			s.item.click(s.item.menu().find("Quit"))
			s.mustEnd()
		})
	}
}

// mustEnd waits for the end of the program. It must be quick and without complaint.
func (s *session) mustEnd() {
	s.t.Helper()
	begin := time.Now()
	code, err := s.tray.wait(patience)
	took := time.Since(begin).Round(time.Millisecond)
	s.t.Logf("the program ended after %v", took)
	switch {
	case err != nil:
		s.t.Fatal(err)
	case code != 0:
		s.t.Errorf("exit status %d", code)
	case took > 5*time.Second:
		s.t.Error("that is too slow")
	}
	if regexp.MustCompile(`panic|fatal error|goroutine \d`).MatchString(s.tray.output()) {
		s.t.Errorf("the program crashed:\n%s", s.tray.output())
	}
}

func TestEnd(t *testing.T) {
	parallel(t)
	quit := func(s *session) { s.item.click(s.item.menu().find("Quit")) }
	tests := map[string]func(*session){
		"Quit":           quit,
		"SIGINT":         func(s *session) { s.tray.signal(syscall.SIGINT) },
		"SIGTERM":        func(s *session) { s.tray.signal(syscall.SIGTERM) },
		"end of session": func(s *session) { s.bus.signal(os.Kill) },
		"Quit during a Stop": func(s *session) {
			v := s.startVictim(victimOptions{ignoreTerm: true}, "127.0.0.1:0")
			s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
			quit(s)
		},
		"SIGTERM without a panel": func(s *session) {
			s.host.stop()
			s.tray.signal(syscall.SIGTERM)
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			s := newDesktop(t).startTray()
			end(s)
			s.mustEnd()
		})
	}
}

func TestNoTray(t *testing.T) {
	parallel(t)
	const bus = "DBUS_SESSION_BUS_ADDRESS"
	tests := []struct {
		name   string
		vars   map[string]string
		reason string
	}{
		{"no bus at the address", map[string]string{bus: "unix:path=/nonexistent"}, "no session bus"},
		{"no address", map[string]string{bus: ""}, "no session bus"},
		{"a bus on demand", map[string]string{bus: "autolaunch:"}, "no session bus"},
		{"no display", map[string]string{"DISPLAY": ""}, "no display"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			parallel(t)
			if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Geteuid())); err == nil &&
				test.vars[bus] != "unix:path=/nonexistent" {
				t.Skip("without an address the bus of this very session is found")
			}
			program := buildProgram(t)
			d := newDesktop(t)
			for key, value := range test.vars {
				d.setenv(key, value)
			}
			d.shim("dbus-launch", "touch "+d.path("launched")+"; exit 1")
			out, errs, code := d.run(program, "tray")
			if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, test.reason) {
				t.Errorf("tray: exit status %d, output %q, errors %q; want 1 and one line with %q", code, out, errs,
					test.reason)
			}
			d.watches(test.reason)
			if _, err := os.Stat(d.path("launched")); err == nil {
				t.Error("a bus was started")
			}
		})
	}
}

// A bus that accepts the connection but never answers counts as missing after a while. The program can still end.
func TestSilentBus(t *testing.T) {
	parallel(t)
	program := buildProgram(t)
	d := newDesktop(t)
	socket := d.path("silent")
	silent, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+socket)

	out, errs, code := d.run(program, "tray")
	if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "does not answer") {
		t.Errorf("exit status %d, output %q, errors %q; want 1 and one line", code, out, errs)
	}

	p := d.start(program, "tray")
	if _, err := silent.Accept(); err != nil { // from the first program
		t.Fatal(err)
	}
	if _, err := silent.Accept(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	if _, err := p.wait(patience); err != nil {
		t.Fatal(err)
	}
	t.Logf("the program ended %v after SIGTERM", time.Since(begin).Round(time.Millisecond))
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the program ended after %v only", took)
	}
}

func TestTerminal(t *testing.T) {
	parallel(t)
	t.Run("over ssh", func(t *testing.T) {
		parallel(t)
		d := newDesktop(t)
		h := d.startHost()
		d.setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
		d.watches("ssh")
		if h.registrations() > 0 {
			t.Error("an icon was put into the tray")
		}
	})
	t.Run("watch", func(t *testing.T) {
		parallel(t)
		newDesktop(t).watches("", "watch")
	})
	t.Run("bad usage", func(t *testing.T) {
		parallel(t)
		program, d := buildProgram(t), newDesktop(t)
		for _, args := range [][]string{{"frobnicate"}, {"tray", "frobnicate"}, {"--frobnicate"}, {""}} {
			out, errs, code := d.run(program, args...)
			if code != 2 || out != "" || !strings.Contains(errs, args[len(args)-1]) {
				t.Errorf("porttray %q: exit status %d, output %q, errors %q; want 2 and the word named", args, code,
					out, errs)
			}
		}
	})
}

// watches runs the program. It must print the reason first, if any, and then watch in the terminal until SIGINT.
func (d *testDesktop) watches(reason string, args ...string) {
	d.t.Helper()
	before := d.startVictim(victimOptions{name: "\x1b[31mred"}, "127.0.0.1:0")
	p := d.start(buildProgram(d.t), args...)
	wait := func(what, pattern string) {
		d.t.Helper()
		if !poll(patience, func() bool { return regexp.MustCompile(pattern).MatchString(p.output()) }) {
			d.t.Fatalf("no %s, that is %s, in\n%s", what, pattern, p.output())
		}
	}
	if reason != "" {
		wait("reason", `^porttray: [^\n]*`+regexp.QuoteMeta(reason)+`[^\n]*\nPORT `)
	}
	wait("table", fmt.Sprintf(`(?m)^PORT +PROJECT +TOOL +PROCESS .*\n(.*\n)*`+
		`%d +- +\[31mred +\[31mred +%d +127\.0\.0\.1 `, before.ports[0], before.pid()))
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	wait("opening", fmt.Sprintf(`(?m)^\d\d:\d\d:\d\d  opened  %d  victim \(PID %d\) in ~, 127\.0\.0\.1$`, v.ports[0],
		v.pid()))
	v.signal(os.Kill)
	wait("closing", fmt.Sprintf(`(?m)^\d\d:\d\d:\d\d  closed  %d  victim`, v.ports[0]))
	if strings.Contains(p.output(), "\x1b") {
		d.t.Errorf("an escape sequence in %q", p.output())
	}
	p.signal(syscall.SIGINT)
	if code, err := p.wait(patience); err != nil || code != 0 {
		d.t.Errorf("after SIGINT: exit status %d, %v", code, err)
	}
}

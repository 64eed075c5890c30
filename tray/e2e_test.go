//go:build linux

package tray_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests state the program's promises to the person in front of it. This file is about one listener: the tray
// shows it, opens it, copies its address, stops it, and reports its end.

func TestListenerAppears(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	s := d.startTray()
	project := d.path("home/project")
	if err := os.Mkdir(project, 0o700); err != nil {
		t.Fatal(err)
	}
	v := d.startVictim(victimOptions{name: "web", dir: project}, "127.0.0.1:0")
	begin := time.Now()
	row := s.row(v, v.ports[0])
	t.Logf("the row was there after %v", time.Since(begin).Round(time.Millisecond))

	if want := fmt.Sprintf("%d  project · web", v.ports[0]); row.label != want {
		t.Errorf("the row is labelled %q, want %q", row.label, want)
	}
	// The kernel counts the start time from boot on, so it can be a second off.
	for _, off := range []time.Duration{0, -2 * time.Second, 2 * time.Second} {
		want := fmt.Sprintf(`Open in browser
Copy address
Stop web (PID %[1]d)
Open terminal in its directory
☐ Pin
☐ Mute notifications
Hide
(web, PID %[1]d, since %[2]s)
(~/project)
Kill web (PID %[1]d)
`, v.pid(), v.since.Add(off).UTC().Format("15:04"))
		if row.String() == want {
			break
		}
		if off > 0 {
			t.Errorf("the submenu is\n%swant\n%s", row, want)
		}
	}
	if d.network != nil { // without it, other ports may share the notification
		s.hear(fmt.Sprintf("project (web :%d) is up", v.ports[0]), "in ~/project")
	}

	several := d.startVictim(victimOptions{}, "[::]:0", "127.0.0.1:0", "127.0.0.1:0")
	exposed := d.startVictim(victimOptions{}, ":0")
	want := []uint16{v.ports[0], several.ports[0], exposed.ports[0]}
	slices.Sort(want)
	var got []uint16 // the ports of the test, in row order
	menu := s.item.waitFor("menu of 3 servers", patience, func(menu *node) bool {
		got = nil
		for _, row := range menu.rows() {
			if slices.Contains(want, row.port()) {
				got = append(got, row.port())
			}
		}
		return len(got) == len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("the rows show the ports %v, want %v", got, want)
	}
	if header := menu.children[0].line(); d.network != nil && header != "(3 servers)" {
		t.Errorf("the menu begins with %q, want %q", header, "(3 servers)")
	}
	row = s.row(exposed, exposed.ports[0])
	if row.find("Copy network address") == nil || !strings.HasSuffix(row.label, " · network") {
		t.Errorf("a wildcard listener is not shown as open to the network:\n%v", menu)
	}
	row = s.row(several, several.ports[0])
	also := row.find(fmt.Sprintf("Also %d, %d", several.ports[1], several.ports[2]))
	if !strings.HasSuffix(row.label, "  +2 · network") ||
		also.find(fmt.Sprintf("Open %d in browser", several.ports[1])) == nil {
		t.Errorf("the further ports of a process are not under it:\n%v", menu)
	}
	end := menu.children[len(menu.children)-4:]
	if !end[0].separator || end[1].label != "Notifications" || end[2].label != "Settings" || end[3].label != "Quit" {
		t.Errorf("the menu does not end in Notifications, Settings and Quit:\n%v", menu)
	}
}

func TestOpen(t *testing.T) {
	parallel(t)
	tests := []struct {
		name, addr, url string
		tls             bool
	}{
		{"IPv4", "127.0.0.1:0", "http://localhost:%d", false},
		{"TLS", "127.0.0.1:0", "https://localhost:%d", true},
		{"IPv6", "[::1]:0", "http://[::1]:%d", false},
		{"other loopback address", "127.0.0.2:0", "http://127.0.0.2:%d", false},
		{"other loopback address, TLS", "127.0.0.3:0", "https://127.0.0.3:%d", true},
		{"IPv4 wildcard", "0.0.0.0:0", "http://localhost:%d", false},
		{"wildcard", ":0", "http://localhost:%d", false},
	}
	d := newDesktop(t)
	victims := map[string]*victim{}
	for _, test := range tests {
		l, err := net.Listen("tcp", test.addr)
		if err != nil {
			t.Logf("%s is left out: %v", test.name, err)
			continue
		}
		l.Close()
		victims[test.name] = d.startVictim(victimOptions{tls: test.tls}, test.addr)
	}
	s := d.startTray()
	// This server opens while the program runs. After its notification the program has had time for everything.
	late := d.startVictim(victimOptions{name: "late"}, "127.0.0.1:0")
	victims["late"] = late
	s.notes.waitFor(patience, func(n note) bool {
		return strings.Contains(n.summary+n.body, fmt.Sprint(late.ports[0]))
	})
	for name, v := range victims {
		if n := v.connections(); n > 0 {
			t.Errorf("%s: %d connections before anybody clicked", name, n)
		}
	}
	for _, test := range tests {
		v := victims[test.name]
		if v == nil {
			continue
		}
		s.item.click(s.row(v, v.ports[0]).find("Open in browser"))
		want := fmt.Sprintf(test.url, v.ports[0])
		if !poll(patience, func() bool { return slices.Contains(s.urls(), want) }) {
			t.Errorf("%s: the browser got %q, want %s", test.name, s.urls(), want)
		}
	}
	if n := late.connections(); n > 0 {
		t.Errorf("%d connections to a server that nobody clicked", n)
	}
	if got, want := len(s.urls()), len(victims)-1; got != want {
		t.Errorf("the browser was opened %d times, want %d: %q", got, want, s.urls())
	}
}

func TestCopyAddress(t *testing.T) {
	parallel(t)
	xclip := tool(t, "xclip")
	d := newDesktop(t)
	d.startScreen(64, 64)
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	secure := d.startVictim(victimOptions{tls: true}, "127.0.0.2:0")
	s := d.startTray()
	for _, test := range []struct {
		v   *victim
		url string
	}{
		{v, fmt.Sprintf("http://localhost:%d", v.ports[0])},
		{secure, fmt.Sprintf("https://127.0.0.2:%d", secure.ports[0])},
	} {
		s.item.click(s.row(test.v, test.v.ports[0]).find("Copy address"))
		var got string
		if !poll(patience, func() bool {
			// xclip hangs if the selection changes owner meanwhile.
			read := d.start("timeout", "2", xclip, "-selection", "clipboard", "-o")
			if _, err := read.wait(patience); err != nil {
				t.Fatal(err)
			}
			got = read.output()
			return got == test.url
		}) {
			t.Errorf("the clipboard holds %q, want %q", got, test.url)
		}
	}
}

func TestStopAndKill(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	stopped := d.startVictim(victimOptions{name: "stopped"}, "127.0.0.1:0")
	killed := d.startVictim(victimOptions{name: "killed"}, "127.0.0.1:0")
	stubborn := d.startVictim(victimOptions{name: "stubborn", ignoreTerm: true}, "127.0.0.1:0")
	s := d.startTray()

	for _, v := range []*victim{stopped, killed} {
		verb, sig := "Stop", syscall.SIGTERM
		if v == killed {
			verb, sig = "Kill", syscall.SIGKILL
		}
		s.item.click(s.row(v, v.ports[0]).find(verb + " " + v.who()))
		if _, err := v.wait(patience); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		if got := v.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != sig {
			t.Errorf("%s ended the process by %v, want %v", verb, got, sig)
		}
		s.hear(fmt.Sprintf("Port %d is free", v.ports[0]), fmt.Sprintf("%s %s", v.who(), v.name))
		s.noRow(v.ports[0])
	}

	port := stubborn.ports[0]
	begin := time.Now()
	s.item.click(s.row(stubborn, port).find("Stop " + stubborn.who()))
	s.hear(fmt.Sprintf("Port %d is still in use", port),
		stubborn.who()+" did not stop within 5 seconds; use Kill to force it")
	t.Logf("that the port is still in use was told after %v", time.Since(begin).Round(10*time.Millisecond))
	if took := time.Since(begin); took < 4*time.Second || stubborn.exited() {
		t.Errorf("Stop gave up after %v, exited: %v", took, stubborn.exited())
	}
	s.item.click(s.row(stubborn, port).find("Kill " + stubborn.who()))
	s.hear(fmt.Sprintf("Port %d is free", port), stubborn.who()+" killed")
	s.noRow(port)

	// Any further notice about these ports comes before the wait for a restart is over.
	want := map[*victim]string{
		stopped:  fmt.Sprintf("[Port %d is free]", stopped.ports[0]),
		killed:   fmt.Sprintf("[Port %d is free]", killed.ports[0]),
		stubborn: fmt.Sprintf("[Port %d is still in use Port %[1]d is free]", port),
	}
	stays(8*time.Second, func() bool {
		for v, titles := range want {
			if got := fmt.Sprint(s.heard(v.ports[0])); got != titles {
				t.Errorf("the notifications about %s are %s, want %s", v.name, got, titles)
			}
		}
		return !t.Failed()
	})
}

func TestStaleClickHitsNobody(t *testing.T) {
	parallel(t)
	tests := []struct {
		name string
		wait bool // for the row of the new listener
	}{
		{"before the program has noticed", false},
		{"after the program has noticed", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			parallel(t)
			d := newDesktop(t)
			old := d.startVictim(victimOptions{name: "old"}, "127.0.0.1:0")
			s := d.startTray()
			port := old.ports[0]
			row := s.row(old, port)
			old.signal(os.Kill)
			if _, err := old.wait(patience); err != nil {
				t.Fatal(err)
			}
			heir := d.startVictim(victimOptions{name: "heir"}, fmt.Sprintf("127.0.0.1:%d", port))
			if test.wait {
				s.row(heir, port)
			}
			for verb, done := range map[string]string{"Stop": "stopped", "Kill": "killed"} {
				s.item.clickID(row.find(verb + " " + old.who()).id)
				s.hear(fmt.Sprintf("Port %d: nothing was %s", port, done), old.who()+" no longer listens there")
			}
			s.row(heir, port)
			if heir.exited() {
				t.Errorf("a click on the row of %s ended %s", old.who(), heir.who())
			}
		})
	}
}

func TestRefusedTargetLives(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	proxy := d.startVictim(victimOptions{name: "docker-proxy"}, "127.0.0.1:0")
	h, n := d.startHost(), d.startNotifier(notifierShows)
	// parent runs the program in its own environment.
	parent := d.startVictim(victimOptions{name: "terminal", child: buildProgram(t)}, "127.0.0.1:0")
	s := &session{testDesktop: d, host: h, notes: n, item: h.item(patience)}
	for v, reason := range map[*victim]string{proxy: "forwards for a container or VM", parent: "porttray runs in it"} {
		port := v.ports[0]
		row := s.row(v, port)
		for verb, done := range map[string]string{"stop": "stopped", "kill": "killed"} {
			label := fmt.Sprintf("Cannot %s %s: %s", verb, v.name, reason)
			if v == proxy {
				label = fmt.Sprintf("Cannot %s the container: no container engine is running", verb)
			}
			leaf := row.find(label)
			if leaf == nil || leaf.label != label || leaf.enabled {
				t.Errorf("no disabled %q in\n%v", label, row)
				continue
			}
			s.item.clickID(leaf.id)
			s.hear(fmt.Sprintf("Port %d: nothing was %s", port, done), v.who()+": "+reason)
		}
		if v.exited() {
			t.Errorf("%s was ended", v.who())
		}
	}
}

func TestClosed(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	one := d.startVictim(victimOptions{name: "one"}, "127.0.0.1:0")
	two := d.startVictim(victimOptions{name: "two"}, "127.0.0.1:0", "127.0.0.1:0")
	s := d.startTray()
	end := func(v *victim) {
		t.Helper()
		s.row(v, v.ports[0])
		v.signal(os.Kill)
		s.noRow(v.ports[0])
	}
	end(one)
	s.hear(fmt.Sprintf("one (:%d) crashed after", one.ports[0]), "killed by SIGKILL")
	end(two)
	s.hear(fmt.Sprintf("two (:%d) crashed after", two.ports[0]), "killed by SIGKILL")

	three := d.startVictim(victimOptions{name: "three"}, slices.Repeat([]string{"127.0.0.1:0"}, 3)...)
	s.hear(fmt.Sprintf("three (:%d) is up", slices.Min(three.ports)), "in ~")
	five := d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 5)...)
	s.hearList("5 ports opened", ", ", five.ports, "%d sleep")
	if got := s.notes.all(); len(got) != 4 {
		t.Errorf("there are %d notifications, want 4: %v", len(got), got)
	}
}

// A server that is back in time has restarted. No notification reports that.
func TestRestart(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v := d.startVictim(victimOptions{name: "server"}, "127.0.0.1:0")
	port := v.ports[0]
	s := d.startTray()
	s.row(v, port)
	for range 2 {
		v.signal(os.Kill)
		s.noRow(port)
		v = d.startVictim(victimOptions{name: "server"}, fmt.Sprintf("127.0.0.1:%d", port))
		s.row(v, port)
	}
	if !stays(8*time.Second, func() bool { return len(s.heard(port)) == 0 }) {
		t.Errorf("the restarts are told: %q", s.heard(port))
	}
	if row := s.row(v, port); row.find("Restarted ×2") == nil {
		t.Errorf("the restarts are not counted:\n%v", row)
	}
	if menu := s.item.menu(); menu.find("Recently closed") != nil {
		t.Errorf("a restarted server counts as closed:\n%v", menu)
	}
}

// An unexpected end is reported with its reason. The first row and Recently closed show it, too.
func TestCrash(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v := d.startVictim(victimOptions{name: "server"}, "127.0.0.1:0")
	s := d.startTray()
	s.row(v, v.ports[0])
	v.signal(syscall.SIGSEGV)
	s.noRow(v.ports[0])
	// A Go program exits so on SIGSEGV.
	s.hear(fmt.Sprintf("server (:%d) crashed after ", v.ports[0]), "exited with status 2")
	menu := s.item.waitFor("what closed", patience, func(menu *node) bool {
		return menu.find("Recently closed", "server", "Copy address") != nil
	})
	if first := menu.children[1].label; !strings.HasSuffix(first, "  server crashed: exited with status 2") {
		t.Errorf("the first row is %q", first)
	}
	restart := menu.find("Recently closed", fmt.Sprintf("server :%d, exited with status 2", v.ports[0]),
		"Copy restart command")
	if restart == nil || !restart.enabled {
		t.Fatalf("nothing to restart it by:\n%v", menu)
	}
}

// The choice of notifications survives a restart.
func TestModes(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startTray()
	s.row(v, v.ports[0])
	s.item.click(s.item.menu().find("Notifications", "Off"))
	off := func(menu *node) bool { return menu.find("Notifications", "Off").checked }
	s.item.waitFor("mode", patience, off)
	s.tray.signal(syscall.SIGTERM)
	if code, err := s.tray.wait(patience); err != nil || code != 0 {
		t.Fatalf("exit status %d, %v", code, err)
	}
	if !poll(patience, func() bool { return len(s.host.shown()) == 0 }) {
		t.Fatal("the icon stays after the end of the program")
	}
	s.tray = d.start(buildProgram(t), "tray")
	s.item = s.host.item(patience)
	s.item.waitFor("mode", patience, off)
	s.row(v, v.ports[0])
	v.signal(os.Kill)
	s.noRow(v.ports[0])
	if !stays(8*time.Second, func() bool { return len(s.heard(v.ports[0])) == 0 }) {
		t.Errorf("something is told: %q", s.heard(v.ports[0]))
	}
}

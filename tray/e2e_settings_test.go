//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSecondCopy starts the program a second time, and once more after the first one was killed.
func TestSecondCopy(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	s := d.startTray()
	out, errs, code := d.run(buildProgram(t), "tray")
	if code != 0 || out != "porttray is already running; it shows a notification.\n" || errs != "" {
		t.Errorf("the second one ended with status %d and wrote %q, %q", code, out, errs)
	}
	s.hear("porttray is running", "Its icon is in the tray")
	if icons := len(s.host.shown()); icons != 1 {
		t.Errorf("%d icons", icons)
	}
	s.tray.signal(os.Kill)
	if _, err := s.tray.wait(patience); err != nil {
		t.Fatal(err)
	}
	if !poll(patience, func() bool { return len(s.host.shown()) == 0 }) {
		t.Fatal("the icon of a program that was killed is still there")
	}
	d.start(buildProgram(t), "tray")
	s.host.item(patience)
}

// TestSettingsFile writes valid, invalid and again valid settings while the program runs.
func TestSettingsFile(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	file := d.path("home/.config/porttray/config.toml")
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	port := v.ports[0]
	s := d.startTray()
	s.row(v, port)
	header := func(menu *node) string { return menu.children[0].label }

	s.item.click(s.item.menu().find("Settings", "Open settings file"))
	if !poll(patience, func() bool { return strings.Contains(strings.Join(d.urls(), "\n"), file) }) {
		t.Fatalf("opened %q, want %s", d.urls(), file)
	}
	write := func(text string) time.Time {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	saved := write(fmt.Sprintf("[[rule]]\nport = %d\nlabel = \"My shop\"\npath = \"/admin\"\n", port))
	menu := s.item.waitFor("the label", patience, func(menu *node) bool {
		row := menu.row(port)
		return row != nil && strings.HasSuffix(row.label, "  My shop")
	})
	t.Logf("it was there %v after it was saved", time.Since(saved).Round(time.Millisecond))
	s.item.click(menu.row(port).find("Open in browser"))
	if want := fmt.Sprintf("http://localhost:%d/admin", port); !poll(patience,
		func() bool { return strings.Contains(strings.Join(d.urls(), "\n"), want) }) {
		t.Errorf("opened %q, want %s", d.urls(), want)
	}
	write("[[rule]]\nport = 1\nshwo = \"main\"\n")
	s.item.waitFor("what is wrong", patience,
		func(menu *node) bool { return menu.find("Open config.toml line 3: there is no") != nil })
	s.hear("The old settings stay in use",
		`config.toml line 3: there is no &#34;shwo&#34;; `+
			`a rule has port, process, project, directory, show, notify, label, scheme, path…`)
	s.item.click(s.item.menu().find("Open config.toml line 3"))
	if want := d.path("home/.config/porttray/config.toml"); !poll(patience,
		func() bool { return slices.Contains(d.urls(), want) }) {
		t.Errorf("opened %q, want %s", d.urls(), want)
	}
	if row := s.item.menu().row(port); row == nil || !strings.HasSuffix(row.label, "  My shop") {
		t.Errorf("the settings that were in force are not any more:\n%v", row)
	}
	write("")
	s.item.waitFor("the name without settings", patience, func(menu *node) bool {
		return strings.HasSuffix(header(menu), "server") && strings.HasSuffix(menu.row(port).label, "victim")
	})
}

// TestPinsLast pins a server. The next run must remember it.
func TestPinsLast(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	port := v.ports[0]
	s := d.startTray()
	s.item.click(s.row(v, port).find("Pin"))
	absent := func(menu *node) *node {
		for _, n := range menu.children {
			if strings.HasPrefix(n.label, fmt.Sprintf("○ %d  victim, not running", port)) {
				return n
			}
		}
		return nil
	}
	state := d.path("home/.local/state/porttray/state.toml")
	if !poll(patience, func() bool {
		text, _ := os.ReadFile(state)
		return strings.Contains(string(text), "[[pinned]]")
	}) {
		t.Fatal("the pin is not kept")
	}
	v.signal(os.Kill)
	menu := s.item.waitFor("the row of what does not run", patience,
		func(menu *node) bool { return absent(menu) != nil })
	if absent(menu).find("Copy restart command") == nil || absent(menu).find("Open in browser") != nil {
		t.Errorf("the row is\n%v", absent(menu))
	}
	s.tray.signal(os.Interrupt)
	if _, err := s.tray.wait(patience); err != nil {
		t.Fatal(err)
	}
	if !poll(patience, func() bool { return len(s.host.shown()) == 0 }) {
		t.Fatal("the icon of the first run is still there")
	}
	s.tray = d.start(buildProgram(t), "tray")
	s.item = s.host.item(patience)
	menu = s.item.waitFor("the row in the next run", patience, func(menu *node) bool { return absent(menu) != nil })
	s.item.click(absent(menu).find("Pin"))
	s.item.waitFor("no row any more", patience, func(menu *node) bool { return absent(menu) == nil })
}

// TestStartAtLogin turns the start at login on and off.
func TestStartAtLogin(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	s := d.startTray()
	file := d.path("home/.config/autostart/porttray.desktop")
	click := func() { s.item.click(s.item.menu().find("Settings", "Start at login")) }
	click()
	var text []byte
	if !poll(patience, func() bool { text, _ = os.ReadFile(file); return len(text) > 0 }) {
		t.Fatal("there is no desktop entry")
	}
	if program := buildProgram(t); !strings.Contains(string(text), filepath.Base(program)) ||
		!strings.Contains(string(text), "Type=Application") {
		t.Errorf("the desktop entry is\n%s", text)
	}
	click()
	if !poll(patience, func() bool { _, err := os.Stat(file); return os.IsNotExist(err) }) {
		t.Error("the desktop entry stays")
	}
}

// TestBrokenState starts the program with an invalid state file.
func TestBrokenState(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	file := d.path("home/.local/state/porttray/state.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("notifications = 'pin"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := d.startTray()
	n := s.notes.waitFor(patience, func(n note) bool { return n.summary == "Your saved choices are ignored" })
	if !strings.HasPrefix(n.body, "the file of saved choices is invalid") {
		t.Errorf("the notification says %q", n.body)
	}
	if aside, err := filepath.Glob(file + ".broken-*"); err != nil || len(aside) != 1 {
		t.Errorf("put aside: %q, %v", aside, err)
	}
}

//go:build linux

package tray_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startMounted is startTray after a mount command. Only this program sees the mount.
func (d *testDesktop) startMounted(mount string) *session {
	d.t.Helper()
	unshare := tool(d.t, "unshare")
	if out, err := exec.Command(unshare, "--mount", "true").CombinedOutput(); err != nil {
		mayNot(d.t, fmt.Errorf("no mounts of the test's own, which root may have: %w %s", err, out))
	}
	program := buildProgram(d.t)
	s := &session{testDesktop: d, host: d.startHost(), notes: d.startNotifier(notifierShows)}
	s.tray = d.start(unshare, "--mount", "sh", "-c", mount+` && exec "$0" tray`, program)
	s.item = s.host.item(patience)
	s.item.waitFor("list of ports", patience, func(menu *node) bool {
		return !strings.HasPrefix(menu.children[0].label, "Looking")
	})
	return s
}

// inside returns a path for the test to a file in the program's mount namespace.
func (s *session) inside(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.tray.pid(), s.path(name))
}

// choose chooses a notification mode.
func (s *session) choose(mode string) {
	s.t.Helper()
	s.item.click(s.item.menu().find("Notifications", mode))
	s.item.waitFor("mode", patience, func(menu *node) bool { return menu.find("Notifications", mode).checked })
}

// kept reports whether the state file has this text, and no temporary file is beside it.
func (s *session) kept(text string) bool {
	got, _ := os.ReadFile(s.inside("home/.local/state/porttray/state.toml"))
	left, _ := filepath.Glob(s.inside("home/.local/state/porttray/.state-*"))
	return strings.Contains(string(got), text) && len(left) == 0
}

const kept = "Your choices are not saved"

// On a full disk only choices made meanwhile can be lost. Earlier ones stay, and the tray runs on.
func TestDiskFull(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startMounted(`mount -t tmpfs -o size=128k,mode=700 disk "$HOME"`)
	s.choose("Off")
	if !poll(patience, func() bool { return s.kept("'off'") }) {
		t.Fatal("the choice is not saved")
	}
	s.choose("My servers")
	if !poll(patience, func() bool { return s.kept("'mine'") }) {
		t.Fatal("the choice is not saved")
	}
	fill := s.inside("home/fill")
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if f.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	s.choose("All ports")
	s.notes.waitFor(patience, func(n note) bool {
		return n.summary == kept && strings.Contains(n.body, "no space left")
	})
	s.choose("Pinned only")
	s.item.click(s.item.menu().find("Settings", "Open settings file"))
	s.notes.waitFor(patience, func(n note) bool { return n.summary == "Could not open the settings file" })
	if _, err := os.Stat(s.inside("home/.config/porttray/config.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part of the example is there: %v", err)
	}
	if !s.kept("'mine'") {
		t.Error("what was kept before is gone, or something is left beside it")
	}
	s.choose("All ports")
	s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
	s.hear(fmt.Sprintf("Port %d is free", v.ports[0]), v.who()+" stopped")
	if !stays(time.Second, func() bool { return s.times(kept) == 1 }) {
		t.Errorf("it was told %d times", s.times(kept))
	}
	if n := strings.Count(s.tray.output(), "not saved"); n != 1 {
		t.Errorf("it was logged %d times:\n%s", n, s.tray.output())
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	// At the latest, the exit writes the last choice. The open directory keeps the file readable for the test.
	dir, err := os.Open(s.inside("home/.local/state/porttray"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s.item.click(s.item.menu().find("Quit"))
	s.mustEnd()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/state.toml", dir.Fd()))
	if err != nil || !strings.Contains(string(text), "'all'") {
		t.Errorf("what is kept is %q, %v", text, err)
	}
}

// times returns the number of notifications with that title.
func (s *session) times(title string) int {
	n := 0
	for _, note := range s.notes.all() {
		if note.summary == title {
			n++
		}
	}
	return n
}

// In a read-only home directory everything else works. The program reports each action that needs a file.
func TestReadOnlyHome(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startMounted(`mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro "$HOME"`)
	s.choose("All ports")
	s.notes.waitFor(patience, func(n note) bool { return n.summary == kept && strings.Contains(n.body, "read-only") })
	for entry, title := range map[string]string{"Open settings file": "Could not open the settings file",
		"Start at login": "Could not change the start at login"} {
		s.item.click(s.item.menu().find("Settings", entry))
		s.notes.waitFor(patience, func(n note) bool { return n.summary == title })
	}
	s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
	s.hear(fmt.Sprintf("Port %d is free", v.ports[0]), v.who()+" stopped")
	if s.item.menu().find("Settings", "Start at login").checked {
		t.Error("the menu says that it starts at login")
	}
	if n := s.times(kept); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	s.item.click(s.item.menu().find("Quit"))
	s.mustEnd()
}

//go:build linux

package tray_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests kill the session bus, stop the program for a while, fill the disk, and make files and memory scarce.

// The program ends with the session bus, even while it redraws. It keeps earlier choices and cleans up.
func TestBusDies(t *testing.T) {
	parallel(t)
	for _, name := range []string{"while nothing happens", "1", "2", "3", "4"} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			d := newDesktop(t)
			d.needNetwork()
			v := d.startVictim(victimOptions{}, "127.0.0.1:0")
			s := d.startTray()
			s.row(v, v.ports[0])
			if len(name) == 1 { // when the icon is about to ask for attention
				v.signal(os.Kill)
				s.noRow(v.ports[0])
				s.tray.halt(t)
				time.Sleep(7 * time.Second) // until a notice of the crash is due
			} else {
				s.item.click(s.item.menu().find("Notifications", "Off"))
			}
			s.bus.signal(os.Kill)
			if _, err := s.bus.wait(patience); err != nil {
				t.Fatal(err)
			}
			s.tray.signal(syscall.SIGCONT)
			s.mustEnd()
			if text, _ := os.ReadFile(d.path("home/.local/state/porttray/state.toml")); len(name) > 1 &&
				!strings.Contains(string(text), `notifications = 'off'`) {
				t.Errorf("what is kept is %q", text)
			}
			for _, pattern := range []string{"tmp/*", "run/*", "run/porttray/*", "home/.local/state/porttray/.*"} {
				left, _ := filepath.Glob(d.path(pattern)) // the patterns are valid
				for _, path := range left {
					if base := filepath.Base(path); base != "lock" && base != "porttray" && base != "." &&
						base != ".." {
						t.Errorf("%s was left behind", path)
					}
				}
			}
		})
	}
}

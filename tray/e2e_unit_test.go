//go:build linux

package tray_test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestTrayWithoutDisplay starts the tray as a unit of systemd often does: on a bus with a tray host, but without a
// display in the environment. If there is just one display, opened programs get it.
func TestTrayWithoutDisplay(t *testing.T) {
	parallel(t)
	for name, want := range map[string]string{"no display": "", "Wayland": "wayland-1"} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			d := newDesktop(t)
			d.setenv("DISPLAY", "")
			d.shim("xdg-open", `echo "display $WAYLAND_DISPLAY" > '`+d.path("opened")+`'`)
			if want != "" {
				d.startCompositor(want)
			}
			v := d.startVictim(victimOptions{}, "127.0.0.1:0")
			s := d.startTray()
			s.item.click(s.row(v, v.ports[0]).find("Open in browser"))
			var opened string
			if !poll(patience, func() bool {
				text, _ := os.ReadFile(d.path("opened")) // not there yet
				opened = strings.TrimSpace(string(text))
				return opened != ""
			}) {
				t.Fatal("nothing was opened")
			}
			if strings.TrimSpace("display "+want) != opened {
				t.Errorf("what was opened got the %s, want %q", opened, want)
			}
			s.item.click(s.item.menu().find("Quit"))
			s.mustEnd()
		})
	}
}

// A unit of systemd may be started before the panel of its session.
func TestUnitWaitsForThePanel(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.setenv("DISPLAY", "")
	d.setenv("INVOCATION_ID", "0123456789abcdef")
	d.startNotifier(notifierShows)
	d.start(buildProgram(t), "tray")
	time.Sleep(3 * time.Second)
	d.startHost().item(patience)
}

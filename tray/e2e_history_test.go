//go:build linux

package tray_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"porttray/watcher/history"
)

// The tray records a closed server once, even with a second watcher. The record survives both programs.
func TestClosedServersAreRemembered(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	s, watch := d.startTray(), d.start(buildProgram(t), "watch")
	v := d.startVictim(victimOptions{name: "web"}, "127.0.0.1:0")
	late := d.startVictim(victimOptions{name: "late"}, "127.0.0.1:0")
	s.row(v, v.ports[0])
	s.row(late, late.ports[0])
	if !poll(patience, func() bool { return strings.Contains(watch.output(), "late") }) {
		t.Fatalf("the other one has seen\n%s", watch.output())
	}
	v.signal(os.Kill)
	var seen []history.Past
	file := d.path("home/.local/state/porttray/seen.json")
	on := func(port uint16) (found []history.Past) {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		var c struct{ Closed []history.Past }
		if err := errors.Join(err, json.Unmarshal(text, &c)); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		seen = c.Closed
		return slices.DeleteFunc(slices.Clone(c.Closed), func(p history.Past) bool { return p.Port != port })
	}
	if !poll(patience, func() bool { return len(on(v.ports[0])) > 0 }) {
		t.Fatalf("port %d is not remembered, only %+v", v.ports[0], seen)
	}
	late.signal(os.Kill)
	s.noRow(late.ports[0])
	for _, p := range []*process{watch, s.tray} { // before the next write is due
		p.signal(syscall.SIGTERM)
		if code, err := p.wait(patience); err != nil || code != 0 {
			t.Errorf("exit status %d, %v\n%s", code, err, p.output())
		}
	}
	for _, of := range []*victim{v, late} {
		if got := on(of.ports[0]); len(got) != 1 || int(got[0].PID) != of.pid() || got[0].Process != of.name ||
			got[0].Directory != d.path("home") {
			t.Errorf("of port %d it is remembered: %+v", of.ports[0], got)
		}
	}
}

//go:build linux

package tray_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRightToLeft follows right-to-left project names into the menu, the tooltip and a notification. Each text begins
// with a left-to-right mark and holds the name in an isolate of its own.
func TestRightToLeft(t *testing.T) {
	parallel(t)
	names := []struct{ name, shown string }{
		{"مشروع-تجريبي", "‹مشروع-تجريبي›"},
		{"חנות", "‹חנות›"},
		{"مشروع 3000", "‹مشروع› 3000"},
		{"shop-חנות", "‹shop-חנות›"},
		{"חנות (ישן)", "‹חנות› (‹ישן›)"},
		{"\u202eחנות\u2069 ד\u2067", "‹חנות ד›"}, // its own marks are dropped
		{strings.Repeat("שם ", 40) + "ד", "‹" + strings.Repeat("שם ", 7) + "שם…› · web"},
	}
	visible := strings.NewReplacer("\u200e", "^", "\u2068", "‹", "\u2069", "›")
	d := newDesktop(t)
	s := d.startTray()
	for i, n := range names {
		dir := d.path(fmt.Sprintf("home/%d", i))
		text, err := json.Marshal(map[string]string{"name": n.name})
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "package.json"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		v := d.startVictim(victimOptions{name: "web", dir: dir}, "127.0.0.1:0")
		row := s.row(v, v.ports[0])
		label := visible.Replace(row.label)
		if want := fmt.Sprintf("^%d  %s", v.ports[0], n.shown); !strings.HasPrefix(label, want) {
			t.Errorf("the row of %q is %q, want %q at its start", n.name, label, want)
		}
		if strings.Count(label, "‹") != strings.Count(label, "›") {
			t.Errorf("the row of %q is %q", n.name, label)
		}
		if i == 0 {
			told := s.notes.waitFor(patience, func(n note) bool { return strings.Contains(n.summary, "is up") })
			want := fmt.Sprintf("^%s (web :%d) is up", n.shown, v.ports[0])
			if got := visible.Replace(told.summary); got != want {
				t.Errorf("the notification is %q, want %q", got, want)
			}
			if tip := visible.Replace(s.item.tooltip()); !strings.HasPrefix(tip, "^porttray: ") ||
				!strings.Contains(tip, fmt.Sprintf("%d %s · web", v.ports[0], n.shown)) {
				t.Errorf("the tooltip is %q", tip)
			}
		}
	}
}

//go:build linux

package tray_test

import (
	"fmt"
	"html"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestHostileNames(t *testing.T) {
	parallel(t)
	const long = 200
	tests := []struct{ name, shown string }{
		{"a\nb", "a b"},
		{"\x1b[31mred", "[31mred"},
		{"a_b__c", "a_b__c"},
		{"_", "_"},
		{"<b>x</b>&", "<b>x</b>&"},
		{"&amp;", "&amp;"},
		{"bad\xff\xfe", "bad\uFFFD\uFFFD"},
		{"a\u202eb\u202c", "ab"},
		{"%s\t%d", "%s %d"},
		{" ", ""}, // the row shows the project alone
		{strings.Repeat("x", long), strings.Repeat("x", long)},
	}
	d := newDesktop(t)
	dir := d.path("home/a\nb<i>&amp;_\x1b[0m\u202e\xff")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const shownProject = "a b<i>&amp;_ [0m\uFFFD"
	const shownDir = "~/" + shownProject
	victims := map[string]*victim{}
	for _, test := range tests {
		victims[test.name] = d.startVictim(victimOptions{name: test.name, dir: dir}, "127.0.0.1:0")
	}
	s := d.startTray()
	for _, test := range tests {
		v := victims[test.name]
		row := s.row(v, v.ports[0])
		label, cut := strings.CutSuffix(row.label, "…")
		want := strings.TrimSuffix(fmt.Sprintf("%d  %s · %s", v.ports[0], shownProject, test.shown), " · ")
		if cut != (len(test.name) == long) || !cut && label != want ||
			cut && (len(label) < 45 || !strings.HasPrefix(want, label)) {
			t.Errorf("the row of %q is %q, want %q, if need be cut at the end", test.name, row.label, want)
		}
		if fact := row.find("~/"); fact == nil || fact.label != shownDir {
			t.Errorf("no directory %q in\n%v", shownDir, row)
		}
	}
	readable(t, s.item.allNodes())
	if tip := s.item.tooltip(); !printable(tip) {
		t.Errorf("the tooltip is %q", tip)
	}
}

// readable fails the test if a label would spoil the menu.
func readable(t testing.TB, n *node) {
	t.Helper()
	for _, c := range n.children {
		if !printable(c.label) || utf8.RuneCountInString(c.label) > 60 {
			t.Errorf("there is an entry %q", c.label)
		}
		readable(t, c)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) ||
			unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	})
}

func TestHostileNotification(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	dir := d.path("home/<i>&amp;\n_")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := d.startTray()
	for _, test := range []struct {
		caps   []string
		escape func(string) string
	}{
		{[]string{"body", "body-markup"}, html.EscapeString},
		{[]string{"body"}, func(plain string) string { return plain }},
	} {
		s.notes.stop()
		s.notes = d.startNotifier(notifierShows, test.caps...)
		v := d.startVictim(victimOptions{name: "<b>x</b>&", dir: dir}, "127.0.0.1:0")
		s.hear(fmt.Sprintf("<i>&amp; _ (<b>x</b>& :%d) is up", v.ports[0]), test.escape("in ~/<i>&amp; _"))
		s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
		s.hear(fmt.Sprintf("Port %d is free", v.ports[0]), test.escape(v.who()+" stopped"))
	}
}

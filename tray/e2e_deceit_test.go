//go:build linux

package tray_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// deceivers are names for a program and its project that try to deceive the person or the display.
var deceivers = []struct{ process, project string }{
	{"Quit", "Quit"},
	{"node (PID 1)", "Kill node (PID 1)"},
	{"3000  shop", "3000  shop"},
	{"Other (5)", "────────────"},
	{"a\u202eb\u2066c", "a\u202etiuQ\u202c\u2066b\u2069\u200b"},
	{"a\u0301\u0301\u0301\u0301\u0301\u0301", "z" + strings.Repeat("\u0334\u0321\u0489", 60)},
	{"\u0338\u20e0\u3164", "\u20dd\u3164\u115f\u2800"},
	{"a\U000e0041b\ue000", "tags\U000e0041\U000e007f and \ue000\U0010fffe"},
	{"\x1b]8;;x\a\x1b\\", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ \u009b31m \x1bc"},
	{"$(id)`id`", `" & (do shell script "id") & "$(id)` + "`id`"},
	{"]]></text><b>", `]]></text></toast><b>&lt;a href="x">`},
	{"_&__&&\t_", "_Q&uit\t_\r\n_"},
	{"http://u:p@h/", "http://user:secret@evil.example/"},
	{"javascript:a()", "javascript:alert(1)//file:///etc/passwd"},
}

// TestDeceivers follows such names through menu, tooltip, notifications, browser, log, terminal and JSON. The program's
// own text beside a name tells servers apart: a row begins with its port, and Stop ends in the PID.
func TestDeceivers(t *testing.T) {
	parallel(t)
	program, d := buildProgram(t), newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	words, lines := d.start(program, "watch"), d.start(program, "watch", "--json")
	if !poll(patience, func() bool { return words.output() != "" && lines.output() != "" }) {
		t.Fatal("watch says nothing")
	}
	var victims []*victim
	for i, c := range deceivers {
		dir := d.path(fmt.Sprintf("home/%d", i))
		text, err := json.Marshal(map[string]string{"name": c.project})
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "package.json"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		victims = append(victims, d.startVictim(victimOptions{name: c.process, dir: dir}, "127.0.0.1:0"))
	}
	for i, v := range victims {
		s.row(v, v.ports[0])
		if !poll(patience, func() bool {
			return strings.Contains(words.output(), fmt.Sprintf("(PID %d)", v.pid())) &&
				strings.Contains(lines.output(), fmt.Sprintf(`"pid":%d,`, v.pid()))
		}) {
			t.Fatalf("%q is not told of:\n%s\n%s", deceivers[i], words.output(), lines.output())
		}
	}
	s.showsWhoIsWho(victims)
	for _, v := range victims {
		s.tellsInTheTerminal(program, v)
	}
	for line := range strings.Lines(lines.output()) {
		if err := json.Unmarshal([]byte(line), new(map[string]any)); err != nil || !plain(line) {
			t.Errorf("%v in the line %q", err, line)
		}
	}
	if text := words.output(); !plain(text) {
		t.Errorf("watch writes %q", text)
	}
	if text := s.tray.output(); !plain(text) {
		t.Errorf("the log is %q", text)
	}
}

// showsWhoIsWho checks the menu, the tooltip and the notifications, and opens each server.
func (s *session) showsWhoIsWho(victims []*victim) {
	t := s.t
	menu := s.item.menu()
	quits, separators := 0, 0
	for _, c := range menu.children {
		if c.label == "Quit" {
			quits++
		}
		if c.separator {
			separators++
		}
	}
	if quits != 1 || separators > 6 {
		t.Errorf("there are %d entries Quit and %d separators:\n%v", quits, separators, menu)
	}
	readable(t, s.item.allNodes())
	for _, v := range victims {
		row := menu.row(v.ports[0])
		if row == nil {
			t.Fatalf("no row of port %d in\n%v", v.ports[0], menu)
		}
		name := strings.TrimPrefix(row.label, fmt.Sprintf("%d  ", v.ports[0]))
		if strings.Contains(name, "  ") || name == row.label || name == "" {
			t.Errorf("a row is %q, which does not tell the port from the name", row.label)
		}
		for _, verb := range []string{"Stop ", "Kill "} {
			var leaves []string
			for _, c := range row.children {
				if strings.HasPrefix(c.label, verb) {
					leaves = append(leaves, c.label)
				}
			}
			// A name with a PID in it is in quotation marks.
			want := regexp.MustCompile(fmt.Sprintf(`^%s([^()]+|“.+”) \(PID %d\)$`, verb, v.pid()))
			if len(leaves) != 1 || !want.MatchString(leaves[0]) {
				t.Errorf("in the row %q it says %q, want one %v", row.label, leaves, want)
			}
		}
		s.item.click(row.find("Open in browser"))
		want := fmt.Sprintf("http://localhost:%d", v.ports[0])
		if !poll(patience, func() bool { return slices.Contains(s.urls(), want) }) {
			t.Errorf("the browser got %q, want %s", s.urls(), want)
		}
	}
	if len(s.urls()) != len(victims) {
		t.Errorf("the browser got %q", s.urls())
	}
	if tip := s.item.tooltip(); !printable(tip) {
		t.Errorf("the tooltip is %q", tip)
	}
	s.notes.waitFor(patience, func(note) bool { return true })
	for _, n := range s.notes.all() {
		if !printable(n.summary) || !printable(n.body) || strings.ContainsAny(n.body, "<>") {
			t.Errorf("a notification is %+v", n)
		}
	}
}

// tellsInTheTerminal runs the commands about a server.
func (s *session) tellsInTheTerminal(program string, v *victim) {
	port, pid := fmt.Sprint(v.ports[0]), fmt.Sprint(v.pid())
	for _, args := range [][]string{
		{"list", port}, {"list", "--json", "--args", port}, {"explain", port}, {"explain", "--json", port}} {
		out, errs, code := s.run(program, args...)
		if code != 0 || !plain(out) || !plain(errs) || !strings.Contains(out, pid) {
			s.t.Errorf("%q of %q: exit status %d, %q, %q", args, v.name, code, out, errs)
		}
		if slices.Contains(args, "--json") && json.Unmarshal([]byte(out), new(any)) != nil {
			s.t.Errorf("%q of %q is no JSON: %s", args, v.name, out)
		}
		if n := strings.Count(out, "\n"); args[0] == "list" && len(args) == 2 && n != 2 {
			s.t.Errorf("%q of %q has %d lines:\n%s", args, v.name, n, out)
		}
	}
}

// plain reports whether text is harmless in a terminal: printable characters and line ends only.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) ||
			unicode.In(r, unicode.Cf, unicode.Co, unicode.Bidi_Control, unicode.Zl, unicode.Zp))
	})
}

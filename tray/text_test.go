package tray

import (
	"encoding/xml"
	"html"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// Hosts take an underscore or an ampersand for the mark of a mnemonic. They must still show the label unchanged.
func FuzzMnemonics(f *testing.F) {
	for _, label := range []string{"my_app", "__init__", "a&b && c", "_", "", "x__y_z"} {
		f.Add(label)
	}
	f.Fuzz(func(t *testing.T, label string) {
		for _, host := range []struct{ goos, desktop, mark string }{{"linux", "KDE", "_"},
			{"linux", "Budgie:GNOME", "_"}, {"windows", "", "&"}} {
			text := mnemonics(label, host.goos, host.desktop)
			if shown := strings.ReplaceAll(text, host.mark+host.mark, host.mark); shown != label {
				t.Errorf("%+v: %q is shown as %q", host, label, shown)
			}
			if alone := strings.ReplaceAll(text, host.mark+host.mark, ""); strings.Contains(alone, host.mark) {
				t.Errorf("%+v: %q has a mnemonic in %q", host, label, text)
			}
		}
		// GNOME's extension looks only at the first underscore and the character after it.
		if text := mnemonics(label, "linux", "ubuntu:GNOME"); strings.Replace(text, "__", "_", 1) != label &&
			strings.Contains(label, "_") {
			t.Errorf("GNOME: %q becomes %q", label, text)
		}
		if text := mnemonics(label, "darwin", ""); text != label {
			t.Errorf("macOS: %q becomes %q", label, text)
		}
	})
}

// kinds are all kinds of happenings.
var kinds = []what{opened, closed, replaced, exposed, looping, moved, slept}

// With any names, a notice is short, plain and on one line. No service can find markup in it.
func FuzzNotice(f *testing.F) {
	f.Add("node", "shop", "Vite", "web", "/srv/shop", "SIGSEGV", byte(0))
	f.Add("a\n<b>\x1b[1m", "</text><audio/>]]>", "&amp;$(calc)`", "\u202eQuit", "/tmp/\xff\x00", "<i>", byte(9))
	f.Add(strings.Repeat("x", 500), strings.Repeat("ä", 300), strings.Repeat("\U0001f600", 80), "a\u0301\u200b", "",
		"\ufffe\ud7ff", byte(12))
	f.Fuzz(func(t *testing.T, name, dirName, tool, service, dir, signal string, which byte) {
		l := serverAt(3000, 1)
		l.Owner.Name, l.Owner.Dir = name, dir
		l.Facts = facts.Facts{Project: project.Project{Name: dirName, Dir: dir}, Tool: facts.Tool{Name: tool}}
		m := l
		m.Container.ID, m.Container.Service, m.Container.Name = "id", service, name
		m.Container.Image, m.Container.Project = tool, dirName
		n := m
		n.Label = service
		reason := watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Killed,
			Signal: owner.Printable(signal, 20)}}
		var all []happening
		for i, on := range []server.Listener{l, m, n} {
			kind := kinds[(int(which)+i)%len(kinds)]
			all = append(all, happening{kind: kind, at: noon,
				on: server.Server{Listener: on, Also: []server.Listener{m}}, before: server.Alone(m), reason: reason,
				port: l})
		}
		say := []notice{announce(all[:1]), announce(all[1:2]), announce(all[2:]), announce(all),
			backAgain(watcher.Event{Server: server.Alone(l)})}
		worker := l
		worker.Owner.PID++
		on := server.Server{Listener: l, Title: l.Name(), Parts: []server.Listener{l, worker, m}}
		for _, r := range []owner.Outcome{owner.Freed, owner.Taken, owner.Shared, owner.StillRunning,
			owner.NotPermitted} {
			say = append(say, outcome(on, []server.Server{on}, which&1 == 0,
				owner.Result{Outcome: r, Left: []owner.Process{l.Owner, {}}}))
		}
		for _, n := range say {
			for _, text := range []string{n.title, n.body} {
				if text != owner.Printable(text, 2*maxTitle) {
					t.Errorf("%q is unfit to be shown, or too long", text)
				}
				if markup := html.EscapeString(text); strings.ContainsAny(markup, "<>\"'") ||
					html.UnescapeString(markup) != text {
					t.Errorf("%q is marked up as %q", text, markup)
				}
			}
			if n.key != "" && max(utf8.RuneCountInString(n.title), utf8.RuneCountInString(n.body)) > maxTitle {
				t.Errorf("too long: %q / %q", n.title, n.body)
			}
			checkToast(t, n)
		}
		for _, h := range all {
			for _, label := range []string{latestText(h),
				viewRecents(model{recent: [maxRecent]closedServer{{noon, h.on, reason.String()}}}).below[0].label} {
				if text, ok := strings.CutPrefix(label, "12:00  "); !ok || text != clean(text) ||
					utf8.RuneCountInString(label) > maxLabel {
					t.Errorf("%q is unfit for a menu", label)
				}
			}
		}
	})
}

// checkToast checks that a toast has the texts of a notice, and no elements that these could have injected.
func checkToast(t *testing.T, n notice) {
	t.Helper()
	source := toastXML(n)
	var texts []string
	elements := 0
	for dec := xml.NewDecoder(strings.NewReader(source)); ; {
		token, err := dec.Token()
		if token == nil {
			if err.Error() != "EOF" {
				t.Errorf("%v in %s", err, source)
			}
			break
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements++
		case xml.CharData:
			texts = append(texts, string(token))
		}
	}
	want := 6
	if n.open {
		want += 2
	}
	plain := func(s string) string { return strings.Map(xmlRune, s) }
	if got := strings.Join(texts, ""); elements != want || got != plain(n.title)+plain(n.body) {
		t.Errorf("%d elements with %q in %s", elements, got, source)
	}
}

// xmlRune replaces characters that XML does not allow.
func xmlRune(r rune) rune {
	if r == 0xfffe || r == 0xffff {
		return utf8.RuneError
	}
	return r
}

// A file of choices is rejected, or it survives being written and read again.
func FuzzChoices(f *testing.F) {
	f.Add([]byte("notifications = 'pinned'\npaused-until = 2026-03-04T11:00:00.5+02:00\n" +
		"muted = [\"3000\\u0000project\\u0000/srv/shop\"]\n[[pinned]]\nkey = 'x'\nport = 3000\nname = 'shop'\n"))
	f.Add([]byte("notifications = 'off'\n[[hidden]]\nkey = \"\\u001b\"\nport = 65535\nname = \"\\U0010ffff\""))
	f.Add([]byte("paused-until = 1979-05-27\nmuted = []"))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseChoices(text)
		if err != nil {
			return
		}
		if !c.Mode.valid() {
			t.Errorf("%q: the mode is %q", text, c.Mode)
		}
		written, err := toml.Marshal(c)
		if err != nil {
			t.Fatalf("%q: cannot be kept: %v", text, err)
		}
		again, err := parseChoices(written)
		if err != nil || !again.Paused.Equal(c.Paused) {
			t.Fatalf("%q: kept as %q, which is %+v, %v", text, written, again, err)
		}
		again.Paused, c.Paused = time.Time{}, time.Time{}
		if third, err := toml.Marshal(again); err != nil ||
			len(c.Muted) > 0 && !reflect.DeepEqual(again.Muted, c.Muted) ||
			len(again.Pinned) != len(c.Pinned) || len(again.Hidden) != len(c.Hidden) {
			t.Errorf("%q: kept as %q, and then as %q, %v", text, written, third, err)
		}
		for i := range c.Pinned {
			if again.Pinned[i] != c.Pinned[i] {
				t.Errorf("%q: %+v is kept as %+v", text, c.Pinned[i], again.Pinned[i])
			}
		}
		for i := range c.Hidden {
			if again.Hidden[i] != c.Hidden[i] {
				t.Errorf("%q: %+v is kept as %+v", text, c.Hidden[i], again.Hidden[i])
			}
		}
	})
}

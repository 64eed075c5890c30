package tray

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/project"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// shopAndBlog are two servers of different projects.
func shopAndBlog() (shop, blog server.Listener) {
	shop, blog = serverAt(3000, 1), serverAt(5173, 2)
	shop.Facts.Project, blog.Facts.Project = project.Project{Name: "shop", Dir: "/code/shop"},
		project.Project{Name: "blog", Dir: "/code/blog"}
	return shop, blog
}

func TestSection(t *testing.T) {
	shop, _ := shopAndBlog()
	one := []mark{{Key: shop.Key(), Port: 3000}}
	on := settings.Ports{First: 3000, Last: 3000}
	for _, tt := range []struct {
		name           string
		pinned, hidden []mark
		rule           settings.Rule
		by             server.Section // the section without any wish
		want           server.Section
	}{
		{"nothing is wished", nil, nil, settings.Rule{}, server.Other, server.Other},
		{"pinned", one, nil, settings.Rule{}, server.Other, server.Main},
		{"hidden", nil, one, settings.Rule{}, server.Main, server.Hidden},
		{"pinned and hidden", one, one, settings.Rule{}, server.Main, server.Main},
		{"pinned, and never by a rule", one, nil, settings.Rule{Show: settings.ShowNever}, server.Other, server.Main},
		{"hidden, and main by a rule", nil, one, settings.Rule{Show: settings.ShowMain}, server.Main, server.Hidden},
		{"never", nil, nil, settings.Rule{Show: settings.ShowNever}, server.Main, server.Hidden},
		{"never, and pinned by the rule", nil, nil, settings.Rule{Show: settings.ShowNever, Pin: true}, server.Main,
			server.Hidden},
		{"other", nil, nil, settings.Rule{Show: settings.ShowOther}, server.Main, server.Other},
		{"main", nil, nil, settings.Rule{Show: settings.ShowMain}, server.Other, server.Main},
		{"pinned by a rule", nil, nil, settings.Rule{Pin: true}, server.Other, server.Main},
		{"a rule about something else", nil, nil, settings.Rule{Label: "x"}, server.Other, server.Other},
	} {
		m := model{pinned: tt.pinned, hidden: tt.hidden}
		if tt.rule != (settings.Rule{}) {
			tt.rule.Port = on
			m.settings.Rules = []settings.Rule{tt.rule}
		}
		servers := []server.Server{{Listener: shop, Section: tt.by}}
		u := m.settings.Applied(watcher.Update{Snapshot: watcher.Snapshot{Servers: servers}})
		if got := m.section(u.Snapshot.Servers[0]); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWantedByWish(t *testing.T) {
	shop, _ := shopAndBlog()
	key := shop.Key()
	on := settings.Ports{First: 3000, Last: 3000}
	always, never := settings.Rule{Port: on, Notify: settings.NotifyAlways},
		settings.Rule{Port: on, Notify: settings.NotifyNever}
	pinning := settings.Rule{Port: on, Pin: true}
	for _, tt := range []struct {
		name    string
		mode    mode
		section server.Section
		change  func(*model)
		want    bool
	}{
		{"a server of mine", myServers, server.Main, func(*model) {}, true},
		{"pinned only, and it is not", pinnedOnly, server.Main, func(*model) {}, false},
		{"pinned only, and it is", pinnedOnly, server.Main, func(m *model) { m.pinned = []mark{{Key: key}} }, true},
		{"pinned only, and it is by a rule", pinnedOnly, server.Main,
			func(m *model) { m.settings.Rules = []settings.Rule{pinning} }, true},
		{"pinned and muted", pinnedOnly, server.Main,
			func(m *model) { m.pinned = []mark{{Key: key}}; m.muted = map[server.Key]bool{key: true} }, false},
		{"hidden, and all are told", allPorts, server.Hidden, func(*model) {}, false},
		{"always, and pinned only", pinnedOnly, server.Other,
			func(m *model) { m.settings.Rules = []settings.Rule{always} }, true},
		{"always, and off", noNotices, server.Main, func(m *model) { m.settings.Rules = []settings.Rule{always} },
			false},
		{"always, and paused", myServers, server.Main,
			func(m *model) { m.settings.Rules = []settings.Rule{always}; m.paused = noon.Add(time.Hour) }, false},
		{"never, and all are told", allPorts, server.Main,
			func(m *model) { m.settings.Rules = []settings.Rule{never} }, false},
	} {
		m := model{mode: tt.mode}
		tt.change(&m)
		h := happening{kind: opened, on: server.Server{Listener: shop, Section: tt.section}}
		if got := m.wanted(h, noon); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestAbsent(t *testing.T) {
	shop, blog := shopAndBlog()
	m := modelOf(shop)
	m.commands = map[server.Key]string{blog.Key(): "cd /code/blog && vite"}
	m.pinned = []mark{{blog.Key(), 5173, "blog · Vite"}, {shop.Key(), 3000, "shop"}}
	one := func(port uint16) settings.Ports { return settings.Ports{First: port, Last: port} }
	m.settings.Rules = []settings.Rule{
		{Port: one(5432), Label: "Database", Pin: true}, {Port: one(3000), Pin: true}, {Port: one(5173), Pin: true},
		{Project: "x", Pin: true}, {Port: one(80), Label: "no pin"}, {Port: one(81), Pin: true},
	}
	var got []string
	for _, r := range view(m).rows {
		restart := ""
		for _, l := range r.below {
			if l.label != "" && l.click.action == copyThis {
				restart = l.click.text
			}
		}
		got = append(got, r.label+"|"+restart)
	}
	want := []string{"○ 81  not running|", "3000  shop · node  ★|",
		"○ 5173  blog · Vite, not running|cd /code/blog && vite", "○ 5432  Database, not running|"}
	if !slices.Equal(got, want) {
		t.Errorf("the rows are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v := view(m); v.count != 1 {
		t.Errorf("the badge counts %d", v.count)
	}
}

// TestLoopPinsAndHides pins a server that ends and comes back. It also hides a server and shows it again.
func TestLoopPinsAndHides(t *testing.T) {
	perform(t, func(s *stage) {
		shop, blog := shopAndBlog()
		shop.Facts.Command = "cd /code/shop && node ."
		var saved []choices
		s.loop.do.save = func(c choices) { saved = append(saved, c) }
		s.list(shop, blog)
		s.click("3000", "Pin")
		s.list(blog)
		s.wait(time.Minute)
		if s.menu.root.find("○ 3000  shop", "Copy restart command") == nil ||
			s.menu.root.find("○ 3000", "Open") != nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
		s.click("○ 3000", "Copy restart command")
		if want := []string{shop.Facts.Command}; !slices.Equal(s.copied, want) {
			t.Errorf("copied %q, want %q", s.copied, want)
		}
		s.list(shop, blog)
		if s.menu.root.find("○ 3000") != nil || s.menu.root.find("3000  shop") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
		s.click("5173", "Hide")
		if s.menu.root.find("5173") != nil || s.menu.root.find("Other", "Hidden", "Show 5173  blog") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
		s.click("Other", "Hidden", "Show 5173")
		if s.menu.root.find("5173  blog") == nil || s.menu.root.find("Other") != nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
		s.click("3000", "Hide") // this unpins it
		last := saved[len(saved)-1]
		if len(last.Pinned) != 0 || len(last.Hidden) != 1 || last.Hidden[0].Port != 3000 {
			t.Errorf("kept %+v", last)
		}
		for _, c := range saved {
			if strings.Contains(fmt.Sprint(c), "node .") {
				t.Errorf("a command line is kept: %+v", c)
			}
		}
	})
}

// TestLoopPinsByRule has two rules with pin. One has no port and pins a running server. The other has a port and pins a
// server that never ran.
func TestLoopPinsByRule(t *testing.T) {
	perform(t, func(s *stage) {
		shop, blog := shopAndBlog()
		shop.Facts.Command = "cd /code/shop && node ."
		var saved []choices
		s.loop.do.save = func(c choices) { saved = append(saved, c) }
		s.loop.changes <- settings.Change{Settings: settings.Settings{Rules: []settings.Rule{
			{Project: "shop", Pin: true}, {Port: settings.Ports{First: 5173, Last: 5173}, Pin: true},
			{Port: settings.Ports{First: 81, Last: 81}, Pin: true, Show: settings.ShowNever},
		}}}
		s.list(shop)
		for _, row := range []string{"3000  shop", "○ 5173  not running"} {
			if pin := s.menu.root.find(row, "Pinned by the settings file"); pin == nil || !pin.disabled ||
				!pin.checked {
				t.Errorf("%s: no entry says that the settings pin it:\n%s", row, s.menu.root.text())
			}
		}
		if s.menu.root.find("○ 81") != nil {
			t.Errorf("a server with show = never has a row:\n%s", s.menu.root.text())
		}
		s.list(blog)
		s.wait(time.Minute)
		s.click("○ 3000  shop", "Copy restart command")
		if want := []string{shop.Facts.Command}; !slices.Equal(s.copied, want) || s.menu.root.find("○ 5173") != nil {
			t.Errorf("copied %q, want %q; the menu is\n%s", s.copied, want, s.menu.root.text())
		}
		s.list(shop, blog)
		s.click("5173", "Hide")
		s.click("3000", "Hide")
		s.list()
		s.wait(time.Minute)
		if s.menu.root.find("○") != nil {
			t.Errorf("hidden servers have rows while they do not run:\n%s", s.menu.root.text())
		}
		if last := saved[len(saved)-1]; len(last.Pinned) != 0 || len(last.Hidden) != 2 {
			t.Errorf("kept %+v", last)
		}
	})
}

// TestLoopShowsAllThatIsHidden hides more than maxRecent servers, and shows the first one again.
func TestLoopShowsAllThatIsHidden(t *testing.T) {
	perform(t, func(s *stage) {
		var all []server.Listener
		for i := range maxRecent + 5 {
			all = append(all, serverAt(uint16(3001+i), int32(i+1)))
		}
		s.list(all...)
		for _, l := range all {
			s.click(fmt.Sprint(l.Port), "Hide")
		}
		s.click("Other", "Hidden", "Show 3001")
		if s.menu.root.find("3001  ") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
	})
}

// TestLoopSettlesLoginAtTheClick clicks faster than the desktop answers. The race detector checks it.
func TestLoopSettlesLoginAtTheClick(t *testing.T) {
	perform(t, func(s *stage) {
		s.loop.do.login = func(bool) error { return nil }
		for range 50 {
			s.loop.drawer.clicks <- click{action: atLogin}
		}
		synctest.Wait()
	})
}

// TestIgnored checks that the notice after a sleep leaves out a server with notify = never.
func TestIgnored(t *testing.T) {
	shop, blog := shopAndBlog()
	l := newLoop("v1", "linux")
	l.model.settings.Rules = []settings.Rule{{Project: "shop", Notify: settings.NotifyNever}}
	if !l.judge.ignored(shop) || l.judge.ignored(blog) {
		t.Errorf("ignored: shop %t, blog %t", l.judge.ignored(shop), l.judge.ignored(blog))
	}
}

// TestLoopConfigures sends the loop settings, then an error, then no settings.
func TestLoopConfigures(t *testing.T) {
	perform(t, func(s *stage) {
		shop, blog := shopAndBlog()
		s.list(shop, blog)
		change := func(c settings.Change) {
			s.loop.changes <- c
			synctest.Wait()
		}
		one := settings.Ports{First: 3000, Last: 3000}
		rules := []settings.Rule{{Port: one, Label: "The shop", Path: "/admin", Scheme: "https"},
			{Project: "blog", Show: settings.ShowOther}}
		change(settings.Change{Settings: settings.Settings{Interval: settings.Interval(5 * time.Second), Rules: rules}})
		if got := <-s.loop.pace; got != 5*time.Second {
			t.Errorf("the watcher gets the interval %v", got)
		}
		if s.menu.root.find("3000  The shop") == nil || s.menu.root.find("Other", "5173  blog") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
		s.click("3000", "Open in browser")
		if want := []string{"https://localhost:3000/admin"}; !slices.Equal(s.opened, want) {
			t.Errorf("opened %q, want %q", s.opened, want)
		}
		wrong := &settings.Error{File: "/x/config.toml", Line: 7, Problem: "there is no \"shwo\""}
		change(settings.Change{Err: wrong})
		change(settings.Change{Err: wrong})
		if s.menu.root.find("Open config.toml line 7: there is no \"shwo\"") == nil ||
			s.menu.root.find("3000  The shop") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
		if said := s.heard(); len(said) != 1 || said[0].body != wrong.Error() {
			t.Errorf("said %+v", said)
		}
		change(settings.Change{})
		if s.menu.root.find("2 servers") == nil || s.menu.root.find("3000  shop") == nil ||
			s.menu.root.find("5173  blog") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
	})
}

// TestLoopPreferences clicks the entries under Settings, and Open terminal.
func TestLoopPreferences(t *testing.T) {
	perform(t, func(s *stage) {
		shop, _ := shopAndBlog()
		var did []string
		fail := error(nil)
		s.loop.do.login = func(on bool) error { did = append(did, fmt.Sprint("login ", on)); return fail }
		s.loop.do.edit = func(context.Context) error { did = append(did, "edit"); return fail }
		s.loop.do.console = func(terminal, dir string) error {
			did = append(did, "terminal "+terminal+" in "+dir)
			return fail
		}
		s.list(shop)
		s.loop.changes <- settings.Change{Settings: settings.Settings{Terminal: "kitty -1"}}
		s.click("Settings", "Start at login")
		s.click("Settings", "Start at login")
		s.click("Settings", "Open settings file")
		s.click("3000", "Open terminal")
		want := []string{"login true", "login false", "edit", "terminal kitty -1 in /code/shop"}
		if !slices.Equal(did, want) || len(s.heard()) != 0 {
			t.Errorf("did %q, want %q; said %+v", did, want, s.heard())
		}
		fail = errors.New("no such thing")
		for _, path := range [][]string{{"Settings", "Start at login"}, {"Settings", "Open settings file"},
			{"3000", "Open terminal"}} {
			s.click(path...)
		}
		for _, n := range s.heard() {
			if n.body != "no such thing" {
				t.Errorf("said %+v", n)
			}
		}
		if n := len(s.heard()); n != 3 || s.loop.model.atLogin {
			t.Errorf("%d notices of failure, want 3; at login %t, want false", n, s.loop.model.atLogin)
		}
	})
}

func TestTerminals(t *testing.T) {
	for goos, want := range map[string][]string{"windows": {"wt.exe", "-d", "/x"},
		"darwin": {"open", "-a", "Terminal", "/x"}, "linux": {"foot", "-F"}} {
		if got := terminals(goos, "foot -F", "/x")[0]; !slices.Equal(got, want) {
			t.Errorf("%s: %q", goos, got)
		}
	}
}

// TestOpenConsole uses a script as the terminal. The script writes down its directory.
func TestOpenConsole(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot run a script as a program")
	}
	dir := t.TempDir()
	script, out := filepath.Join(dir, "terminal"), filepath.Join(dir, "out")
	if err := os.WriteFile(script, []byte("#!/bin/sh\npwd > \"$1.part\" && mv \"$1.part\" \"$1\"\n"),
		0o755); err != nil {
		t.Fatal(err)
	}
	if err := openConsole(script+" "+out, dir); err != nil {
		t.Skip(err)
	}
	var got []byte
	for range 500 {
		if got, _ = os.ReadFile(out); got != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if strings.TrimSpace(string(got)) != dir {
		t.Errorf("started in %q, want %q", got, dir)
	}
	if err := openConsole("no-such-terminal-at-all", dir); err == nil ||
		!strings.Contains(err.Error(), `"no-such-terminal-at-all"`) {
		t.Error(err)
	}
	if err := openConsole("", script); err == nil {
		t.Error("openConsole accepts a file as the directory")
	}
}

func TestToggled(t *testing.T) {
	var marks []mark
	for i := range maxMarks + 2 {
		marks = toggled(marks, mark{Key: server.Key{Port: uint16(i)}})
	}
	if len(marks) != maxMarks || marks[0].Key.Port != 2 {
		t.Errorf("%d marks, the first is %+v", len(marks), marks[0])
	}
	if got := toggled(marks[:2], mark{Key: server.Key{Port: 3}}); !reflect.DeepEqual(got, marks[:1]) {
		t.Errorf("got %+v", got)
	}
}

// heard returns all notices so far.
func (s *stage) heard() []notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said)
}

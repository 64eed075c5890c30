package tray

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// noon is the time at which most tests look.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.Local)

// server returns a listener of a node process whose start is its PID.
func server(port uint16, pid int32, addrs ...string) watcher.Listener {
	l := watcher.Listener{Port: port, Owner: owner.Process{PID: pid, Start: uint64(pid), Name: "node", Dir: "/srv/shop", Since: noon.Add(-time.Hour)}}
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1"}
	}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
	}
	return l
}

func TestHeader(t *testing.T) {
	listeners := []watcher.Listener{server(1, 1), server(2, 2), server(2, 3)}
	denied := fmt.Errorf("list TCP sockets: %w", errors.New("permission denied"))
	for _, c := range []struct {
		name  string
		model model
		want  string
	}{
		{"before the first scan", model{}, "Looking for ports…"},
		{"no scan succeeded", model{err: denied}, "Cannot read the ports: permission denied"},
		{"none", model{snapshot: watcher.Snapshot{Time: noon}}, "No ports"},
		{"one", model{snapshot: watcher.Snapshot{Time: noon, Listeners: listeners[:1]}}, "1 port"},
		{"two owners of one port", model{snapshot: watcher.Snapshot{Time: noon, Listeners: listeners}}, "2 ports"},
		{"expensive", model{snapshot: watcher.Snapshot{Time: noon}, slow: 8 * time.Second}, "No ports, read every 8s"},
		{"stale", model{snapshot: watcher.Snapshot{Time: noon, Listeners: listeners}, err: denied}, "As of 12:00:00: permission denied"},
	} {
		if got := header(c.model); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestViewRow(t *testing.T) {
	with := func(l watcher.Listener, change func(*owner.Process)) watcher.Listener {
		change(&l.Owner)
		return l
	}
	refused := with(server(3000, 4242), func(p *owner.Process) { p.Name, p.Refusal = "com.docker.backend", "forwards for a container or VM" })
	for _, c := range []struct {
		name     string
		listener watcher.Listener
		goos     string
		want     string
	}{
		{"an ordinary one", server(3000, 4242, "127.0.0.1", "::1"), "linux",
			"3000  node|node, PID 4242, since 11:00|/srv/shop|Only this computer · 127.0.0.1, ::1|Stop node (PID 4242)|Kill node (PID 4242)"},
		{"without a directory, started on another day", with(server(3000, 4242), func(p *owner.Process) { p.Dir, p.Since = "", noon.AddDate(0, 0, -1) }), "linux",
			"3000  node|node, PID 4242, since 3 Mar 12:00||Only this computer · 127.0.0.1|Stop node (PID 4242)|Kill node (PID 4242)"},
		{"started in another year", with(server(3000, 4242), func(p *owner.Process) { p.Since = noon.AddDate(-1, 0, 0) }), "linux",
			"3000  node|node, PID 4242, since 4 Mar 2025|/srv/shop|Only this computer · 127.0.0.1|Stop node (PID 4242)|Kill node (PID 4242)"},
		{"start unknown", with(server(3000, 4242), func(p *owner.Process) { p.Since = time.Time{} }), "linux",
			"3000  node|node, PID 4242|/srv/shop|Only this computer · 127.0.0.1|Stop node (PID 4242)|Kill node (PID 4242)"},
		{"on all interfaces", server(3000, 4242, "0.0.0.0", "127.0.0.1"), "linux",
			"3000  node|node, PID 4242, since 11:00|/srv/shop|Open to the network · all interfaces|Stop node (PID 4242)|Kill node (PID 4242)"},
		{"on one more interface", server(3000, 4242, "127.0.0.1", "192.0.2.7"), "linux",
			"3000  node|node, PID 4242, since 11:00|/srv/shop|Open to the network · 127.0.0.1, 192.0.2.7|Stop node (PID 4242)|Kill node (PID 4242)"},
		{"owner unknown", watcher.Listener{Port: 631, Addrs: []netip.Addr{netip.IPv6Loopback()}}, "linux",
			"631  unknown owner|Its owner cannot be seen by this user||Only this computer · ::1|(Cannot stop: its owner is unknown)|(Cannot kill: its owner is unknown)"},
		{"never signalled", refused, "linux",
			"3000  com.docker.backend|com.docker.backend, PID 4242, since 11:00|/srv/shop|Only this computer · 127.0.0.1|(Cannot stop com.docker.back…: forwards for a container or VM)|(Cannot kill com.docker.back…: forwards for a container or VM)"},
		{"on Windows", server(3000, 4242), "windows",
			"3000  node|node, PID 4242, since 11:00|/srv/shop|Only this computer · 127.0.0.1|(Stop: Windows can only kill)|Kill node (PID 4242)"},
		{"hostile", with(server(3000, 4242), func(p *owner.Process) { p.Name, p.Dir = "a\n\x1b[31mb\u202ec\xff_d", "" }), "linux",
			"3000  a [31mbc\uFFFD_d|a [31mbc\uFFFD_d, PID 4242, since 11:00||Only this computer · 127.0.0.1|Stop a [31mbc\uFFFD_d (PID 4242)|Kill a [31mbc\uFFFD_d (PID 4242)"},
		{"nameless", with(server(3000, 4242), func(p *owner.Process) { p.Name, p.Dir = "", "" }), "linux",
			"3000  unnamed process|unnamed process, PID 4242, since 11:00||Only this computer · 127.0.0.1|Stop unnamed process (PID 4242)|Kill unnamed process (PID 4242)"},
	} {
		r := viewRow(c.listener, noon, c.goos)
		got := strings.Join(append(append([]string{r.label}, r.facts[:]...), text(r.stop), text(r.kill)), "|")
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func text(c command) string {
	if c.enabled {
		return c.label
	}
	return "(" + c.label + ")"
}

func TestLabelsAreShort(t *testing.T) {
	l := server(65535, 4194304, "127.0.0.1", "2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:7777")
	l.Owner.Name = strings.Repeat("名", 200)
	l.Owner.Dir = "/" + strings.Repeat("深い/", 100)
	for _, refusal := range []string{"", "forwards for a container or VM"} {
		l.Owner.Refusal = refusal
		r := viewRow(l, noon.AddDate(3, 0, 0), "linux")
		for _, label := range append([]string{r.label, r.stop.label, r.kill.label}, r.facts[:]...) {
			if n := utf8.RuneCountInString(label); n > maxLabel {
				t.Errorf("%d characters: %q", n, label)
			}
		}
		if !strings.HasSuffix(r.stop.label, "(PID 4194304)") && !strings.HasSuffix(r.stop.label, refusal) {
			t.Errorf("the end of a long label is lost: %q", r.stop.label)
		}
	}
}

func TestTooltip(t *testing.T) {
	var many []watcher.Listener
	for i := range uint16(40) {
		many = append(many, server(3000+i, 1))
	}
	for _, c := range []struct {
		listeners []watcher.Listener
		want      string
	}{
		{nil, "porttray: no ports"},
		{many[:2], "porttray: 3000 node, 3001 node"},
		{many, "porttray: 3000 node, 3001 node, 3002 node, 3003 node, 3004 node, 3005 node, 3006 node, 3007 node, …"},
	} {
		if got := tooltip(watcher.Snapshot{Listeners: c.listeners}); got != c.want {
			t.Errorf("%d listeners: got %q, want %q", len(c.listeners), got, c.want)
		}
	}
}

func TestBrowserURL(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  string
	}{
		{[]string{"127.0.0.1"}, "http://localhost:3000"},
		{[]string{"127.0.0.1", "::1"}, "http://localhost:3000"},
		{[]string{"0.0.0.0"}, "http://localhost:3000"},
		{[]string{"::"}, "http://localhost:3000"},
		{[]string{"127.0.0.2", "::"}, "http://localhost:3000"},
		{[]string{"127.0.0.1", "127.0.0.2"}, "http://localhost:3000"},
		{[]string{"::1"}, "http://[::1]:3000"},
		{[]string{"127.0.0.2"}, "http://127.0.0.2:3000"},
		{[]string{"127.0.0.2", "192.0.2.7"}, "http://127.0.0.2:3000"},
	} {
		if got := browserURL(server(3000, 1, c.addrs...), "http"); got != c.want {
			t.Errorf("%v: got %s, want %s", c.addrs, got, c.want)
		}
	}
}

func TestMnemonics(t *testing.T) {
	for _, c := range []struct{ label, goos, desktop, want string }{
		{"a_b_c", "linux", "XFCE", "a__b__c"},
		{"a_b_c", "linux", "ubuntu:GNOME", "a__b_c"},
		{"a__b", "linux", "KDE", "a____b"},
		{"a_b&c", "windows", "", "a_b&&c"},
		{"a_b&c", "darwin", "", "a_b&c"},
	} {
		if got := mnemonics(c.label, c.goos, c.desktop); got != c.want {
			t.Errorf("mnemonics(%q, %s, %s) = %q, want %q", c.label, c.goos, c.desktop, got, c.want)
		}
	}
}

// FuzzViewRow gives rows hostile names and directories: whatever they hold, every label is short, valid and on one line.
func FuzzViewRow(f *testing.F) {
	f.Add("node", "/home/me/shop", uint16(3000), int32(4242))
	f.Add("a\nb\x00\x1b[2J\xff\u202e", strings.Repeat("x", 500), uint16(0), int32(-1))
	f.Fuzz(func(t *testing.T, name, dir string, port uint16, pid int32) {
		l := server(port, pid)
		l.Owner.Name, l.Owner.Dir = name, dir
		r := viewRow(l, noon, "linux")
		for _, label := range append([]string{r.label, r.who, r.stop.label, r.kill.label}, r.facts[:]...) {
			if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel || strings.ContainsFunc(label, func(r rune) bool { return r < ' ' || r >= 0x202a && r <= 0x202e }) {
				t.Errorf("name %q, directory %q: label %q", name, dir, label)
			}
		}
	})
}

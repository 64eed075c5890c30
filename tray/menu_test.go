package tray

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
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
	denied := fmt.Errorf("list TCP sockets: %w", errors.New("permission denied"))
	foreign := server(631, 9)
	foreign.Owner.Foreign = true
	stale, slow := modelOf(server(1, 1)), modelOf()
	stale.err, slow.slow = denied, 8*time.Second
	for _, c := range []struct {
		name  string
		model model
		want  string
	}{
		{"before the first scan", model{}, "Looking for ports…"},
		{"no scan succeeded", model{err: denied}, "Cannot read the ports: permission denied"},
		{"none", modelOf(), "No servers"},
		{"one", modelOf(server(1, 1)), "1 server"},
		{"one, and one under Other", modelOf(server(1, 1), foreign), "1 server"},
		{"two owners of one port", modelOf(server(1, 1), server(2, 2), server(2, 3)), "3 servers"},
		{"two ports of one owner", modelOf(server(1, 1), server(2, 1)), "1 server"},
		{"expensive", slow, "No servers, read every 8s"},
		{"stale", stale, "As of 12:00:00: permission denied"},
	} {
		if got := header(c.model); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// rowOf returns the row of the only server that the listeners amount to.
func rowOf(t *testing.T, goos string, listeners ...watcher.Listener) row {
	t.Helper()
	m := modelOf(listeners...)
	m.goos = goos
	if len(m.servers) != 1 {
		t.Fatalf("%v are %d servers", listeners, len(m.servers))
	}
	return viewRow(m.servers[0], m)
}

func TestViewRow(t *testing.T) {
	with := func(l watcher.Listener, change func(*watcher.Listener)) watcher.Listener {
		change(&l)
		return l
	}
	refused := func(name, why string) func(*watcher.Listener) {
		return func(l *watcher.Listener) { l.Owner.Name, l.Owner.Refusal = name, why }
	}
	const forwards = "forwards for a container or VM"
	contained := func(c engine.Container) func(*watcher.Listener) {
		return func(l *watcher.Listener) { refused("docker-proxy", forwards)(l); l.Container = c }
	}
	web := engine.Container{ID: "a1", Name: "shop-web-1", Image: "acme/web:3", Project: "shop", Service: "web"}
	// What an ordinary row has below its label.
	const since, dir, here, class = "node, PID 4242, since 11:00", "/srv/shop", "Only this computer · 127.0.0.1", "Registered port"
	const end = "Stop node (PID 4242)|Kill node (PID 4242)"
	lines := func(lines ...string) string { return strings.Join(lines, "|") }
	for _, c := range []struct {
		name     string
		listener watcher.Listener
		goos     string
		want     string
	}{
		{"an ordinary one", server(3000, 4242, "127.0.0.1", "::1"), "linux",
			lines("3000  node", since, dir, "Only this computer · 127.0.0.1, ::1", class, end)},
		{"of a project, with a tool", with(server(3000, 4242), func(l *watcher.Listener) {
			l.Facts = owner.Facts{Project: owner.Project{Name: "shop", Dir: "/home/ann/shop"}, Tool: owner.Tool{Name: "Vite", Kind: owner.Server}}
		}), "linux", lines("3000  shop · Vite", since, "/home/ann/shop", here, class, end)},
		{"of a linked working tree", with(server(3000, 4242), func(l *watcher.Listener) {
			l.Facts.Project = owner.Project{Name: "shop", Dir: "/home/ann/cart", Branch: "cart", Worktree: true}
		}), "linux", lines("3000  shop · node", since, "/home/ann/cart, branch cart", here, class, end)},
		{"with a manager", with(server(3000, 4242), func(l *watcher.Listener) { l.Facts.Manager = owner.Manager{Name: "shop.service"} }), "linux",
			lines("3000  node", since, dir, here, class, "Managed by shop.service", end)},
		{"of another user", with(server(3000, 4242), func(l *watcher.Listener) { l.Owner.Foreign, l.Owner.Refusal = true, "another user's process" }), "linux",
			lines("3000  node", "node, PID 4242 of another user, since 11:00", dir, here, class, "(Cannot stop node: another user's process)", "(Cannot kill node: another user's process)")},
		{"without a directory, started on another day", with(server(3000, 4242), func(l *watcher.Listener) { l.Owner.Dir, l.Owner.Since = "", noon.AddDate(0, 0, -1) }), "linux",
			lines("3000  node", "node, PID 4242, since 3 Mar 12:00", here, class, end)},
		{"started in another year", with(server(3000, 4242), func(l *watcher.Listener) { l.Owner.Since = noon.AddDate(-1, 0, 0) }), "linux",
			lines("3000  node", "node, PID 4242, since 4 Mar 2025", dir, here, class, end)},
		{"start unknown", with(server(3000, 4242), func(l *watcher.Listener) { l.Owner.Since = time.Time{} }), "linux",
			lines("3000  node", "node, PID 4242", dir, here, class, end)},
		{"on all interfaces", server(3000, 4242, "0.0.0.0", "127.0.0.1"), "linux",
			lines("3000  node  ⚠", since, dir, "Open to the network · all interfaces", class, "Copy network address", end)},
		{"on one more interface", server(3000, 4242, "127.0.0.1", "192.0.2.7"), "linux",
			lines("3000  node  ⚠", since, dir, "Open to the network · 127.0.0.1, 192.0.2.7", class, "Copy network address", end)},
		{"owner unknown", watcher.Listener{Port: 631, Addrs: []netip.Addr{netip.IPv6Loopback()}}, "linux",
			"631  unknown owner|Its owner cannot be seen by this user|Only this computer · ::1|Well-known port|(Cannot stop: its owner is unknown)|(Cannot kill: its owner is unknown)"},
		{"another user's hidden process", watcher.Listener{Port: 631, Addrs: []netip.Addr{netip.IPv6Loopback()}, Owner: owner.Process{Foreign: true}}, "linux",
			"631  another user's process|Its owner cannot be seen by this user|Only this computer · ::1|Well-known port|(Cannot stop: its owner is unknown)|(Cannot kill: its owner is unknown)"},
		{"never signalled", with(server(3000, 4242), refused("com.docker.backend", forwards)), "linux",
			lines("3000  container (com.docker.backend)", "com.docker.backend, PID 4242, since 11:00", dir, here, class,
				"(Cannot stop com.docker.back…: forwards for a container or VM)", "(Cannot kill com.docker.back…: forwards for a container or VM)")},
		{"a container of a compose project", with(server(3000, 4242), contained(web)), "linux",
			lines("3000  web (container)", "Container shop-web-1, image acme/web:3", "Service web of compose project shop", here, class, "Stop container shop-web-1")},
		{"a container by itself", with(server(3000, 4242), contained(engine.Container{ID: "b2", Name: "tesla", Image: "nginx"})), "linux",
			lines("3000  tesla (container)", "Container tesla, image nginx", here, class, "Stop container tesla")},
		{"a container that cannot be asked for", with(server(3000, 4242), func(l *watcher.Listener) {
			refused("docker-proxy", forwards)(l)
			l.Untold = "not permitted"
		}), "linux", lines("3000  container (docker-proxy)", "docker-proxy, PID 4242, since 11:00", dir, here, class,
			"(Cannot stop the container: not permitted)", "(Cannot kill the container: not permitted)")},
		{"a redirected port", watcher.Listener{Port: 3000, Addrs: server(1, 1, "0.0.0.0").Addrs, Container: web, Redirected: true}, "linux",
			lines("3000  web (container)  ⚠", "Container shop-web-1, image acme/web:3", "Service web of compose project shop",
				"Open to the network · all interfaces", class, "Copy network address", "Stop container shop-web-1")},
		{"on Windows", server(3000, 4242), "windows", lines("3000  node", since, dir, here, class, "(Stop: Windows can only kill)", "Kill node (PID 4242)")},
		{"hostile", with(server(3000, 4242), func(l *watcher.Listener) { l.Owner.Name, l.Owner.Dir = "a\n\x1b[31mb\u202ec\xff_d", "" }), "linux",
			lines("3000  a [31mbc\uFFFD_d", "a [31mbc\uFFFD_d, PID 4242, since 11:00", here, class, "Stop a [31mbc\uFFFD_d (PID 4242)", "Kill a [31mbc\uFFFD_d (PID 4242)")},
		{"nameless", with(server(3000, 4242), func(l *watcher.Listener) { l.Owner.Name, l.Owner.Dir = "", "" }), "linux",
			lines("3000  unnamed process", "unnamed process, PID 4242, since 11:00", here, class, "Stop unnamed process (PID 4242)", "Kill unnamed process (PID 4242)")},
	} {
		if got := rowText(rowOf(t, c.goos, c.listener)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// rowText writes what a row says, without what every row says.
func rowText(r row) string {
	parts := append([]string{r.label}, r.facts[:]...)
	if r.network {
		parts = append(parts, "Copy network address")
	}
	parts = append(parts, text(r.stop), text(r.kill))
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "|")
}

func TestRowsOfOnePort(t *testing.T) {
	m := modelOf(server(3000, 1), server(3000, 2, "::1"), server(4000, 3), server(4000, 4, "127.0.0.2"))
	var got []string
	for _, s := range m.servers {
		r := viewRow(s, m)
		got = append(got, r.label+"|"+r.facts[6])
	}
	want := []string{
		"3000  at 127.0.0.1  node|Port 3000 twice: localhost may reach either",
		"3000  at ::1  node|Port 3000 twice: localhost may reach either",
		"4000  at 127.0.0.1  node|Another server has port 4000 at another address",
		"4000  at 127.0.0.2  node|Another server has port 4000 at another address",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFurtherPorts(t *testing.T) {
	r := rowOf(t, "linux", server(3000, 1), server(9229, 1), server(24678, 1, "::"))
	if want := "3000  node  +2  ⚠"; r.label != want {
		t.Errorf("the row reads %q, want %q", r.label, want)
	}
	if want := "Also 9229, 24678"; r.also != want {
		t.Errorf("its further ports are under %q, want %q", r.also, want)
	}
	want := [maxPorts]furtherPort{
		{watcher.ID{Port: 9229, PID: 1, Start: 1}, "Open 9229 in browser"},
		{watcher.ID{Port: 24678, PID: 1, Start: 1}, "Open 24678 in browser  ⚠"},
	}
	if r.ports != want {
		t.Errorf("its further ports are %v, want %v", r.ports, want)
	}
	var many []watcher.Listener
	for port := range uint16(300) {
		many = append(many, server(3000+port, 1))
	}
	r = rowOf(t, "linux", many...)
	if r.label != "3000  node  +299" || r.also != "Also 3001–3299" || r.ports[maxPorts-1].label == "" {
		t.Errorf("300 ports: %q, %q, %v", r.label, r.also, r.ports)
	}
}

func text(c command) string {
	if c.enabled || c.label == "" {
		return c.label
	}
	return "(" + c.label + ")"
}

func TestLabelsAreShort(t *testing.T) {
	l := server(65535, 4194304, "127.0.0.1", "2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:7777")
	l.Facts.Project = owner.Project{Name: strings.Repeat("プロ", 50), Dir: "/" + strings.Repeat("深い/", 100), Branch: strings.Repeat("b", 99), Worktree: true}
	l.Facts.Manager.Name = strings.Repeat("m", 99)
	l.Owner.Name = strings.Repeat("名", 200)
	l.Owner.Dir = "/" + strings.Repeat("深い/", 100)
	for _, refusal := range []string{"", "forwards for a container or VM"} {
		l.Owner.Refusal = refusal
		m := modelOf(l, server(65535, 2, "127.0.0.1", "2001:db8:1111:2222:3333:4444:5555:6666"))
		m.snapshot.Time = noon.AddDate(3, 0, 0)
		r := viewRow(m.servers[1], m)
		for _, label := range append([]string{r.label, r.stop.label, r.kill.label}, r.facts[:]...) {
			if n := utf8.RuneCountInString(label); n > maxLabel {
				t.Errorf("%d characters: %q", n, label)
			}
		}
		if !strings.HasSuffix(r.label, "  ⚠") {
			t.Errorf("the end of a long label is lost: %q", r.label)
		}
		if !strings.HasSuffix(r.stop.label, "(PID 4194304)") && !strings.HasSuffix(r.stop.label, refusal) {
			t.Errorf("the end of a long label is lost: %q", r.stop.label)
		}
	}
}

func TestTooltip(t *testing.T) {
	var many []watcher.Listener
	for i := range uint16(40) {
		many = append(many, server(3000+i, int32(i)+1))
	}
	hidden := watcher.Listener{Port: 631, Addrs: many[0].Addrs}
	for _, c := range []struct {
		listeners []watcher.Listener
		want      string
	}{
		{nil, "porttray: no servers"},
		{many[:2], "porttray: 3000 node, 3001 node"},
		{[]watcher.Listener{hidden, many[0]}, "porttray: 3000 node"},
		{many, "porttray: 3000 node, 3001 node, 3002 node, 3003 node, 3004 node, 3005 node, 3006 node, 3007 node, …"},
	} {
		v := menuOf(c.listeners...)
		if v.tooltip != c.want {
			t.Errorf("%d listeners: got %q, want %q", len(c.listeners), v.tooltip, c.want)
		}
	}
}

// The marks for the direction of writing count where there is a limit.
func TestTooltipRightToLeft(t *testing.T) {
	var many []watcher.Listener
	for i := range uint16(40) {
		l := server(3000+i, int32(i)+1)
		l.Label = "ד(ד(ד(ד(ד"
		many = append(many, l)
	}
	tip := owner.LeftToRight(menuOf(many...).tooltip)
	if n := len(utf16.Encode([]rune(tip))); n > 127 || n < 80 {
		t.Errorf("%q has %d units", tip, n)
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
		r := rowOf(t, "linux", l)
		for _, label := range append([]string{r.label, r.who, r.stop.label, r.kill.label}, r.facts[:]...) {
			if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel || strings.ContainsFunc(label, func(r rune) bool { return r < ' ' || r >= 0x202a && r <= 0x202e }) {
				t.Errorf("name %q, directory %q: label %q", name, dir, label)
			}
		}
	})
}

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

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// noon is the time of day in most tests.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.Local)

// serverAt returns a listener of a node process. Start equals the PID.
func serverAt(port uint16, pid int32, addrs ...string) server.Listener {
	l := server.Listener{Port: port, Owner: owner.Process{PID: pid, Start: uint64(pid), Name: "node", Dir: "/srv/shop",
		Since: noon.Add(-time.Hour)}}
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
	foreign := serverAt(631, 9)
	foreign.Owner.Foreign = true
	stale, slow := modelOf(serverAt(1, 1)), modelOf()
	stale.err, slow.slow = denied, 8*time.Second
	for _, c := range []struct {
		name  string
		model model
		want  string
	}{
		{"before the first scan", model{}, "Looking for ports…"},
		{"no scan succeeded", model{err: denied}, "Cannot read the ports: permission denied"},
		{"none", modelOf(), "No servers"},
		{"one", modelOf(serverAt(1, 1)), "1 server"},
		{"one, and one under Other", modelOf(serverAt(1, 1), foreign), "1 server"},
		{"two owners of one port", modelOf(serverAt(1, 1), serverAt(2, 2), serverAt(2, 3)), "3 servers"},
		{"two ports of one owner", modelOf(serverAt(1, 1), serverAt(2, 1)), "1 server"},
		{"expensive", slow, "No servers, read every 8s"},
		{"stale", stale, "As of 12:00:00: permission denied"},
	} {
		if got := header(c.model); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// rowOf returns the row of listeners that form a single server.
func rowOf(t *testing.T, goos string, listeners ...server.Listener) line {
	t.Helper()
	m := modelOf(listeners...)
	m.goos = goos
	if len(m.servers) != 1 {
		t.Fatalf("%v form %d servers, want 1", listeners, len(m.servers))
	}
	return viewRow(m.servers[0], m)
}

func TestViewRow(t *testing.T) {
	with := func(l server.Listener, change func(*server.Listener)) server.Listener {
		change(&l)
		return l
	}
	refused := func(name, why string) func(*server.Listener) {
		return func(l *server.Listener) { l.Owner.Name, l.Owner.Refusal = name, why }
	}
	const forwards = "forwards for a container or VM"
	contained := func(c engine.Container) func(*server.Listener) {
		return func(l *server.Listener) { refused("docker-proxy", forwards)(l); l.Container = c }
	}
	web := engine.Container{ID: "a1", Name: "shop-web-1", Image: "acme/web:3", Project: "shop", Service: "web"}
	// The entries of an ordinary row.
	const since, dir = "(node, PID 4242, since 11:00)", "(/srv/shop)"
	const stop, kill, network = "Stop node (PID 4242)", "Kill node (PID 4242)", "Copy network address"
	const unseen = "(Cannot stop: its owner is unknown)|(This user cannot see its owner)|" +
		"(Cannot kill: its owner is unknown)"
	lines := func(lines ...string) string { return strings.Join(lines, "|") }
	for _, c := range []struct {
		name     string
		listener server.Listener
		goos     string
		want     string
	}{
		{"an ordinary one", serverAt(3000, 4242, "127.0.0.1", "::1"), "linux",
			lines("3000  node", stop, since, dir, kill)},
		{"of a project, with a tool", with(serverAt(3000, 4242), func(l *server.Listener) {
			l.Facts = facts.Facts{Project: project.Project{Name: "shop", Dir: "/home/ann/shop"},
				Tool: facts.Tool{Name: "Vite", Kind: facts.Server}}
		}), "linux", lines("3000  shop · Vite", stop, since, "(/home/ann/shop)", kill)},
		{"of a linked working tree", with(serverAt(3000, 4242), func(l *server.Listener) {
			l.Facts.Project = project.Project{Name: "shop", Dir: "/home/ann/cart", Branch: "cart", Worktree: true}
		}), "linux", lines("3000  shop · node", stop, since, "(/home/ann/cart, branch cart)", kill)},
		{"with a manager, restarted", with(serverAt(3000, 4242), func(l *server.Listener) {
			l.Facts.Manager, l.Restarts = facts.Manager{Name: "shop.service"}, 3
		}), "linux", lines("3000  node", stop, "(node, PID 4242, since 11:00, managed by shop.service)",
			"(Restarted ×3 · /srv/shop)", kill)},
		{"of another user", with(serverAt(3000, 4242), func(l *server.Listener) {
			l.Owner.Foreign, l.Owner.Refusal = true, "another user's process"
		}), "linux",
			lines("3000  node", "(Cannot stop node: another user's process)",
				"(node, PID 4242 of another user, since 11:00)", dir, "(Cannot kill node: another user's process)")},
		{"without a directory, started on another day",
			with(serverAt(3000, 4242), func(l *server.Listener) {
				l.Owner.Dir, l.Owner.Since = "", noon.AddDate(0, 0, -1)
			}), "linux",
			lines("3000  node", stop, "(node, PID 4242, since 3 Mar 12:00)", kill)},
		{"started in another year", with(serverAt(3000, 4242),
			func(l *server.Listener) { l.Owner.Since = noon.AddDate(-1, 0, 0) }), "linux",
			lines("3000  node", stop, "(node, PID 4242, since 4 Mar 2025)", dir, kill)},
		{"start unknown", with(serverAt(3000, 4242), func(l *server.Listener) { l.Owner.Since = time.Time{} }), "linux",
			lines("3000  node", stop, "(node, PID 4242)", dir, kill)},
		{"on all interfaces", serverAt(3000, 4242, "0.0.0.0", "127.0.0.1"), "linux",
			lines("3000  node · network", stop, network, since, dir, kill)},
		{"on one more interface", serverAt(3000, 4242, "127.0.0.1", "192.0.2.7"), "linux",
			lines("3000  node · network", stop, network, since, dir, kill)},
		{"owner unknown", server.Listener{Port: 631, Addrs: []netip.Addr{netip.IPv6Loopback()}}, "linux",
			"631  unknown owner|" + unseen},
		{"another user's hidden process", server.Listener{Port: 631, Addrs: []netip.Addr{netip.IPv6Loopback()},
			Owner: owner.Process{Foreign: true}}, "linux",
			"631  another user's process|" + unseen},
		{"never signalled", with(serverAt(3000, 4242), refused("com.docker.backend", forwards)), "linux",
			lines("3000  container (com.docker.backend)",
				"(Cannot stop com.docker.back…: forwards for a container or VM)",
				"(com.docker.backend, PID 4242, since 11:00)", dir,
				"(Cannot kill com.docker.back…: forwards for a container or VM)")},
		{"a container of a compose project", with(serverAt(3000, 4242), contained(web)), "linux",
			lines("3000  web (container)", "Stop container shop-web-1", "(Container shop-web-1, image acme/web:3)",
				"(Service web of compose project shop)")},
		{"a pod", with(serverAt(3000, 4242), contained(engine.Container{ID: "c1", Name: "shop", Pod: true})), "linux",
			lines("3000  shop (pod)", "Stop pod shop", "(Pod shop)")},
		{"a container by itself", with(serverAt(3000, 4242),
			contained(engine.Container{ID: "b2", Name: "tesla", Image: "nginx"})), "linux",
			lines("3000  tesla (container)", "Stop container tesla", "(Container tesla, image nginx)")},
		{"a container that cannot be asked for", with(serverAt(3000, 4242), func(l *server.Listener) {
			refused("docker-proxy", forwards)(l)
			l.Untold = "not permitted"
		}), "linux", lines("3000  container (docker-proxy)", "(Cannot stop the container: not permitted)",
			"(docker-proxy, PID 4242, since 11:00)",
			dir, "(Cannot kill the container: not permitted)")},
		{"a redirected port", server.Listener{Port: 3000, Addrs: serverAt(1, 1, "0.0.0.0").Addrs, Container: web,
			Redirected: true}, "linux",
			lines("3000  web (container) · network", "Stop container shop-web-1", network,
				"(Container shop-web-1, image acme/web:3)",
				"(Service web of compose project shop)")},
		{"on Windows", serverAt(3000, 4242), "windows",
			lines("3000  node", "(Cannot stop: Windows can only kill)", since, dir, kill)},
		{"hostile", with(serverAt(3000, 4242), func(l *server.Listener) {
			l.Owner.Name, l.Owner.Dir = "a\n\x1b[31mb\u202ec\xff_d", ""
		}), "linux",
			lines("3000  a [31mbc\uFFFD_d", "Stop a [31mbc\uFFFD_d (PID 4242)",
				"(a [31mbc\uFFFD_d, PID 4242, since 11:00)", "Kill a [31mbc\uFFFD_d (PID 4242)")},
		{"nameless", with(serverAt(3000, 4242), func(l *server.Listener) { l.Owner.Name, l.Owner.Dir = "", "" }),
			"linux",
			lines("3000  unnamed process", "Stop unnamed process (PID 4242)",
				"(unnamed process, PID 4242, since 11:00)", "Kill unnamed process (PID 4242)")},
	} {
		if got := rowText(rowOf(t, c.goos, c.listener)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// prefork returns workers that share a port. Their master does not listen. If master is 0, they are orphans.
func prefork(port uint16, master int32, pids ...int32) (workers []server.Listener) {
	for _, pid := range pids {
		l := serverAt(port, pid)
		l.Owner.Name, l.Owner.Exe, l.Owner.User = "python3", "/usr/bin/python3", "1000"
		if l.Facts.Orphan = master == 0; master != 0 {
			l.Facts.Forked, l.Facts.Ancestors[0] = true, owner.ID{PID: master, Start: 1}
		}
		workers = append(workers, l)
	}
	return workers
}

// TestRowOfAGroup has servers of several processes, and processes of several servers. The label of Stop names all that
// it ends.
func TestRowOfAGroup(t *testing.T) {
	holds := func(port uint16, name string) server.Listener {
		l := serverAt(port, 7)
		l.Owner.Name, l.Owner.Refusal, l.Facts.Holder = "PM2 v7: God", "runs several apps; end one of them by pm2", true
		l.Facts.Project.Name = name
		return l
	}
	foreign := prefork(3000, 9, 10, 11)
	foreign[1].Owner.Refusal = "another user's process"
	// Another server of the same master, so Stop must not end the master.
	beside := append(prefork(3000, 9, 10, 11), prefork(3001, 9, 12)...)
	for _, c := range []struct {
		name       string
		listeners  []server.Listener
		stop, kill string
	}{
		{"a master", prefork(3000, 9, 10, 11, 12, 13), "Stop python3 (PID 9) and 4 workers",
			"Kill python3 (PID 9) and 4 workers"},
		{"workers", prefork(3000, 0, 10, 11, 12), "Stop python3 (PID 10) and 2 workers",
			"Kill python3 (PID 10) and 2 workers"},
		{"two workers", prefork(3000, 0, 10, 11), "Stop python3 (PID 10) and 1 worker",
			"Kill python3 (PID 10) and 1 worker"},
		{"a worker that is never signalled", foreign, "(Cannot stop python3: another user's process)",
			"(Cannot kill python3: another user's process)"},
		{"a master that has another server", beside, "Stop python3 (PID 10) and 1 worker",
			"Kill python3 (PID 10) and 1 worker"},
		{"one of two apps of a process", []server.Listener{holds(5601, "shop"), holds(5602, "blog")},
			"(Cannot stop it alone: also serves blog · PM2 v7: God :5602)",
			"(Cannot kill it alone: also serves blog · PM2 v7: God :5602)"},
		{"the only app of a process", []server.Listener{holds(5601, "shop")},
			"(Cannot stop PM2 v7: God: runs several apps; end one of them…",
			"(Cannot kill PM2 v7: God: runs several apps; end one of them…"},
	} {
		m := modelOf(c.listeners...)
		r := viewRow(m.servers[0], m)
		if got := texts([]line{r.below[2], r.below[11]}); !strings.HasPrefix(got[0], c.stop) ||
			!strings.HasPrefix(got[1], c.kill) {
			t.Errorf("%s: %q, want %q and %q", c.name, got, c.stop, c.kill)
		}
	}
}

// A database has no entry for the browser. Its row warns if it is open to the network.
func TestRowOfADatabase(t *testing.T) {
	for _, c := range []struct {
		addr  string
		rules []settings.Rule
		want  []string
	}{
		{"127.0.0.1", nil, []string{"5432  PostgreSQL", "Copy address", "Stop postgres (PID 7)"}},
		{"0.0.0.0", nil, []string{"5432  PostgreSQL  ⚠ network", "Copy address", "Stop postgres (PID 7)",
			"Copy network address"}},
		{"127.0.0.1", []settings.Rule{{Path: "/admin"}}, []string{"5432  PostgreSQL", "Open in browser", "Copy address",
			"Stop postgres (PID 7)"}},
	} {
		l := serverAt(5432, 7, c.addr)
		l.Owner.Name, l.Owner.Dir, l.Facts.Tool = "postgres", "", facts.Tool{Name: "PostgreSQL", Kind: facts.Server}
		m := modelOf(l)
		m.settings.Rules = c.rules
		r := viewRow(m.servers[0], m)
		if got := texts(append([]line{r}, r.below[:4]...)); !slices.Equal(got, c.want) {
			t.Errorf("at %s: %q, want %q", c.addr, got, c.want)
		}
		const danger = "(A database is open to the network)"
		if slices.Contains(texts(r.below), danger) != (c.addr == "0.0.0.0") {
			t.Errorf("at %s: %q", c.addr, texts(r.below))
		}
	}
}

// rowText returns a row as text, without the entries that every row has.
func rowText(r line) string {
	parts := []string{r.label}
	for _, text := range texts(r.below) {
		switch text {
		case "Open in browser", "Copy address", "Open terminal in its directory", "Pin", "Mute notifications", "Hide":
		default:
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "|")
}

// texts returns the labels of lines, grey ones in parentheses.
func texts(lines []line) (all []string) {
	for _, l := range lines {
		switch {
		case l.label == "":
		case l.grey:
			all = append(all, "("+l.label+")")
		default:
			all = append(all, l.label)
		}
	}
	return all
}

// The most frequent actions come first, and Kill comes last. Few entries lie between.
func TestSubmenuOrder(t *testing.T) {
	l := serverAt(3000, 1, "0.0.0.0")
	l.Facts.Project, l.Facts.Manager, l.Restarts = project.Project{Name: "shop", Dir: "/srv/shop"},
		facts.Manager{Name: "x.service"}, 2
	got := texts(rowOf(t, "linux", l, serverAt(9229, 1)).below)
	want := []string{"Open in browser", "Copy address", "Stop node (PID 1)", "Copy network address", "Also 9229",
		"Open terminal in its directory", "Pin", "Mute notifications", "Hide",
		"(node, PID 1, since 11:00, managed by x.service)", "(Restarted ×2 · /srv/shop)", "Kill node (PID 1)"}
	if !slices.Equal(got, want) || len(got) > 14 {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestRowMarks(t *testing.T) {
	m := modelOf(serverAt(3000, 1, "0.0.0.0"), serverAt(3001, 1))
	key := m.snapshot.Listeners[0].Key()
	for _, c := range []struct {
		pinned, muted bool
		want          string
	}{
		{false, false, "3000  node  +1 · network"}, {true, false, "3000  node  +1 · network  ★"},
		{false, true, "3000  node  +1 · network · muted"}, {true, true, "3000  node  +1 · network · muted  ★"},
	} {
		m.pinned, m.muted = nil, map[server.Key]bool{key: c.muted}
		if c.pinned {
			m.pinned = []mark{{Key: key}}
		}
		if got := viewRow(m.servers[0], m).label; got != c.want {
			t.Errorf("pinned %v, muted %v: %q, want %q", c.pinned, c.muted, got, c.want)
		}
	}
}

func TestRowsOfOnePort(t *testing.T) {
	m := modelOf(serverAt(3000, 1), serverAt(3000, 2, "::1"), serverAt(4000, 3), serverAt(4000, 4, "127.0.0.2"))
	var got []string
	for _, s := range m.servers {
		r := viewRow(s, m)
		got = append(got, r.label+"|"+r.below[10].label)
	}
	want := []string{
		"3000  at 127.0.0.1  node|Two servers share port 3000; localhost may reach either",
		"3000  at ::1  node|Two servers share port 3000; localhost may reach either",
		"4000  at 127.0.0.1  node|Another server has port 4000 on another address",
		"4000  at 127.0.0.2  node|Another server has port 4000 on another address",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFurtherPorts(t *testing.T) {
	r := rowOf(t, "linux", serverAt(3000, 1), serverAt(9229, 1), serverAt(24678, 1, "::"))
	if want := "3000  node  +2 · network"; r.label != want {
		t.Errorf("the row reads %q, want %q", r.label, want)
	}
	also := r.below[4]
	if want := []string{"Also 9229, 24678", "Copy address of 9229 (debugger)",
		"Open 24678 in browser (HMR) · network"}; !slices.Equal(texts(append([]line{also}, also.below...)), want) {
		t.Errorf("its further ports are %v, want %q", also, want)
	}
	if want := (click{action: copyAddress, id: server.ID{Port: 9229, PID: 1, Start: 1},
		who: "node (PID 1)"}); also.below[0].click != want {
		t.Errorf("a click on the first does %v, want %v", also.below[0].click, want)
	}
	var many []server.Listener
	for port := range uint16(300) {
		many = append(many, serverAt(3000+port, 1))
	}
	r = rowOf(t, "linux", many...)
	if also := r.below[4]; r.label != "3000  node  +299" || also.label != "Also 3001–3299" ||
		len(also.below) != maxPorts {
		t.Errorf("300 ports: %q, %q, %d entries", r.label, also.label, len(also.below))
	}
}

func TestLabelsAreShort(t *testing.T) {
	l := serverAt(65535, 4194304, "127.0.0.1", "2001:db8:1111:2222:3333:4444:5555:6666",
		"2001:db8:1111:2222:3333:4444:5555:7777")
	l.Facts.Project = project.Project{Name: strings.Repeat("プロ", 50), Dir: "/" + strings.Repeat("深い/", 100),
		Branch: strings.Repeat("b", 99), Worktree: true}
	l.Facts.Manager.Name = strings.Repeat("m", 99)
	l.Owner.Name = strings.Repeat("名", 200)
	l.Owner.Dir = "/" + strings.Repeat("深い/", 100)
	for _, refusal := range []string{"", "forwards for a container or VM"} {
		l.Owner.Refusal = refusal
		m := modelOf(l, serverAt(65535, 2, "127.0.0.1", "2001:db8:1111:2222:3333:4444:5555:6666"))
		m.snapshot.Time = noon.AddDate(3, 0, 0)
		r := viewRow(m.servers[1], m)
		for _, l := range append([]line{r}, r.below...) {
			if n := utf8.RuneCountInString(l.label); n > maxLabel {
				t.Errorf("%d characters: %q", n, l.label)
			}
		}
		if !strings.HasSuffix(r.label, " · network") {
			t.Errorf("the end of a long label is lost: %q", r.label)
		}
		if stop := r.below[2].label; !strings.HasSuffix(stop, "(PID 4194304)") && !strings.HasSuffix(stop, refusal) {
			t.Errorf("the end of a long label is lost: %q", stop)
		}
	}
}

func TestTooltip(t *testing.T) {
	var many []server.Listener
	for i := range uint16(40) {
		many = append(many, serverAt(3000+i, int32(i)+1))
	}
	hidden := server.Listener{Port: 631, Addrs: many[0].Addrs}
	for _, c := range []struct {
		listeners []server.Listener
		want      string
	}{
		{nil, "porttray: no servers"},
		{many[:2], "porttray: 3000 node, 3001 node"},
		{[]server.Listener{hidden, many[0]}, "porttray: 3000 node"},
		{many, "porttray: 3000 node, 3001 node, 3002 node, 3003 node, 3004 node, 3005 node, 3006 node, 3007 node, …"},
	} {
		v := menuOf(c.listeners...)
		if v.tooltip != c.want {
			t.Errorf("%d listeners: got %q, want %q", len(c.listeners), v.tooltip, c.want)
		}
	}
}

// The marks for the writing direction count towards the length limit.
func TestTooltipRightToLeft(t *testing.T) {
	var many []server.Listener
	for i := range uint16(40) {
		l := serverAt(3000+i, int32(i)+1)
		l.Label = "ד(ד(ד(ד(ד"
		many = append(many, l)
	}
	tip := owner.LeftToRight(menuOf(many...).tooltip)
	if n := len(utf16.Encode([]rune(tip))); n > 127 || n < 80 {
		t.Errorf("%q has %d UTF-16 units, too many", tip, n)
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

// FuzzViewRow gives rows hostile names and directories. Every label must be short, valid and on one line.
func FuzzViewRow(f *testing.F) {
	f.Add("node", "/home/me/shop", uint16(3000), int32(4242))
	f.Add("a\nb\x00\x1b[2J\xff\u202e", strings.Repeat("x", 500), uint16(0), int32(-1))
	f.Fuzz(func(t *testing.T, name, dir string, port uint16, pid int32) {
		l := serverAt(port, pid)
		l.Owner.Name, l.Owner.Dir = name, dir
		r := rowOf(t, "linux", l)
		for _, l := range append(r.below, r, line{label: r.below[0].click.who}) {
			label := l.label
			if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel ||
				strings.ContainsFunc(label, func(r rune) bool { return r < ' ' || r >= 0x202a && r <= 0x202e }) {
				t.Errorf("name %q, directory %q: label %q", name, dir, label)
			}
		}
	})
}

package watcher

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

var (
	vite     = owner.Tool{Name: "Vite", Kind: owner.Server}
	next     = owner.Tool{Name: "Next.js", Kind: owner.Server}
	postgres = owner.Tool{Name: "PostgreSQL", Kind: owner.Server}
	wrangler = owner.Tool{Name: "Wrangler", Kind: owner.Server}
	vscode   = owner.Tool{Name: "VS Code", Kind: owner.App}
	gradle   = owner.Tool{Name: "Gradle", Kind: owner.Runner}
	esbuild  = owner.Tool{Name: "esbuild", Kind: owner.Helper}

	shop  = owner.Project{Name: "shop", Dir: "/home/ann/shop"}
	blog  = owner.Project{Name: "blog", Dir: "/home/ann/blog"}
	shopA = owner.Project{Name: "shop", Dir: "/home/ann/shop-a", Branch: "cart", Worktree: true}
	shopB = owner.Project{Name: "shop", Dir: "/home/ann/shop", Branch: "main"}
)

// A trait changes a test listener.
type trait func(*Listener)

// serves returns a listener on a port of 127.0.0.1. The default owner is called node and has its PID as start.
func serves(port uint16, pid int32, traits ...trait) Listener {
	l := Listener{Port: port, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	l.Owner = owner.Process{PID: pid, Start: uint64(pid), Name: "node"}
	for _, change := range traits {
		change(&l)
	}
	return l
}

func named(name string) trait  { return func(l *Listener) { l.Owner.Name = name } }
func in(p owner.Project) trait { return func(l *Listener) { l.Facts.Project = p } }

// titled sets the title of a node process.
func titled(name string) trait {
	return func(l *Listener) { l.Owner.Name, l.Owner.Exe = name, "/usr/bin/node" }
}

func isDebugpy(l *Listener) { l.Facts.Self = owner.Tool{Name: "debugpy", Kind: owner.Helper} }

// debugs sets the port on which the process waits for a debugger, according to its command line.
func debugs(name string, port uint16) trait {
	return func(l *Listener) { l.Facts.Debugger = owner.DebuggerPort{Name: name, Port: port} }
}

// workerOf sets the program and directory of the process.
func workerOf(exe, dir string) trait {
	return func(l *Listener) { l.Owner.Exe, l.Owner.Dir, l.Owner.User = exe, dir, "1000" }
}

func forked(l *Listener)       { l.Facts.Forked = true }
func orphan(l *Listener)       { l.Facts.Orphan = true }
func holdsSockets(l *Listener) { l.Facts.Holder = true }
func background(l *Listener)   { l.Facts.Background = true }
func inherited(l *Listener)    { l.Facts.Inherited = true }
func helper(l *Listener)       { l.Facts.Helper = true }
func from(app string) trait    { return func(l *Listener) { l.Facts.App = app } }

func by(tool owner.Tool) trait { return func(l *Listener) { l.Facts.Tool = tool } }
func forwarder(l *Listener) {
	l.Owner.Name, l.Owner.Refusal = "docker-proxy", "forwards for a container or VM"
}
func untold(l *Listener)                 { l.Untold = "it may not be asked" }
func hidden(l *Listener)                 { l.Owner = owner.Process{Foreign: true} }
func unknown(l *Listener)                { l.Owner = owner.Process{} }
func publishes(c engine.Container) trait { return func(l *Listener) { l.Container = c } }

func at(addrs ...string) trait {
	return func(l *Listener) {
		l.Addrs = nil
		for _, a := range addrs {
			l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
		}
	}
}

func under(pids ...int32) trait {
	return func(l *Listener) {
		for i, pid := range pids {
			l.Facts.Ancestors[i] = owner.ID{PID: pid, Start: uint64(pid)}
		}
	}
}

// names sets the ports that the command line of the process names.
func names(ports ...uint16) trait {
	return func(l *Listener) {
		for i, port := range ports {
			l.Facts.Named[i] = owner.NamedPort{Port: port}
		}
	}
}

// namesFor adds a port with a role that the command line of the process names.
func namesFor(role string, port uint16) trait {
	return func(l *Listener) { l.Facts.Named[len(l.Facts.Named)-1] = owner.NamedPort{Port: port, Role: role} }
}

// tool returns a tool of kind Server.
func tool(name string) owner.Tool { return owner.Tool{Name: name, Kind: owner.Server} }

// dynamic reports whether port is in the usual range of Linux.
func dynamic(port uint16) bool { return port >= 32768 }

// snapshotOf returns a snapshot of sorted listeners and their servers.
func snapshotOf(listeners ...Listener) Snapshot {
	return Snapshot{Listeners: listeners, Servers: Servers(listeners, dynamic)}
}

// describe formats a server as one line: "3000 shop · Vite +24678 (other, shared)".
func describe(s Server) string {
	text := fmt.Sprintf("%d %s", s.Port, s.Title)
	for _, l := range s.Also {
		text += fmt.Sprintf(" +%d", l.Port)
	}
	var marks []string
	for _, m := range []struct {
		mark bool
		text string
	}{{s.Section == Other, "other"}, {s.Exposed(), "exposed"}, {s.Ambiguous, "ambiguous"}, {s.Shared &&
		!s.Ambiguous, "shared"}} {
		if m.mark {
			marks = append(marks, m.text)
		}
	}
	if workers := len(s.Workers()); workers > 1 {
		marks = append(marks, fmt.Sprintf("%d workers", workers))
	}
	if s.Master != (owner.ID{}) {
		marks = append(marks, "a master")
	}
	if len(marks) > 0 {
		text += " (" + strings.Join(marks, ", ") + ")"
	}
	return text
}

func TestServers(t *testing.T) {
	web := engine.Container{ID: "a1", Name: "shop-web-1", Image: "acme/web:3", Project: "shop", Service: "web"}
	other := engine.Container{ID: "b2", Name: "blog-web-1", Image: "acme/web:3", Project: "blog", Service: "web"}
	plain := engine.Container{ID: "c3", Name: "eager_tesla", Image: "nginx:alpine"}
	for _, c := range []struct {
		name      string
		listeners []Listener
		want      []string
	}{
		{"none", nil, nil},
		{"project and tool", []Listener{serves(3000, 1, in(shop), by(vite))}, []string{"3000 shop · Vite"}},
		{"project alone", []Listener{serves(62893, 1, in(shop), named("python3"))}, []string{"62893 shop · python3"}},
		{"tool alone", []Listener{serves(5432, 1, by(postgres))}, []string{"5432 PostgreSQL"}},
		{"nothing better", []Listener{serves(9000, 1, named("nc"))}, []string{"9000 nc"}},
		{"nothing at all", []Listener{serves(9000, 1, named(""))}, []string{"9000 unnamed process"}},
		{"hidden owner", []Listener{serves(631, 0, hidden)}, []string{"631 another user's process (other)"}},
		{"unknown owner", []Listener{serves(2049, 0, unknown)}, []string{"2049 unknown owner (other)"}},
		{"hostile names",
			[]Listener{serves(1, 1, in(owner.Project{Name: "a\n\x1b[2J\u202eb", Dir: "/x"}),
				named(strings.Repeat("n", 99)))},
			[]string{"1 a [2Jb · " + strings.Repeat("n", 23) + "…"}},

		{"exposed", []Listener{serves(8080, 1, at("0.0.0.0"))}, []string{"8080 node (exposed)"}},
		{"exposed on a further port only", []Listener{serves(8080, 1, names(8080)), serves(8081, 1, at("::"))},
			[]string{"8080 node +8081 (exposed)"}},

		{"two owners, one reached as IPv4 and one as IPv6",
			[]Listener{serves(3000, 1, in(shop)), serves(3000, 2, in(blog), at("::1"))},
			[]string{"3000 shop · node (ambiguous)", "3000 blog · node (ambiguous)"}},
		{"two owners, one out of reach by name",
			[]Listener{serves(3000, 1, in(shop)), serves(3000, 2, in(blog), at("127.0.0.2"))},
			[]string{"3000 shop · node (shared)", "3000 blog · node (shared)"}},
		{"a port that is another server's further one",
			[]Listener{serves(3000, 1), serves(3001, 1), serves(3001, 2, in(blog), at("::1"))},
			[]string{"3000 node +3001", "3001 blog · node (ambiguous)"}},

		{"further ports of a process", []Listener{serves(5672, 1), serves(15672, 1), serves(25672, 1)},
			[]string{"5672 node +15672 +25672"}},
		{"the port that the person means comes first", []Listener{serves(3000, 1), serves(9229, 1), serves(45000, 1)},
			[]string{"3000 node +9229 +45000"}},
		{"even if it is not the lowest", []Listener{serves(9229, 1), serves(9300, 1), serves(32768, 1)},
			[]string{"9300 node +9229 +32768"}},
		{"an inspector alone", []Listener{serves(9229, 1)}, []string{"9229 node"}},
		{"an inspector's port that is no inspector's",
			[]Listener{serves(9229, 1, named("java")), serves(9300, 1, named("java"))}, []string{"9229 java +9300"}},

		{"a child that runs its parent's tool",
			[]Listener{serves(8787, 1, by(wrangler), in(shop)),
				serves(8788, 2, by(wrangler), in(shop), named("workerd"), under(1))},
			[]string{"8787 shop · Wrangler +8788"}},
		{"a child that is a helper",
			[]Listener{serves(3000, 1, in(shop)), serves(8000, 2, in(shop), by(esbuild), helper, under(7, 1))},
			[]string{"3000 shop · node +8000"}},
		{"a helper that has its tool's name from its parent",
			[]Listener{serves(8787, 1, by(wrangler), in(shop)),
				serves(8000, 2, in(shop), by(wrangler), inherited, helper, under(1))},
			[]string{"8787 shop · Wrangler +8000"}},
		{"a program that merely runs under a tool",
			[]Listener{serves(8888, 1, by(wrangler), in(shop)),
				serves(5000, 2, in(shop), by(wrangler), inherited, under(1)),
				serves(40001, 2, in(shop), by(wrangler), inherited, under(1))},
			[]string{"5000 shop · Wrangler +40001", "8888 shop · Wrangler"}},
		{"a child on a random port", []Listener{serves(3000, 1, in(shop)), serves(41234, 2, in(shop), under(1))},
			[]string{"3000 shop · node +41234"}},
		{"a child's child", []Listener{serves(3000, 1), serves(41234, 2, under(1)), serves(41235, 3, under(2, 1))},
			[]string{"3000 node +41234 +41235"}},
		{"a child that is a server of its own",
			[]Listener{serves(8888, 1, in(shop)), serves(5173, 2, in(shop), by(vite), under(1))},
			[]string{"5173 shop · Vite", "8888 shop · node"}},
		{"a child in another project", []Listener{serves(3000, 1, in(shop)), serves(41234, 2, in(blog), under(1))},
			[]string{"3000 shop · node", "41234 blog · node"}},
		{"the debugger's port of a server's launcher",
			[]Listener{serves(9229, 1, in(shop)), serves(3000, 2, in(shop), under(1))},
			[]string{"3000 shop · node +9229"}},
		{"and of the server, too",
			[]Listener{serves(9229, 1, in(shop)), serves(9230, 2, in(shop), under(1)),
				serves(3000, 2, in(shop), under(1))}, []string{"3000 shop · node +9229 +9230"}},
		{"npm's own debugger", []Listener{serves(9229, 1, in(shop), titled("npm run dev")),
			serves(3000, 3, in(shop), by(next), titled("next-server (v15.5.29)"), under(2, 1)),
			serves(9230, 3, in(shop), by(next), titled("next-server (v15.5.29)"), under(2, 1))},
			[]string{"3000 shop · Next.js +9229 +9230"}},
		{"workerd's debugger",
			[]Listener{serves(9229, 3, by(wrangler), named("workerd")),
				serves(9500, 3, by(wrangler), named("workerd"))},
			[]string{"9500 Wrangler +9229"}},
		{"Java's debugger",
			[]Listener{serves(5005, 1, in(shop), named("java"), debugs("JDWP", 5005)),
				serves(8080, 1, in(shop), named("java"), debugs("JDWP", 5005))},
			[]string{"8080 shop · java +5005"}},
		{"Delve and what it runs",
			[]Listener{serves(2345, 1, in(shop), named("dlv"), by(delve)),
				serves(8080, 2, in(shop), named("__debug_bin"), by(delve), inherited, under(1))},
			[]string{"8080 shop · Delve +2345"}},
		{"debugpy, which has a process of its own",
			[]Listener{serves(5678, 2, in(shop), named("python3"), by(next), inherited, isDebugpy, under(1)),
				serves(8000, 1, in(shop), by(next), named("python3"))},
			[]string{"8000 shop · Next.js +5678"}},
		{"nothing but debuggers", []Listener{serves(9229, 1), serves(9230, 2, under(1))},
			[]string{"9229 node", "9230 node"}},
		{"a build daemon with a random port, and what it runs",
			[]Listener{serves(40001, 1, by(gradle), in(shop)), serves(8080, 2, by(gradle), in(shop), under(1))},
			[]string{"8080 shop · Gradle", "40001 shop · Gradle"}},
		{"an ancestor whose PID was reused",
			[]Listener{serves(3000, 1),
				serves(41234, 2, func(l *Listener) { l.Facts.Ancestors[0] = owner.ID{PID: 1, Start: 99} })},
			[]string{"3000 node", "41234 node (other)"}},
		{"an editor and what it started",
			[]Listener{serves(40001, 1, by(vscode), in(shop)), serves(40002, 2, from("VS Code"), in(shop), under(1)),
				serves(8080, 4, from("VS Code"), in(shop), named("main"), under(1)),
				serves(5173, 3, by(vite), in(shop), under(1))},
			[]string{"5173 shop · Vite", "8080 shop · main", "40001 shop · VS Code +40002 (other)"}},

		{"working trees of one project",
			[]Listener{serves(5173, 1, in(shopA), by(vite)), serves(5174, 2, in(shopB), by(vite))},
			[]string{"5173 shop@cart · Vite", "5174 shop@main · Vite"}},
		{"one project's working tree twice",
			[]Listener{serves(5173, 1, in(shopA), by(vite)), serves(5174, 2, in(shopA), by(vite))},
			[]string{"5173 shop · Vite", "5174 shop · Vite"}},

		{"a container's service", []Listener{serves(80, 1, forwarder, publishes(web))}, []string{"80 web (container)"}},
		{"a database in a container", []Listener{serves(5432, 1, forwarder, publishes(web), by(postgres))},
			[]string{"5432 PostgreSQL · web (container)"}},
		{"a container without compose", []Listener{serves(80, 1, forwarder, publishes(plain))},
			[]string{"80 eager_tesla (container)"}},
		{"a container behind a hidden owner", []Listener{serves(80, 0, hidden, publishes(web))},
			[]string{"80 web (container)"}},
		{"one container, one forwarder for each family",
			[]Listener{serves(80, 1, forwarder, publishes(web), at("0.0.0.0")),
				serves(80, 2, forwarder, publishes(web), at("::"))},
			[]string{"80 web (container) (exposed)"}},
		{"one container, two ports",
			[]Listener{serves(80, 1, forwarder, publishes(web)), serves(443, 2, forwarder, publishes(web))},
			[]string{"80 web (container) +443"}},
		{"one service name in two compose projects",
			[]Listener{serves(80, 1, forwarder, publishes(web)), serves(81, 2, forwarder, publishes(other))},
			[]string{"80 shop/web (container)", "81 blog/web (container)"}},
		{"a forwarder whose engine may not be asked",
			[]Listener{serves(80, 1, forwarder, untold, at("0.0.0.0")), serves(80, 2, forwarder, untold, at("::"))},
			[]string{"80 container (docker-proxy) (exposed)"}},
		{"an engine's own port", []Listener{serves(2375, 1, forwarder, named("dockerd"))}, []string{"2375 dockerd"}},
		{"one forwarder of ports that no engine knows",
			[]Listener{serves(3000, 1, forwarder, named("wslrelay")), serves(5173, 1, forwarder, named("wslrelay"))},
			[]string{"3000 container or VM (wslrelay)", "5173 container or VM (wslrelay)"}},
		{"the project's own binary", []Listener{serves(8080, 1, in(shop), named("shop"))}, []string{"8080 shop"}},
		{"two clones on one branch",
			[]Listener{serves(8080, 1, in(shopB)),
				serves(8081, 2, in(owner.Project{Name: "shop", Dir: "/home/ann/shop2", Branch: "main"}))},
			[]string{"8080 shop · node", "8081 shop in shop2 · node"}},
	} {
		slices.SortFunc(c.listeners, Listener.compare)
		var got []string
		for _, s := range Servers(c.listeners, dynamic) {
			got = append(got, describe(s))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestTogether has processes that are one server, and processes that only look like one.
func TestTogether(t *testing.T) {
	app := workerOf("/usr/bin/python3", "/home/ann/shop")
	worker := func(pid int32, traits ...trait) Listener {
		return serves(3010, pid, append([]trait{named("python3"), in(shop), app, forked, under(1)}, traits...)...)
	}
	unit := func(name string) trait { return func(l *Listener) { l.Facts.Manager.Name = name } }
	jupyter := tool("Jupyter")
	mcp := tool("MCP Inspector")
	debugpy := func(l *Listener) {
		l.Facts.Tool = owner.Tool{Name: "debugpy", Kind: owner.Helper}
		l.Facts.Helper, l.Facts.Orphan = true, true
	}
	pod := engine.Container{ID: "p1", Name: "shop", Pod: true}
	web := engine.Container{ID: "a1", Name: "web"}
	for _, c := range []struct {
		name      string
		listeners []Listener
		want      []string
	}{
		{"workers with a socket each", []Listener{worker(2), worker(3), worker(4), worker(5)},
			[]string{"3010 shop · python3 (4 workers, a master)"}},
		{"on all interfaces", []Listener{worker(2, at("0.0.0.0", "::")), worker(3, at("::", "0.0.0.0"))},
			[]string{"3010 shop · python3 (exposed, 2 workers, a master)"}},
		{"with further ports of one of them",
			[]Listener{worker(2), worker(3),
				serves(9100, 2, in(shop), app, forked, under(1), namesFor("metrics", 9100))},
			[]string{"3010 shop · python3 +9100 (2 workers, a master)"}},
		{"whose master listens, too",
			[]Listener{serves(3010, 1, named("python3"), in(shop), app), worker(2), worker(3)},
			[]string{"3010 shop · python3 (3 workers)"}},
		{"whose master listens, too",
			[]Listener{serves(3000, 1, named("python3"), in(shop), app), worker(2), worker(3)},
			[]string{"3000 shop · python3 +3010"}},
		{"whose master has metrics", []Listener{serves(3011, 1, named("python3"), in(shop), app), worker(2), worker(3)},
			[]string{"3010 shop · python3 +3011 (2 workers, a master)"}},
		{"of which one runs another script", []Listener{worker(2, script("a.js")), worker(3, script("b.js"))},
			[]string{"3010 shop · a.js (ambiguous)", "3010 shop · b.js (ambiguous)"}},
		{"whose master has another server", []Listener{worker(2), worker(3), serves(4000, 4, in(blog), under(1))},
			[]string{"3010 shop · python3 (2 workers)", "4000 blog · node"}},
		{"whose master has a helper", []Listener{worker(2), worker(3), serves(41234, 4, in(shop), helper, under(2, 1))},
			[]string{"3010 shop · python3 +41234 (2 workers, a master)"}},
		{"that a script started",
			[]Listener{worker(2, func(l *Listener) { l.Facts.Forked = false }),
				worker(3, func(l *Listener) { l.Facts.Forked = false })},
			[]string{"3010 shop · python3 (2 workers)"}},
		{"workers of workers", []Listener{worker(2, under(7, 1)), worker(3, under(8, 1))},
			[]string{"3010 shop · python3 (2 workers)"}},
		{"whose master has ended", []Listener{worker(2, under(), orphan, none), worker(3, orphan, none)},
			[]string{"3010 shop · python3 (2 workers)"}},
		{"two units of one program",
			[]Listener{worker(2, orphan, none, unit("a.service")), worker(3, orphan, none, unit("b.service"))},
			[]string{"3010 shop · python3 (ambiguous)", "3010 shop · python3 (ambiguous)"}},
		{"two starts of one program", []Listener{worker(2, none), worker(3, none)},
			[]string{"3010 shop · python3 (ambiguous)", "3010 shop · python3 (ambiguous)"}},
		{"two programs of one script", []Listener{worker(2), worker(3, workerOf("/usr/bin/node", "/home/ann/shop"))},
			[]string{"3010 shop · python3 (ambiguous)", "3010 shop · python3 (ambiguous)"}},
		{"one program in two directories, at two addresses",
			[]Listener{worker(2), worker(3, at("::1"), in(blog), workerOf("/usr/bin/python3", "/home/ann/blog"))},
			[]string{"3010 shop · python3 (ambiguous)", "3010 blog · python3 (ambiguous)"}},
		{"workers at different ports",
			[]Listener{worker(2), serves(3011, 3, named("python3"), in(shop), app, forked, under(1))},
			[]string{"3010 shop · python3", "3011 shop · python3"}},

		{"one forwarder for each family, engine unknown",
			[]Listener{serves(8080, 1, forwarder, at("0.0.0.0")), serves(8080, 2, forwarder, at("::"))},
			[]string{"8080 container (docker-proxy) (exposed)"}},
		{"one forwarder for each family and port",
			[]Listener{serves(80, 1, forwarder, publishes(web), at("0.0.0.0")),
				serves(80, 2, forwarder, publishes(web), at("::")),
				serves(443, 3, forwarder, publishes(web), at("0.0.0.0")),
				serves(443, 4, forwarder, publishes(web), at("::"))},
			[]string{"80 web (container) +443 (exposed)"}},
		{"a pod",
			[]Listener{serves(5432, 1, forwarder, named("rootlessport"), publishes(pod)),
				serves(8080, 1, forwarder, named("rootlessport"), publishes(pod))},
			[]string{"5432 shop (pod) +8080"}},

		{"debugpy's adapter, whose port the program names",
			[]Listener{serves(5678, 9, named("python3"), debugpy, names(5678)),
				serves(8000, 1, in(shop), named("python3"), debugs("debugpy", 5678)),
				serves(8001, 2, in(shop), named("python3"))},
			[]string{"8000 shop · python3 +5678", "8001 shop · python3"}},
		{"debugpy's adapter, in the directory of its program",
			[]Listener{serves(5678, 9, named("python3"), app, in(shop), debugpy, names(5678)),
				serves(41234, 9, named("python3"), app, in(shop), debugpy),
				serves(8000, 1, in(shop), named("python3"), app), serves(3000, 2, in(shop))},
			[]string{"3000 shop · node", "8000 shop · python3 +5678 +41234"}},
		{"debugpy's adapter, of one of two programs",
			[]Listener{serves(5678, 9, named("python3"), app, in(shop), debugpy),
				serves(8000, 1, in(shop), named("python3"), app),
				serves(8001, 2, in(shop), named("python3"), app)},
			[]string{"5678 shop · debugpy", "8000 shop · python3", "8001 shop · python3"}},
		{"Jupyter and its kernels in another project",
			[]Listener{serves(8888, 1, by(jupyter), in(shop)), serves(40001, 2, by(jupyter), in(blog), under(1)),
				serves(40002, 2, by(jupyter), in(blog), under(1))},
			[]string{"8888 shop · Jupyter +40001 +40002"}},
		{"a kernel whose program is known",
			[]Listener{serves(8888, 1, by(jupyter), in(shop)),
				serves(40001, 2, by(jupyter), inherited, helper, in(blog), under(1))},
			[]string{"8888 shop · Jupyter +40001"}},
		{"a kernel of an editor",
			[]Listener{serves(40001, 2, by(owner.Tool{Name: "Jupyter", Kind: owner.Helper}), helper, background,
				in(blog))},
			[]string{"40001 blog · Jupyter (other)"}},
		{"the MCP inspector's page and proxy",
			[]Listener{serves(6274, 2, by(mcp), under(1)), serves(6277, 3, by(mcp), under(1))},
			[]string{"6274 MCP Inspector +6277"}},
		{"two MCP inspectors", []Listener{serves(6274, 2, by(mcp), under(1)), serves(6275, 3, by(mcp), under(4))},
			[]string{"6274 MCP Inspector", "6275 MCP Inspector"}},
		{"two servers of one tool and script",
			[]Listener{serves(5173, 2, by(vite), in(shop), under(1)), serves(5174, 3, by(vite), in(shop), under(1))},
			[]string{"5173 shop · Vite", "5174 shop · Vite"}},
		{"two programs below one debugger's launcher",
			[]Listener{serves(9229, 1), serves(3000, 2, under(1)), serves(3001, 3, under(1))},
			[]string{"3000 node +9229", "3001 node"}},

		{"a build daemon and what it runs, both at random ports",
			[]Listener{serves(40001, 1, by(gradle), background, in(shop)),
				serves(40002, 2, by(gradle), inherited, in(shop), under(1))},
			[]string{"40001 shop · Gradle (other)", "40002 shop · Gradle"}},
		{"a build daemon and its worker",
			[]Listener{serves(40001, 1, by(gradle), background, in(shop)),
				serves(40002, 2, by(gradle), background, in(shop), under(1))},
			[]string{"40001 shop · Gradle +40002 (other)"}},

		{"PM2 and its apps",
			[]Listener{serves(5601, 1, by(owner.Tool{Name: "PM2", Kind: owner.Runner}), holdsSockets),
				serves(5602, 1, by(owner.Tool{Name: "PM2", Kind: owner.Runner}), holdsSockets)},
			[]string{"5601 PM2", "5602 PM2"}},
		{"socket units",
			[]Listener{serves(8080, 1, named("systemd"), holdsSockets),
				serves(9090, 1, named("systemd"), holdsSockets, at("0.0.0.0", "::1"))},
			[]string{"8080 systemd", "9090 systemd (exposed)"}},
		{"tunnels that came in",
			[]Listener{serves(5432, 1, named("sshd"), holdsSockets), serves(6010, 1, named("sshd"), holdsSockets)},
			[]string{"5432 sshd", "6010 sshd"}},
		{"an app of PM2 that listens itself",
			[]Listener{serves(3000, 2, in(shop), under(1)),
				serves(5601, 1, by(owner.Tool{Name: "PM2", Kind: owner.Runner}), holdsSockets)},
			[]string{"3000 shop · node", "5601 PM2"}},
	} {
		slices.SortFunc(c.listeners, Listener.compare)
		var got []string
		for _, s := range Servers(c.listeners, dynamic) {
			got = append(got, describe(s))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// none removes all ancestors.
func none(l *Listener) { l.Facts.Ancestors = owner.Facts{}.Ancestors }

// TestHeads has servers with several ports, and checks the head.
func TestHeads(t *testing.T) {
	everywhere := at("::")
	for _, c := range []struct {
		name      string
		listeners []Listener
		want      string // the head, and the further ports with their roles
	}{
		{"Caddy's admin API",
			[]Listener{serves(2019, 1, named("caddy"), by(tool("Caddy"))),
				serves(8080, 1, named("caddy"), by(tool("Caddy")), everywhere)},
			"8080, 2019 admin"},
		{"Caddy on loopback alone",
			[]Listener{serves(2019, 1, named("caddy"), by(tool("Caddy"))),
				serves(8080, 1, named("caddy"), by(tool("Caddy")))},
			"8080, 2019 admin"},
		{"Caddy's admin API alone", []Listener{serves(2019, 1, named("caddy"), by(tool("Caddy")))}, "2019"},
		{"Tomcat's shutdown port",
			[]Listener{serves(8005, 1, named("java"), by(tool("Tomcat"))),
				serves(8081, 1, named("java"), by(tool("Tomcat")), everywhere)},
			"8081, 8005 shutdown"},
		{"node --inspect=5858",
			[]Listener{serves(5858, 1, debugs("JavaScript inspector", 5858)),
				serves(8082, 1, debugs("JavaScript inspector", 5858))},
			"8082, 5858 debugger"},
		{"a debugger that is open to the network",
			[]Listener{serves(5858, 1, debugs("JavaScript inspector", 5858), everywhere),
				serves(48082, 1, debugs("JavaScript inspector", 5858))},
			"48082, 5858 debugger"},
		{"bun --inspect", []Listener{serves(6499, 1, named("bun")), serves(8083, 1, named("bun"), everywhere)},
			"8083, 6499 debugger"},
		{"JDWP",
			[]Listener{serves(5005, 1, named("java"), debugs("JDWP", 5005)),
				serves(8084, 1, named("java"), debugs("JDWP", 5005), everywhere)},
			"8084, 5005 debugger"},
		{"BrowserSync's settings",
			[]Listener{serves(3001, 1, by(tool("BrowserSync")), names(3105), everywhere),
				serves(3105, 1, by(tool("BrowserSync")), names(3105), everywhere)},
			"3105, 3001 settings"},
		{"BrowserSync at its usual port",
			[]Listener{serves(3000, 1, by(tool("BrowserSync")), everywhere),
				serves(3001, 1, by(tool("BrowserSync")), everywhere)},
			"3000, 3001 settings"},
		{"Mailpit's SMTP",
			[]Listener{serves(1025, 1, named("mailpit"), by(tool("Mailpit")), everywhere),
				serves(8025, 1, named("mailpit"), by(tool("Mailpit")), everywhere)},
			"8025, 1025 SMTP"},
		{"Delve with its program",
			[]Listener{serves(2345, 1, named("dlv"), by(delve), names(2345)),
				serves(8080, 2, named("__debug_bin"), by(delve), inherited, under(1))},
			"8080, 2345 debugger"},
		{"debugpy's adapter",
			[]Listener{serves(5678, 2, named("python3"), by(next), inherited, isDebugpy, names(5678), under(1)),
				serves(8000, 1, named("python3"), by(next))},
			"8000, 5678 debugger"},

		{"a wildcard beside loopback", []Listener{serves(8080, 1), serves(9000, 1, everywhere)}, "9000, 8080"},
		{"the port that was asked for",
			[]Listener{serves(8080, 1, names(9000), everywhere), serves(9000, 1, names(9000))}, "9000, 8080"},
		{"even if the system could have picked it",
			[]Listener{serves(3000, 1, names(40000)), serves(40000, 1, names(40000))}, "40000, 3000"},
		{"metrics, by their option",
			[]Listener{serves(2112, 1, namesFor("metrics", 2112), everywhere),
				serves(8080, 1, namesFor("metrics", 2112))}, "8080, 2112 metrics"},
		{"metrics alone", []Listener{serves(2112, 1, namesFor("metrics", 2112))}, "2112"},
		{"nothing but a debugger and metrics",
			[]Listener{serves(2112, 1, namesFor("metrics", 2112)), serves(9229, 1, namesFor("metrics", 2112))},
			"2112, 9229 debugger"},
		{"a helper's named port",
			[]Listener{serves(8787, 1, by(wrangler)),
				serves(39001, 2, by(wrangler), inherited, helper, named("workerd"), names(39001), under(1))},
			"8787, 39001"},
		{"Vite's reloading", []Listener{serves(3000, 1, by(vite)), serves(24678, 1, by(vite), everywhere)},
			"3000, 24678 HMR"},
		{"a container's ports, by those inside",
			[]Listener{serves(80, 1, forwarder, publishes(engine.Container{ID: "a1"}), by(tool("Caddy")), inside(2019)),
				serves(8080, 2, forwarder, publishes(engine.Container{ID: "a1"}), by(tool("Caddy")), inside(80))},
			"8080, 80 admin"},
		{"all else the same: the lowest", []Listener{serves(8080, 1), serves(8081, 1)}, "8080, 8081"},
	} {
		slices.SortFunc(c.listeners, Listener.compare)
		servers := Servers(c.listeners, dynamic)
		if len(servers) != 1 {
			t.Errorf("%s: %d servers, want one", c.name, len(servers))
			continue
		}
		got := fmt.Sprint(servers[0].Port)
		for _, l := range servers[0].Also {
			got += strings.TrimRight(fmt.Sprintf(", %d %s", l.Port, l.Role()), " ")
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestServersLoseNothing checks that grouping loses no port and shows none twice, for any lineage.
func TestServersLoseNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var listeners []Listener
		for range rng.IntN(12) {
			pid := int32(1 + rng.IntN(5))
			l := serves([]uint16{3000, 9229, 9230, 40000, 40001, 5173}[rng.IntN(6)], pid)
			l.Facts.Tool = []owner.Tool{{}, vite, esbuild, vscode}[pid%4]
			for i := range rng.IntN(3) {
				if ancestor := pid - int32(i) - 1; ancestor > 0 {
					l.Facts.Ancestors[i] = owner.ID{PID: ancestor, Start: uint64(ancestor)}
				}
			}
			listeners = append(listeners, l)
		}
		slices.SortFunc(listeners, Listener.compare)
		listeners = slices.CompactFunc(listeners, func(a, b Listener) bool { return a.ID() == b.ID() })
		want, got := map[uint16]bool{}, map[uint16]bool{}
		for _, l := range listeners {
			want[l.Port] = true
		}
		for _, s := range Servers(listeners, dynamic) {
			ports := map[uint16]bool{s.Port: true}
			for _, l := range s.Also {
				if ports[l.Port] {
					t.Fatalf("%v lists port %d twice", describe(s), l.Port)
				}
				ports[l.Port] = true
			}
			for p := range ports {
				got[p] = true
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("the listeners %v became servers with the ports %v", listeners, got)
		}
	}
}

// BenchmarkServers has many listeners that are hard to group or to name. The time per listener is the same for 300 and
// for 3000.
func BenchmarkServers(b *testing.B) {
	app := workerOf("/usr/bin/python3", "/home/ann/shop")
	for name, listener := range map[string]func(i int) Listener{
		"one project": func(i int) Listener { return serves(uint16(3000+i), int32(i+2), in(shop), by(vite), under(1)) },
		"one name": func(i int) Listener {
			return serves(uint16(3000+i), int32(i+2), in(owner.Project{Name: "shop", Dir: fmt.Sprintf("/%d/shop", i)}))
		},
		"one script": func(i int) Listener {
			l := serves(uint16(3000+i), int32(i+2), in(shop))
			l.Facts.Program = fmt.Sprintf("%d/src/main.js", i)
			return l
		},
		"one port":    func(i int) Listener { return serves(3000, int32(i+2), in(shop), app) },
		"one master":  func(i int) Listener { return serves(3000, int32(i+2), in(shop), app, forked, under(1)) },
		"one process": func(i int) Listener { return serves(uint16(3000+i), 2, in(shop)) },
		"adapters": func(i int) Listener {
			return serves(uint16(3000+i), int32(i+2), in(shop), app, orphan, inherited, isDebugpy)
		},
		"inspectors": func(i int) Listener { return serves(uint16(3000+i), int32(i+2), by(tool("MCP Inspector"))) },
	} {
		for _, n := range []int{300, 3000} {
			var listeners []Listener
			for i := range n {
				listeners = append(listeners, listener(i))
			}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Servers(listeners, dynamic)
				}
			})
		}
	}
}

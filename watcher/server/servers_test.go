package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

func TestServers(t *testing.T) {
	web := engine.Container{ID: "a1", Name: "shop-web-1", Image: "acme/web:3", Project: "shop", Service: "web"}
	other := engine.Container{ID: "b2", Name: "blog-web-1", Image: "acme/web:3", Project: "blog", Service: "web"}
	plain := engine.Container{ID: "c3", Name: "eager_tesla", Image: "nginx:alpine"}
	for _, c := range []struct {
		name      string
		listeners []server.Listener
		want      []string
	}{
		{"none", nil, nil},
		{"project and tool", []server.Listener{servertest.Serves(3000, 1, servertest.In(servertest.Shop),
			servertest.By(servertest.Vite))}, []string{"3000 shop · Vite"}},
		{"project alone", []server.Listener{servertest.Serves(62893, 1, servertest.In(servertest.Shop),
			servertest.Named("python3"))}, []string{"62893 shop · python3"}},
		{"tool alone", []server.Listener{servertest.Serves(5432, 1, servertest.By(servertest.Postgres))},
			[]string{"5432 PostgreSQL"}},
		{"nothing better", []server.Listener{servertest.Serves(9000, 1, servertest.Named("nc"))}, []string{"9000 nc"}},
		{"nothing at all", []server.Listener{servertest.Serves(9000, 1, servertest.Named(""))},
			[]string{"9000 unnamed process"}},
		{"hidden owner", []server.Listener{servertest.Serves(631, 0, servertest.Hidden)},
			[]string{"631 another user's process (other)"}},
		{"unknown owner", []server.Listener{servertest.Serves(2049, 0, servertest.Unknown)},
			[]string{"2049 unknown owner (other)"}},
		{"hostile names",
			[]server.Listener{servertest.Serves(1, 1,
				servertest.In(project.Project{Name: "a\n\x1b[2J\u202eb", Dir: "/x"}),
				servertest.Named(strings.Repeat("n", 99)))},
			[]string{"1 a [2Jb · " + strings.Repeat("n", 23) + "…"}},

		{"exposed", []server.Listener{servertest.Serves(8080, 1, servertest.At("0.0.0.0"))},
			[]string{"8080 node (exposed)"}},
		{"exposed on a further port only",
			[]server.Listener{servertest.Serves(8080, 1, servertest.Names(8080)),
				servertest.Serves(8081, 1, servertest.At("::"))},
			[]string{"8080 node +8081 (exposed)"}},

		{"two owners, one reached as IPv4 and one as IPv6",
			[]server.Listener{servertest.Serves(3000, 1, servertest.In(servertest.Shop)),
				servertest.Serves(3000, 2, servertest.In(servertest.Blog), servertest.At("::1"))},
			[]string{"3000 shop · node (ambiguous)", "3000 blog · node (ambiguous)"}},
		{"two owners, one out of reach by name",
			[]server.Listener{servertest.Serves(3000, 1, servertest.In(servertest.Shop)),
				servertest.Serves(3000, 2, servertest.In(servertest.Blog), servertest.At("127.0.0.2"))},
			[]string{"3000 shop · node (shared)", "3000 blog · node (shared)"}},
		{"a port that is another server's further one",
			[]server.Listener{servertest.Serves(3000, 1), servertest.Serves(3001, 1),
				servertest.Serves(3001, 2, servertest.In(servertest.Blog), servertest.At("::1"))},
			[]string{"3000 node +3001", "3001 blog · node (ambiguous)"}},

		{"further ports of a process",
			[]server.Listener{servertest.Serves(5672, 1), servertest.Serves(15672, 1), servertest.Serves(25672, 1)},
			[]string{"5672 node +15672 +25672"}},
		{"the port that the person means comes first",
			[]server.Listener{servertest.Serves(3000, 1), servertest.Serves(9229, 1), servertest.Serves(45000, 1)},
			[]string{"3000 node +9229 +45000"}},
		{"even if it is not the lowest",
			[]server.Listener{servertest.Serves(9229, 1), servertest.Serves(9300, 1), servertest.Serves(32768, 1)},
			[]string{"9300 node +9229 +32768"}},
		{"an inspector alone", []server.Listener{servertest.Serves(9229, 1)}, []string{"9229 node"}},
		{"an inspector's port that is no inspector's",
			[]server.Listener{servertest.Serves(9229, 1, servertest.Named("java")),
				servertest.Serves(9300, 1, servertest.Named("java"))}, []string{"9229 java +9300"}},

		{"a child that runs its parent's tool",
			[]server.Listener{servertest.Serves(8787, 1, servertest.By(servertest.Wrangler),
				servertest.In(servertest.Shop)),
				servertest.Serves(8788, 2, servertest.By(servertest.Wrangler), servertest.In(servertest.Shop),
					servertest.Named("workerd"), servertest.Under(1))},
			[]string{"8787 shop · Wrangler +8788"}},
		{"a child that is a helper",
			[]server.Listener{servertest.Serves(3000, 1, servertest.In(servertest.Shop)),
				servertest.Serves(8000, 2, servertest.In(servertest.Shop), servertest.By(servertest.Esbuild),
					servertest.Helper, servertest.Under(7, 1))},
			[]string{"3000 shop · node +8000"}},
		{"a helper that has its tool's name from its parent",
			[]server.Listener{servertest.Serves(8787, 1, servertest.By(servertest.Wrangler),
				servertest.In(servertest.Shop)),
				servertest.Serves(8000, 2, servertest.In(servertest.Shop), servertest.By(servertest.Wrangler),
					servertest.Inherited, servertest.Helper, servertest.Under(1))},
			[]string{"8787 shop · Wrangler +8000"}},
		{"a program that merely runs under a tool",
			[]server.Listener{servertest.Serves(8888, 1, servertest.By(servertest.Wrangler),
				servertest.In(servertest.Shop)),
				servertest.Serves(5000, 2, servertest.In(servertest.Shop), servertest.By(servertest.Wrangler),
					servertest.Inherited, servertest.Under(1)),
				servertest.Serves(40001, 2, servertest.In(servertest.Shop), servertest.By(servertest.Wrangler),
					servertest.Inherited, servertest.Under(1))},
			[]string{"5000 shop · Wrangler +40001", "8888 shop · Wrangler"}},
		{"a child on a random port",
			[]server.Listener{servertest.Serves(3000, 1, servertest.In(servertest.Shop)),
				servertest.Serves(41234, 2, servertest.In(servertest.Shop), servertest.Under(1))},
			[]string{"3000 shop · node +41234"}},
		{"a child's child", []server.Listener{servertest.Serves(3000, 1),
			servertest.Serves(41234, 2, servertest.Under(1)), servertest.Serves(41235, 3, servertest.Under(2, 1))},
			[]string{"3000 node +41234 +41235"}},
		{"a child that is a server of its own",
			[]server.Listener{servertest.Serves(8888, 1, servertest.In(servertest.Shop)),
				servertest.Serves(5173, 2, servertest.In(servertest.Shop), servertest.By(servertest.Vite),
					servertest.Under(1))},
			[]string{"5173 shop · Vite", "8888 shop · node"}},
		{"a child in another project",
			[]server.Listener{servertest.Serves(3000, 1, servertest.In(servertest.Shop)),
				servertest.Serves(41234, 2, servertest.In(servertest.Blog), servertest.Under(1))},
			[]string{"3000 shop · node", "41234 blog · node"}},
		{"the debugger's port of a server's launcher",
			[]server.Listener{servertest.Serves(9229, 1, servertest.In(servertest.Shop)),
				servertest.Serves(3000, 2, servertest.In(servertest.Shop), servertest.Under(1))},
			[]string{"3000 shop · node +9229"}},
		{"and of the server, too",
			[]server.Listener{servertest.Serves(9229, 1, servertest.In(servertest.Shop)),
				servertest.Serves(9230, 2, servertest.In(servertest.Shop), servertest.Under(1)),
				servertest.Serves(3000, 2, servertest.In(servertest.Shop), servertest.Under(1))},
			[]string{"3000 shop · node +9229 +9230"}},
		{"npm's own debugger", []server.Listener{servertest.Serves(9229, 1, servertest.In(servertest.Shop),
			servertest.Titled("npm run dev")),
			servertest.Serves(3000, 3, servertest.In(servertest.Shop), servertest.By(servertest.Next),
				servertest.Titled("next-server (v15.5.29)"), servertest.Under(2, 1)),
			servertest.Serves(9230, 3, servertest.In(servertest.Shop), servertest.By(servertest.Next),
				servertest.Titled("next-server (v15.5.29)"), servertest.Under(2, 1))},
			[]string{"3000 shop · Next.js +9229 +9230"}},
		{"workerd's debugger",
			[]server.Listener{servertest.Serves(9229, 3, servertest.By(servertest.Wrangler),
				servertest.Named("workerd")),
				servertest.Serves(9500, 3, servertest.By(servertest.Wrangler), servertest.Named("workerd"))},
			[]string{"9500 Wrangler +9229"}},
		{"Java's debugger",
			[]server.Listener{servertest.Serves(5005, 1, servertest.In(servertest.Shop), servertest.Named("java"),
				servertest.Debugs("JDWP", 5005)),
				servertest.Serves(8080, 1, servertest.In(servertest.Shop), servertest.Named("java"),
					servertest.Debugs("JDWP", 5005))},
			[]string{"8080 shop · java +5005"}},
		{"Delve and what it runs",
			[]server.Listener{servertest.Serves(2345, 1, servertest.In(servertest.Shop), servertest.Named("dlv"),
				servertest.By(servertest.Delve)),
				servertest.Serves(8080, 2, servertest.In(servertest.Shop), servertest.Named("__debug_bin"),
					servertest.By(servertest.Delve), servertest.Inherited, servertest.Under(1))},
			[]string{"8080 shop · Delve +2345"}},
		{"debugpy, which has a process of its own",
			[]server.Listener{servertest.Serves(5678, 2, servertest.In(servertest.Shop), servertest.Named("python3"),
				servertest.By(servertest.Next), servertest.Inherited, servertest.IsDebugpy, servertest.Under(1)),
				servertest.Serves(8000, 1, servertest.In(servertest.Shop), servertest.By(servertest.Next),
					servertest.Named("python3"))},
			[]string{"8000 shop · Next.js +5678"}},
		{"nothing but debuggers",
			[]server.Listener{servertest.Serves(9229, 1), servertest.Serves(9230, 2, servertest.Under(1))},
			[]string{"9229 node", "9230 node"}},
		{"a build daemon with a random port, and what it runs",
			[]server.Listener{servertest.Serves(40001, 1, servertest.By(servertest.Gradle),
				servertest.In(servertest.Shop)),
				servertest.Serves(8080, 2, servertest.By(servertest.Gradle), servertest.In(servertest.Shop),
					servertest.Under(1))},
			[]string{"8080 shop · Gradle", "40001 shop · Gradle"}},
		{"an ancestor whose PID was reused",
			[]server.Listener{servertest.Serves(3000, 1),
				servertest.Serves(41234, 2,
					func(l *server.Listener) { l.Facts.Ancestors[0] = owner.ID{PID: 1, Start: 99} })},
			[]string{"3000 node", "41234 node (other)"}},
		{"an editor and what it started",
			[]server.Listener{servertest.Serves(40001, 1, servertest.By(servertest.Vscode),
				servertest.In(servertest.Shop)),
				servertest.Serves(40002, 2, servertest.From("VS Code"), servertest.In(servertest.Shop),
					servertest.Under(1)),
				servertest.Serves(8080, 4, servertest.From("VS Code"), servertest.In(servertest.Shop),
					servertest.Named("main"), servertest.Under(1)),
				servertest.Serves(5173, 3, servertest.By(servertest.Vite), servertest.In(servertest.Shop),
					servertest.Under(1))},
			[]string{"5173 shop · Vite", "8080 shop · main", "40001 shop · VS Code +40002 (other)"}},

		{"working trees of one project",
			[]server.Listener{servertest.Serves(5173, 1, servertest.In(servertest.ShopA),
				servertest.By(servertest.Vite)),
				servertest.Serves(5174, 2, servertest.In(servertest.ShopB), servertest.By(servertest.Vite))},
			[]string{"5173 shop@cart · Vite", "5174 shop@main · Vite"}},
		{"one project's working tree twice",
			[]server.Listener{servertest.Serves(5173, 1, servertest.In(servertest.ShopA),
				servertest.By(servertest.Vite)),
				servertest.Serves(5174, 2, servertest.In(servertest.ShopA), servertest.By(servertest.Vite))},
			[]string{"5173 shop · Vite", "5174 shop · Vite"}},

		{"a container's service",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web))},
			[]string{"80 web (container)"}},
		{"a database in a container",
			[]server.Listener{servertest.Serves(5432, 1, servertest.Forwarder, servertest.Publishes(web),
				servertest.By(servertest.Postgres))},
			[]string{"5432 PostgreSQL · web (container)"}},
		{"a container without compose",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(plain))},
			[]string{"80 eager_tesla (container)"}},
		{"a container behind a hidden owner",
			[]server.Listener{servertest.Serves(80, 0, servertest.Hidden, servertest.Publishes(web))},
			[]string{"80 web (container)"}},
		{"one container, one forwarder for each family",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web),
				servertest.At("0.0.0.0")),
				servertest.Serves(80, 2, servertest.Forwarder, servertest.Publishes(web), servertest.At("::"))},
			[]string{"80 web (container) (exposed)"}},
		{"one container, two ports",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web)),
				servertest.Serves(443, 2, servertest.Forwarder, servertest.Publishes(web))},
			[]string{"80 web (container) +443"}},
		{"one service name in two compose projects",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web)),
				servertest.Serves(81, 2, servertest.Forwarder, servertest.Publishes(other))},
			[]string{"80 shop/web (container)", "81 blog/web (container)"}},
		{"a forwarder whose engine may not be asked",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Untold,
				servertest.At("0.0.0.0")),
				servertest.Serves(80, 2, servertest.Forwarder, servertest.Untold, servertest.At("::"))},
			[]string{"80 container (docker-proxy) (exposed)"}},
		{"an engine's own port",
			[]server.Listener{servertest.Serves(2375, 1, servertest.Forwarder, servertest.Named("dockerd"))},
			[]string{"2375 dockerd"}},
		{"one forwarder of ports that no engine knows",
			[]server.Listener{servertest.Serves(3000, 1, servertest.Forwarder, servertest.Named("wslrelay")),
				servertest.Serves(5173, 1, servertest.Forwarder, servertest.Named("wslrelay"))},
			[]string{"3000 container or VM (wslrelay)", "5173 container or VM (wslrelay)"}},
		{"the project's own binary",
			[]server.Listener{servertest.Serves(8080, 1, servertest.In(servertest.Shop), servertest.Named("shop"))},
			[]string{"8080 shop"}},
		{"two clones on one branch",
			[]server.Listener{servertest.Serves(8080, 1, servertest.In(servertest.ShopB)),
				servertest.Serves(8081, 2,
					servertest.In(project.Project{Name: "shop", Dir: "/home/ann/shop2", Branch: "main"}))},
			[]string{"8080 shop · node", "8081 shop in shop2 · node"}},
	} {
		slices.SortFunc(c.listeners, server.Listener.Compare)
		var got []string
		for _, s := range server.Servers(c.listeners, servertest.Dynamic) {
			got = append(got, servertest.Describe(s))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestTogether has processes that are one server, and processes that only look like one.
func TestTogether(t *testing.T) {
	app := servertest.WorkerOf("/usr/bin/python3", "/home/ann/shop")
	worker := func(pid int32, traits ...servertest.Trait) server.Listener {
		return servertest.Serves(3010, pid,
			append([]servertest.Trait{servertest.Named("python3"), servertest.In(servertest.Shop), app,
				servertest.Forked, servertest.Under(1)}, traits...)...)
	}
	unit := func(name string) servertest.Trait { return func(l *server.Listener) { l.Facts.Manager.Name = name } }
	jupyter := servertest.Tool("Jupyter")
	mcp := servertest.Tool("MCP Inspector")
	debugpy := func(l *server.Listener) {
		l.Facts.Tool = facts.Tool{Name: "debugpy", Kind: facts.Helper}
		l.Facts.Helper, l.Facts.Orphan = true, true
	}
	pod := engine.Container{ID: "p1", Name: "shop", Pod: true}
	web := engine.Container{ID: "a1", Name: "web"}
	for _, c := range []struct {
		name      string
		listeners []server.Listener
		want      []string
	}{
		{"workers with a socket each", []server.Listener{worker(2), worker(3), worker(4), worker(5)},
			[]string{"3010 shop · python3 (4 workers, a master)"}},
		{"on all interfaces", []server.Listener{worker(2, servertest.At("0.0.0.0", "::")),
			worker(3, servertest.At("::", "0.0.0.0"))},
			[]string{"3010 shop · python3 (exposed, 2 workers, a master)"}},
		{"with further ports of one of them",
			[]server.Listener{worker(2), worker(3),
				servertest.Serves(9100, 2, servertest.In(servertest.Shop), app, servertest.Forked, servertest.Under(1),
					servertest.NamesFor("metrics", 9100))},
			[]string{"3010 shop · python3 +9100 (2 workers, a master)"}},
		{"whose master listens, too",
			[]server.Listener{servertest.Serves(3010, 1, servertest.Named("python3"), servertest.In(servertest.Shop),
				app), worker(2), worker(3)},
			[]string{"3010 shop · python3 (3 workers)"}},
		{"whose master listens, too",
			[]server.Listener{servertest.Serves(3000, 1, servertest.Named("python3"), servertest.In(servertest.Shop),
				app), worker(2), worker(3)},
			[]string{"3000 shop · python3 +3010"}},
		{"whose master has metrics",
			[]server.Listener{servertest.Serves(3011, 1, servertest.Named("python3"), servertest.In(servertest.Shop),
				app), worker(2), worker(3)},
			[]string{"3010 shop · python3 +3011 (2 workers, a master)"}},
		{"of which one runs another script",
			[]server.Listener{worker(2, servertest.Script("a.js")), worker(3, servertest.Script("b.js"))},
			[]string{"3010 shop · a.js (ambiguous)", "3010 shop · b.js (ambiguous)"}},
		{"whose master has another server",
			[]server.Listener{worker(2), worker(3),
				servertest.Serves(4000, 4, servertest.In(servertest.Blog), servertest.Under(1))},
			[]string{"3010 shop · python3 (2 workers)", "4000 blog · node"}},
		{"whose master has a helper",
			[]server.Listener{worker(2), worker(3),
				servertest.Serves(41234, 4, servertest.In(servertest.Shop), servertest.Helper, servertest.Under(2, 1))},
			[]string{"3010 shop · python3 +41234 (2 workers, a master)"}},
		{"that a script started",
			[]server.Listener{worker(2, func(l *server.Listener) { l.Facts.Forked = false }),
				worker(3, func(l *server.Listener) { l.Facts.Forked = false })},
			[]string{"3010 shop · python3 (2 workers)"}},
		{"workers of workers", []server.Listener{worker(2, servertest.Under(7, 1)), worker(3, servertest.Under(8, 1))},
			[]string{"3010 shop · python3 (2 workers)"}},
		{"whose master has ended",
			[]server.Listener{worker(2, servertest.Under(), servertest.Orphan, none),
				worker(3, servertest.Orphan, none)},
			[]string{"3010 shop · python3 (2 workers)"}},
		{"two units of one program",
			[]server.Listener{worker(2, servertest.Orphan, none, unit("a.service")),
				worker(3, servertest.Orphan, none, unit("b.service"))},
			[]string{"3010 shop · python3 (ambiguous)", "3010 shop · python3 (ambiguous)"}},
		{"two starts of one program", []server.Listener{worker(2, none), worker(3, none)},
			[]string{"3010 shop · python3 (ambiguous)", "3010 shop · python3 (ambiguous)"}},
		{"two programs of one script",
			[]server.Listener{worker(2), worker(3, servertest.WorkerOf("/usr/bin/node", "/home/ann/shop"))},
			[]string{"3010 shop · python3 (ambiguous)", "3010 shop · python3 (ambiguous)"}},
		{"one program in two directories, at two addresses",
			[]server.Listener{worker(2),
				worker(3, servertest.At("::1"), servertest.In(servertest.Blog),
					servertest.WorkerOf("/usr/bin/python3", "/home/ann/blog"))},
			[]string{"3010 shop · python3 (ambiguous)", "3010 blog · python3 (ambiguous)"}},
		{"workers at different ports",
			[]server.Listener{worker(2),
				servertest.Serves(3011, 3, servertest.Named("python3"), servertest.In(servertest.Shop), app,
					servertest.Forked, servertest.Under(1))},
			[]string{"3010 shop · python3", "3011 shop · python3"}},

		{"one forwarder for each family, engine unknown",
			[]server.Listener{servertest.Serves(8080, 1, servertest.Forwarder, servertest.At("0.0.0.0")),
				servertest.Serves(8080, 2, servertest.Forwarder, servertest.At("::"))},
			[]string{"8080 container (docker-proxy) (exposed)"}},
		{"one forwarder for each family and port",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web),
				servertest.At("0.0.0.0")),
				servertest.Serves(80, 2, servertest.Forwarder, servertest.Publishes(web), servertest.At("::")),
				servertest.Serves(443, 3, servertest.Forwarder, servertest.Publishes(web), servertest.At("0.0.0.0")),
				servertest.Serves(443, 4, servertest.Forwarder, servertest.Publishes(web), servertest.At("::"))},
			[]string{"80 web (container) +443 (exposed)"}},
		{"a pod",
			[]server.Listener{servertest.Serves(5432, 1, servertest.Forwarder, servertest.Named("rootlessport"),
				servertest.Publishes(pod)),
				servertest.Serves(8080, 1, servertest.Forwarder, servertest.Named("rootlessport"),
					servertest.Publishes(pod))},
			[]string{"5432 shop (pod) +8080"}},

		{"debugpy's adapter, whose port the program names",
			[]server.Listener{servertest.Serves(5678, 9, servertest.Named("python3"), debugpy, servertest.Names(5678)),
				servertest.Serves(8000, 1, servertest.In(servertest.Shop), servertest.Named("python3"),
					servertest.Debugs("debugpy", 5678)),
				servertest.Serves(8001, 2, servertest.In(servertest.Shop), servertest.Named("python3"))},
			[]string{"8000 shop · python3 +5678", "8001 shop · python3"}},
		{"debugpy's adapter, in the directory of its program",
			[]server.Listener{servertest.Serves(5678, 9, servertest.Named("python3"), app,
				servertest.In(servertest.Shop), debugpy, servertest.Names(5678)),
				servertest.Serves(41234, 9, servertest.Named("python3"), app, servertest.In(servertest.Shop), debugpy),
				servertest.Serves(8000, 1, servertest.In(servertest.Shop), servertest.Named("python3"), app),
				servertest.Serves(3000, 2, servertest.In(servertest.Shop))},
			[]string{"3000 shop · node", "8000 shop · python3 +5678 +41234"}},
		{"debugpy's adapter, of one of two programs",
			[]server.Listener{servertest.Serves(5678, 9, servertest.Named("python3"), app,
				servertest.In(servertest.Shop), debugpy),
				servertest.Serves(8000, 1, servertest.In(servertest.Shop), servertest.Named("python3"), app),
				servertest.Serves(8001, 2, servertest.In(servertest.Shop), servertest.Named("python3"), app)},
			[]string{"5678 shop · debugpy", "8000 shop · python3", "8001 shop · python3"}},
		{"Jupyter and its kernels in another project",
			[]server.Listener{servertest.Serves(8888, 1, servertest.By(jupyter), servertest.In(servertest.Shop)),
				servertest.Serves(40001, 2, servertest.By(jupyter), servertest.In(servertest.Blog),
					servertest.Under(1)),
				servertest.Serves(40002, 2, servertest.By(jupyter), servertest.In(servertest.Blog),
					servertest.Under(1))},
			[]string{"8888 shop · Jupyter +40001 +40002"}},
		{"a kernel whose program is known",
			[]server.Listener{servertest.Serves(8888, 1, servertest.By(jupyter), servertest.In(servertest.Shop)),
				servertest.Serves(40001, 2, servertest.By(jupyter), servertest.Inherited, servertest.Helper,
					servertest.In(servertest.Blog), servertest.Under(1))},
			[]string{"8888 shop · Jupyter +40001"}},
		{"a kernel of an editor",
			[]server.Listener{servertest.Serves(40001, 2,
				servertest.By(facts.Tool{Name: "Jupyter", Kind: facts.Helper}), servertest.Helper,
				servertest.Background,
				servertest.In(servertest.Blog))},
			[]string{"40001 blog · Jupyter (other)"}},
		{"the MCP inspector's page and proxy",
			[]server.Listener{servertest.Serves(6274, 2, servertest.By(mcp), servertest.Under(1)),
				servertest.Serves(6277, 3, servertest.By(mcp), servertest.Under(1))},
			[]string{"6274 MCP Inspector +6277"}},
		{"two MCP inspectors", []server.Listener{servertest.Serves(6274, 2, servertest.By(mcp), servertest.Under(1)),
			servertest.Serves(6275, 3, servertest.By(mcp), servertest.Under(4))},
			[]string{"6274 MCP Inspector", "6275 MCP Inspector"}},
		{"two servers of one tool and script",
			[]server.Listener{servertest.Serves(5173, 2, servertest.By(servertest.Vite), servertest.In(servertest.Shop),
				servertest.Under(1)),
				servertest.Serves(5174, 3, servertest.By(servertest.Vite), servertest.In(servertest.Shop),
					servertest.Under(1))},
			[]string{"5173 shop · Vite", "5174 shop · Vite"}},
		{"two programs below one debugger's launcher",
			[]server.Listener{servertest.Serves(9229, 1), servertest.Serves(3000, 2, servertest.Under(1)),
				servertest.Serves(3001, 3, servertest.Under(1))},
			[]string{"3000 node +9229", "3001 node"}},

		{"a build daemon and what it runs, both at random ports",
			[]server.Listener{servertest.Serves(40001, 1, servertest.By(servertest.Gradle), servertest.Background,
				servertest.In(servertest.Shop)),
				servertest.Serves(40002, 2, servertest.By(servertest.Gradle), servertest.Inherited,
					servertest.In(servertest.Shop), servertest.Under(1))},
			[]string{"40001 shop · Gradle (other)", "40002 shop · Gradle"}},
		{"a build daemon and its worker",
			[]server.Listener{servertest.Serves(40001, 1, servertest.By(servertest.Gradle), servertest.Background,
				servertest.In(servertest.Shop)),
				servertest.Serves(40002, 2, servertest.By(servertest.Gradle), servertest.Background,
					servertest.In(servertest.Shop), servertest.Under(1))},
			[]string{"40001 shop · Gradle +40002 (other)"}},

		{"PM2 and its apps",
			[]server.Listener{servertest.Serves(5601, 1, servertest.By(facts.Tool{Name: "PM2", Kind: facts.Runner}),
				servertest.HoldsSockets),
				servertest.Serves(5602, 1, servertest.By(facts.Tool{Name: "PM2", Kind: facts.Runner}),
					servertest.HoldsSockets)},
			[]string{"5601 PM2", "5602 PM2"}},
		{"socket units",
			[]server.Listener{servertest.Serves(8080, 1, servertest.Named("systemd"), servertest.HoldsSockets),
				servertest.Serves(9090, 1, servertest.Named("systemd"), servertest.HoldsSockets,
					servertest.At("0.0.0.0", "::1"))},
			[]string{"8080 systemd", "9090 systemd (exposed)"}},
		{"tunnels that came in",
			[]server.Listener{servertest.Serves(5432, 1, servertest.Named("sshd"), servertest.HoldsSockets),
				servertest.Serves(6010, 1, servertest.Named("sshd"), servertest.HoldsSockets)},
			[]string{"5432 sshd", "6010 sshd"}},
		{"an app of PM2 that listens itself",
			[]server.Listener{servertest.Serves(3000, 2, servertest.In(servertest.Shop), servertest.Under(1)),
				servertest.Serves(5601, 1, servertest.By(facts.Tool{Name: "PM2", Kind: facts.Runner}),
					servertest.HoldsSockets)},
			[]string{"3000 shop · node", "5601 PM2"}},
	} {
		slices.SortFunc(c.listeners, server.Listener.Compare)
		var got []string
		for _, s := range server.Servers(c.listeners, servertest.Dynamic) {
			got = append(got, servertest.Describe(s))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// none removes all ancestors.
func none(l *server.Listener) { l.Facts.Ancestors = facts.Facts{}.Ancestors }

// TestHeads has servers with several ports, and checks the head.
func TestHeads(t *testing.T) {
	everywhere := servertest.At("::")
	for _, c := range []struct {
		name      string
		listeners []server.Listener
		want      string // the head, and the further ports with their roles
	}{
		{"Caddy's admin API",
			[]server.Listener{servertest.Serves(2019, 1, servertest.Named("caddy"),
				servertest.By(servertest.Tool("Caddy"))),
				servertest.Serves(8080, 1, servertest.Named("caddy"), servertest.By(servertest.Tool("Caddy")),
					everywhere)},
			"8080, 2019 admin"},
		{"Caddy on loopback alone",
			[]server.Listener{servertest.Serves(2019, 1, servertest.Named("caddy"),
				servertest.By(servertest.Tool("Caddy"))),
				servertest.Serves(8080, 1, servertest.Named("caddy"), servertest.By(servertest.Tool("Caddy")))},
			"8080, 2019 admin"},
		{"Caddy's admin API alone",
			[]server.Listener{servertest.Serves(2019, 1, servertest.Named("caddy"),
				servertest.By(servertest.Tool("Caddy")))}, "2019"},
		{"Tomcat's shutdown port",
			[]server.Listener{servertest.Serves(8005, 1, servertest.Named("java"),
				servertest.By(servertest.Tool("Tomcat"))),
				servertest.Serves(8081, 1, servertest.Named("java"), servertest.By(servertest.Tool("Tomcat")),
					everywhere)},
			"8081, 8005 shutdown"},
		{"node --inspect=5858",
			[]server.Listener{servertest.Serves(5858, 1, servertest.Debugs("JavaScript inspector", 5858)),
				servertest.Serves(8082, 1, servertest.Debugs("JavaScript inspector", 5858))},
			"8082, 5858 debugger"},
		{"a debugger that is open to the network",
			[]server.Listener{servertest.Serves(5858, 1, servertest.Debugs("JavaScript inspector", 5858), everywhere),
				servertest.Serves(48082, 1, servertest.Debugs("JavaScript inspector", 5858))},
			"48082, 5858 debugger"},
		{"bun --inspect", []server.Listener{servertest.Serves(6499, 1, servertest.Named("bun")),
			servertest.Serves(8083, 1, servertest.Named("bun"), everywhere)},
			"8083, 6499 debugger"},
		{"JDWP",
			[]server.Listener{servertest.Serves(5005, 1, servertest.Named("java"), servertest.Debugs("JDWP", 5005)),
				servertest.Serves(8084, 1, servertest.Named("java"), servertest.Debugs("JDWP", 5005), everywhere)},
			"8084, 5005 debugger"},
		{"BrowserSync's settings",
			[]server.Listener{servertest.Serves(3001, 1, servertest.By(servertest.Tool("BrowserSync")),
				servertest.Names(3105), everywhere),
				servertest.Serves(3105, 1, servertest.By(servertest.Tool("BrowserSync")), servertest.Names(3105),
					everywhere)},
			"3105, 3001 settings"},
		{"BrowserSync at its usual port",
			[]server.Listener{servertest.Serves(3000, 1, servertest.By(servertest.Tool("BrowserSync")), everywhere),
				servertest.Serves(3001, 1, servertest.By(servertest.Tool("BrowserSync")), everywhere)},
			"3000, 3001 settings"},
		{"Mailpit's SMTP",
			[]server.Listener{servertest.Serves(1025, 1, servertest.Named("mailpit"),
				servertest.By(servertest.Tool("Mailpit")), everywhere),
				servertest.Serves(8025, 1, servertest.Named("mailpit"), servertest.By(servertest.Tool("Mailpit")),
					everywhere)},
			"8025, 1025 SMTP"},
		{"Delve with its program",
			[]server.Listener{servertest.Serves(2345, 1, servertest.Named("dlv"), servertest.By(servertest.Delve),
				servertest.Names(2345)),
				servertest.Serves(8080, 2, servertest.Named("__debug_bin"), servertest.By(servertest.Delve),
					servertest.Inherited, servertest.Under(1))},
			"8080, 2345 debugger"},
		{"debugpy's adapter",
			[]server.Listener{servertest.Serves(5678, 2, servertest.Named("python3"), servertest.By(servertest.Next),
				servertest.Inherited, servertest.IsDebugpy, servertest.Names(5678), servertest.Under(1)),
				servertest.Serves(8000, 1, servertest.Named("python3"), servertest.By(servertest.Next))},
			"8000, 5678 debugger"},

		{"a wildcard beside loopback",
			[]server.Listener{servertest.Serves(8080, 1), servertest.Serves(9000, 1, everywhere)}, "9000, 8080"},
		{"the port that was asked for",
			[]server.Listener{servertest.Serves(8080, 1, servertest.Names(9000), everywhere),
				servertest.Serves(9000, 1, servertest.Names(9000))}, "9000, 8080"},
		{"even if the system could have picked it",
			[]server.Listener{servertest.Serves(3000, 1, servertest.Names(40000)),
				servertest.Serves(40000, 1, servertest.Names(40000))}, "40000, 3000"},
		{"metrics, by their option",
			[]server.Listener{servertest.Serves(2112, 1, servertest.NamesFor("metrics", 2112), everywhere),
				servertest.Serves(8080, 1, servertest.NamesFor("metrics", 2112))}, "8080, 2112 metrics"},
		{"metrics alone", []server.Listener{servertest.Serves(2112, 1, servertest.NamesFor("metrics", 2112))}, "2112"},
		{"nothing but a debugger and metrics",
			[]server.Listener{servertest.Serves(2112, 1, servertest.NamesFor("metrics", 2112)),
				servertest.Serves(9229, 1, servertest.NamesFor("metrics", 2112))},
			"2112, 9229 debugger"},
		{"a helper's named port",
			[]server.Listener{servertest.Serves(8787, 1, servertest.By(servertest.Wrangler)),
				servertest.Serves(39001, 2, servertest.By(servertest.Wrangler), servertest.Inherited, servertest.Helper,
					servertest.Named("workerd"), servertest.Names(39001), servertest.Under(1))},
			"8787, 39001"},
		{"Vite's reloading", []server.Listener{servertest.Serves(3000, 1, servertest.By(servertest.Vite)),
			servertest.Serves(24678, 1, servertest.By(servertest.Vite), everywhere)},
			"3000, 24678 HMR"},
		{"a container's ports, by those inside",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder,
				servertest.Publishes(engine.Container{ID: "a1"}), servertest.By(servertest.Tool("Caddy")),
				servertest.Inside(2019)),
				servertest.Serves(8080, 2, servertest.Forwarder, servertest.Publishes(engine.Container{ID: "a1"}),
					servertest.By(servertest.Tool("Caddy")), servertest.Inside(80))},
			"8080, 80 admin"},
		{"all else the same: the lowest", []server.Listener{servertest.Serves(8080, 1), servertest.Serves(8081, 1)},
			"8080, 8081"},
	} {
		slices.SortFunc(c.listeners, server.Listener.Compare)
		servers := server.Servers(c.listeners, servertest.Dynamic)
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
		var listeners []server.Listener
		for range rng.IntN(12) {
			pid := int32(1 + rng.IntN(5))
			l := servertest.Serves([]uint16{3000, 9229, 9230, 40000, 40001, 5173}[rng.IntN(6)], pid)
			l.Facts.Tool = []facts.Tool{{}, servertest.Vite, servertest.Esbuild, servertest.Vscode}[pid%4]
			for i := range rng.IntN(3) {
				if ancestor := pid - int32(i) - 1; ancestor > 0 {
					l.Facts.Ancestors[i] = owner.ID{PID: ancestor, Start: uint64(ancestor)}
				}
			}
			listeners = append(listeners, l)
		}
		slices.SortFunc(listeners, server.Listener.Compare)
		listeners = slices.CompactFunc(listeners, func(a, b server.Listener) bool { return a.ID() == b.ID() })
		want, got := map[uint16]bool{}, map[uint16]bool{}
		for _, l := range listeners {
			want[l.Port] = true
		}
		for _, s := range server.Servers(listeners, servertest.Dynamic) {
			ports := map[uint16]bool{s.Port: true}
			for _, l := range s.Also {
				if ports[l.Port] {
					t.Fatalf("%v lists port %d twice", servertest.Describe(s), l.Port)
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
	app := servertest.WorkerOf("/usr/bin/python3", "/home/ann/shop")
	for name, listener := range map[string]func(i int) server.Listener{
		"one project": func(i int) server.Listener {
			return servertest.Serves(uint16(3000+i), int32(i+2), servertest.In(servertest.Shop),
				servertest.By(servertest.Vite), servertest.Under(1))
		},
		"one name": func(i int) server.Listener {
			return servertest.Serves(uint16(3000+i), int32(i+2),
				servertest.In(project.Project{Name: "shop", Dir: fmt.Sprintf("/%d/shop", i)}))
		},
		"one script": func(i int) server.Listener {
			l := servertest.Serves(uint16(3000+i), int32(i+2), servertest.In(servertest.Shop))
			l.Facts.Program = fmt.Sprintf("%d/src/main.js", i)
			return l
		},
		"one port": func(i int) server.Listener {
			return servertest.Serves(3000, int32(i+2), servertest.In(servertest.Shop), app)
		},
		"one master": func(i int) server.Listener {
			return servertest.Serves(3000, int32(i+2), servertest.In(servertest.Shop), app, servertest.Forked,
				servertest.Under(1))
		},
		"one process": func(i int) server.Listener {
			return servertest.Serves(uint16(3000+i), 2, servertest.In(servertest.Shop))
		},
		"adapters": func(i int) server.Listener {
			return servertest.Serves(uint16(3000+i), int32(i+2), servertest.In(servertest.Shop), app, servertest.Orphan,
				servertest.Inherited, servertest.IsDebugpy)
		},
		"inspectors": func(i int) server.Listener {
			return servertest.Serves(uint16(3000+i), int32(i+2), servertest.By(servertest.Tool("MCP Inspector")))
		},
	} {
		for _, n := range []int{300, 3000} {
			var listeners []server.Listener
			for i := range n {
				listeners = append(listeners, listener(i))
			}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					server.Servers(listeners, servertest.Dynamic)
				}
			})
		}
	}
}

// TestSectionOf has listeners of programs that work for other programs, and of servers.
func TestSectionOf(t *testing.T) {
	bazel := facts.Tool{Name: "Bazel", Kind: facts.Daemon}
	bun := facts.Tool{Name: "Bun", Kind: facts.Runner}
	for _, c := range []struct {
		name string
		l    server.Listener
		want server.Section
	}{
		{"a daemon", servertest.Serves(40001, 1, servertest.By(bazel), servertest.Background,
			servertest.In(servertest.Shop)), server.Other},
		{"a daemon that names its port",
			servertest.Serves(5037, 1, servertest.By(bazel), servertest.Background, servertest.Names(5037)),
			server.Other},
		{"what a build daemon runs",
			servertest.Serves(8080, 1, servertest.By(facts.Tool{Name: "Gradle", Kind: facts.Runner}),
				servertest.Inherited, servertest.In(servertest.Shop)), server.Main},
		{"what it runs on a random port",
			servertest.Serves(40001, 1, servertest.By(servertest.Gradle), servertest.Inherited,
				servertest.In(servertest.Shop)), server.Main},
		{"a build tool", servertest.Serves(40001, 1, servertest.By(servertest.Gradle), servertest.Background,
			servertest.In(servertest.Shop)), server.Other},
		{"a build tool that was told its port",
			servertest.Serves(40001, 1, servertest.By(servertest.Gradle), servertest.Background,
				servertest.In(servertest.Shop), servertest.Names(40001)), server.Main},
		{"a build tool whose metrics have a random port",
			servertest.Serves(40001, 1, servertest.By(servertest.Gradle), servertest.Background,
				servertest.In(servertest.Shop), servertest.NamesFor("metrics", 40001)), server.Other},
		{"what a runtime runs", servertest.Serves(40001, 1, servertest.By(bun), servertest.In(servertest.Shop)),
			server.Main},
		{"a helper without its server",
			servertest.Serves(40001, 1, servertest.By(servertest.Esbuild), servertest.Helper, servertest.Background,
				servertest.In(servertest.Shop)), server.Other},
		{"an inspector at a random port",
			servertest.Serves(40001, 1, servertest.In(servertest.Shop),
				servertest.Debugs("JavaScript inspector", 40001)), server.Other},
		{"a server of a project at a random port", servertest.Serves(40001, 1, servertest.In(servertest.Shop)),
			server.Main},
	} {
		if got := server.Servers([]server.Listener{c.l}, servertest.Dynamic)[0].Section; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

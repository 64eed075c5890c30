package tray

import (
	"slices"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// A situation is a script with the notices that it should produce: seconds, title, body. Before it begins, shop (Vite,
// 5173), api (3000) and a PostgreSQL (5432) have been running for a minute and a half.
type situation struct {
	name    string
	running []program
	script  []act
	want    []string
}

func situations() []situation {
	return slices.Concat(quiet, restarts, takeovers, endings, own, crowds, nights, wishes, slowLoops, steps)
}

var crash = status(1)

var quiet = []situation{
	{name: "nothing happens", script: []act{{3600, attention(false)}}},
	{name: "twenty more servers at the start", running: numbered(20, served("many", "Flask", 7000)),
		script: []act{{60, attention(false)}}},
	{name: "a server starts", script: []act{{0, up(served("blog", "Hugo", 1313))},
		{30, shows("blog (Hugo :1313) is up")}, {31, attention(false)}},
		want: []string{"1.8 blog (Hugo :1313) is up / in /srv/blog"}},
	{name: "a server that lives for a second", script: []act{{0, up(oldBlog.but(at1313))},
		{1, down(crash, oldBlog.but(at1313))}}},
	{name: "a server that ends before there was time to tell of it",
		script: []act{{0, up(served("blog", "Hugo", 1313))}, {2, up(served("wiki", "Flask", 7000))},
			{5.5, down(crash, served("wiki", "Flask", 7000))}},
		want: []string{"1.8 blog (Hugo :1313) is up / in /srv/blog",
			"11.5 wiki (Flask :7000) crashed after 3 s / exited with status 1"}},
	{name: "the port of an editor's helper", script: []act{{0, up(editor)}, {60, closes(editor)}}},
	{name: "an inspector of a known server", running: []program{lasting(served("blog", "Next.js", 4000))},
		script: []act{
			{0, up(lasting(served("inspector", "Next.js", 9229)))},
			{60, closes(lasting(served("inspector", "Next.js", 9229)))}}},
	{name: "a hidden owner", script: []act{{0, up(stranger)}, {60, closes(stranger)}}},
	{name: "the panel restarts", script: []act{{0, func(e *evening) { e.loop.hosts <- true }},
		{1, func(e *evening) { e.loop.hosts <- false }},
		{4, func(e *evening) { e.loop.hosts <- true }}}},
	{name: "scans fail for a minute", script: []act{{0, turns(func(c *computer) { c.broken = errScan })},
		{30, shows("As of ")},
		{60, turns(func(c *computer) { c.broken = nil })}, {65, shows("3 servers")}}},
	{name: "a server ends while scans fail", script: []act{{0, turns(func(c *computer) { c.broken = errScan })},
		{30, down(crash, shop)},
		{60, turns(func(c *computer) { c.broken = nil })}},
		want: []string{"66.0 shop (Vite :5173) crashed after 2 min / exited with status 1"}},
	{name: "the clock jumps back an hour", script: []act{{0, turns(func(c *computer) { c.clock = -time.Hour })},
		{60, attention(false)}}},
	{name: "the clock jumps by a day, and a server ends",
		script: []act{{0, turns(func(c *computer) { c.clock = 24 * time.Hour })}, {30, down(crash, shop)},
			{60, turns(func(c *computer) { c.clock = -24 * time.Hour })}, {90, down(crash, api)},
			{100, shows("Recently closed", "api :3000")}},
		want: []string{"36.0 shop (Vite :5173) crashed after 2 min / exited with status 1",
			"96.0 api (node :3000) crashed after 3 min / exited with status 1"}},
	{name: "the clock jumps back in the grace", script: []act{{0, down(crash, shop)},
		{1, turns(func(c *computer) { c.clock = -time.Hour })}},
		want: []string{"6.0 shop (Vite :5173) crashed after 1 min / exited with status 1"}},
}

func at1313(l *server.Listener) { l.Port = 1313 }

func on(port uint16) func(*server.Listener) { return func(l *server.Listener) { l.Port = port } }

var restarts = []situation{
	{name: "a hot reload", script: []act{{0, down(status(0), shop)}, {0.8, up(shop)},
		{10, shows("5173", "Restarted ×1")}, {11, attention(false)}}},
	{name: "three hot reloads", script: append(again(3, 20, act{0, down(status(0), shop)}, act{0.8, up(shop)}),
		act{60, shows("5173", "Restarted ×3")})},
	{name: "a slow restart", script: []act{{0, down(status(0), shop)}, {5, up(shop)},
		{10, shows("5173", "Restarted ×1")}, {11, hides("Recently closed")}}},
	{name: "a restart that is just too slow", script: []act{{0, down(status(0), shop)}, {7, up(shop)}},
		want: []string{"6.0 shop (Vite :5173) stopped after 1 min / exited with status 0",
			"11.0 shop (Vite :5173) is up / in /srv/shop"}},
	{name: "a crash loop, and another one an hour later",
		script: append(again(8, 8, act{0, down(crash, api)}, act{1, up(api)}),
			again(8, 8, act{3600, down(crash, api)}, act{3601, up(api)})...),
		want: []string{
			"33.3 api keeps restarting / port 3000: 5 times within 1 min; " +
				"the last time it exited with status 1",
			"3633.3 api keeps restarting / port 3000: 5 times within 1 min; the last time it exited with status 1"}},
	{name: "nodemon waits", running: []program{supervised(served("blog", "Express", 4000))}, script: []act{
		{0, down(crash, served("blog", "Express", 4000))},
		{10, shows("blog crashed: exited with status 1; nodemon still r")}},
		want: []string{
			"6.0 blog (Express :4000) crashed after 1 min / " +
				"exited with status 1; nodemon still runs and waits"}},
	{name: "five workers of one project restart once", running: numbered(5, served("farm", "Flask", 7000)),
		script: []act{
			{0, down(status(0), numbered(5, served("farm", "Flask", 7000))...)},
			{1, up(numbered(5, served("farm", "Flask", 7000))...)}}},
	{name: "a reload right after the start", script: []act{{0, up(oldBlog.but(at1313))},
		{1.5, down(status(0), oldBlog.but(at1313))}, {2.3, up(oldBlog.but(at1313))}},
		want: []string{"4.3 old-blog (Hugo :1313) is up / in /srv/old-blog"}},
}

// twoApp is a server with several ports.
var twoApp = served("twoapp", "", 3340).many(3341, 3342)

// debugged has only a debugger port.
var debugged = script("dbg", "server.js", 9229).but(func(l *server.Listener) {
	l.Facts.Debugger = facts.DebuggerPort{Name: "JavaScript inspector", Port: 9229}
})

// steps have servers that open and close their ports one after the other.
var steps = []situation{
	{name: "a server of three ports", script: []act{{0, up(twoApp)}, {10, shows("3340")}, {11, hides("3341")},
		{20, down(crash, twoApp)}},
		want: []string{"1.8 twoapp (node :3340) is up / in /srv/twoapp",
			"26.0 twoapp (node :3340) crashed after 20 s / exited with status 1"}},
	{name: "its ports close a third of a second apart", running: []program{twoApp},
		script: append(drops(twoApp, 0.3, status(0), 3340, 3341, 3342),
			act{20, shows("Recently closed", "twoapp :3340, exited with status 0")},
			act{20, hides("Recently closed", "twoapp :3341")}),
		want: []string{"6.3 twoapp (node :3340) stopped after 1 min / exited with status 0"}},
	{name: "its ports close two seconds apart", running: []program{twoApp},
		script: drops(twoApp, 2, crash, 3340, 3341, 3342),
		want:   []string{"6.3 twoapp (node :3340) crashed after 1 min / exited with status 1"}},
	{name: "its ports close the other way round", running: []program{twoApp},
		script: drops(twoApp, 1, crash, 3342, 3341, 3340),
		want:   []string{"8.8 twoapp (node :3340) crashed after 1 min / exited with status 1"}},
	{name: "workers of one master", script: []act{{0, up(workers(4, script("farm", "app.py", 3010)))},
		{10, shows("3010  farm · app.py")}, {11, shows("3010", "Stop node (PID 6000000) and 4 workers")},
		{20, down(crash, workers(4, script("farm", "app.py", 3010)))}, {40, shows("Recently closed", "farm :3010")}},
		want: []string{"1.8 farm (app.py :3010) is up / in /srv/farm",
			"26.0 farm (app.py :3010) crashed / exited with status 1"}},
	{name: "a server behind its debugger", script: []act{{0, up(debugged)}, {10, adds(debugged, 3001)},
		{20, shows("3001  dbg")}, {30, down(crash, debugged)}},
		want: []string{"12.1 dbg (server.js :3001) is up / in /srv/dbg",
			"36.0 dbg (server.js :3001) crashed after 30 s / exited with status 1"}},
	{name: "a daemon whose first process ends", script: []act{{0, up(script("farm", "app.py", 3010))},
		{0.9, forks(script("farm", "app.py", 3010))}, {20, attention(false)}},
		want: []string{"3.1 farm (app.py :3010) is up / in /srv/farm"}},
	{name: "a debugger alone", script: []act{{0, up(debugged)}, {10, shows("9229  dbg")}, {30, down(crash, debugged)}}},
	{name: "a further port comes and goes", running: []program{twoApp},
		script: append(drops(twoApp, 1, status(0), 3341)[:1], act{60, attention(false)})},
}

var slowLoops = []situation{{name: "a server that crashes every twelve seconds, and again half an hour later",
	script: append(again(20, 12, act{0, down(crash, api)}, act{8, up(api)}),
		again(4, 12, act{1800, down(crash, api)}, act{1808, up(api)})...),
	want: []string{
		"6.0 api (node :3000) crashed after 1 min / exited with status 1", "11.0 api (node :3000) is up / in /srv/api",
		"18.0 api (node :3000) crashed after 4 s / exited with status 1", "23.0 api (node :3000) is up / in /srv/api",
		"30.0 api keeps restarting / port 3000: 3 times within 5 min; the last time it exited with status 1",
		"1806.0 api (node :3000) crashed after 26 min / exited with status 1",
		"1811.0 api (node :3000) is up / in /srv/api",
		"1818.0 api (node :3000) crashed after 4 s / exited with status 1",
		"1823.0 api (node :3000) is up / in /srv/api",
		"1830.0 api keeps restarting / port 3000: 3 times within 5 min; the last time it exited with status 1",
	}}}

var takeovers = []situation{
	{name: "a port is taken over at once", script: []act{{0, also(down(status(0), shop), up(admin))},
		{5, attention(true)}, {6, shows("5173 is now admin (was shop)")},
		{7, shows("Recently closed", "shop :5173, exited with status 0")}},
		want: []string{"1.5 5173 is now admin (was shop) / shop (Vite :5173): exited with status 0"}},
	{name: "a port is taken over after three seconds", script: []act{{0, down(status(0), shop)}, {3, up(admin)}},
		want: []string{"4.8 5173 is now admin (was shop) / shop (Vite :5173): exited with status 0"}},
	{name: "a test takes a free port for a moment", script: []act{{0, down(crash, shop)}, {3, up(admin)},
		{3.8, down(status(0), admin)}},
		want: []string{"9.3 shop (Vite :5173) crashed after 1 min / exited with status 1"}},
	{name: "a test takes the port for a moment before the server is back", script: []act{{0, down(status(0), shop)},
		{1, up(admin)}, {2, down(status(0), admin)}, {2.5, up(shop)}}},
	{name: "a server moves", script: []act{{0, down(status(0), shop)}, {10, up(oldBlog)}, {20, up(shop5174)}},
		want: []string{"6.0 shop (Vite :5173) stopped after 1 min / exited with status 0",
			"11.8 old-blog (Hugo :5173) is up / in /srv/old-blog",
			"22.0 shop is on 5174: 5173 is held by old-blog (PID 5000004, 10 s) / in /srv/shop"}},
	{name: "another script of a project takes a port", running: []program{script("blog", "a.py", 3002)}, script: []act{
		{0, down(signal("SIGKILL"), script("blog", "a.py", 3002))}, {4, up(script("blog", "b.py", 3002))},
		{9, shows("3002 is now blog (was blog)")}},
		want: []string{
			"5.8 3002 is now blog (b.py :3002) (was blog (a.py :3002)) / " +
				"blog (a.py :3002): killed by SIGKILL"}},
	{name: "a script comes back, and the port of another one is taken",
		running: []program{script("blog", "web.js", 4000), script("blog", "api.js", 3001)},
		script: []act{{0, down(status(0), script("blog", "api.js", 3001))}, {20, up(oldBlog.but(on(3001)))},
			{40, down(status(0), script("blog", "web.js", 4000))},
			{60, up(script("blog", "web.js", 4000))}},
		want: []string{"6.0 blog (api.js :3001) stopped after 1 min / exited with status 0",
			"21.8 old-blog (Hugo :3001) is up / in /srv/old-blog",
			"46.0 blog (web.js :4000) stopped after 2 min / exited with status 0",
			"61.8 blog (web.js :4000) is up / in /srv/blog"}},
	{name: "a tool runs twice, and one of its ports is taken", running: []program{served("blog", "Vite", 4000),
		served("blog", "Vite", 3001)},
		script: []act{{0, down(status(0), served("blog", "Vite", 3001))}, {20, up(oldBlog.but(on(3001)))},
			{40, down(status(0), served("blog", "Vite", 4000))},
			{60, up(served("blog", "Vite", 4000))}},
		want: []string{"6.0 blog (Vite :3001) stopped after 1 min / exited with status 0",
			"21.8 old-blog (Hugo :3001) is up / in /srv/old-blog",
			"46.0 blog (Vite :4000) stopped after 2 min / exited with status 0",
			"61.8 blog (Vite :4000) is up / in /srv/blog"}},
	{name: "a second server of a project that shares its port with another project", running: []program{
		served("blog", "Vite", 3001), oldBlog.but(on(3001)).but(v6)}, script: []act{{0, up(oldBlog.but(on(3300)))}},
		want: []string{"1.8 old-blog (Hugo :3300) is up / in /srv/old-blog"}},
	{name: "a server is exposed, not, and again", script: []act{{0, binds(shop, "0.0.0.0")}, {5, attention(true)},
		{20, binds(shop, "127.0.0.1")}, {40, binds(shop, "0.0.0.0")}},
		want: []string{"0.3 shop is now reachable from the network / port 5173, bound to 0.0.0.0"}},
	{name: "a server restarts within reach of other machines", script: []act{{0, down(status(0), shop)},
		{0.8, up(shop.but(wide))}},
		want: []string{"1.3 shop is now reachable from the network / port 5173, bound to 0.0.0.0"}},
	{name: "a server is exposed at once, and gone before it is known", script: []act{{0, up(oldBlog.but(at1313))},
		{0.5, binds(oldBlog.but(at1313), "0.0.0.0")},
		{1, down(status(0), oldBlog.but(at1313))}}},
	{name: "the port of a pinned server is taken over, in Pinned only", script: []act{{0, clicks("5173", "Pin")},
		{1, clicks("Notifications", "Pinned only")},
		{2, also(down(status(0), shop), up(admin))}},
		want: []string{"3.5 5173 is now admin (was shop) / shop (Vite :5173): exited with status 0"}},
	{name: "a server starts exposed", script: []act{{0, up(oldBlog.but(at1313).but(wide))}},
		want: []string{"1.8 old-blog (Hugo :1313) is up / in /srv/old-blog, open to the network"}},
}

var endings = []situation{
	{name: "exit 0", script: []act{{0, down(status(0), shop)}, {7, attention(true)},
		{8, shows("shop stopped: exited with status 0")},
		{9, shows("Recently closed", "shop :5173, exited with status 0")}, {10, opensMenu}, {11, attention(false)},
		{20, closesMenu}, {65, shows("shop stopped")}, {67, hides("shop stopped")}},
		want: []string{"6.0 shop (Vite :5173) stopped after 1 min / exited with status 0"}},
	{name: "exit 1", script: []act{{0, down(crash, shop)}, {8, shows("shop crashed: exited with status 1")},
		{600, attention(true)}, {607, attention(false)}},
		want: []string{"6.0 shop (Vite :5173) crashed after 1 min / exited with status 1"}},
	{name: "SIGKILL", script: []act{{0, down(signal("SIGKILL"), shop)}},
		want: []string{"6.0 shop (Vite :5173) crashed after 1 min / killed by SIGKILL"}},
	{name: "SIGSEGV", script: []act{{0, down(signal("SIGSEGV"), shop)}},
		want: []string{"6.0 shop (Vite :5173) crashed after 1 min / killed by SIGSEGV"}},
	{name: "SIGTERM", script: []act{{0, down(signal("SIGTERM"), shop)}},
		want: []string{"6.0 shop (Vite :5173) stopped after 1 min / killed by SIGTERM"}},
	{name: "Ctrl-C", script: []act{{0, down(signal("SIGINT"), shop)}, {7, attention(false)},
		{8, shows("shop stopped: killed by SIGINT")}}},
	{name: "Ctrl-C, as a status", script: []act{{0, down(status(130), shop)}, {7, attention(false)}}},
	{name: "Ctrl-C, in All ports", script: []act{{0, clicks("Notifications", "All ports")},
		{1, down(signal("SIGINT"), shop)}},
		want: []string{"7.0 shop (Vite :5173) stopped after 1 min / killed by SIGINT"}},
	{name: "it runs on without its port", running: []program{lasting(served("blog", "Hugo", 1313))},
		script: []act{{0, closes(served("blog", "Hugo", 1313))}},
		want:   []string{"6.6 blog (Hugo :1313) stopped / still running, no longer listening"}},
	{name: "a way that nobody knows", script: []act{{0, closes(shop)}},
		want: []string{"6.3 shop (Vite :5173) stopped after 1 min / ended"}},
	{name: "a container stops", running: compose[:1], script: []act{{0, closes(compose[0])}},
		want: []string{"6.3 web (container :8080) stopped / container stopped"}},
	{name: "two servers end four seconds apart", script: []act{{0, down(crash, shop)}, {4, down(crash, api)}},
		want: []string{"6.0 shop (Vite :5173) crashed after 1 min / exited with status 1",
			"11.0 api (node :3000) crashed after 1 min / exited with status 1"}},
}

var own = []situation{
	{name: "a Stop", script: []act{{0, clicks("5173", "Stop")},
		{5, shows("Recently closed", "shop :5173, stopped by you")}, {20, attention(false)}},
		want: []string{"0.0 Port 5173 is free / node (PID 5000001) stopped"}},
	{name: "a Stop of a supervised server", running: []program{supervised(served("blog", "Express", 4000))},
		script: []act{
			{0, clicks("4000", "Stop")}, {1, up(supervised(served("blog", "Express", 4000)))}},
		want: []string{"0.0 Port 4000 is free / node (PID 5000004) stopped",
			"1.3 4000 is back: restarted by nodemon (PID self) / node (PID 5000005) has it now"}},
	{name: "a Stop that fails, and an end later",
		script: []act{{0, stopsWith(owner.Result{Outcome: owner.StillRunning})}, {1, clicks("5173", "Stop")},
			{60, down(status(0), shop)}},
		want: []string{
			"1.0 Port 5173 is still in use / node (PID 5000001) did not stop within 5 seconds; " +
				"use Kill to force it",
			"66.0 shop (Vite :5173) stopped after 2 min / exited with status 0"}},
}

var crowds = []situation{
	{name: "a test runner opens 60 ports for a second each",
		script: eachOf(numbered(60, served("shop", "Vitest", 30000)), 0.5, func(p program) []act {
			return []act{{0, up(p)}, {1, down(status(0), p)}}
		})},
	{name: "a test runner opens one port sixty times",
		script: again(60, 1.5, act{0, up(served("shop", "Vitest", 30000))},
			act{0.7, down(status(0), served("shop", "Vitest", 30000))})},
	{name: "a test runner opens 20 ports for three seconds",
		script: []act{{0, up(numbered(20, served("shop", "Vitest", 30000))...)},
			{3, down(status(0), numbered(20, served("shop", "Vitest", 30000))...)}},
		want: []string{
			"1.8 20 ports opened (shop) / 30000 shop · Vitest, 30001 shop · Vitest, 30002 shop · Vitest, " +
				"30003 shop · Vitest, 30004 shop · Vitest, 30005 shop · V…",
			"9.0 20 ports closed (shop) / 30000 shop · Vitest, 30001 shop · Vitest, 30002 shop · Vitest, " +
				"30003 shop · Vitest, 30004 shop · Vitest, 30005 shop · V…"}},
	{name: "compose up", script: eachOf(compose, 0.7, func(p program) []act { return []act{{0, up(p)}} }),
		want: []string{
			"3.1 3 ports opened (compose project shop) / " +
				"8080 web (container), 8081 api (container), 8082 db (container)",
			"8.1 3 ports opened (compose project shop) / " +
				"8083 cache (container), 8084 mail (container), 8085 queue (container)"}},
	{name: "compose down", running: compose,
		script: eachOf(compose, 0.3, func(p program) []act { return []act{{0, down(owner.Exit{}, p)}} }),
		want: []string{
			"7.5 6 ports closed (compose project shop) / " +
				"8080 web (container), 8081 api (container), 8082 db (container), 8083 cache (container), " +
				"8084 mail (container), 8085 qu…"}},
	{name: "thirty servers within ten seconds", script: eachOf(numbered(30, served("many", "Flask", 7000)), 0.33,
		func(p program) []act { return []act{{0, up(p)}} }),
		want: []string{
			"2.6 4 ports opened (many) / 7000 many · Flask, 7001 many · Flask, 7002 many · Flask, " +
				"7003 many · Flask",
			"7.6 14 ports opened (many) / 7004 many · Flask, 7005 many · Flask, 7006 many · Flask, " +
				"7007 many · Flask, 7008 many · Flask, 7009 many · Flask, 7010…",
			"12.6 12 ports opened (many) / 7018 many · Flask, 7019 many · Flask, 7020 many · Flask, " +
				"7021 many · Flask, 7022 many · Flask, 7023 many · Flask, 7024…"}},
}

var nights = []situation{
	{name: "a server is gone after a sleep", script: []act{{0, sleeps(10 * time.Minute)}, {300, down(crash, shop)},
		{700, attention(true)}},
		want: []string{"615.0 shop (Vite :5173) is gone since the computer slept / "}},
	{name: "three servers are gone after a sleep", running: []program{oldBlog.but(at1313)},
		script: []act{{0, sleeps(10 * time.Minute)},
			{300, down(crash, shop, api, oldBlog.but(at1313))}, {700, attention(true)}},
		want: []string{
			"615.0 3 servers are gone since the computer slept / " +
				"1313 old-blog · Hugo, 3000 api · node, 5173 shop · Vite"}},
	{name: "an editor's helper is gone after a sleep", running: []program{editor},
		script: []act{{0, sleeps(10 * time.Minute)}, {300, down(crash, editor)}, {700, attention(false)}}},
	{name: "a sleep with nothing gone", script: []act{{0, sleeps(10 * time.Minute)}, {700, attention(false)}}},
	{name: "a server crashes an hour after a sleep", script: []act{{0, sleeps(10 * time.Minute)},
		{4200, down(crash, shop)}},
		want: []string{"4206.0 shop (Vite :5173) crashed after 1 h 11 min / exited with status 1"}},
	{name: "a server ends twice while the computer wakes", script: []act{{0, sleeps(10 * time.Minute)},
		{601, down(crash, shop)}, {603, up(shop)}, {608, down(crash, shop)}},
		want: []string{"623.0 shop (Vite :5173) is gone since the computer slept / "}},
	{name: "a server ends and is back while the computer wakes, and is stopped",
		script: []act{{0, sleeps(10 * time.Minute)}, {601, down(crash, shop)}, {603, up(shop)},
			{608, clicks("5173", "Stop")}},
		want: []string{"608.0 Port 5173 is free / node (PID 5000004) stopped"}},
	{name: "two servers are gone after a sleep, in Pinned only", script: []act{{0, clicks("5173", "Pin")},
		{1, clicks("Notifications", "Pinned only")},
		{2, sleeps(10 * time.Minute)}, {300, down(crash, shop, api)}, {700, attention(true)}},
		want: []string{"617.0 shop (Vite :5173) is gone since the computer slept / "}},
	{name: "a server restarts while the computer wakes", script: []act{{0, sleeps(10 * time.Minute)},
		{599, down(crash, shop)}, {610, up(shop)}}},
}

var wishes = []situation{
	{name: "an editor's helper in All ports", script: []act{{0, clicks("Notifications", "All ports")}, {1, up(editor)}},
		want: []string{"3.8 node (:50123) is up / in /srv/"}},
	{name: "Off", script: []act{{0, clicks("Notifications", "Off")}, {1, down(crash, shop)}, {8, attention(true)},
		{9, shows("shop crashed")}}},
	{name: "Pinned only", script: []act{{0, clicks("Notifications", "Pinned only")}, {1, down(crash, shop)},
		{2, up(oldBlog.but(at1313))}}},
	{name: "a pause of an hour", script: []act{{0, clicks("Notifications", "Pause for an hour")},
		{1, func(e *evening) {
			shows("Notifications", "Resume (paused until "+e.began.Add(time.Hour).Format("15:04")+")")(e)
		}},
		{1800, down(crash, shop)}, {3601, shows("Notifications", "Pause for an hour")}, {3700, down(crash, api)}},
		want: []string{"3706.0 api (node :3000) crashed after 1 h 3 min / exited with status 1"}},
	{name: "the clock jumps back by a day in a pause", script: []act{{0, clicks("Notifications", "Pause for an hour")},
		{10, pausedAsOf(-24 * time.Hour)},
		{1800, down(crash, shop)}, {3590, shows("Notifications", "Resume (paused until")},
		{3601, shows("Notifications", "Pause for an hour")}, {3700, down(crash, api)}},
		want: []string{"3706.0 api (node :3000) crashed after 1 h 3 min / exited with status 1"}},
	{name: "the clock jumps by a day in a pause", script: []act{{0, clicks("Notifications", "Pause for an hour")},
		{10, pausedAsOf(24 * time.Hour)},
		{60, down(crash, shop)}, {67, shows("Notifications", "Pause for an hour")},
		{68, shows("Recently closed", "shop :5173")}},
		want: []string{"66.0 shop (Vite :5173) crashed after 2 min / exited with status 1"}},
	{name: "a pause that is ended", script: []act{{0, clicks("Notifications", "Pause for an hour")},
		{10, clicks("Notifications", "Resume (paused until")}, {60, down(crash, shop)}},
		want: []string{"66.0 shop (Vite :5173) crashed after 2 min / exited with status 1"}},
	{name: "a muted server", script: []act{{0, clicks("5173", "Mute notifications")}, {10, down(crash, shop, api)}},
		want: []string{"16.0 api (node :3000) crashed after 1 min / exited with status 1"}},
	{name: "a menu that is open", script: []act{{0, opensMenu}, {1, down(crash, shop)}, {30, hides("shop crashed")},
		{31, closesMenu}, {32, shows("shop crashed")}},
		want: []string{"7.0 shop (Vite :5173) crashed after 1 min / exited with status 1"}},
}

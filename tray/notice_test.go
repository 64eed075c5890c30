package tray

import (
	"encoding/xml"
	"errors"
	"slices"
	"testing"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

func TestAnnounce(t *testing.T) {
	l := func(port uint16, change func(*server.Listener)) server.Listener {
		l := serverAt(port, int32(port))
		if change != nil {
			change(&l)
		}
		return l
	}
	at := func(h happening) happening { h.at = noon; return h }
	shop := func(l *server.Listener) {
		l.Facts = facts.Facts{Project: project.Project{Name: "shop", Dir: "/srv/shop"},
			Tool: facts.Tool{Name: "Vite", Kind: facts.Server}}
		l.Owner.Since = noon.Add(-2*time.Hour - 14*time.Minute)
	}
	admin := func(l *server.Listener) {
		l.Facts.Project = project.Project{Name: "admin", Dir: "/srv/admin"}
		l.Owner.Since = noon.Add(-72 * time.Hour)
	}
	db := func(l *server.Listener) {
		l.Container = engine.Container{ID: "a", Name: "shop-db-1", Image: "postgres:16", Project: "shop", Service: "db"}
		l.Facts.Tool = facts.Tool{Name: "PostgreSQL", Kind: facts.Server}
	}
	hostile := func(l *server.Listener) { l.Owner.Name, l.Owner.Dir = "a\n<b>\x1b[1m", "/tmp/x\ny" }
	on := func(l server.Listener) server.Server { return server.Server{Listener: l} }
	exit := func(status int) watcher.Reason {
		return watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: status}}
	}
	many := func(kind what, change func(*server.Listener), ports ...uint16) (all []happening) {
		for _, p := range ports {
			all = append(all, at(happening{kind: kind, on: on(l(p, change))}))
		}
		return all
	}
	one := func(h happening) []happening { return []happening{at(h)} }
	for _, c := range []struct {
		all         []happening
		title, body string
	}{
		{one(happening{kind: opened, on: on(l(5173, shop))}), "shop (Vite :5173) is up", "in /srv/shop"},
		{one(happening{kind: opened, on: on(serverAt(8080, 1, "0.0.0.0"))}), "node (:8080) is up",
			"in /srv/shop, open to the network"},
		{one(happening{kind: opened, on: on(l(5432, db))}), "db (PostgreSQL container :5432) is up",
			"image postgres:16"},
		{one(happening{kind: opened, on: on(l(3000, hostile))}), "a <b> [1m (:3000) is up", "in /tmp/x y"},
		{one(happening{kind: closed, on: on(l(5173, shop)), reason: exit(0)}),
			"shop (Vite :5173) stopped after 2 h 14 min", "exited with status 0"},
		{one(happening{kind: closed, on: on(l(5173, shop)), reason: exit(1)}),
			"shop (Vite :5173) crashed after 2 h 14 min", "exited with status 1"},
		{one(happening{kind: closed, on: on(l(5173, shop)), reason: watcher.Reason{Cause: watcher.OwnerGoesOn}}),
			"shop (Vite :5173) stopped after 2 h 14 min", "still running, no longer listening"},
		{one(happening{kind: closed, on: on(l(5432, db)), reason: watcher.Reason{Cause: watcher.ContainerStopped}}),
			"db (PostgreSQL container :5432) stopped", "container stopped"},
		{one(happening{kind: closed, on: on(server.Listener{Port: 80})}), "unknown owner (:80) stopped",
			"the reason is unknown"},
		{one(happening{kind: replaced, on: on(l(3000, admin)), before: on(l(3000, shop)), reason: exit(1)}),
			"3000 is now admin (was shop)", "shop (Vite :3000): exited with status 1"},
		{one(happening{kind: exposed, on: on(serverAt(3000, 1, "0.0.0.0")), port: serverAt(3000, 1, "0.0.0.0")}),
			"node is now reachable from the network", "port 3000, bound to 0.0.0.0"},
		{one(happening{kind: looping, on: on(l(3000, shop)), reason: exit(1), count: 5, span: loopSpan}),
			"shop keeps restarting", "port 3000: 5 times within 1 min; the last time it exited with status 1"},
		{one(happening{kind: moved, on: on(l(5174, shop)), before: on(l(5173, admin))}),
			"shop is on 5174: 5173 is held by admin (PID 5173, 3 days)", "in /srv/shop"},
		{one(happening{kind: slept, on: on(l(5173, shop))}), "shop (Vite :5173) is gone since the computer slept", ""},
		{one(happening{kind: slept, on: on(l(5173, shop)), more: []server.Server{on(l(3000, admin))}}),
			"2 servers are gone since the computer slept", "5173 shop · Vite, 3000 admin · node"},
		{many(closed, db, 1, 2, 3, 4, 5), "5 ports closed (compose project shop)",
			"1 PostgreSQL · db (container), 2 PostgreSQL · db (container), 3 PostgreSQL · db (container), " +
				"4 PostgreSQL · db (contain…"},
		{many(opened, shop, 1, 2), "2 ports opened (shop)", "1 shop · Vite, 2 shop · Vite"},
		{append(many(opened, nil, 1), happening{kind: slept, on: on(l(2, shop)),
			more: []server.Server{on(l(3, admin))}}),
			"2 ports closed, 1 opened", "2 shop · Vite, 3 admin · node, 1 node"},
		{append(many(opened, nil, 1), many(closed, shop, 2, 3)...), "2 ports closed, 1 opened",
			"2 shop · Vite, 3 shop · Vite, 1 node"},
	} {
		if got := announce(c.all); got.title != c.title || got.body != c.body {
			t.Errorf("got %q / %q, want %q / %q", got.title, got.body, c.title, c.body)
		}
	}
}

// TestNoticesTellServersApart has servers with equal names.
func TestNoticesTellServersApart(t *testing.T) {
	frontend := func(port uint16, mono string) server.Listener {
		l := serverAt(port, int32(port))
		l.Owner.Since = time.Time{}
		l.Facts.Project = project.Project{Name: "frontend", Dir: "/srv/" + mono + "/frontend"}
		l.Facts.Tool = facts.Tool{Name: "Vite", Kind: facts.Server}
		return l
	}
	script := func(port uint16, file string) server.Listener {
		l := serverAt(port, int32(port))
		l.Owner.Since = time.Time{}
		l.Facts.Project, l.Facts.Program = project.Project{Name: "shop", Dir: "/srv/shop"}, file
		return l
	}
	fixed := func(uint16) bool { return false }
	both := server.Servers([]server.Listener{frontend(4100, "shopmono"), frontend(4101, "blogmono")}, fixed)
	scripts := server.Servers([]server.Listener{script(4100, "server.js"), script(4101, "cmd/api.js")}, fixed)
	lone := server.Server{Listener: frontend(4100, "shopmono")}
	labelled := both[0]
	labelled.Label = "Shop"
	for _, c := range []struct {
		h           happening
		title, body string
	}{
		{happening{kind: opened, on: both[0]}, "frontend in shopmono (Vite :4100) is up", "in /srv/shopmono/frontend"},
		{happening{kind: opened, on: both[1]}, "frontend in blogmono (Vite :4101) is up", "in /srv/blogmono/frontend"},
		{happening{kind: closed, on: both[1]}, "frontend in blogmono (Vite :4101) stopped", "the reason is unknown"},
		{happening{kind: exposed, on: both[1], port: both[1].Listener},
			"frontend in blogmono is now reachable from the network", "port 4101, bound to 127.0.0.1"},
		{happening{kind: looping, on: both[1], count: 5, span: loopSpan}, "frontend in blogmono keeps restarting",
			"port 4101: 5 times within 1 min"},
		{happening{kind: opened, on: lone}, "frontend (Vite :4100) is up", "in /srv/shopmono/frontend"},
		{happening{kind: opened, on: labelled}, "Shop (Vite :4100) is up", "in /srv/shopmono/frontend"},
		{happening{kind: replaced, on: lone, before: server.Alone(frontend(4100, "blogmono"))},
			"4100 is now frontend in shopmono (was frontend in blogmono)", "frontend in blogmono (Vite :4100)"},
		{happening{kind: moved, on: lone, before: server.Alone(frontend(4101, "blogmono"))},
			"frontend in shopmono is on 4100: 4101 is held by frontend in blogmono (PID 4101)",
			"in /srv/shopmono/frontend"},
		{happening{kind: opened, on: scripts[0]}, "shop (server.js :4100) is up", "in /srv/shop"},
		{happening{kind: opened, on: scripts[1]}, "shop (api.js :4101) is up", "in /srv/shop"},
		{happening{kind: slept, on: both[0]}, "frontend in shopmono (Vite :4100) is gone since the computer slept", ""},
	} {
		c.h.at = noon
		if got := announce([]happening{c.h}); got.title != c.title || got.body != c.body {
			t.Errorf("got %q / %q, want %q / %q", got.title, got.body, c.title, c.body)
		}
	}
	all := []happening{{kind: opened, on: both[0], at: noon}, {kind: opened, on: both[1], at: noon}}
	if got := announce(all); got.body != "4100 frontend in shopmono · Vite, 4101 frontend in blogmono · Vite" {
		t.Errorf("two at once: %q", got.body)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 60 * time.Second: "1 min", 59*time.Minute + 59*time.Second: "59 min",
		time.Hour: "1 h", 2*time.Hour + 14*time.Minute: "2 h 14 min", 24 * time.Hour: "1 day", 80 * time.Hour: "3 days",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	l := serverAt(3000, 4242)
	worker := serverAt(3000, 4243)
	both := []owner.Process{l.Owner, worker.Owner}
	beside := server.Server{Listener: serverAt(3000, 7), Title: "blog", Parts: []server.Listener{serverAt(3000, 7)}}
	for _, c := range []struct {
		force       bool
		result      owner.Result
		title, body string
		others      []server.Listener
	}{
		{false, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free", "node (PID 4242) stopped", nil},
		{true, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free", "node (PID 4242) killed", nil},
		{false, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free",
			"node (PID 4242) stopped; this also closed 3001, 9229",
			[]server.Listener{serverAt(3001, 4242), serverAt(9229, 4242)}},
		{false, owner.Result{Outcome: owner.StillRunning, Ended: true}, "Port 3000 is still in use",
			"node (PID 4242) has ended, but something still holds the port", nil},
		{false, owner.Result{Outcome: owner.Freed}, "Port 3000 is free",
			"node (PID 4242) still runs, but no longer listens there", nil},
		{false, owner.Result{Outcome: owner.Taken, Ended: true, Left: []owner.Process{{PID: 9, Name: "ruby"}}},
			"Port 3000 was taken over", "node (PID 4242) released the port, and now ruby (PID 9) has it", nil},
		{true, owner.Result{Outcome: owner.Taken, Left: []owner.Process{{}}}, "Port 3000 was taken over",
			"node (PID 4242) released the port, and now a process that this user cannot see has it", nil},
		{false, owner.Result{Outcome: owner.StillRunning}, "Port 3000 is still in use",
			"node (PID 4242) did not stop within 5 seconds; use Kill to force it", nil},
		{true, owner.Result{Outcome: owner.StillRunning}, "Port 3000 is still in use",
			"node (PID 4242) did not end within 5 seconds of Kill", nil},
		{false, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free",
			"node (PID 4242) and 1 worker stopped", []server.Listener{worker}},
		{false, owner.Result{Outcome: owner.StillRunning, Left: both}, "Port 3000 is still in use",
			"node (PID 4242) and 1 worker did not stop within 5 seconds; still running: node (PID 4242), " +
				"node (PID 4243); use Kill to force it", []server.Listener{worker}},
		{true, owner.Result{Outcome: owner.StillRunning, Left: both[1:]}, "Port 3000 is still in use",
			"node (PID 4242) and 1 worker did not end within 5 seconds of Kill; still running: node (PID 4243)",
			[]server.Listener{worker}},
		{false, owner.Result{Outcome: owner.Shared, Ended: true, Left: []owner.Process{beside.Owner}},
			"Port 3000 is still in use",
			"node (PID 4242) stopped; blog still listens there", nil},
		{false, owner.Result{Outcome: owner.Shared, Left: []owner.Process{{}}}, "Port 3000 is still in use",
			"node (PID 4242) still runs, but no longer listens there; " +
				"a process that this user cannot see still listens there", nil},
		{false, owner.Result{Outcome: owner.Unclear}, "Port 3000 cannot be checked",
			"node (PID 4242) was asked to end; the result is unknown", nil},
		{true, owner.Result{Outcome: owner.Unclear, Ended: true}, "Port 3000 cannot be checked",
			"node (PID 4242) has ended; the port may still be in use", nil},
		{false, owner.Result{Outcome: owner.AlreadyGone}, "Port 3000: nothing was stopped",
			"node (PID 4242) no longer listens there", nil},
		{true, owner.Result{Outcome: owner.NotPermitted}, "Not permitted to kill node",
			"The system does not allow this user to kill node (PID 4242)", nil},
		{false, owner.Result{Outcome: owner.Refused, Reason: "part of the system"}, "Port 3000: nothing was stopped",
			"node (PID 4242): part of the system", nil},
		{false, owner.Result{Err: errors.New("list TCP sockets: no memory")}, "Could not stop node",
			"list TCP sockets: no memory", nil},
	} {
		on := server.Server{Listener: l, Parts: append([]server.Listener{l}, c.others...)}
		want := notice{title: c.title, body: c.body}
		if got := outcome(on, []server.Server{on, beside}, c.force, c.result); got != want {
			t.Errorf("outcome %d (force %v): got %q / %q, want %q / %q", c.result.Outcome, c.force, got.title, got.body,
				c.title, c.body)
		}
	}
}

func TestToastXML(t *testing.T) {
	type text struct {
		Text string `xml:",chardata"`
	}
	var got struct {
		Launch string `xml:"launch,attr"`
		Texts  []text `xml:"visual>binding>text"`
		Audio  struct {
			Silent bool `xml:"silent,attr"`
		} `xml:"audio"`
		Actions []struct {
			Arguments string `xml:"arguments,attr"`
		} `xml:"actions>action"`
	}
	hostile := `</text><audio/> ]]> & "x" $(calc)`
	source := toastXML(notice{title: hostile, body: hostile + "\x00\xff", open: true, id: server.ID{Port: 3000}})
	if err := xml.Unmarshal([]byte(source), &got); err != nil {
		t.Fatalf("%v in %s", err, source)
	}
	if want := []text{{hostile}, {hostile + "\uFFFD\uFFFD"}}; !slices.Equal(got.Texts, want) {
		t.Errorf("the texts are %q, want %q", got.Texts, want)
	}
	const url = "http://localhost:3000"
	if got.Launch != url || len(got.Actions) != 1 || got.Actions[0].Arguments != url || !got.Audio.Silent {
		t.Errorf("%+v in %s", got, source)
	}
	source = toastXML(notice{title: "shop stopped", id: server.ID{Port: 3000}})
	got.Launch, got.Actions = "", nil
	if err := xml.Unmarshal([]byte(source), &got); err != nil || got.Launch != "" || len(got.Actions) > 0 {
		t.Errorf("a notice with nothing to open: %+v, %v in %s", got, err, source)
	}
}

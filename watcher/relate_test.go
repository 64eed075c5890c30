package watcher

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

func TestSameServer(t *testing.T) {
	web := engine.Container{ID: "a", Name: "shop-web-1", Project: "shop", Service: "web"}
	again, other, plain := web, web, engine.Container{ID: "c", Name: "tesla"}
	again.ID, other.ID, other.Service = "b", "d", "api"
	for _, c := range []struct {
		name         string
		a, b         server.Listener
		same, differ bool
	}{
		{"one process that closed its port for a moment", servertest.Serves(80, 1), servertest.Serves(80, 1), true, false},
		{"the same tool of the same project", servertest.Serves(80, 1, servertest.In(servertest.Shop), servertest.By(servertest.Vite)), servertest.Serves(80, 2, servertest.In(servertest.Shop), servertest.By(servertest.Vite)),
			true, false},
		{"another tool of the same project", servertest.Serves(80, 1, servertest.In(servertest.Shop), servertest.By(servertest.Vite)), servertest.Serves(80, 2, servertest.In(servertest.Shop), servertest.By(servertest.Wrangler)),
			false, true},
		{"the same tool of another project", servertest.Serves(80, 1, servertest.In(servertest.Shop), servertest.By(servertest.Vite)), servertest.Serves(80, 2, servertest.In(servertest.Blog), servertest.By(servertest.Vite)),
			false, true},
		{"the same tool without a project", servertest.Serves(80, 1, servertest.By(servertest.Postgres)), servertest.Serves(80, 2, servertest.By(servertest.Postgres)), false, true},
		{"the same program in the same directory", servertest.Serves(80, 1, servertest.Runs("/usr/bin/nc", "/tmp")),
			servertest.Serves(80, 2, servertest.Runs("/usr/bin/nc", "/tmp")), true, false},
		{"the same program elsewhere", servertest.Serves(80, 1, servertest.Runs("/usr/bin/nc", "/tmp")),
			servertest.Serves(80, 2, servertest.Runs("/usr/bin/nc", "/srv")), false, true},
		{"another program in the same directory", servertest.Serves(80, 1, servertest.Runs("/usr/bin/nc", "/tmp")),
			servertest.Serves(80, 2, servertest.Runs("/usr/bin/ncat", "/tmp")), false, true},
		{"the same program of unknown place", servertest.Serves(80, 1, servertest.Runs("/usr/bin/nc", "")),
			servertest.Serves(80, 2, servertest.Runs("/usr/bin/nc", "")), false, true},
		{"on another port", servertest.Serves(80, 1), servertest.Serves(81, 1), false, false},
		{"a service of another user", servertest.Serves(80, 1, servertest.Managed), servertest.Serves(80, 2, servertest.Managed), true, false},
		{"owners that are not known", servertest.Serves(80, 0, servertest.Unknown), servertest.Serves(80, 0, servertest.Unknown), false, false},
		{"an owner without facts", servertest.Serves(80, 1, servertest.Named("")), servertest.Serves(80, 2, servertest.Named("")), false, false},
		{"an owner that is hidden now", servertest.Serves(80, 1), servertest.Serves(80, 0, servertest.Hidden), false, false},
		{"a service, in a new container", servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web)),
			servertest.Serves(80, 2, servertest.Forwarder, servertest.Publishes(again)), true, false},
		{"a hidden forwarder's service", servertest.Serves(80, 0, servertest.Hidden, servertest.Publishes(web)), servertest.Serves(80, 0, servertest.Hidden, servertest.Publishes(again)),
			true, false},
		{"another service", servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web)), servertest.Serves(80, 2, servertest.Forwarder, servertest.Publishes(other)), false,
			true},
		{"one container, started again", servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(plain)),
			servertest.Serves(80, 2, servertest.Forwarder, servertest.Publishes(plain)), true, false},
		{"a container and a process", servertest.Serves(80, 1, servertest.Forwarder, servertest.Publishes(web)), servertest.Serves(80, 2), false, true},
	} {
		for _, swapped := range []bool{false, true} {
			a, b := c.a, c.b
			if swapped {
				a, b = b, a
			}
			if same, differ := server.Same(a, b), server.Different(a, b); same != c.same || differ != c.differ {
				t.Errorf("%s (swapped %v): same %v, other %v, want %v, %v", c.name, swapped, same, differ, c.same,
					c.differ)
			}
		}
	}
}

// TestRestarts has a server that closes and comes back, in one scan or later.
func TestRestarts(t *testing.T) {
	first := servertest.Serves(80, 7, servertest.In(servertest.Shop), servertest.By(servertest.Vite))
	second, third := servertest.Serves(80, 8, servertest.In(servertest.Shop), servertest.By(servertest.Vite)), servertest.Serves(80, 9, servertest.In(servertest.Shop), servertest.By(servertest.Vite))
	rival := servertest.Serves(80, 10, servertest.In(servertest.Blog), servertest.By(servertest.Vite))
	bystander := servertest.Serves(90, 1)
	exits := map[owner.ID]owner.Exit{first.Owner.ID(): {How: owner.Exited, Status: 1}}
	for _, tt := range []struct {
		name  string
		looks map[time.Duration][]server.Listener // by start time
		exits map[owner.ID]owner.Exit
		want  []string
	}{
		{
			"at once", map[time.Duration][]server.Listener{0: {first, bystander}, time.Second: {second, bystander}}, nil,
			[]string{"1.25s restarted 80 (PID 7, 8), ended, 1 restarts"},
		}, {
			"a while later",
			map[time.Duration][]server.Listener{0: {first, bystander}, time.Second: {bystander},
				5 * time.Second: {second, bystander}}, exits,
			[]string{"1.25s closed 80 (PID 7), exited with status 1",
				"5.5s restarted 80 (PID 7, 8), exited with status 1, 1 restarts"},
		}, {
			"too late",
			map[time.Duration][]server.Listener{0: {first, bystander}, time.Second: {bystander},
				8 * time.Second: {second, bystander}}, nil,
			[]string{"1.25s closed 80 (PID 7), ended", "8.5s opened 80 (PID 8)"},
		}, {
			"twice",
			map[time.Duration][]server.Listener{0: {first, bystander}, time.Second: {second, bystander},
				3 * time.Second: {bystander}, 4 * time.Second: {third, bystander}}, nil,
			[]string{"1.25s restarted 80 (PID 7, 8), ended, 1 restarts", "3.5s closed 80 (PID 8), ended",
				"4.75s restarted 80 (PID 8, 9), ended, 2 restarts"},
		}, {
			"taken over at once", map[time.Duration][]server.Listener{0: {first, bystander}, time.Second: {rival, bystander}},
			nil,
			[]string{"1.25s replaced 80 (PID 7, 10), ended"},
		}, {
			"taken over later, and again by the first",
			map[time.Duration][]server.Listener{0: {first, bystander}, time.Second: {bystander},
				3 * time.Second: {rival, bystander}, 5 * time.Second: {second, bystander}}, nil,
			[]string{"1.25s closed 80 (PID 7), ended", "3.5s replaced 80 (PID 7, 10), ended",
				"5.75s replaced 80 (PID 10, 8), ended"},
		}, {
			"it only let go of its port", map[time.Duration][]server.Listener{0: {first, servertest.Serves(91, 1)}, time.Second: {first}},
			nil,
			[]string{"1.5s closed 91 (PID 1), still running, no longer listening"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t)
				w := &Watcher{gone: func(l server.Listener) bool { return l.Owner.PID != 1 }}
				w.naming.facts = func(_ context.Context, p owner.Process) (facts.Facts, bool) {
					return factsOf(p.PID, first, second, third, rival), true
				}
				w.naming.containers = func(context.Context, bool) engine.List { return engine.List{} }
				w.Scan = func(context.Context) (Snapshot, error) {
					now := tt.looks[0]
					for _, at := range slices.Sorted(maps.Keys(tt.looks)) {
						if time.Since(m.start) >= at {
							now = tt.looks[at]
						}
					}
					s := Snapshot{Time: time.Now(), Exits: tt.exits}
					for _, l := range now {
						l.Facts = facts.Facts{}
						s.Listeners = append(s.Listeners, l)
					}
					slices.SortFunc(s.Listeners, server.Listener.Compare)
					return s, nil
				}
				var got []string
				m.followAs(w, 20*time.Second, func(u Update) string {
					for _, e := range u.Events {
						got = append(got, fmt.Sprintf("%v %s", time.Since(m.start), describeEvent(e, u)))
					}
					return ""
				})
				if !slices.Equal(got, tt.want) {
					t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
				}
			})
		})
	}
}

// factsOf returns the facts of the listener whose owner has that PID.
func factsOf(pid int32, listeners ...server.Listener) facts.Facts {
	for _, l := range listeners {
		if l.Owner.PID == pid {
			return l.Facts
		}
	}
	return facts.Facts{}
}

// describeEvent writes an event in one line.
func describeEvent(e Event, u Update) string {
	pids := fmt.Sprint(e.Listener.Owner.PID)
	if e.Before.Port != 0 {
		pids = fmt.Sprintf("%d, %s", e.Before.Owner.PID, pids)
	}
	text := fmt.Sprintf("%v %d (PID %s)", e.Kind, e.Listener.Port, pids)
	if e.Reason != (Reason{}) {
		text += ", " + e.Reason.String()
	}
	if l, ok := u.Snapshot.Find(e.Listener.ID()); ok && l.Restarts > 0 {
		text += fmt.Sprintf(", %d restarts", l.Restarts)
	}
	return text
}

func TestReason(t *testing.T) {
	exit := func(status int) Reason {
		return Reason{Cause: OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: status}}
	}
	kill := func(signal string) Reason {
		return Reason{Cause: OwnerEnded, Exit: owner.Exit{How: owner.Killed, Signal: signal}}
	}
	waits := exit(1)
	waits.Supervisor = "nodemon"
	for _, c := range []struct {
		reason               Reason
		text                 string
		crashed, interrupted bool
	}{
		{Reason{}, "", false, false},
		{Reason{Cause: OwnerEnded}, "ended", false, false},
		{Reason{Cause: OwnerGoesOn}, "still running, no longer listening", false, false},
		{Reason{Cause: ContainerStopped}, "container stopped", false, false},
		{exit(0), "exited with status 0", false, false},
		{exit(1), "exited with status 1", true, false},
		{exit(130), "exited with status 130", false, true},
		{exit(143), "exited with status 143", false, false},
		{exit(129), "exited with status 129", false, false},
		{exit(0xC000013A), "exited with status 3221225786", false, true},
		{kill("SIGINT"), "killed by SIGINT", false, true},
		{kill("SIGTERM"), "killed by SIGTERM", false, false},
		{kill("SIGHUP"), "killed by SIGHUP", false, false},
		{kill("SIGKILL"), "killed by SIGKILL", true, false},
		{kill("SIGSEGV"), "killed by SIGSEGV", true, false},
		{waits, "exited with status 1; nodemon still runs and waits", true, false},
	} {
		if got := c.reason.String(); got != c.text || c.reason.Crashed() != c.crashed ||
			c.reason.Interrupted() != c.interrupted {
			t.Errorf("got %q, crashed %v, interrupted %v, want %q, %v, %v", got, c.reason.Crashed(),
				c.reason.Interrupted(), c.text, c.crashed, c.interrupted)
		}
	}
}

// TestExplained has a process that closes its port and ends later. The end explains the closing, once.
func TestExplained(t *testing.T) {
	l := servertest.Serves(80, 7)
	exit := owner.Exit{How: owner.Killed, Signal: "SIGINT"}
	s := state{memory: recollection{closings: []recentClosing{{Event: Event{Kind: Closed, Server: server.Alone(l),
		Reason: Reason{Cause: OwnerGoesOn}}, at: time.Now(), left: []uint16{l.Port}}}}}
	explained := func() bool { return s.memory.explain(s.better) }
	if explained() {
		t.Error("explained without an end")
	}
	s.now.Exits = map[owner.ID]owner.Exit{servertest.Serves(80, 8).Owner.ID(): exit}
	if explained() {
		t.Error("explained by the end of another process")
	}
	s.now.Exits = map[owner.ID]owner.Exit{l.Owner.ID(): exit}
	if !explained() || len(s.memory.late) != 1 || !s.memory.late[0].Reason.Interrupted() ||
		s.memory.late[0].ID() != l.ID() {
		t.Errorf("not explained: %+v", s.memory.late)
	}
	if explained() {
		t.Error("explained twice")
	}
	s.memory.closings[0].Reason, s.memory.closings[0].left = Reason{Cause: OwnerGoesOn}, nil
	if explained() {
		t.Error("the closing of a server that came back is explained by its later end")
	}
	s.memory.closings[0].Reason = Reason{Cause: ContainerStopped}
	if explained() {
		t.Errorf("the end of the forwarder replaced the reason of a container: %v", s.memory.closings[0].Reason)
	}
}

package terminal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/explain"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// TestStopping stops servers of a made-up machine.
func TestStopping(t *testing.T) {
	node := owner.Process{PID: 4711, Start: 1, Name: "node"}
	ruby := owner.Process{PID: 4712, Start: 1, Name: "ruby"}
	cups := owner.Process{PID: 80, Start: 1, Name: "cupsd", Refusal: "another user's process", Foreign: true,
		User: "x-cups"}
	container := listener(5432, owner.Process{PID: 900, Start: 1, Name: "docker-proxy"}, "127.0.0.1")
	container.Container = engine.Container{ID: "c0ffee", Name: "shop-db-1"}
	nameless := container
	nameless.Container.Name = ""
	both := container // IPv6 has a forwarder of its own
	both.Owner.PID = 901
	one := snapshot(listener(3000, node, "127.0.0.1"))
	two := snapshot(listener(3000, node, "127.0.0.1"), listener(3000, ruby, "::1"))
	twins := snapshot(listener(3000, node, "127.0.0.1"), listener(3000, ruby, "127.0.0.1"))
	all := snapshot(listener(3000, node, "127.0.0.1"), listener(3000, ruby, "0.0.0.0"))
	worker := func(pid int32, orphan bool, above ...owner.ID) server.Listener {
		l := listener(3000, owner.Process{PID: pid, Start: 1, Name: "python3", Exe: "/usr/bin/python3", Dir: "/srv",
			User: "1000"}, "127.0.0.1")
		l.Facts.Orphan, l.Facts.Forked = orphan, !orphan
		copy(l.Facts.Ancestors[:], above)
		return l
	}
	master := owner.ID{PID: 9, Start: 1}
	led := snapshot(worker(10, false, master), worker(11, false, master), listener(3000, ruby, "::1"))
	orphans := snapshot(worker(10, true), worker(11, true), worker(12, true))
	for name, tt := range map[string]struct {
		now         watcher.Snapshot
		port        uint16
		at          string // the address in the question, if any
		pid         int32
		kill        bool
		result      owner.Result
		inUse       bool
		interrupted bool  // meanwhile
		hit         int32 // the PID of the ended process; 0 if none
		out         string
		err         string
	}{
		"free": {now: one, port: 3001, out: "Port 3001 is free already: nothing listens there."},
		"bound": {now: one, port: 3001, inUse: true,
			err: "nothing listens on port 3001, but it is in use; porttray explain 3001 says by whom"},
		"stopped": {now: one, port: 3000, result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 4711,
			out: "Port 3000 is free: node (PID 4711) stopped."},
		"killed": {now: one, port: 3000, kill: true, result: owner.Result{Outcome: owner.Freed, Ended: true},
			hit: 4711, out: "Port 3000 is free: node (PID 4711) killed."},
		"let go": {now: one, port: 3000, result: owner.Result{Outcome: owner.Freed}, hit: 4711,
			out: "Port 3000 is free: node (PID 4711) still runs, but no longer listens there."},
		"stubborn": {now: one, port: 3000, result: owner.Result{Outcome: owner.StillRunning}, hit: 4711,
			err: "node (PID 4711) did not stop within 5s; use --kill to force it"},
		"interrupted": {now: one, port: 3000, interrupted: true, result: owner.Result{Outcome: owner.StillRunning},
			hit: 4711, err: "asked node (PID 4711) to end, and did not wait for the result"},
		"unkillable": {now: one, port: 3000, kill: true, result: owner.Result{Outcome: owner.StillRunning},
			hit: 4711, err: "node (PID 4711) did not end within 5s of --kill"},
		"held": {now: one, port: 3000, result: owner.Result{Outcome: owner.StillRunning, Ended: true},
			hit: 4711, err: "node (PID 4711) has ended, but something still holds port 3000"},
		"taken": {now: one, port: 3000, result: owner.Result{Outcome: owner.Taken, Left: []owner.Process{ruby},
			Ended: true}, hit: 4711, err: "node (PID 4711) released port 3000, but now ruby (PID 4712) has it"},
		"taken unseen": {now: one, port: 3000, result: owner.Result{Outcome: owner.Taken, Left: []owner.Process{{}},
			Ended: true}, hit: 4711, err: "node (PID 4711) released port 3000, but now a process that this user " +
			"cannot see has it"},
		"gone": {now: one, port: 3000, result: owner.Result{Outcome: owner.AlreadyGone}, hit: 4711,
			err: "node (PID 4711) no longer listens on port 3000, so nothing was stopped; try again"},
		"not permitted": {now: one, port: 3000, result: owner.Result{Outcome: owner.NotPermitted, Err: errDry},
			hit: 4711, err: "the system does not allow this user to stop node (PID 4711)"},
		"unclear": {now: one, port: 3000, result: owner.Result{Outcome: owner.Unclear, Err: errDry}, hit: 4711,
			err: "asked node (PID 4711) to end, but the result is unknown: no space left on device"},
		"failed": {now: one, port: 3000, result: owner.Result{Err: errDry}, hit: 4711,
			err: "could not stop node (PID 4711): no space left on device"},
		"refused": {now: snapshot(listener(631, cups, "::1")), port: 631, result: owner.Result{Outcome: owner.Refused,
			Reason: cups.Refusal}, hit: 80,
			err: "cupsd (PID 80) was not stopped: another user's process; it is x-cups's"},
		"hidden": {now: snapshot(listener(631, owner.Process{Foreign: true, User: "x-cups"}, "::1")), port: 631,
			result: owner.Result{Outcome: owner.Refused, Reason: "its process is unknown"},
			err:    "a process that this user cannot see was not stopped; it is x-cups's"},
		"several": {now: two, port: 3000,
			err: "2 servers listen on port 3000; say which one:\n  porttray stop 127.0.0.1:3000  node (PID 4711), " +
				"127.0.0.1\n  porttray stop [::1]:3000  ruby (PID 4712), ::1"},
		"one of them": {now: two, port: 3000, pid: 4712, result: owner.Result{Outcome: owner.Shared,
			Ended: true, Left: []owner.Process{node}}, hit: 4712,
			err: "ruby (PID 4712) stopped; node (PID 4711) still listens on 3000"},
		"one, by its address": {now: two, port: 3000, at: "[::1]", result: owner.Result{Outcome: owner.Freed,
			Ended: true}, hit: 4712, out: "Port 3000 is free: ruby (PID 4712) stopped."},
		"one that has the very address": {now: all, port: 3000, at: "127.0.0.1",
			result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 4711,
			out: "Port 3000 is free: node (PID 4711) stopped."},
		"one that has all addresses": {now: all, port: 3000, at: "127.0.0.2",
			result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 4712,
			out: "Port 3000 is free: ruby (PID 4712) stopped."},
		"none at the address": {now: one, port: 3000, at: "[::1]",
			err: "nothing listens on [::1]:3000, but\n  node (PID 4711), 127.0.0.1"},
		"two at one address": {now: twins, port: 3000,
			err: "2 servers listen on port 3000; say which one:\n  porttray stop 3000 --pid 4711  node (PID 4711), " +
				"127.0.0.1\n  porttray stop 3000 --pid 4712  ruby (PID 4712), 127.0.0.1"},
		"workers": {now: orphans, port: 3000, result: owner.Result{Outcome: owner.Freed,
			Ended: true}, hit: 10, out: "Port 3000 is free: python3 (PID 10) and 2 workers stopped."},
		"workers, one of which is named": {now: orphans, port: 3000, pid: 12, result: owner.Result{Outcome: owner.Freed,
			Ended: true}, hit: 10, out: "Port 3000 is free: python3 (PID 10) and 2 workers stopped."},
		"a master and a neighbour": {now: led, port: 3000,
			err: "2 servers listen on port 3000; say which one:\n  porttray stop 127.0.0.1:3000  python3 (PID 10) in " +
				"/srv, 127.0.0.1\n  porttray stop [::1]:3000  ruby (PID 4712), ::1"},
		"a master by its PID": {now: led, port: 3000, pid: 9, result: owner.Result{Outcome: owner.Shared,
			Ended: true, Left: []owner.Process{ruby}}, hit: 9,
			err: "python3 (PID 9) and 2 workers stopped; ruby (PID 4712) still listens on 3000"},
		"a master that leaves a worker": {now: led, port: 3000, pid: 11,
			result: owner.Result{Outcome: owner.StillRunning,
				Left: []owner.Process{{PID: 11, Start: 1, Name: "python3"}}}, hit: 9,
			err: "python3 (PID 9) and 2 workers did not stop within 5s; still running: python3 (PID 11); use --kill " +
				"to force it"},
		"none such": {now: two, port: 3000, pid: 5,
			err: "no process 5 listens on port 3000, but\n  node (PID 4711), 127.0.0.1\n  ruby (PID 4712), ::1"},
		"container, by force": {now: snapshot(container, both), port: 5432, kill: true,
			result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 900,
			out: "Port 5432 is free: container shop-db-1 stopped."},
		"nameless container": {now: snapshot(nameless), port: 5432, result: owner.Result{Outcome: owner.Freed,
			Ended: true}, hit: 900, out: "Port 5432 is free: container c0ffee stopped."},
		"container": {now: snapshot(container, both), port: 5432, result: owner.Result{Outcome: owner.Freed,
			Ended: true}, hit: 900, out: "Port 5432 is free: container shop-db-1 stopped."},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			c := &cobra.Command{}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			c.SetContext(ctx)
			c.SetOut(&out)
			hit := int32(0)
			q, err := explain.Parse(t.Context(), fmt.Sprintf("%s:%d", tt.at, tt.port))
			if err != nil {
				t.Fatal(err)
			}
			s := stopping{asked: q, pid: tt.pid, kill: tt.kill, wait: 5 * time.Second,
				inUse: func() bool { return tt.inUse }}
			s.end = func(_ context.Context, on server.Server, force bool, wait time.Duration) owner.Result {
				if hit = on.Group().First().PID; force != tt.kill || wait != s.wait {
					t.Errorf("force %t, wait %v", force, wait)
				}
				if tt.interrupted {
					interrupt()
				}
				return tt.result
			}
			err = s.run(c, serversOn(tt.now, tt.port))
			if err == nil {
				err = errors.New("")
			}
			if got := strings.TrimSuffix(out.String(), "\n"); got != tt.out || err.Error() != tt.err || hit != tt.hit {
				t.Errorf("hit %d, wrote %q, error %q;\nwant %d, %q, %q", hit, got, err, tt.hit, tt.out, tt.err)
			}
		})
	}
}

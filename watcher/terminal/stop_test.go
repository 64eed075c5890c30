package terminal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// TestStopping stops what listens on a port of a made-up machine.
func TestStopping(t *testing.T) {
	node := owner.Process{PID: 4711, Start: 1, Name: "node"}
	ruby := owner.Process{PID: 4712, Start: 1, Name: "ruby"}
	cups := owner.Process{PID: 80, Start: 1, Name: "cupsd", Refusal: "another user's process", Foreign: true, User: "x-cups"}
	container := listener(5432, owner.Process{PID: 900, Start: 1, Name: "docker-proxy"}, "127.0.0.1")
	container.Container = engine.Container{ID: "c0ffee", Name: "shop-db-1"}
	both := container // IPv6 has a forwarder of its own
	both.Owner.PID = 901
	one := snapshot(listener(3000, node, "127.0.0.1"))
	two := snapshot(listener(3000, node, "127.0.0.1"), listener(3000, ruby, "::1"))
	for name, tt := range map[string]struct {
		now         watcher.Snapshot
		port        uint16
		pid         int32
		kill        bool
		result      owner.Result
		held        bool
		interrupted bool  // meanwhile
		hit         int32 // the PID of what is ended, 0 if nothing is
		out         string
		err         string
	}{
		"free":          {now: one, port: 3001, out: "Port 3001 is free already: nothing listens there."},
		"bound":         {now: one, port: 3001, held: true, err: "nothing listens on port 3001, but it is in use; porttray explain 3001 tells by whom"},
		"stopped":       {now: one, port: 3000, result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 4711, out: "Port 3000 is free: node (PID 4711) stopped."},
		"killed":        {now: one, port: 3000, kill: true, result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 4711, out: "Port 3000 is free: node (PID 4711) killed."},
		"let go":        {now: one, port: 3000, result: owner.Result{Outcome: owner.Freed}, hit: 4711, out: "Port 3000 is free: node (PID 4711) runs on, but no longer listens there."},
		"stubborn":      {now: one, port: 3000, result: owner.Result{Outcome: owner.StillRunning}, hit: 4711, err: "node (PID 4711) did not stop within 5s; --kill would force it"},
		"interrupted":   {now: one, port: 3000, interrupted: true, result: owner.Result{Outcome: owner.StillRunning}, hit: 4711, err: "node (PID 4711) was asked to end; whether it does was not waited for"},
		"unkillable":    {now: one, port: 3000, kill: true, result: owner.Result{Outcome: owner.StillRunning}, hit: 4711, err: "node (PID 4711) is still there after 5s"},
		"held":          {now: one, port: 3000, result: owner.Result{Outcome: owner.StillRunning, Ended: true}, hit: 4711, err: "node (PID 4711) has ended, but something holds port 3000 still"},
		"taken":         {now: one, port: 3000, result: owner.Result{Outcome: owner.Taken, By: ruby, Ended: true}, hit: 4711, err: "node (PID 4711) let go of port 3000, but now ruby (PID 4712) has it"},
		"taken unseen":  {now: one, port: 3000, result: owner.Result{Outcome: owner.Taken, Ended: true}, hit: 4711, err: "node (PID 4711) let go of port 3000, but now a process that this user cannot see has it"},
		"gone":          {now: one, port: 3000, result: owner.Result{Outcome: owner.AlreadyGone}, hit: 4711, err: "node (PID 4711) no longer listens on port 3000, so nothing was stopped; try again"},
		"not permitted": {now: one, port: 3000, result: owner.Result{Outcome: owner.NotPermitted, Err: errDry}, hit: 4711, err: "the system does not let this user stop node (PID 4711)"},
		"unclear":       {now: one, port: 3000, result: owner.Result{Outcome: owner.Unclear, Err: errDry}, hit: 4711, err: "node (PID 4711) was asked to end; what came of it cannot be seen: no space left on device"},
		"failed":        {now: one, port: 3000, result: owner.Result{Err: errDry}, hit: 4711, err: "could not stop node (PID 4711): no space left on device"},
		"refused": {now: snapshot(listener(631, cups, "::1")), port: 631, result: owner.Result{Outcome: owner.Refused, Reason: cups.Refusal}, hit: 80,
			err: "cupsd (PID 80) is never stopped from here: another user's process; it is x-cups's"},
		"hidden": {now: snapshot(listener(631, owner.Process{Foreign: true, User: "x-cups"}, "::1")), port: 631, result: owner.Result{Outcome: owner.Refused, Reason: "its process is unknown"},
			err: "a process that this user cannot see is never stopped from here; it is x-cups's"},
		"several":             {now: two, port: 3000, err: "2 listen on port 3000; say with --pid which one to stop:\n  node (PID 4711), 127.0.0.1\n  ruby (PID 4712), ::1"},
		"one of them":         {now: two, port: 3000, pid: 4712, result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 4712, err: "ruby (PID 4712) stopped; 1 more on port 3000"},
		"none such":           {now: two, port: 3000, pid: 5, err: "no process 5 listens on port 3000, but\n  node (PID 4711), 127.0.0.1\n  ruby (PID 4712), ::1"},
		"container, by force": {now: snapshot(container, both), port: 5432, kill: true, result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 900, out: "Port 5432 is free: container shop-db-1 stopped."},
		"container":           {now: snapshot(container, both), port: 5432, result: owner.Result{Outcome: owner.Freed, Ended: true}, hit: 900, out: "Port 5432 is free: container shop-db-1 stopped."},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			c := &cobra.Command{}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			c.SetContext(ctx)
			c.SetOut(&out)
			hit := int32(0)
			s := stopping{port: tt.port, pid: tt.pid, kill: tt.kill, wait: 5 * time.Second, held: func() bool { return tt.held }}
			s.end = func(_ context.Context, l watcher.Listener, force bool, wait time.Duration) owner.Result {
				if hit = l.Owner.PID; force != tt.kill || wait != s.wait {
					t.Errorf("force %t, wait %v", force, wait)
				}
				if tt.interrupted {
					interrupt()
				}
				return tt.result
			}
			err := s.run(c, tt.now)
			if err == nil {
				err = errors.New("")
			}
			if got := strings.TrimSuffix(out.String(), "\n"); got != tt.out || err.Error() != tt.err || hit != tt.hit {
				t.Errorf("hit %d, wrote %q, error %q;\nwant %d, %q, %q", hit, got, err, tt.hit, tt.out, tt.err)
			}
		})
	}
}

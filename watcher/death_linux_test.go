package watcher

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"porttray/watcher/owner"
)

// TestRunDeaths measures the time from the end of a process until its listener is reported closed. It also checks the
// cause if the kernel reports it. Scans run once a second unless an exit wakes the watcher.
func TestRunDeaths(t *testing.T) {
	const deaths = 50
	type server struct {
		cmd  *exec.Cmd
		port uint16
	}
	var servers []server
	for range deaths {
		l := listenTCP(t, "127.0.0.1:0")
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, server{holder(t, f), portOf(l)})
		f.Close()
		l.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	updates, ended := make(chan Update), make(chan struct{})
	go func() {
		defer close(ended)
		(&Watcher{}).Run(ctx, updates)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	// until waits for an update that satisfies ok.
	until := func(ok func(Update) bool) {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case u := <-updates:
				if u.Err != nil {
					t.Error(u.Err)
				}
				if ok(u) {
					return
				}
			case <-late:
				t.Fatal("no such update came")
			}
		}
	}
	until(func(u Update) bool {
		return !slices.ContainsFunc(servers, func(s server) bool {
			return foundOurs(u.Snapshot, s.port) != fmt.Sprintf("%d@127.0.0.1", s.cmd.Process.Pid)
		})
	})
	var took []time.Duration
	unknown := 0
	for _, s := range servers {
		time.Sleep(2 * atLeast) // so that the pause after the last scan does not count
		start, reaped := time.Now(), make(chan struct{})
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		go func() { // reaps the child, as a parent does
			defer close(reaped)
			s.cmd.Process.Wait()
		}()
		until(func(u Update) bool {
			return slices.ContainsFunc(u.Events, func(e Event) bool {
				if e.Kind != Closed || e.Listener.Port != s.port {
					return false
				}
				if got := u.Snapshot.Exits[e.Listener.Owner.ID()]; tellsExits(t) &&
					got != (owner.Exit{How: owner.Killed, Signal: "SIGKILL"}) {
					unknown++
				}
				return true
			})
		})
		took = append(took, time.Since(start))
		<-reaped
	}
	slices.Sort(took)
	t.Logf("%d deaths: half were reported within %v, all within %v", deaths, took[deaths/2], took[deaths-1])
	if unknown > 0 {
		t.Errorf("the cause of %d deaths is unknown", unknown)
	}
	if took[deaths-1] > patience/2 {
		t.Errorf("the slowest report took %v", took[deaths-1])
	}
}

package tray

import (
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// happens delivers an update with one event.
func (s *stage) happens(e watcher.Event, now ...server.Listener) {
	s.t.Helper()
	s.loop.updates <- watcher.Update{Snapshot: lists(now...), Events: []watcher.Event{e}}
	synctest.Wait()
}

var byTERM = watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Killed, Signal: "SIGTERM"}}

// After a Stop the end of the server gives no notice, even if the Stop had no answer in time.
func TestEndingWithoutAnAnswer(t *testing.T) {
	perform(t, func(s *stage) {
		l := serverAt(3000, 1)
		s.list(l)
		release := make(chan struct{})
		defer close(release)
		s.end = func(server.Listener, bool) owner.Result { <-release; return owner.Result{} }
		s.click("3000", "Stop")
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(l), Reason: byTERM})
		s.wait(actionPatience)
		s.expect("Port 3000: no answer")
		s.wait(time.Minute)
		s.expect()
	})
}

// Scans may fail for a while after a Stop. The end still counts as ours, and a new owner as a new server.
func TestEndingSeenLate(t *testing.T) {
	perform(t, func(s *stage) {
		l, m := serverAt(3000, 1), serverAt(4000, 2)
		s.list(l, m)
		s.click("3000", "Stop")
		s.click("4000", "Stop")
		s.expect("Port 3000 is free", "Port 4000 is free")
		s.wait(5 * time.Minute)
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(l), Reason: byTERM}, m)
		other := serverAt(4000, 3)
		other.Owner.Dir = "/srv/admin"
		s.happens(watcher.Event{Kind: watcher.Replaced, Server: server.Alone(other), Before: server.Alone(m),
			Reason: byTERM}, other)
		s.wait(time.Minute)
		s.expect("node (:4000) is up")
	})
}

// Just after the time for "is back", a server stopped by the person counts as newly up.
func TestEndingAndBackALittleLater(t *testing.T) {
	perform(t, func(s *stage) {
		l, again := serverAt(3000, 1), serverAt(3000, 2)
		s.list(l)
		s.click("3000", "Stop")
		s.expect("Port 3000 is free")
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(l), Reason: byTERM})
		s.wait(5500 * time.Millisecond)
		s.happens(watcher.Event{Kind: watcher.Restarted, Server: server.Alone(again), Before: server.Alone(l),
			Reason: byTERM}, again)
		s.wait(time.Minute)
		s.expect("node (:3000) is up")
	})
}

// A container keeps its ID when it starts again. Its next end after the restart counts as unexpected.
func TestEndingOfAContainerThatIsBack(t *testing.T) {
	perform(t, func(s *stage) {
		first, second, third := serverAt(3000, 1), serverAt(3000, 2), serverAt(3000, 3)
		for _, l := range []*server.Listener{&first, &second, &third} {
			l.Owner.Name, l.Container = "docker-proxy", engine.Container{ID: "web", Name: "web"}
		}
		stopped := watcher.Reason{Cause: watcher.ContainerStopped}
		s.list(first)
		s.click("3000", "Stop container web")
		s.expect("Port 3000 is free")
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(first), Reason: stopped})
		s.happens(watcher.Event{Kind: watcher.Restarted, Server: server.Alone(second), Before: server.Alone(first),
			Reason: stopped}, second)
		s.expect("3000 is back")
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(second), Reason: stopped})
		s.happens(watcher.Event{Kind: watcher.Restarted, Server: server.Alone(third), Before: server.Alone(second),
			Reason: stopped}, third)
		s.wait(7 * time.Second)
		s.expect() // that was a restart
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(third), Reason: stopped})
		s.wait(time.Minute)
		s.expect("web (container :3000) stopped")
	})
}

// A server that crashes and comes back during a Stop does not count as ended.
func TestEndingOfWhatIsBackMeanwhile(t *testing.T) {
	perform(t, func(s *stage) {
		l, again := serverAt(3000, 1), serverAt(3000, 2)
		s.list(l)
		release := make(chan struct{})
		s.end = func(server.Listener, bool) owner.Result { <-release; return owner.Result{Outcome: owner.AlreadyGone} }
		s.click("3000", "Stop")
		crashed := watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: 1}}
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(l), Reason: crashed})
		s.happens(watcher.Event{Kind: watcher.Restarted, Server: server.Alone(again), Before: server.Alone(l),
			Reason: crashed}, again)
		close(release)
		s.wait(time.Minute)
		s.expect("3000 is back")
	})
}

// The new owner of the port is reported once.
func TestEndingOfWhatIsTakenOver(t *testing.T) {
	perform(t, func(s *stage) {
		l, again := serverAt(3000, 1), serverAt(3000, 2)
		s.list(l)
		s.end = func(server.Listener, bool) owner.Result {
			return owner.Result{Outcome: owner.Taken, Ended: true, Left: []owner.Process{again.Owner}}
		}
		s.click("3000", "Stop")
		s.happens(watcher.Event{Kind: watcher.Restarted, Server: server.Alone(again), Before: server.Alone(l),
			Reason: byTERM}, again)
		s.wait(time.Minute)
		s.expect("Port 3000 was taken over")
	})
}

// A server that ends by itself during a failed Stop keeps its time of end. A server without a start notice has none.
func TestEndingByItselfMeanwhile(t *testing.T) {
	perform(t, func(s *stage) {
		l, brief := serverAt(3000, 1), serverAt(4000, 2)
		l.Owner.Since = time.Now()
		s.list(l)
		release := map[uint16]chan struct{}{3000: make(chan struct{}), 4000: make(chan struct{})}
		s.end = func(on server.Listener, _ bool) owner.Result {
			<-release[on.Port]
			return owner.Result{Outcome: owner.AlreadyGone}
		}
		crashed := watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: 1}}
		s.happens(watcher.Event{Kind: watcher.Opened, Server: server.Alone(brief)}, l, brief)
		s.click("3000", "Stop")
		s.click("4000", "Stop")
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(brief), Reason: crashed}, l)
		s.wait(2 * time.Second)
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(l), Reason: crashed})
		s.wait(20 * time.Second)
		close(release[4000])
		s.wait(time.Second)
		s.expect("Port 4000: nothing was stopped")
		close(release[3000])
		s.wait(time.Minute)
		s.expect("node (:3000) crashed after 2 s", "Port 3000: nothing was stopped")
	})
}

// During a Stop the exit of a process that had closed its port before may become known.
func TestEndingExplainedMeanwhile(t *testing.T) {
	perform(t, func(s *stage) {
		l := serverAt(3000, 1)
		s.list(l)
		release := make(chan struct{})
		s.end = func(server.Listener, bool) owner.Result { <-release; return owner.Result{Outcome: owner.AlreadyGone} }
		s.click("3000", "Stop")
		s.happens(watcher.Event{Kind: watcher.Closed, Server: server.Alone(l),
			Reason: watcher.Reason{Cause: watcher.OwnerGoesOn}})
		s.happens(watcher.Event{Kind: watcher.Explained, Server: server.Alone(l), Reason: watcher.Reason{
			Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: 3}}})
		close(release)
		s.wait(time.Minute)
		s.expect("Port 3000: nothing was stopped", "node (:3000) crashed")
	})
}

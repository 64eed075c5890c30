package tray

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// A stage is a loop in a synctest bubble, with a recorded menu and recorded actions.
type stage struct {
	t       *testing.T
	loop    *loop
	menu    *recorder
	ended   chan struct{}  // closed when the loop has returned
	clicked chan server.ID // clicks on notices

	mu      sync.Mutex
	said    []notice
	opened  []string
	copied  []string
	signals []string
	seen    []watcher.Event // recorded for the history
	end     func(server.Listener, bool) owner.Result
	fail    error // the result of open and copy
}

// perform runs a test on a stage in fake time, and then stops the loop.
func perform(t *testing.T, test func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &stage{t: t, loop: newLoop("v1", "linux"), menu: newRecorder(), ended: make(chan struct{}),
			clicked: make(chan server.ID)}
		s.loop.clicked = s.clicked
		s.end = func(server.Listener, bool) owner.Result { return owner.Result{Outcome: owner.Freed, Ended: true} }
		s.loop.do = effects{
			scheme: func(context.Context, server.Listener) string { return "http" },
			open:   func(_ context.Context, url string) error { s.note(&s.opened, url); return s.fail },
			copy:   func(_ context.Context, text string) error { s.note(&s.copied, text); return s.fail },
			end: func(_ context.Context, on server.Server, force bool, _ time.Duration) owner.Result {
				s.note(&s.signals, groupName(on))
				return s.end(on.Listener, force)
			},
			network: func(server.Listener) (netip.Addr, error) { return netip.MustParseAddr("192.0.2.7"), s.fail },
			say: func(n notice) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.said = append(s.said, n)
			},
			record: func(u watcher.Update) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.seen = append(s.seen, u.Events...)
			},
		}
		s.loop.drawer = newDrawer(s.menu.root, s.menu, view(s.loop.model))
		go func() {
			defer close(s.ended)
			s.loop.run(ctx)
		}()
		test(s)
		cancel()
		<-s.ended
		s.menu.root.close()
	})
}

func (s *stage) note(list *[]string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, text)
}

// lists returns a snapshot of listeners and their servers. Ports from 32768 on are dynamic.
func lists(listeners ...server.Listener) watcher.Snapshot {
	servers := server.Servers(listeners, func(port uint16) bool { return port >= 32768 })
	return watcher.Snapshot{Time: time.Now(), Listeners: listeners, Servers: servers}
}

// list delivers an update with these listeners and the events from the last one.
func (s *stage) list(listeners ...server.Listener) {
	s.t.Helper()
	synctest.Wait()
	now := lists(listeners...)
	u := watcher.Update{Snapshot: now}
	if before := s.loop.latest; !before.Time.IsZero() {
		u.Events = watcher.Diff(before, now)
	}
	s.loop.updates <- u
	synctest.Wait()
}

// click clicks an item of the menu as it stands.
func (s *stage) click(path ...string) {
	s.t.Helper()
	i := s.menu.root.find(path...)
	if i == nil {
		s.t.Fatalf("no %q in the menu:\n%s", path, s.menu.root.text())
	}
	s.clickItem(i)
}

func (s *stage) clickItem(i *fakeItem) {
	i.clicks <- struct{}{}
	synctest.Wait()
}

// use sends the loop a sign of menu use.
func (s *stage) use(what sign) {
	s.loop.signs <- what
	synctest.Wait()
}

func (s *stage) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// forget drops the recorded notices.
func (s *stage) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = nil
}

// expect compares the titles of the notices since the last call.
func (s *stage) expect(titles ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, n := range s.said {
		got = append(got, n.title)
	}
	if !slices.Equal(got, titles) {
		s.t.Errorf("said %v, want %q", s.said, titles)
	}
	s.said = nil
}

func TestLoopTellsWhatHappens(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(80, 1))
		s.wait(time.Minute)
		s.expect() // the baseline gives no notice

		s.list(serverAt(80, 1), serverAt(3000, 2))
		s.wait(minLifetime - 1)
		s.expect()
		s.wait(1)
		s.expect("node (:3000) is up")

		s.list(serverAt(80, 1))
		s.wait(time.Second)
		s.list()
		s.wait(watcher.RestartGrace - 1)
		s.expect()
		s.wait(1)
		s.expect("2 ports closed")
		if s.menu.root.find("00:01  node stopped") == nil ||
			s.menu.root.find("Recently closed", "00:01  node :80", "Copy address") == nil {
			t.Errorf("what closed is not in the menu:\n%s", s.menu.root.text())
		}

		s.list(serverAt(3000, 3))
		s.list()
		s.wait(time.Minute)
		s.expect() // closed before the notice was due
	})
}

// If two servers share a port, each is opened and copied by an address of its own.
func TestLoopOpensTheServerOfItsRow(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(5173, 1), serverAt(5173, 2, "::1"), serverAt(8000, 3, "0.0.0.0"), serverAt(8000, 4))
		s.click("5173  at 127.0.0.1", "Open")
		s.click("5173  at ::1", "Open")
		s.click("8000  at 0.0.0.0", "Open")
		s.click("8000  at 127.0.0.1", "Open")
		if want := []string{"http://127.0.0.1:5173", "http://[::1]:5173", "http://127.0.0.2:8000",
			"http://127.0.0.1:8000"}; !slices.Equal(s.opened, want) {
			t.Errorf("opened %q, want %q", s.opened, want)
		}
		s.click("5173  at ::1", "Copy")
		if want := []string{"http://[::1]:5173"}; !slices.Equal(s.copied, want) {
			t.Errorf("copied %q, want %q", s.copied, want)
		}
		s.opened = nil
		s.list(serverAt(3000, 1), serverAt(3100, 1), serverAt(3100, 2, "::1")) // a further port
		s.click("3000", "Also", "Open 3100")
		if want := []string{"http://127.0.0.1:3100"}; !slices.Equal(s.opened, want) {
			t.Errorf("opened %q, want %q", s.opened, want)
		}
	})
}

func TestLoopOpensAndCopies(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		s.click("3000", "Open")
		s.click("3000", "Copy")
		if want := []string{"http://localhost:3000"}; !slices.Equal(s.opened, want) || !slices.Equal(s.copied, want) {
			t.Errorf("opened %q, copied %q, want %q for both", s.opened, s.copied, want)
		}
		s.expect()

		s.fail = errors.New("open the browser: no such file")
		s.click("3000", "Open")
		s.expect("Could not open http://localhost:3000")
		s.click("3000", "Copy")
		s.expect("Could not copy http://localhost:3000")
	})
}

func TestLoopTellsTheOutcomeOfAStopOnly(t *testing.T) {
	perform(t, func(s *stage) {
		shop, inspector, other := serverAt(3000, 1), serverAt(9229, 1), serverAt(8080, 2)
		s.list(shop, other, inspector)
		release := make(chan struct{})
		s.end = func(server.Listener, bool) owner.Result {
			<-release
			return owner.Result{Outcome: owner.Freed, Ended: true}
		}
		s.click("3000", "Stop")
		s.click("3000", "Stop") // the second click does nothing
		s.list(other)           // both its ports close before the outcome
		s.wait(10 * time.Second)
		s.expect()
		close(release)
		s.wait(time.Second)
		s.expect("Port 3000 is free")
		if len(s.signals) != 1 {
			t.Errorf("stopped %q", s.signals)
		}

		s.click("8080", "Stop")
		s.expect("Port 8080 is free")
		s.list() // after the outcome
		s.wait(time.Minute)
		s.expect()

		s.list(serverAt(3000, 5))
		s.wait(minLifetime)
		s.expect("node (:3000) is up")
	})
}

// All events are recorded, even without a notice.
func TestLoopRecordsWhatHappens(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1), serverAt(8080, 2))
		s.click("3000", "Stop")
		s.list(serverAt(8080, 2))
		s.click("8080", "Mute notifications")
		s.list()
		s.wait(time.Minute)
		s.expect("Port 3000 is free")
		var got []string
		for _, e := range s.seen {
			got = append(got, fmt.Sprintf("%v %d", e.Kind, e.Listener.Port))
		}
		if want := []string{"closed 3000", "closed 8080"}; !slices.Equal(got, want) {
			t.Errorf("recorded %q, want %q", got, want)
		}
	})
}

// A Stop that frees the ports of a living process reports its outcome only, even for further ports of the server.
func TestLoopTellsWhatElseCloses(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1), serverAt(9229, 1))
		release := make(chan struct{})
		s.end = func(server.Listener, bool) owner.Result {
			<-release
			return owner.Result{Outcome: owner.Freed}
		}
		s.click("3000", "Stop")
		s.list()
		s.wait(10 * time.Second)
		s.expect()
		close(release)
		s.wait(watcher.RestartGrace)
		s.expect("Port 3000 is free") // the debugger's port was a further one of the same server
	})
}

// A hanging action is given up: others can run again, and the person is notified.
func TestLoopGivesUpOnActions(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		release := make(chan struct{})
		defer close(release)
		s.end = func(server.Listener, bool) owner.Result { <-release; return owner.Result{} }
		for range 2 * actionLimit {
			s.click("3000", "Stop")
			s.wait(actionPatience)
			s.expect("Port 3000: no answer")
		}
	})
}

// After a failed Stop, a later end of the process is still reported.
func TestLoopTellsALaterEnd(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		s.end = func(server.Listener, bool) owner.Result { return owner.Result{Outcome: owner.StillRunning} }
		s.click("3000", "Stop")
		s.expect("Port 3000 is still in use")
		s.wait(time.Minute)
		s.list()
		s.wait(watcher.RestartGrace)
		s.expect("node (:3000) stopped")
	})
}

// A Kill during a Stop gives one notice.
func TestLoopKillsWhileStopping(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		killed := make(chan struct{})
		s.end = func(_ server.Listener, force bool) owner.Result {
			if force {
				close(killed)
			} else {
				<-killed
			}
			return owner.Result{Outcome: owner.Freed, Ended: true}
		}
		s.click("3000", "Stop")
		s.click("3000", "Kill")
		s.list()
		s.wait(time.Second)
		s.expect("Port 3000 is free")
	})
}

// A Kill may find nothing to do because an earlier Stop has worked meanwhile. The notice says so.
func TestLoopTellsTheStopThatWorked(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		s.end = func(_ server.Listener, force bool) owner.Result {
			if !force {
				time.Sleep(time.Second)
				return owner.Result{Outcome: owner.Freed, Ended: true}
			}
			time.Sleep(2 * time.Second)
			return owner.Result{Outcome: owner.AlreadyGone}
		}
		s.click("3000", "Stop")
		s.click("3000", "Kill")
		s.wait(time.Minute)
		s.expect("Port 3000 is free")
	})
}

// A click may come when its listener is gone, another one has the port, the row has moved or its items are hidden.
func TestLoopHitsOnlyWhatWasShown(t *testing.T) {
	for name, after := range map[string][]server.Listener{
		"nothing there":               nil,
		"another process on the port": {serverAt(3000, 2)},
		"the PID on another port":     {serverAt(4000, 1)},
		"another port in its place":   {serverAt(2999, 7)},
		"rows all around":             {serverAt(2000, 3), serverAt(2999, 4), serverAt(3001, 5), serverAt(4000, 6)},
	} {
		for _, wait := range []time.Duration{0, time.Second, linger - 1} {
			t.Run(name, func(t *testing.T) {
				perform(t, func(s *stage) {
					s.list(serverAt(3000, 1))
					stopItem, killItem, openItem := s.menu.root.find("3000", "Stop"), s.menu.root.find("3000", "Kill"),
						s.menu.root.find("3000", "Open")
					s.list(after...)
					s.wait(wait)
					s.forget()
					s.clickItem(stopItem)
					s.expect("Port 3000: nothing was stopped")
					s.clickItem(killItem)
					s.expect("Port 3000: nothing was killed")
					if len(s.signals) > 0 {
						t.Errorf("signalled %q", s.signals)
					}
					s.clickItem(openItem) // the item may belong to another row by now; then that one opens
					if len(after) == 0 {
						s.expect("Port 3000: nothing was opened or copied")
					}
				})
			})
		}
	}
}

func TestLoopHoldsTheMenuStill(t *testing.T) {
	row := func(s *stage, port string) bool { return s.menu.root.find(port) != nil }
	for _, c := range []struct {
		name string
		do   func(s *stage) // after the menu was opened and a server came up
		want bool           // its row is there
	}{
		{"nothing", func(*stage) {}, false},
		{"nearly two minutes", func(s *stage) { s.wait(hold - 1) }, false},
		{"two minutes", func(s *stage) { s.wait(hold) }, true},
		{"closed", func(s *stage) { s.use(menuClosed) }, true},
		{"a submenu is opened", func(s *stage) { s.wait(hold - 1); s.use(menuUsed); s.wait(hold - 1) }, false},
		{"a submenu is opened, and two minutes", func(s *stage) { s.wait(hold - 1); s.use(menuUsed); s.wait(hold) },
			true},
		{"opened again", func(s *stage) { s.use(menuOpened) }, true},
		{"a click, of a host that tells when the menu is closed", func(s *stage) { s.click("Settings", "About") },
			false},
		{"a click, of another host",
			func(s *stage) { s.loop.hostTellsClose = false; s.click("Settings", "About") }, true},
		{"a submenu is closed, and some time",
			func(s *stage) { s.loop.hostTellsClose = false; s.use(menuUsed); s.use(menuLeft); s.wait(leftHold - 1) },
			false},
		{"a submenu is closed, and more time",
			func(s *stage) { s.loop.hostTellsClose = false; s.use(menuUsed); s.use(menuLeft); s.wait(leftHold) }, true},
		{"a submenu is closed, of a host that tells all", func(s *stage) {
			s.loop.hostTellsClose = true
			s.use(menuUsed)
			s.use(menuLeft)
			s.wait(hold - 1)
		}, false},
		{"shown again", func(s *stage) { s.use(menuShown) }, true},
		{"shown again, and some time", func(s *stage) {
			s.use(menuShown)
			s.list(serverAt(3000, 1))
			s.wait(topHold - 1)
		}, true},
		{"shown again, and more time", func(s *stage) { s.use(menuShown); s.list(serverAt(3000, 1)); s.wait(topHold) },
			false},
		{"closed and opened", func(s *stage) { s.use(menuClosed); s.use(menuOpened); s.list(serverAt(3000, 1)) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			perform(t, func(s *stage) {
				s.list(serverAt(3000, 1))
				before := s.menu.root.text()
				s.use(menuOpened)
				s.list(serverAt(3000, 1), serverAt(4000, 2))
				if got := s.menu.root.text(); got != before {
					t.Errorf("the open menu changed to\n%s", got)
				}
				if _, badge := s.menu.state(); badge != 2 {
					t.Errorf("the badge says %d, want 2", badge)
				}
				if c.do(s); row(s, "4000") != c.want {
					t.Errorf("the new row: %v\n%s", !c.want, s.menu.root.text())
				}
			})
		})
	}
}

// A host that reports the closing of the menu reports it after a click, too. Until then the menu may be open.
func TestLoopHoldsTheMenuAfterAClick(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		s.use(menuOpened)
		s.use(menuClosed)
		s.use(menuOpened)
		s.list(serverAt(3000, 1), serverAt(4000, 2))
		s.click("Settings", "About")
		if s.menu.root.find("4000") != nil {
			t.Error("the menu changed before the host said that it was closed")
		}
		s.use(menuClosed)
		if s.menu.root.find("4000") == nil {
			t.Error("the new row is missing")
		}
	})
}

// A click acts on the current state, not on the outdated menu.
func TestLoopClicksInAHeldMenu(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1), serverAt(4000, 2))
		s.use(menuShown)
		s.list(serverAt(4000, 2))
		s.click("3000", "Stop")
		s.expect("Port 3000: nothing was stopped")
		if s.menu.root.find("3000") != nil {
			t.Errorf("the row is still there after the click:\n%s", s.menu.root.text())
		}
	})
}

// A panel that sends signs all the time cannot delay the redraw for ever.
func TestLoopHoldsTheMenuNotForEver(t *testing.T) {
	for _, flood := range []sign{menuOpened, menuUsed} {
		perform(t, func(s *stage) {
			s.list(serverAt(3000, 1))
			s.use(menuOpened)
			s.list(serverAt(3000, 1), serverAt(4000, 2))
			for begin := time.Now(); s.menu.root.find("4000") == nil; s.wait(time.Second) {
				if s.use(flood); time.Since(begin) > holdLimit {
					t.Fatalf("after %v the menu has not changed", time.Since(begin))
				}
			}
		})
	}
}

// If the system does not report an open menu, the loop polls for it while that matters.
func TestLoopPeeks(t *testing.T) {
	perform(t, func(s *stage) {
		var open, looks atomic.Int32
		s.loop.peek = func() bool { looks.Add(1); return open.Load() > 0 }
		s.list(serverAt(3000, 1))
		s.wait(time.Minute)
		if n := looks.Load(); n > 3 {
			t.Errorf("it looked %d times in a quiet minute", n)
		}
		open.Store(1)
		s.list(serverAt(3000, 1), serverAt(4000, 2))
		s.wait(time.Minute)
		if s.menu.root.find("4000") != nil {
			t.Error("the open menu changed")
		}
		open.Store(0)
		s.wait(peekPace)
		if s.menu.root.find("4000") == nil {
			t.Error("the closed menu did not change")
		}
	})
}

// Behind one forwarder, or a hidden one, another container can take the port. A Stop for the first one must not hit it.
func TestLoopStopsOnlyTheContainerThatWasShown(t *testing.T) {
	contained := func(p owner.Process, id string) server.Listener {
		l := serverAt(3000, 1)
		l.Owner, l.Container = p, engine.Container{ID: id, Name: id}
		return l
	}
	for name, p := range map[string]owner.Process{
		"one forwarder": {PID: 1, Start: 1, Name: "com.docker.backend", Refusal: "forwards for a container or VM"},
		"a hidden one":  {Foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			perform(t, func(s *stage) {
				s.list(contained(p, "web"))
				old := s.menu.root.find("3000", "Stop container web")
				s.list(contained(p, "db"))
				s.clickItem(old)
				s.expect("Port 3000: nothing was stopped")
				s.click("3000", "Stop container db")
				if !slices.Equal(s.signals, []string{"container db"}) {
					t.Errorf("stopped %q", s.signals)
				}
			})
		})
	}
}

// A Stop for some workers must not hit workers that came later.
func TestLoopStopsOnlyTheWorkersThatWereShown(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(prefork(3000, 0, 10, 11)...)
		old := s.menu.root.find("3000", "Stop python3 (PID 10) and 1 worker")
		s.use(menuOpened)
		s.list(prefork(3000, 0, 10, 11, 12)...)
		s.clickItem(old)
		s.expect("Port 3000: nothing was stopped")
		s.use(menuClosed)
		s.click("3000", "Stop python3 (PID 10) and 2 workers")
		if !slices.Equal(s.signals, []string{"python3 (PID 10) and 2 workers"}) {
			t.Errorf("stopped %q", s.signals)
		}
	})
}

// Workers that end one after the other because of a Stop give no notices.
func TestLoopTellsOnceOfWorkersThatEnd(t *testing.T) {
	for _, order := range [][]int32{{11, 12}, {10, 12}, {12}, {10}, nil} {
		perform(t, func(s *stage) {
			s.list(prefork(3000, 0, 10, 11, 12)...)
			release := make(chan struct{})
			s.end = func(server.Listener, bool) owner.Result {
				<-release
				return owner.Result{Outcome: owner.Freed, Ended: true}
			}
			s.click("3000", "Stop python3 (PID 10) and 2 workers")
			s.list(prefork(3000, 0, order...)...)
			s.wait(100 * time.Millisecond)
			s.list()
			close(release)
			s.wait(time.Minute)
			s.expect("Port 3000 is free")
		})
	}
}

func TestLoopIsIdleWhenNothingChanges(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		before, _ := s.menu.state()
		for range 100 {
			s.list(serverAt(3000, 1))
			s.wait(time.Second)
		}
		if after, _ := s.menu.state(); after != before {
			t.Errorf("%d calls for nothing", after-before)
		}
		s.expect()
	})
}

func TestLoopShowsFailures(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		s.loop.updates <- watcher.Update{Snapshot: s.loop.model.snapshot, Err: errors.New("no memory")}
		synctest.Wait()
		if s.menu.root.find("As of ") == nil || s.menu.root.find("3000") == nil {
			t.Errorf("the stale menu is\n%s", s.menu.root.text())
		}
		s.wait(time.Minute)
		s.expect()
		s.list(serverAt(3000, 1))
		if s.menu.root.find("1 server") == nil {
			t.Errorf("the menu after that is\n%s", s.menu.root.text())
		}
	})
}

func TestLoopTellsOnceThatThereIsNoTrayHost(t *testing.T) {
	perform(t, func(s *stage) {
		s.loop.hosts <- false
		s.wait(hostGrace / 2)
		s.loop.hosts <- true // the panel came late
		s.wait(time.Minute)
		s.expect()
		s.loop.hosts <- false
		s.wait(hostGrace)
		s.expect("porttray cannot show its icon")
		s.loop.hosts <- true
		s.loop.hosts <- false
		s.wait(time.Hour)
		s.expect()
	})
}

func TestLoopTidiesUp(t *testing.T) {
	perform(t, func(s *stage) {
		var many []server.Listener
		for i := range uint16(300) {
			many = append(many, serverAt(3000+i, int32(i)+1))
		}
		s.list(many...)
		s.list()
		full := s.menu.root.size()
		s.wait(linger)
		if left := s.menu.root.size(); left > full/2 {
			t.Errorf("%d of %d items are left", left, full)
		}
	})
}

func TestLoopBoundsItsActions(t *testing.T) {
	perform(t, func(s *stage) {
		var rows []server.Listener
		for i := range uint16(actionLimit + 1) {
			rows = append(rows, serverAt(3000+i, int32(i)+1))
		}
		s.list(rows...)
		release := make(chan struct{})
		s.end = func(server.Listener, bool) owner.Result { <-release; return owner.Result{Outcome: owner.AlreadyGone} }
		for i := range actionLimit {
			s.click("300"+string(rune('0'+i)), "Stop")
		}
		s.expect()
		s.click("More", "3008", "Stop")
		s.expect("Nothing was done")
		close(release)
		synctest.Wait()
		s.forget()
		s.click("More", "3008", "Stop")
		s.expect("Port 3008: nothing was stopped")
	})
}

// A panel that clicks without end gets no more than a quick person does. Clicks on other entries still count.
func TestLoopOutlastsAWildPanel(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1), serverAt(4000, 2))
		row := s.menu.root.find("4000")
		stale := []*fakeItem{row.find("Stop"), row.find("Mute"), row.find("Open in browser")}
		s.list(serverAt(3000, 1))
		s.wait(15 * time.Second)
		s.forget()
		const seconds = 5
		for range seconds {
			for range 1000 {
				s.click("3000", "Open in browser")
				s.click("3000", "Pin")
				for _, i := range stale {
					s.clickItem(i)
				}
				s.wait(time.Millisecond)
			}
		}
		const most = 10 + 5*seconds
		if n := len(s.opened); n < seconds || n > most {
			t.Errorf("the browser was opened %d times, want %d at most", n, most)
		}
		if n := len(s.said); n < seconds || n > len(stale)*most {
			t.Errorf("%d notices were given, want %d at most", n, len(stale)*most)
		}
		s.click("3000", "Stop")
		if len(s.signals) != 1 {
			t.Errorf("the signals are %q", s.signals)
		}
		if n := len(s.loop.clicks); n > 64 {
			t.Errorf("%d clicks are remembered", n)
		}
	})
}

// A click on a notice may come long after it. It does not close an open menu.
func TestLoopOpensFromNotices(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1))
		s.use(menuOpened)
		s.clicked <- serverAt(3000, 1).ID()
		synctest.Wait()
		s.clicked <- serverAt(3000, 2).ID()
		synctest.Wait()
		s.clicked <- server.ID{}
		synctest.Wait()
		if want := []string{"http://localhost:3000"}; !slices.Equal(s.opened, want) {
			t.Errorf("opened %q, want %q", s.opened, want)
		}
		s.expect("Port 3000: nothing was opened or copied", "Port 0: nothing was opened or copied")
		if s.loop.menuHold == nil {
			t.Error("the open menu is not held any more")
		}
	})
}

func TestLoopAboutAndQuit(t *testing.T) {
	perform(t, func(s *stage) {
		s.click("Settings", "About")
		s.expect("porttray v1")
		s.clickItem(s.menu.root.find("Quit"))
		<-s.ended
	})
}

// A hanging service loses notices and nothing else.
func TestOutboxNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sent := 0
		o := newOutbox(func(ctx context.Context, n notice) error {
			sent++
			<-ctx.Done()
			return ctx.Err()
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			o.run(ctx)
		}()
		for range 100 {
			o.put(notice{title: "x"})
		}
		time.Sleep(time.Minute)
		cancel()
		<-done
		if sent == 0 || sent > 10 {
			t.Errorf("%d were sent", sent)
		}
	})
}

// If a process ends after the outcome was reported, the person has still stopped it.
func TestLoopKnowsALateObedience(t *testing.T) {
	perform(t, func(s *stage) {
		l := serverAt(3000, 1)
		s.list(l)
		s.end = func(server.Listener, bool) owner.Result { return owner.Result{Outcome: owner.StillRunning} }
		s.click("3000", "Stop")
		s.expect("Port 3000 is still in use")
		s.wait(2 * time.Second)
		s.loop.updates <- watcher.Update{Snapshot: watcher.Snapshot{Time: time.Now()},
			Events: []watcher.Event{{Kind: watcher.Closed, Server: server.Alone(l), Reason: watcher.Reason{
				Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Killed, Signal: "SIGTERM"}}}}}
		s.wait(time.Minute)
		s.expect()
		if s.menu.root.find("Recently closed", "00:00  node :3000, stopped by you") == nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
	})
}

// A server of many ports that comes back after a Stop is reported once, and has one row under Recently closed.
func TestLoopTellsOnceThatAServerIsBack(t *testing.T) {
	perform(t, func(s *stage) {
		var before, after []server.Listener
		u := watcher.Update{}
		for port := range uint16(13) {
			b, a := serverAt(3000+port, 1), serverAt(3000+port, 2)
			a.Facts.Supervisor = facts.Supervisor{ID: owner.ID{PID: 4200}, Name: "nodemon"}
			before, after = append(before, b), append(after, a)
		}
		u.Events = []watcher.Event{{Kind: watcher.Restarted, Server: lists(after...).Servers[0],
			Before: lists(before...).Servers[0]}}
		s.list(before...)
		s.click("3000", "Stop")
		s.expect("Port 3000 is free")
		s.wait(time.Second)
		u.Snapshot = lists(after...)
		s.loop.updates <- u
		s.wait(time.Minute)
		s.expect("3000 is back: restarted by nodemon (PID 4200)")
		s.click("3000", "Stop")
		s.list()
		s.wait(time.Minute)
		s.expect("Port 3000 is free")
		if s.menu.root.find("Recently closed", "00:01  node :3000") == nil || s.menu.root.find("Recently closed",
			"00:01  node :3012") != nil {
			t.Errorf("the menu is\n%s", s.menu.root.text())
		}
	})
}

// A click on a notice opens the server, even after a restart.
func TestLoopOpensASuccessor(t *testing.T) {
	perform(t, func(s *stage) {
		s.list()
		s.list(serverAt(3000, 1))
		s.wait(minLifetime)
		s.expect("node (:3000) is up")
		s.list(serverAt(3000, 2))
		s.clicked <- serverAt(3000, 1).ID()
		synctest.Wait()
		if !slices.Equal(s.opened, []string{"http://localhost:3000"}) {
			t.Errorf("opened %q", s.opened)
		}
		other := serverAt(3000, 3)
		other.Owner.Dir = "/srv/other"
		s.list(other)
		s.forget()
		s.clicked <- serverAt(3000, 1).ID()
		synctest.Wait()
		s.expect("Port 3000: nothing was opened or copied")
	})
}

// A pause ends by the wall clock. A saved pause is no longer than a chosen one.
func TestLoopPauses(t *testing.T) {
	perform(t, func(s *stage) {
		s.list()
		s.loop.restore(choices{Mode: myServers, Paused: time.Now().AddDate(70, 0, 0)})
		s.list(serverAt(3000, 1))
		s.wait(pauseFor)
		s.expect()
		s.list(serverAt(3000, 1), serverAt(4000, 2))
		s.wait(minLifetime)
		s.expect("node (:4000) is up")
	})
}

func TestLoopCopiesTheNetworkAddress(t *testing.T) {
	perform(t, func(s *stage) {
		s.list(serverAt(3000, 1, "0.0.0.0"))
		s.click("3000", "Copy network address")
		if !slices.Equal(s.copied, []string{"http://192.0.2.7:3000"}) {
			t.Errorf("copied %q", s.copied)
		}
		s.fail = errors.New("no address")
		s.click("3000", "Copy network address")
		s.expect("Could not copy the network address")
	})
}

func TestLoopCopiesWhatBelongsToAClosedServer(t *testing.T) {
	perform(t, func(s *stage) {
		l := serverAt(3000, 1)
		l.Facts.Command = "cd /srv/shop && node server.js"
		s.list(l)
		s.list()
		s.wait(watcher.RestartGrace)
		s.click("Recently closed", "", "Copy restart command")
		s.click("Recently closed", "", "Copy address")
		if !slices.Equal(s.copied, []string{l.Facts.Command, "http://localhost:3000"}) {
			t.Errorf("copied %q", s.copied)
		}
	})
}

func TestNetworkAddress(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  string
	}{
		{[]string{"127.0.0.1", "192.0.2.7"}, "192.0.2.7"},
		{[]string{"::1", "2001:db8::7"}, "2001:db8::7"},
		{[]string{"2001:db8::7", "192.0.2.7"}, "192.0.2.7"},
		{[]string{"127.0.0.1"}, "invalid IP"},
	} {
		got, err := networkAddress(serverAt(3000, 1, c.addrs...))
		if got.String() != c.want || (err != nil) != (c.want == "invalid IP") {
			t.Errorf("%v: got %v, %v, want %s", c.addrs, got, err, c.want)
		}
	}
	got, err := networkAddress(serverAt(3000, 1, "0.0.0.0"))
	if err == nil && !got.IsGlobalUnicast() { // none without a network
		t.Errorf("on all interfaces: got %v", got)
	}
}

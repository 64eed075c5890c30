package watcher

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// settle delivers results to a naming until nothing is pending, and returns the named listeners.
func (n *naming) settle(t *testing.T, listeners []server.Listener) []server.Listener {
	t.Helper()
	n.name(listeners, time.Now())
	for n.begin(t.Context(), listeners); n.busy(); n.begin(t.Context(), listeners) {
		select {
		case told := <-n.results:
			n.learn(told)
		case a := <-n.answers:
			n.hear(a)
		}
		n.name(listeners, time.Now())
	}
	return n.name(listeners, time.Now())
}

// proxy is a forwarder's listener.
func proxy(port uint16, pid int32) server.Listener {
	return server.Listener{Port: port, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Owner: owner.Process{PID: pid, Start: 1, Name: "docker-proxy", Refusal: "forwards for a container or VM"}}
}

// TestEndings has a container lose its listeners, come back, and lose them again. Each time the engine is asked once.
func TestEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &registry{lists: []engine.List{publish("80")}}
		n := r.naming()
		var asked []time.Duration // per question, the time since the first sighting
		end := engine.End{Status: 1, Asked: engine.No}
		n.ended = func(_ context.Context, c engine.Container, after time.Time) (engine.End, bool) {
			asked = append(asked, time.Since(after))
			return end, c.ID == "id-of-c"
		}
		n.start()
		closed := n.settle(t, []server.Listener{proxy(80, 7), proxy(80, 9)})[1]
		time.Sleep(10 * time.Second)
		n.settle(t, []server.Listener{proxy(80, 9)}) // the other one closes later, after the engine reported the end
		s := state{naming: n}
		if got := s.why(closed, nil); got != (Reason{Cause: ContainerStopped}) {
			t.Errorf("a running container has the ending %+v", got)
		}

		n.settle(t, nil)
		n.settle(t, nil)
		s.naming = n
		got := s.why(closed, nil)
		if want := "container exited with status 1"; got.String() != want || !got.Crashed() || len(asked) != 1 ||
			asked[0] != 10*time.Second {
			t.Errorf("got %q, crashed %v, asked %v, want %q", got, got.Crashed(), asked, want)
		}
		n.settle(t, []server.Listener{proxy(80, 8)})
		if len(n.endings()) != 1 {
			t.Errorf("the ending of a container that came back was forgotten: a closing may still need it")
		}
		end = engine.End{Status: 137, OutOfMemory: true}
		n.name(nil, time.Now())
		if len(n.endings()) != 0 {
			t.Errorf("the second ending is still the first one: %v", n.endings())
		}
		n.settle(t, nil)
		if want := map[string]engine.End{"id-of-c": end}; len(asked) != 2 || n.endings()["id-of-c"] != end ||
			len(n.endings()) != 1 {
			t.Errorf("got %v, asked %d times, want %v", n.endings(), len(asked), want)
		}
		time.Sleep(2 * exitMemory)
		n.ends.add(map[string]engine.End{"other": {}}, time.Now())
		if len(n.endings()) != 1 {
			t.Errorf("old endings are not forgotten: %v", n.endings())
		}
	})
}

// TestAwaits has a forwarder listen before its engine lists the container. The engine sends no event for it.
func TestAwaits(t *testing.T) {
	unlisted := engine.List{Answered: []string{"/engine"}}
	denied := engine.List{Failed: []engine.Failure{{Endpoint: "/engine", Err: errors.New("no")}}}
	for _, tt := range []struct {
		name   string
		l      server.Listener
		lists  []engine.List
		awaits bool   // after the first answer
		waits  string // the final name and the time to it
		asked  int    // questions to the engines in a minute
	}{
		{"listed at once", proxy(80, 7), []engine.List{publish("80")}, false, "c (container) after 0s", 1},
		{"listed at the third time", proxy(80, 7), []engine.List{unlisted, unlisted, publish("80")}, true,
			"c (container) after 1s", 3},
		{"never listed", proxy(80, 7), []engine.List{unlisted}, true, "container (docker-proxy) after 6s", 5},
		{"an unknown owner", server.Listener{Port: 80}, []engine.List{unlisted}, true, "unknown owner after 2s", 3},
		{"no engine that answers", proxy(80, 7), []engine.List{{}}, false, "container (docker-proxy) after 0s", 1},
		{"an engine that may not be asked", proxy(80, 7), []engine.List{denied}, false,
			"container (docker-proxy) after 0s", 5},
		{"no forwarder", server.Listener{Port: 80, Owner: owner.Process{PID: 7, Start: 1}}, []engine.List{unlisted}, false,
			"T7 after 0s", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &registry{lists: tt.lists}
				n := r.naming()
				n.start()
				all, start, waited := []server.Listener{tt.l}, time.Now(), ""
				named := n.settle(t, all)
				if n.awaits(named[0]) != tt.awaits {
					t.Errorf("awaited: %v, want %v", n.awaits(named[0]), tt.awaits)
				}
				for time.Since(start) < time.Minute {
					if waited == "" && !n.awaits(named[0]) {
						waited = named[0].Name() + " after " + time.Since(start).String()
					}
					select {
					case <-n.retry:
						n.tryAgain()
						named = n.settle(t, all)
					case <-time.After(250 * time.Millisecond):
					}
				}
				asked := 0
				for _, what := range r.asked {
					if what == "engines" {
						asked++
					}
				}
				if waited != tt.waits || asked != tt.asked {
					t.Errorf("%q, asked %d times, want %q, %d", waited, asked, tt.waits, tt.asked)
				}
			})
		})
	}
}

// TestHosted has a process in a container on the host network.
func TestHosted(t *testing.T) {
	id, other := strings.Repeat("0123456789abcdef", 4), strings.Repeat("f", 64)
	box := engine.Container{ID: id, Name: "web", Image: "nginx:1", Endpoint: "/engine"}
	lists := func(all ...engine.Container) engine.List {
		return engine.List{Answered: []string{"/engine"}, Others: all}
	}
	for _, tt := range []struct {
		name  string
		facts facts.Facts
		lists []engine.List
		want  string
		asked bool
	}{
		{"its engine tells", facts.Facts{Container: id}, []engine.List{lists(box)}, "nginx · web (container)", true},
		{"the process is known by itself",
			facts.Facts{Container: id, Tool: facts.Tool{Name: "PostgreSQL", Kind: facts.Server}},
			[]engine.List{lists(box)}, "PostgreSQL · web (container)", true},
		{"another container", facts.Facts{Container: other}, []engine.List{lists(box)},
			"httpd · container ffffffffffff", true},
		{"no engine", facts.Facts{Container: id}, []engine.List{{}}, "httpd · container 0123456789ab", true},
		{"the engine cannot be asked any more", facts.Facts{Container: id},
			[]engine.List{lists(box), {Failed: []engine.Failure{{Endpoint: "/engine", Err: errors.New("no")}}}},
			"nginx · web (container)", true},
		{"people work in it", facts.Facts{Container: id, Project: project.Project{Name: "shop", Dir: "/home/ann/shop"}},
			[]engine.List{lists()}, "shop · httpd", true},
		{"in no container", facts.Facts{}, []engine.List{lists(box)}, "httpd", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &registry{lists: tt.lists}
				n := r.naming()
				n.facts = func(context.Context, owner.Process) (facts.Facts, bool) { return tt.facts, true }
				n.start()
				all := []server.Listener{{Port: 80, Owner: owner.Process{PID: 7, Start: 1, Name: "httpd"}}}
				n.settle(t, all)
				n.outdated = n.asked != nil
				got := n.settle(t, all)[0]
				if got.Name() != tt.want || slices.Contains(r.asked, "engines") != tt.asked {
					t.Errorf("got %q, asked %q, want %q", got.Name(), r.asked, tt.want)
				}
				if known := strings.Contains(tt.want, "web"); (got.Container == box) != known || got.Hosted() != known {
					t.Errorf("its container is %+v", got.Container)
				}
			})
		})
	}
}

// TestWhyContainer checks why listeners of containers closed.
func TestWhyContainer(t *testing.T) {
	box := engine.Container{ID: strings.Repeat("a", 64)}
	published, hosted := proxy(80, 7), server.Listener{Port: 80, Owner: owner.Process{PID: 8, Start: 1}, Container: box}
	published.Container, hosted.Facts.Container = box, box.ID
	exited := owner.Exit{How: owner.Exited, Status: 3}
	exits := map[owner.ID]owner.Exit{{PID: 7, Start: 1}: exited, {PID: 8, Start: 1}: exited}
	stopped, crashed := engine.End{Status: 143, Asked: engine.Yes}, engine.End{Status: 3, Asked: engine.No}
	for _, tt := range []struct {
		name    string
		l       server.Listener
		gone    bool
		exits   map[owner.ID]owner.Exit
		end     *engine.End
		want    string
		crashed bool
	}{
		{"published, and nothing is told", published, true, exits, nil, "container stopped", false},
		{"published, stopped", published, true, exits, &stopped, "container stopped", false},
		{"published, crashed", published, true, exits, &crashed, "container exited with status 3", true},
		{"a process closed its port", hosted, false, nil, &crashed, "still running, no longer listening", false},
		{"a process ended, and its container goes on", hosted, true, exits, nil, "exited with status 3", true},
		{"a process ended with its container", hosted, true, exits, &stopped, "container stopped", false},
		{"nothing is told", hosted, true, nil, nil, "ended", false},
	} {
		s := state{now: Snapshot{Exits: tt.exits}}
		if tt.end != nil {
			s.naming.ends.add(map[string]engine.End{box.ID: *tt.end}, time.Now())
		}
		got := s.why(tt.l, func(server.Listener) bool { return tt.gone })
		if got.String() != tt.want || got.Crashed() != tt.crashed {
			t.Errorf("%s: got %q, crashed %v, want %q, %v", tt.name, got, got.Crashed(), tt.want, tt.crashed)
		}
		if again, news := got.ContainerEnded(tt.l, s.naming.endings()); news || again != got {
			t.Errorf("%s: a second answer changed it to %q", tt.name, again)
		}
	}
	late := map[string]engine.End{box.ID: crashed}
	if got, news := (Reason{Cause: ContainerStopped}).ContainerEnded(published, late); !news ||
		got.String() != "container exited with status 3" {
		t.Errorf("late answer: got %q, %v", got, news)
	}
	if _, news := (Reason{Cause: OwnerEnded}).ContainerEnded(server.Listener{Port: 80}, late); news {
		t.Error("a process without a container got a container's ending")
	}
}

// TestPodmanSocket has forwarders of Podman and engines that answer or fail.
func TestPodmanSocket(t *testing.T) {
	const rootless = "systemctl --user start podman.socket"
	denied := engine.List{Failed: []engine.Failure{{Endpoint: "/run/podman/podman.sock", Err: errors.New("denied")}}}
	for _, tt := range []struct {
		name, forwarder, user string
		list                  engine.List
		want                  string
	}{
		{"no engine", "rootlessport", "1000", engine.List{}, rootless},
		{"root's", "conmon", "0", engine.List{}, "systemctl start podman.socket"},
		{"only Docker", "pasta.avx2", "1000", engine.List{Answered: []string{"/run/docker.sock"}}, rootless},
		{"Podman does not know it", "rootlessport", "1000", engine.List{Answered: []string{"/run/podman/podman.sock"}},
			""},
		{"Podman may not be asked", "rootlessport", "1000", denied, ""},
		{"Docker's forwarder", "docker-proxy", "0", engine.List{}, ""},
	} {
		l := proxy(80, 7)
		l.Owner.Name, l.Owner.User = tt.forwarder, tt.user
		all := []server.Listener{l}
		noteUntold(all, tt.list)
		if got := all[0].PodmanSocket(); got != tt.want {
			t.Errorf("%s: got %q of %q, want %q", tt.name, got, all[0].Untold, tt.want)
		}
	}
}

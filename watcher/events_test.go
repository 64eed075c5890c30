package watcher

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// A moment is a list of listeners and the time it starts.
type moment struct {
	from time.Duration
	here []server.Listener
}

// socketed sets the name of the listener's socket.
func socketed(name uint64) servertest.Trait { return func(l *server.Listener) { l.Socket = name } }

// since sets the start of the process, relative to the beginning.
func since(d time.Duration) servertest.Trait {
	return func(l *server.Listener) { l.Owner.Since = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d) }
}

// TestEventsAreAboutServers expects one event per change of a server, however many ports and processes it has.
func TestEventsAreAboutServers(t *testing.T) {
	const ms = time.Millisecond
	alone := servertest.Serves(99, 1, servertest.At("127.0.0.1", "::1")) // so that the list is never empty
	app := func(pid int32, ports ...uint16) (all []server.Listener) {
		for _, port := range ports {
			all = append(all, servertest.Serves(port, pid, servertest.In(servertest.Shop), servertest.By(servertest.Vite)))
		}
		return all
	}
	debugged := func(pid int32, ports ...uint16) (all []server.Listener) {
		for _, l := range app(pid, ports...) {
			servertest.Debugs("JavaScript inspector", 9229)(&l)
			all = append(all, l)
		}
		return all
	}
	worker := func(pid int32) server.Listener {
		return servertest.Serves(3010, pid, servertest.WorkerOf("/usr/bin/python3", "/srv"), servertest.Forked, servertest.Under(50), servertest.At("0.0.0.0"))
	}
	proxy := func(pid int32, addr, id string) server.Listener {
		return servertest.Serves(8080, pid, servertest.Forwarder, servertest.At(addr),
			servertest.Publishes(engine.Container{ID: id, Name: "web", Project: "shop", Service: "web"}))
	}
	wide := func(l server.Listener) server.Listener { servertest.At("0.0.0.0")(&l); return l }
	held := func(pid int32, traits ...servertest.Trait) server.Listener {
		return servertest.Serves(8000, pid, append([]servertest.Trait{servertest.Runs("/usr/bin/php", "/srv"), socketed(77)}, traits...)...)
	}
	for _, tt := range []struct {
		name    string
		moments []moment
		want    []string
	}{
		{
			"three ports open and close at once",
			[]moment{{0, nil}, {time.Second, app(7, 3340, 3341, 3342)}, {5 * time.Second, nil}},
			[]string{"1.25s opened 3340 (PID 7)", "5.5s closed 3340 (PID 7), ended"},
		}, {
			"three ports close in steps, the head first",
			[]moment{{0, app(7, 3340, 3341, 3342)}, {1000 * ms, app(7, 3341, 3342)}, {3000 * ms, app(7, 3342)},
				{5000 * ms, nil}},
			[]string{"1.5s closed 3340 (PID 7), still running, no longer listening"},
		}, {
			"three ports close in steps, the head last",
			[]moment{{0, app(7, 3340, 3341, 3342)}, {1000 * ms, app(7, 3340, 3341)}, {1300 * ms, app(7, 3340)},
				{1600 * ms, nil}},
			[]string{"1.75s closed 3340 (PID 7), ended"},
		}, {
			"a further port opens, closes, and is exposed",
			[]moment{{0, app(7, 3340)}, {1000 * ms, app(7, 3340, 3341)}, {4000 * ms, app(7, 3340)},
				{8000 * ms, app(7, 3340, 3341)},
				{12 * time.Second, append(app(7, 3340), servertest.Serves(3341, 7, servertest.In(servertest.Shop), servertest.By(servertest.Vite), servertest.At("192.0.2.1")))}},
			[]string{"12.25s exposed 3340 (PID 7, 7), by 3341"},
		}, {
			"a lower port is no other server",
			[]moment{{0, app(7, 3340)}, {1000 * ms, app(7, 3000, 3340)}, {4000 * ms, app(7, 3340)}},
			nil,
		}, {
			"a debugger waits before the server listens, also after a restart",
			[]moment{{0, nil}, {1000 * ms, debugged(7, 9229)}, {2000 * ms, debugged(7, 3000, 9229)},
				{10 * time.Second, nil},
				{11 * time.Second, debugged(8, 9229)}, {13 * time.Second, debugged(8, 3000, 9229)}},
			[]string{"2.5s opened 3000 (PID 7)", "10.75s closed 3000 (PID 7), ended",
				"11s restarted 9229 (PID 7, 8), ended, 1 restarts",
				"13.25s restarted 3000 (PID 7, 8), ended, 1 restarts"},
		}, {
			"a debugger alone, and one that other machines can reach",
			[]moment{{0, nil}, {1000 * ms, debugged(7, 9229)}, {70 * time.Second, nil},
				{80 * time.Second, []server.Listener{wide(debugged(7, 9229)[0])}}},
			[]string{"1m1.5s opened 9229 (PID 7)", "1m11.5s closed 9229 (PID 7), ended",
				"1m20.75s opened 9229 (PID 7)"},
		}, {
			"the head port is closed and opened again by a process that goes on",
			[]moment{{0, app(7, 3340, 3341)}, {1000 * ms, app(7, 3341)}, {4000 * ms, app(7, 3340, 3341)},
				{20 * time.Second, nil}},
			[]string{"1.5s closed 3340 (PID 7), still running, no longer listening",
				"4.75s restarted 3340 (PID 7, 7), still running, no longer listening, 1 restarts",
				"20s closed 3340 (PID 7), ended"},
		}, {
			"after a restart a further port opens before the head",
			[]moment{{0, app(7, 3340, 3341)}, {1000 * ms, nil}, {2000 * ms, app(8, 3341)},
				{4000 * ms, app(8, 3340, 3341)}, {20 * time.Second, nil}},
			[]string{"1.25s closed 3340 (PID 7), ended", "2.5s restarted 3341 (PID 7, 8), ended, 1 restarts",
				"20s closed 3340 (PID 8), ended"},
		}, {
			"workers with a socket each start, one is replaced, and all end one after the other",
			[]moment{{0, nil}, {1000 * ms, []server.Listener{worker(51), worker(52), worker(53)}},
				{4000 * ms, []server.Listener{worker(52), worker(53), worker(54)}},
				{8000 * ms, []server.Listener{worker(53), worker(54)}}, {9000 * ms, []server.Listener{worker(54)}},
				{10 * time.Second, nil}},
			[]string{"1.25s opened 3010 (PID 51)", "10.25s closed 3010 (PID 54), ended"},
		}, {
			"the forwarders of a container end one after the other, and it starts again",
			[]moment{{0, []server.Listener{proxy(7, "0.0.0.0", "a"), proxy(8, "::", "a")}},
				{2000 * ms, []server.Listener{proxy(8, "::", "a")}}, {4000 * ms, nil},
				{6000 * ms, []server.Listener{proxy(9, "0.0.0.0", "a"), proxy(10, "::", "a")}}},
			[]string{"4.5s closed 8080 (PID 8), container stopped",
				"6.75s restarted 8080 (PID 8, 9), container stopped, 1 restarts"},
		}, {
			"workers share the socket of a master that ended",
			[]moment{{0, []server.Listener{held(7)}}, {2000 * ms, []server.Listener{held(8, servertest.Orphan)}}},
			nil,
		}, {
			"after a restart, too",
			[]moment{{0, []server.Listener{held(6, socketed(76))}}, {2000 * ms, []server.Listener{held(7)}},
				{5000 * ms, []server.Listener{held(8, servertest.Orphan)}}, {9000 * ms, []server.Listener{held(9, socketed(78))}}},
			[]string{"2.25s restarted 8000 (PID 6, 7), ended, 1 restarts",
				"9.75s restarted 8000 (PID 8, 9), ended, 2 restarts"},
		}, {
			"another program got the socket",
			[]moment{{0, []server.Listener{held(7)}}, {2000 * ms, []server.Listener{held(8, servertest.Runs("/usr/bin/ruby", "/srv"))}}},
			[]string{"2.25s replaced 8000 (PID 7, 8), ended"},
		}, {
			"a server finds its usual port taken",
			[]moment{{0, app(7, 5173)}, {1000 * ms, nil},
				{8 * time.Second, []server.Listener{servertest.Serves(5173, 8, servertest.In(servertest.Blog), servertest.By(servertest.Vite))}},
				{10 * time.Second,
					[]server.Listener{servertest.Serves(5173, 8, servertest.In(servertest.Blog), servertest.By(servertest.Vite)),
						servertest.Serves(5174, 9, servertest.In(servertest.Shop), servertest.By(servertest.Vite), since(10*time.Second))}}},
			[]string{"1.25s closed 5173 (PID 7), ended", "8.5s opened 5173 (PID 8)", "10.75s moved 5174 (PID 8, 9)"},
		}, {
			"another script of the project is no move",
			[]moment{{0, []server.Listener{servertest.Serves(5173, 7, servertest.In(servertest.Shop), servertest.Script("a.js"))}}, {1000 * ms, nil},
				{8 * time.Second, []server.Listener{servertest.Serves(5173, 8, servertest.In(servertest.Blog), servertest.By(servertest.Vite))}},
				{10 * time.Second,
					[]server.Listener{servertest.Serves(5173, 8, servertest.In(servertest.Blog), servertest.By(servertest.Vite)),
						servertest.Serves(5174, 9, servertest.In(servertest.Shop), servertest.Script("b.js"), since(10*time.Second))}}},
			[]string{"1.25s closed 5173 (PID 7), ended", "8.5s opened 5173 (PID 8)", "10.75s opened 5174 (PID 9)"},
		}, {
			"what remains of a server restarts",
			[]moment{{0, app(7, 3340, 3341)}, {1000 * ms, app(7, 3341)}, {12 * time.Second, nil},
				{14 * time.Second, app(8, 3341)}},
			[]string{"1.5s closed 3340 (PID 7), still running, no longer listening",
				"14s restarted 3341 (PID 7, 8), ended, 1 restarts"},
		}, {
			"what remains of a server becomes one of its own",
			[]moment{{0, app(7, 3340, 3341)}, {1000 * ms, app(7, 3341)},
				{1000*ms + restWait + time.Second, app(7, 3341, 3342)}, {1000*ms + restWait + time.Minute, nil}},
			[]string{"1.5s closed 3340 (PID 7), still running, no longer listening", "6m2s closed 3341 (PID 7), ended"},
		}, {
			"the owner of a socket is found late",
			[]moment{{0, nil}, {1000 * ms, []server.Listener{servertest.Serves(3000, 0, servertest.Unknown)}}, {5000 * ms, app(8, 3000)}},
			[]string{"5.5s opened 3000 (PID 8)"},
		}, {
			"the owner of a socket is never found",
			[]moment{{0, nil}, {1000 * ms, []server.Listener{servertest.Serves(3000, 0, servertest.Unknown)}}},
			[]string{"7.5s opened 3000 (PID 0)"},
		}, {
			"a socket whose owner is not found closes again",
			[]moment{{0, nil}, {1000 * ms, []server.Listener{servertest.Serves(3000, 0, servertest.Unknown)}}, {5000 * ms, nil}},
			nil,
		}, {
			"a socket of another user",
			[]moment{{0, nil}, {1000 * ms, []server.Listener{servertest.Serves(3000, 0, servertest.Hidden)}}},
			[]string{"1.25s opened 3000 (PID 0)"},
		}, {
			"another program of a project takes the port of a further one",
			[]moment{{0, app(7, 3000, 24678)}, {1000 * ms, []server.Listener{servertest.Serves(24678, 8, servertest.In(servertest.Blog), servertest.By(servertest.Vite))}}},
			[]string{"1.25s closed 3000 (PID 7), ended", "1.25s opened 24678 (PID 8)"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t)
				w := &Watcher{gone: func(l server.Listener) bool {
					return !slices.ContainsFunc(m.listed(tt.moments, alone),
						func(o server.Listener) bool { return o.Owner.Is(l.Owner) })
				}}
				w.Scan = func(context.Context) (Snapshot, error) {
					return Snapshot{Time: time.Now(), Listeners: m.listed(tt.moments, alone)}, nil
				}
				var got []string
				m.followAs(w, tt.moments[len(tt.moments)-1].from+10*time.Second, func(u Update) string {
					for _, e := range u.Events {
						text := fmt.Sprintf("%v %s", time.Since(m.start), describeEvent(e, u))
						if e.Kind == Exposed {
							text += fmt.Sprintf(", by %d", e.Widened().Port)
						}
						got = append(got, text)
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

// TestEventsWithoutOwner has a socket whose owner stays unknown. Its opening waits only if the owner may come later.
func TestEventsWithoutOwner(t *testing.T) {
	for source, want := range map[string]time.Duration{
		"sock_diag":     7500 * time.Millisecond,
		"/proc/net/tcp": 7500 * time.Millisecond,
		"libproc":       1250 * time.Millisecond,
		"gopsutil":      1250 * time.Millisecond,
	} {
		t.Run(source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t)
				moments := []moment{{0, nil}, {time.Second, []server.Listener{
					servertest.Serves(3000, 0, servertest.Unknown)}}}
				alone := servertest.Serves(99, 1, servertest.At("127.0.0.1", "::1"))
				w := &Watcher{gone: func(server.Listener) bool { return false }}
				w.Scan = func(context.Context) (Snapshot, error) {
					return Snapshot{Time: time.Now(), Listeners: m.listed(moments, alone), Source: source}, nil
				}
				var got []time.Duration
				m.followAs(w, 10*time.Second, func(u Update) string {
					for range u.Events {
						got = append(got, time.Since(m.start))
					}
					return ""
				})
				if !slices.Equal(got, []time.Duration{want}) {
					t.Errorf("events after %v, want one after %v", got, want)
				}
			})
		})
	}
}

// listed returns the listeners at the present time.
func (m *machine) listed(moments []moment, always ...server.Listener) []server.Listener {
	var now []server.Listener
	for _, at := range moments {
		if time.Since(m.start) >= at.from {
			now = at.here
		}
	}
	all := append(slices.Clone(now), always...)
	slices.SortFunc(all, server.Listener.Compare)
	return all
}

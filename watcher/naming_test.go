package watcher

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// A registry holds the facts and containers of a machine, and counts the questions.
type registry struct {
	slow  time.Duration // duration of a question about a process
	fails int           // number of questions about process 7 that time out
	mu    sync.Mutex
	asked []string
	lists []engine.List // the answers of the engines; the last one repeats
	news  chan struct{} // each value is a notice of the engines
}

// naming makes a Watcher ask the registry. Process N has tool TN.
func (r *registry) naming() naming {
	return naming{
		facts: func(ctx context.Context, p owner.Process) (facts.Facts, bool) {
			r.note(fmt.Sprint(p.PID))
			select {
			case <-time.After(r.slow):
			case <-ctx.Done():
			}
			if p.PID == 7 && r.fails > 0 {
				r.fails--
				return facts.Facts{}, false
			}
			return facts.Facts{Tool: facts.Tool{Name: fmt.Sprintf("T%d", p.PID), Kind: facts.Server}}, true
		},
		containers: func(context.Context, bool) engine.List {
			r.note("engines")
			r.mu.Lock()
			defer r.mu.Unlock()
			list := r.lists[0]
			r.lists = r.lists[min(1, len(r.lists)-1):]
			return list
		},
		watch: func(ctx context.Context, changed chan<- struct{}) {
			for {
				select {
				case <-ctx.Done():
					return
				case <-r.news:
					changed <- struct{}{}
				}
			}
		},
	}
}

func (r *registry) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what)
}

// publish returns an answer: container c has the port "80" or "80@0.0.0.0".
func publish(ports ...string) (list engine.List) {
	list.Answered = []string{"/engine"}
	for _, p := range ports {
		port, addr, ok := strings.Cut(p, "@")
		if !ok {
			addr = "127.0.0.1"
		}
		var number uint16
		fmt.Sscan(port, &number)
		list.Published = append(list.Published, engine.Published{
			Addr: netip.MustParseAddr(addr), Port: number,
			Container: engine.Container{ID: "id-of-c", Name: "c", Endpoint: "/engine"}})
	}
	return list
}

// reportNames formats an update like report, with the names of the listeners.
func (m *machine) reportNames(u Update) string {
	var names []string
	for _, l := range u.Snapshot.Listeners {
		name := fmt.Sprintf("%d %s", l.Port, l.Name())
		if l.Container.ID != "" && l.Untold != "" {
			name += " (" + l.Untold + ")"
		}
		names = append(names, name)
	}
	line := fmt.Sprintf("%v [%s]", time.Since(m.start), strings.Join(names, ", "))
	if len(u.Events) > 0 {
		line += " " + formatEvents(u.Events)
	}
	return line
}

func TestNaming(t *testing.T) {
	forwarder := func(pid int32) func(*server.Listener) {
		return func(l *server.Listener) {
			if l.Owner.PID == pid {
				l.Owner.Name, l.Owner.Refusal = "docker-proxy", "forwards for a container or VM"
			}
		}
	}
	for _, tt := range []struct {
		name     string
		looks    []look
		change   func(*server.Listener)
		registry *registry
		notify   time.Duration // when the engines send a notice; another follows soon
		linux    bool          // only Linux has ports without a listener, see redirects
		want     []string      // updates
		asked    []string
	}{
		{
			name:  "the facts come with the listener",
			looks: []look{{sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80 T7]", "1.25s [80 T7, 90 T8] opened 90/8"},
			asked: []string{"7", "8"},
		}, {
			name:     "but it does not wait for them for long",
			looks:    []look{{sees: "80/7"}},
			registry: &registry{slow: time.Second},
			want:     []string{"500ms [80 unnamed process]", "1s [80 T7]"},
			asked:    []string{"7"},
		}, {
			name:     "not even when more keep coming",
			looks:    []look{{sees: "80/7"}, {sees: "80/7 90/8"}, {sees: "80/7 90/8 100/9"}},
			registry: &registry{slow: 700 * time.Millisecond},
			want: []string{"500ms [80 unnamed process, 90 unnamed process]",
				"1s [80 T7, 90 unnamed process, 100 unnamed process]",
				"2.1s [80 T7, 90 T8, 100 T9] opened 100/9"},
			asked: []string{"7", "8", "9"},
		}, {
			name:  "two ports of a process, one of them closed and opened again: asked once",
			looks: []look{{sees: "80/7 81/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 81/7"}},
			want:  []string{"0s [80 T7, 81 T7]", "500ms [80 T7]", "750ms [80 T7, 81 T7]"},
			asked: []string{"7"},
		}, {
			name:  "a process that closes its only port and opens it again: asked once",
			looks: []look{{sees: "80/7 81/8"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 81/8"}},
			want:  []string{"0s [80 T7, 81 T8]", "500ms [80 T7] closed 81/8", "750ms [80 T7, 81 T8] restarted 81/8"},
			asked: []string{"7", "8"},
		}, {
			name:  "an unknown owner: the engines are asked once",
			looks: []look{{sees: "80/0"}},
			want:  []string{"0s [80 unknown owner]"},
			asked: []string{"engines"},
		}, {
			name:     "a container behind an unknown owner",
			looks:    []look{{sees: "80/0@0.0.0.0 90/0"}},
			registry: &registry{lists: []engine.List{publish("80@0.0.0.0")}},
			want:     []string{"0s [80 c (container), 90 unknown owner]"},
			asked:    []string{"engines", "engines", "engines"}, // for a while 90 may also belong to a container
		}, {
			name:   "a forwarder, and later another one in its place",
			looks:  []look{{sees: "80/7"}, {sees: "80/7"}, {sees: "80/8"}, {sees: "80/8"}},
			change: func(l *server.Listener) { forwarder(7)(l); forwarder(8)(l) },
			registry: &registry{lists: []engine.List{publish("80"),
				{Failed: []engine.Failure{{Endpoint: "/engine", Err: errors.New("no answer")}}}}},
			want: []string{"0s [80 c (container)]",
				"1.25s [80 container (docker-proxy), 80 container (docker-proxy)]",
				"1.5s [80 container (docker-proxy)]"},
			// The engines are asked for each of the three states, and again 2, 4 and 8 seconds after the first failure.
			asked: []string{"engines", "7", "engines", "8", "engines", "engines", "engines", "engines"},
		}, {
			name:     "a server that happens to have a published port is no container",
			looks:    []look{{sees: "80/7"}},
			registry: &registry{lists: []engine.List{publish("80")}},
			notify:   10 * time.Second,
			want:     []string{"0s [80 T7]"},
			asked:    []string{"7", "engines", "engines"},
		}, {
			name:     "ports that nobody listens on come and go with the engines' news",
			linux:    true,
			looks:    []look{{sees: "90/7"}},
			registry: &registry{lists: []engine.List{publish("80@0.0.0.0", "80@::", "443@192.0.2.1"), publish()}},
			notify:   10 * time.Second,
			want: []string{"0s [90 T7]", "10.02s [80 c (container), 90 T7] opened 80/0@0.0.0.0,::",
				"11.1s [90 T7] closed 80/0@0.0.0.0,::"},
			asked: []string{"7", "engines", "engines"},
		},
		{
			name:     "a container ends, which its engine lists for a moment longer and tells nothing of",
			looks:    []look{{sees: "80/7 90/8"}, {sees: "80/7 90/8"}, {sees: "90/8"}},
			change:   forwarder(7),
			registry: &registry{lists: []engine.List{publish("80"), publish("80"), publish()}},
			want:     []string{"0s [80 c (container), 90 T8]", "1.5s [90 T8] closed 80/7"},
			asked:    []string{"7", "8", "engines", "engines"},
		}, {
			name:  "what an engine said is believed while it cannot be asked",
			linux: true,
			looks: []look{{sees: "90/0"}},
			registry: &registry{lists: []engine.List{publish("80@0.0.0.0", "90"),
				{Failed: []engine.Failure{{Endpoint: "/engine", Err: errors.New("no answer")}}},
				{Answered: []string{"/engine"}}}},
			notify: 10 * time.Second,
			want: []string{"20ms [80 c (container), 90 c (container)]",
				"10s [80 c (container) (no answer), 90 c (container) (no answer)]",
				"11.1s [90 unknown owner] closed 80/0@0.0.0.0"},
			asked: []string{"engines", "engines", "engines", "engines", "engines"}, // the last two for 90, as above
		}, {
			name:     "an engine takes its socket away, and the forwarder goes on",
			linux:    true,
			looks:    []look{{sees: "90/7"}},
			change:   forwarder(7),
			registry: &registry{lists: []engine.List{publish("80@0.0.0.0", "90"), {}}},
			notify:   10 * time.Second,
			want: []string{"20ms [80 c (container), 90 c (container)]",
				"10s [90 c (container) (no container engine is running)] closed 80/0@0.0.0.0"},
			asked: []string{"engines", "7", "engines", "engines"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.linux && runtime.GOOS != "linux" {
				t.Skip("only Linux redirects ports without a listener")
			}
			synctest.Test(t, func(t *testing.T) {
				if tt.registry == nil {
					tt.registry = &registry{}
				}
				tt.registry.news = make(chan struct{}) // in the bubble
				if tt.registry.lists == nil {
					tt.registry.lists = []engine.List{{}}
				}
				m := newMachine(t, tt.looks...)
				w := &Watcher{naming: tt.registry.naming(), gone: func(server.Listener) bool { return false }}
				w.Scan = func(ctx context.Context) (Snapshot, error) {
					s, err := m.scan(ctx)
					for i := range s.Listeners {
						if tt.change != nil {
							tt.change(&s.Listeners[i])
						}
					}
					return s, err
				}
				if tt.notify > 0 {
					time.AfterFunc(tt.notify, func() { tt.registry.news <- struct{}{} })
					time.AfterFunc(tt.notify+1100*time.Millisecond, func() { tt.registry.news <- struct{}{} })
				}
				got := m.followAs(w, 20*time.Second, m.reportNames)
				if !slices.Equal(got, tt.want) {
					t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
				}
				if asked := slices.Sorted(slices.Values(tt.registry.asked)); !slices.Equal(asked,
					slices.Sorted(slices.Values(tt.asked))) {
					t.Errorf("asked about %q, want %q", tt.registry.asked, tt.asked)
				}
			})
		})
	}
}

// TestHoldersAreAskedAgain has a process manager that starts serving another app, and a server that opens a port.
func TestHoldersAreAskedAgain(t *testing.T) {
	manager, web := servertest.Serves(3000, 1), servertest.Serves(4000, 2)
	n := naming{}
	n.start()
	n.known = map[owner.Process]facts.Facts{manager.Owner: {Holder: true}, web.Owner: {}}
	n.ports[manager.Owner] = 1
	if got := n.unknown([]server.Listener{manager, web}); len(got) > 0 {
		t.Errorf("%v are unknown", got)
	}
	got := n.unknown([]server.Listener{manager, servertest.Serves(3001, 1), web, servertest.Serves(4001, 2)})
	if len(got) != 1 || got[0] != manager.Owner {
		t.Errorf("with more ports %v are unknown, want the manager", got)
	}
}

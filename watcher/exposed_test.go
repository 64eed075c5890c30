package watcher

import (
	"context"
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

// TestWidened has servers that become exposed, and servers that always were.
func TestWidened(t *testing.T) {
	local, open := servertest.Serves(80, 7, servertest.In(servertest.Shop), servertest.By(servertest.Vite)), servertest.Serves(80, 7, servertest.In(servertest.Shop), servertest.By(servertest.Vite), servertest.Everyone)
	again, openAgain := servertest.Serves(80, 8, servertest.In(servertest.Shop), servertest.By(servertest.Vite)), servertest.Serves(80, 8, servertest.In(servertest.Shop), servertest.By(servertest.Vite), servertest.Everyone)
	third, rival := servertest.Serves(80, 9, servertest.In(servertest.Shop), servertest.By(servertest.Vite), servertest.Everyone), servertest.Serves(80, 10, servertest.In(servertest.Blog), servertest.By(servertest.Vite), servertest.Everyone)
	veiled, veiledOpen := servertest.Serves(80, 0, servertest.Unknown), servertest.Serves(80, 0, servertest.Unknown, servertest.At("127.0.0.1", "0.0.0.0"))
	bystander := servertest.Serves(90, 1)
	type looks map[time.Duration][]server.Listener // by start time
	for _, tt := range []struct {
		name  string
		looks looks
		want  string // per update, whether the server counts as widened
	}{
		{"always open", looks{0: {open}}, "-"},
		{"always local", looks{0: {local}}, "-"},
		{"open when it came", looks{0: {}, time.Second: {open}}, "-, -"},
		{"opened", looks{0: {local}, time.Second: {open}}, "-, open"},
		{"opened and closed again", looks{0: {local}, time.Second: {open}, 3 * time.Second: {local}}, "-, open, -"},
		{"closed, and opened again", looks{0: {open}, time.Second: {local}, 3 * time.Second: {open}}, "-, -, open"},
		{"opened by a restart", looks{0: {local}, time.Second: {openAgain}}, "-, open"},
		{"opened by a restart a while later", looks{0: {local}, time.Second: {}, 4 * time.Second: {openAgain}},
			"-, -, open"},
		{"opened, and restarted", looks{0: {local}, time.Second: {openAgain}, 3 * time.Second: {third}},
			"-, open, open"},
		{"closed by a restart", looks{0: {open}, time.Second: {again}}, "-, -"},
		{"restarted as it was", looks{0: {open}, time.Second: {openAgain}}, "-, -"},
		{"another server, which was never local", looks{0: {local}, time.Second: {rival}}, "-, -"},
		{"gone for long", looks{0: {local}, time.Second: {}, 9 * time.Second: {openAgain}}, "-, -, -"},
		{"something else comes later", looks{0: {local}, time.Second: {open}, 3 * time.Second: {open, bystander}},
			"-, open, open"},
		{"an owner that cannot be seen", looks{0: {veiled}, time.Second: {veiledOpen}}, "-, open"},
		{"another such, after it",
			looks{0: {veiled}, time.Second: {veiledOpen}, 3 * time.Second: {}, 12 * time.Second: {veiledOpen}},
			"-, open, -, -, -"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t)
				w := &Watcher{gone: func(server.Listener) bool { return true }}
				w.naming.facts = func(_ context.Context, p owner.Process) (facts.Facts, bool) {
					return factsOf(p.PID, local, again, third, rival), true
				}
				w.naming.containers = func(context.Context, bool) engine.List { return engine.List{} }
				w.Scan = func(context.Context) (Snapshot, error) {
					// Port 70 keeps the list from being empty.
					s := Snapshot{Time: time.Now(), Listeners: []server.Listener{servertest.Serves(70, 1)}}
					for _, at := range slices.Backward(slices.Sorted(maps.Keys(tt.looks))) {
						if time.Since(m.start) < at {
							continue
						}
						for _, l := range tt.looks[at] {
							l.Facts = facts.Facts{}
							s.Listeners = append(s.Listeners, l)
						}
						break
					}
					return s, nil
				}
				got := strings.Join(m.followAs(w, 20*time.Second, func(u Update) string {
					if slices.ContainsFunc(u.Snapshot.Listeners,
						func(l server.Listener) bool { return l.Port == 80 && l.Widened }) {
						return "open"
					}
					return "-"
				}), ", ")
				if got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		})
	}
}

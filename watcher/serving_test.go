package watcher

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

func inside(port uint16) trait { return func(l *Listener) { l.Inside = port } }
func widened(l *Listener)      { l.Widened = true }

var (
	redis    = owner.Tool{Name: "Redis", Kind: owner.Server}
	rabbit   = owner.Tool{Name: "RabbitMQ", Kind: owner.Server}
	elastic  = owner.Tool{Name: "Elasticsearch", Kind: owner.Server}
	jupyter  = owner.Tool{Name: "Jupyter", Kind: owner.Server}
	delve    = owner.Tool{Name: "Delve", Kind: owner.Runner}
	everyone = at("0.0.0.0")
)

// TestServing has exposed and local listeners of each class.
func TestServing(t *testing.T) {
	box := engine.Container{ID: "c", Image: "acme/thing:3"}
	for _, c := range []struct {
		name                 string
		l                    Listener
		speaks, risk, danger string
	}{
		{"a development server", serves(5173, 1, by(vite)), "", "", ""},
		{"one that is open to the network", serves(5173, 1, by(vite), everyone), "", "", ""},
		{"one that came to be", serves(5173, 1, by(vite), everyone, widened), "", "",
			"It was opened to the network while it was watched"},
		{"a database", serves(5432, 1, by(postgres)), "PostgreSQL", "database", ""},
		{"a database that is open to the network", serves(5432, 1, by(postgres), everyone), "PostgreSQL", "database",
			"A database is open to the network"},
		{"a database that came to be", serves(6379, 1, by(redis), everyone, widened), "Redis", "database",
			"A database is open to the network"},
		{"an admin tool", serves(8888, 1, by(jupyter), at("::")), "", "admin tool",
			"An admin tool is open to the network"},
		{"a database with pages", serves(9200, 1, by(elastic), at("192.0.2.7")), "", "database",
			"A database is open to the network"},
		{"an inspector", serves(9229, 1, everyone), "JavaScript inspector", "debugger",
			"A debugger is open to the network"},
		{"Delve", serves(2345, 1, named("dlv"), by(delve), everyone), "Delve", "debugger",
			"A debugger is open to the network"},
		{"what it runs", serves(8080, 1, named("__debug_bin"), by(delve), inherited, everyone), "", "", ""},
		{"a hidden owner", serves(3306, 0, hidden, everyone), "MySQL", "database", "A database is open to the network"},
		{"an engine", serves(2375, 1, named("dockerd"), everyone), "", "container engine",
			"A container engine is open to the network"},
		{"a program that nobody knows at a database's port", serves(5432, 1, named("shop"), everyone), "", "", ""},
		{"a container of unknown kind, by its own port",
			serves(15432, 1, forwarder, publishes(box), inside(5432), everyone), "PostgreSQL", "database",
			"A database is open to the network"},
		{"a container of unknown kind with a page at a database's port",
			serves(5432, 1, forwarder, publishes(box), inside(80), everyone), "", "", ""},
		{"a container of unknown kind, by the port outside", serves(6379, 0, hidden, publishes(box)), "Redis",
			"database", ""},
		{"RabbitMQ's page, published elsewhere", serves(8080, 1, forwarder, publishes(box), by(rabbit), inside(15672)),
			"", "message broker", ""},
		{"RabbitMQ, published elsewhere", serves(15672, 1, forwarder, publishes(box), by(rabbit), inside(5672)),
			"RabbitMQ", "message broker", ""},
	} {
		if speaks, risk, danger := c.l.Speaks(), c.l.Risk(), c.l.Danger(); speaks != c.speaks || risk != c.risk ||
			danger != c.danger || c.l.Web() != (speaks == "") {
			t.Errorf("%s: speaks %q (web: %v), risk %q, danger %q, want %q, %q, %q", c.name, speaks, c.l.Web(), risk,
				danger, c.speaks, c.risk, c.danger)
		}
	}
}

// TestServerDanger has servers with a warning only for a further port.
func TestServerDanger(t *testing.T) {
	for _, c := range []struct {
		name      string
		listeners []Listener
		want      string
	}{
		{"nothing", []Listener{serves(3000, 1, everyone), serves(24678, 1)}, ""},
		{"an exposed debugger of a local server", []Listener{serves(3000, 1), serves(9229, 1, everyone)},
			"A debugger is open to the network"},
		{"a further port that was opened", []Listener{serves(3000, 1), serves(24678, 1, everyone, widened)},
			"It was opened to the network while it was watched"},
		{"its own port first",
			[]Listener{serves(6379, 1, by(redis), everyone), serves(16379, 1, by(redis), everyone, widened)},
			"A database is open to the network"},
		{"one port of two processes", []Listener{serves(80, 1, forwarder), serves(80, 2, forwarder, everyone, widened)},
			"It was opened to the network while it was watched"},
	} {
		servers := Servers(c.listeners, dynamic)
		if len(servers) != 1 || servers[0].Danger() != c.want {
			t.Errorf("%s: got %q of %d servers, want %q", c.name, servers[0].Danger(), len(servers), c.want)
		}
	}
}

// TestWidened has servers that become exposed, and servers that always were.
func TestWidened(t *testing.T) {
	local, open := serves(80, 7, in(shop), by(vite)), serves(80, 7, in(shop), by(vite), everyone)
	again, openAgain := serves(80, 8, in(shop), by(vite)), serves(80, 8, in(shop), by(vite), everyone)
	third, rival := serves(80, 9, in(shop), by(vite), everyone), serves(80, 10, in(blog), by(vite), everyone)
	veiled, veiledOpen := serves(80, 0, unknown), serves(80, 0, unknown, at("127.0.0.1", "0.0.0.0"))
	bystander := serves(90, 1)
	type looks map[time.Duration][]Listener // by start time
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
				w := &Watcher{gone: func(Listener) bool { return true }}
				w.naming.facts = func(_ context.Context, p owner.Process) (owner.Facts, bool) {
					return factsOf(p.PID, local, again, third, rival), true
				}
				w.naming.containers = func(context.Context, bool) engine.List { return engine.List{} }
				w.Scan = func(context.Context) (Snapshot, error) {
					// Port 70 keeps the list from being empty.
					s := Snapshot{Time: time.Now(), Listeners: []Listener{serves(70, 1)}}
					for _, at := range slices.Backward(slices.Sorted(maps.Keys(tt.looks))) {
						if time.Since(m.start) < at {
							continue
						}
						for _, l := range tt.looks[at] {
							l.Facts = owner.Facts{}
							s.Listeners = append(s.Listeners, l)
						}
						break
					}
					return s, nil
				}
				got := strings.Join(m.followAs(w, 20*time.Second, func(u Update) string {
					if slices.ContainsFunc(u.Snapshot.Listeners,
						func(l Listener) bool { return l.Port == 80 && l.Widened }) {
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

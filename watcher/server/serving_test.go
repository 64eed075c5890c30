package server_test

import (
	"testing"

	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// TestServing has exposed and local listeners of each class.
func TestServing(t *testing.T) {
	box := engine.Container{ID: "c", Image: "acme/thing:3"}
	for _, c := range []struct {
		name                 string
		l                    server.Listener
		speaks, risk, danger string
	}{
		{"a development server", servertest.Serves(5173, 1, servertest.By(servertest.Vite)), "", "", ""},
		{"one that is open to the network",
			servertest.Serves(5173, 1, servertest.By(servertest.Vite), servertest.Everyone), "", "", ""},
		{"one that came to be",
			servertest.Serves(5173, 1, servertest.By(servertest.Vite), servertest.Everyone, servertest.Widened), "", "",
			"It was opened to the network while it was watched"},
		{"a database", servertest.Serves(5432, 1, servertest.By(servertest.Postgres)), "PostgreSQL", "database", ""},
		{"a database that is open to the network",
			servertest.Serves(5432, 1, servertest.By(servertest.Postgres), servertest.Everyone), "PostgreSQL",
			"database",
			"A database is open to the network"},
		{"a database that came to be",
			servertest.Serves(6379, 1, servertest.By(servertest.Redis), servertest.Everyone, servertest.Widened),
			"Redis", "database",
			"A database is open to the network"},
		{"an admin tool", servertest.Serves(8888, 1, servertest.By(servertest.Jupyter), servertest.At("::")), "",
			"admin tool",
			"An admin tool is open to the network"},
		{"a database with pages",
			servertest.Serves(9200, 1, servertest.By(servertest.Elastic), servertest.At("192.0.2.7")), "", "database",
			"A database is open to the network"},
		{"an inspector", servertest.Serves(9229, 1, servertest.Everyone), "JavaScript inspector", "debugger",
			"A debugger is open to the network"},
		{"Delve", servertest.Serves(2345, 1, servertest.Named("dlv"), servertest.By(servertest.Delve),
			servertest.Everyone), "Delve", "debugger",
			"A debugger is open to the network"},
		{"what it runs", servertest.Serves(8080, 1, servertest.Named("__debug_bin"), servertest.By(servertest.Delve),
			servertest.Inherited, servertest.Everyone), "", "", ""},
		{"a hidden owner", servertest.Serves(3306, 0, servertest.Hidden, servertest.Everyone), "MySQL", "database",
			"A database is open to the network"},
		{"an engine", servertest.Serves(2375, 1, servertest.Named("dockerd"), servertest.Everyone), "",
			"container engine",
			"A container engine is open to the network"},
		{"a program that nobody knows at a database's port",
			servertest.Serves(5432, 1, servertest.Named("shop"), servertest.Everyone), "", "", ""},
		{"a container of unknown kind, by its own port",
			servertest.Serves(15432, 1, servertest.Forwarder, servertest.Publishes(box), servertest.Inside(5432),
				servertest.Everyone), "PostgreSQL", "database",
			"A database is open to the network"},
		{"a container of unknown kind with a page at a database's port",
			servertest.Serves(5432, 1, servertest.Forwarder, servertest.Publishes(box), servertest.Inside(80),
				servertest.Everyone), "", "", ""},
		{"a container of unknown kind, by the port outside",
			servertest.Serves(6379, 0, servertest.Hidden, servertest.Publishes(box)), "Redis",
			"database", ""},
		{"RabbitMQ's page, published elsewhere",
			servertest.Serves(8080, 1, servertest.Forwarder, servertest.Publishes(box),
				servertest.By(servertest.Rabbit), servertest.Inside(15672)),
			"", "message broker", ""},
		{"RabbitMQ, published elsewhere",
			servertest.Serves(15672, 1, servertest.Forwarder, servertest.Publishes(box),
				servertest.By(servertest.Rabbit), servertest.Inside(5672)),
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
		listeners []server.Listener
		want      string
	}{
		{"nothing", []server.Listener{servertest.Serves(3000, 1, servertest.Everyone), servertest.Serves(24678, 1)},
			""},
		{"an exposed debugger of a local server",
			[]server.Listener{servertest.Serves(3000, 1), servertest.Serves(9229, 1, servertest.Everyone)},
			"A debugger is open to the network"},
		{"a further port that was opened",
			[]server.Listener{servertest.Serves(3000, 1),
				servertest.Serves(24678, 1, servertest.Everyone, servertest.Widened)},
			"It was opened to the network while it was watched"},
		{"its own port first",
			[]server.Listener{servertest.Serves(6379, 1, servertest.By(servertest.Redis), servertest.Everyone),
				servertest.Serves(16379, 1, servertest.By(servertest.Redis), servertest.Everyone, servertest.Widened)},
			"A database is open to the network"},
		{"one port of two processes",
			[]server.Listener{servertest.Serves(80, 1, servertest.Forwarder),
				servertest.Serves(80, 2, servertest.Forwarder, servertest.Everyone, servertest.Widened)},
			"It was opened to the network while it was watched"},
	} {
		servers := server.Servers(c.listeners, servertest.Dynamic)
		if len(servers) != 1 || servers[0].Danger() != c.want {
			t.Errorf("%s: got %q of %d servers, want %q", c.name, servers[0].Danger(), len(servers), c.want)
		}
	}
}

package server_test

import (
	"testing"

	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

func TestDirectory(t *testing.T) {
	inContainer := func(l *server.Listener) { l.Facts.Container = "c0ffee" }
	for _, c := range []struct {
		name string
		l    server.Listener
		want string
	}{
		{"a project's", servertest.Serves(3000, 1, servertest.In(servertest.Shop),
			servertest.Runs("/usr/bin/node", servertest.Shop.Dir+"/api")), servertest.Shop.Dir},
		{"a process's", servertest.Serves(3000, 1, servertest.Runs("/usr/bin/node", "/tmp")), "/tmp"},
		{"a forwarder's",
			servertest.Serves(3000, 1, servertest.Forwarder, servertest.Runs("/usr/bin/docker-proxy", "/root"),
				servertest.Publishes(engine.Container{ID: "a"})),
			""},
		{"a process in a container", servertest.Serves(3000, 1, inContainer, servertest.Runs("/usr/bin/node", "/app")),
			""},
		{"a holder of sockets for several projects",
			servertest.Serves(3000, 1, servertest.HoldsSockets, servertest.Runs("/usr/bin/node", servertest.Shop.Dir)),
			""},
		{"a holder of sockets for one project",
			servertest.Serves(3000, 1, servertest.HoldsSockets, servertest.In(servertest.Shop),
				servertest.Runs("/usr/bin/node", "/")), servertest.Shop.Dir},
	} {
		if got := c.l.Directory(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

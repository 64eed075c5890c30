package watcher

import (
	"testing"

	"porttray/watcher/owner/engine"
)

func TestDirectory(t *testing.T) {
	inContainer := func(l *Listener) { l.Facts.Container = "c0ffee" }
	for _, c := range []struct {
		name string
		l    Listener
		want string
	}{
		{"a project's", serves(3000, 1, in(shop), runs("/usr/bin/node", shop.Dir+"/api")), shop.Dir},
		{"a process's", serves(3000, 1, runs("/usr/bin/node", "/tmp")), "/tmp"},
		{"a forwarder's",
			serves(3000, 1, forwarder, runs("/usr/bin/docker-proxy", "/root"), publishes(engine.Container{ID: "a"})),
			""},
		{"a process in a container", serves(3000, 1, inContainer, runs("/usr/bin/node", "/app")), ""},
		{"a holder of sockets for several projects",
			serves(3000, 1, holdsSockets, runs("/usr/bin/node", shop.Dir)), ""},
		{"a holder of sockets for one project",
			serves(3000, 1, holdsSockets, in(shop), runs("/usr/bin/node", "/")), shop.Dir},
	} {
		if got := c.l.Directory(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

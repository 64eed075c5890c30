package server_test

import (
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// TestKey checks the key of a server across restarts, also if two servers have one name.
func TestKey(t *testing.T) {
	in := func(dir, tool, program string) servertest.Trait {
		return func(l *server.Listener) {
			l.Facts = facts.Facts{Project: project.Project{Name: "shop", Dir: dir}, Tool: facts.Tool{Name: tool},
				Program: program}
		}
	}
	boxed := func(c engine.Container) servertest.Trait { return func(l *server.Listener) { l.Container = c } }
	for _, c := range []struct {
		name     string
		listener server.Listener
		want     server.Key
	}{
		{"a tool of a project", servertest.Serves(80, 1, in("/shop", "Vite", "")),
			server.Key{80, "project", "/shop", "Vite"}},
		{"a script of a project", servertest.Serves(80, 1, in("/shop", "", "api.js")),
			server.Key{80, "project", "/shop", "api.js"}},
		{"a program of a project", servertest.Serves(80, 1, in("/shop", "", "")),
			server.Key{80, "project", "/shop", "node"}},
		{"a compose service",
			servertest.Serves(80, 1,
				boxed(engine.Container{ID: "a", Name: "shop-web-1", Project: "shop", Service: "web"})),
			server.Key{80, "service", "shop", "web"}},
		{"a container", servertest.Serves(80, 1, boxed(engine.Container{ID: "a", Name: "db"})),
			server.Key{80, "container", "", "db"}},
		{"a container without a name", servertest.Serves(80, 1, boxed(engine.Container{ID: "a"})),
			server.Key{80, "container", "", "a"}},
		{"a hidden unit", servertest.Serves(80, 1, servertest.Managed),
			server.Key{80, "unit", "nginx.service", "node"}},
		{"a program in a directory", servertest.Serves(80, 1, servertest.Runs("/usr/bin/nc", "/tmp")),
			server.Key{80, "program", "/tmp", "/usr/bin/nc"}},
		{"a name", servertest.Serves(80, 1), server.Key{80, "name", "", "node"}},
		{"an unknown owner", servertest.Serves(80, 0, servertest.Unknown), server.Key{Port: 80}},
		{"invalid text", servertest.Serves(80, 1, servertest.Runs("/usr/bin/nc", "/t\xff\x00p")),
			server.Key{80, "program", "/t\ufffd\ufffdp", "/usr/bin/nc"}},
	} {
		got := c.listener.Key()
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		var again server.Key
		text, err := got.MarshalText()
		if err == nil {
			err = again.UnmarshalText(text)
		}
		if err != nil || again != got {
			t.Errorf("%s: read back %+v, %v", c.name, again, err)
		}
	}
}

// TestKeyOfEarlierVersions checks that keys of earlier versions still select their servers.
func TestKeyOfEarlierVersions(t *testing.T) {
	for text, want := range map[string]server.Key{
		"5173\x00project\x00/srv/shop\x00Vite":         {5173, "project", "/srv/shop", "Vite"},
		"80\x00program\x00/usr/bin/nc\x00/tmp\x00nc":   {80, "program", "/tmp", "/usr/bin/nc"},
		"81\x00container\x00shop\x00web\x00shop-web-1": {81, "service", "shop", "web"},
		"82\x00container\x00\x00\x00db":                {82, "container", "", "db"},
		"631\x00program\x00\x00\x00":                   {631, "program", "", ""},
	} {
		var got server.Key
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "70000\x00project\x00a\x00b", "-1"} {
		if err := new(server.Key).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted as a key", text)
		}
	}
}

package watcher

import (
	"testing"

	"porttray/watcher/owner"
)

func TestSection(t *testing.T) {
	for _, c := range []struct {
		name string
		p    traits
		want Section
	}{
		{"a process of mine with nothing better known: 9000 nc", traits{}, Main},
		{"a project's program on a port of its choice", traits{project: true}, Main},
		{"a known server", traits{tool: owner.Server}, Main},

		{"a container, even on a dynamic port", traits{container: true, dynamic: true}, Main},
		{"a container whose forwarder is hidden", traits{container: true, unseen: true}, Main},
		{"another user's hidden process: 631", traits{unseen: true, foreign: true}, Other},
		{"an owner that nobody can see", traits{unseen: true}, Other},

		{"another user's process", traits{foreign: true}, Other},
		{"another user's project", traits{foreign: true, project: true}, Other},
		{"another user's PostgreSQL", traits{foreign: true, system: true, tool: owner.Server}, Main},
		{"a system daemon", traits{system: true}, Other},
		{"my project, run by the system's service manager", traits{system: true, project: true}, Main},
		{"another user's project, run by the system's service manager",
			traits{foreign: true, system: true, project: true}, Other},
		{"nginx as a system daemon", traits{system: true, tool: owner.Server}, Main},

		{"a random port of a nameless process", traits{dynamic: true}, Other},
		{"a random port of a helper without a server", traits{dynamic: true, tool: owner.Helper}, Other},
		{"127.0.0.1:62893, held by python3 app.py in a project", traits{dynamic: true, project: true}, Main},
		{"a random port of a known server", traits{dynamic: true, tool: owner.Server}, Main},
		{"a random port under go run", traits{dynamic: true, tool: owner.Runner}, Main},
		{"a language server, wherever it listens", traits{daemon: true, project: true}, Other},
		{"epmd: 4369", traits{daemon: true, tool: owner.Daemon}, Other},
		{"a build tool's random port, in a project",
			traits{tools: true, dynamic: true, project: true, tool: owner.Runner}, Other},
		{"a build tool's port of its choice", traits{tools: true, tool: owner.Runner}, Main},
		{"a debugger's random port, in a project", traits{tools: true, dynamic: true, project: true}, Other},
		{"a build tool that a container runs", traits{container: true, tools: true, daemon: true, dynamic: true},
			Main},
		{"an editor's random helper port", traits{dynamic: true, tool: owner.App}, Other},
		{"an editor's random helper port, with a project open", traits{dynamic: true, project: true, tool: owner.App},
			Other},
		{"a browser's remote debugging: 9222", traits{tool: owner.App}, Other},
		{"my project's program, started from an editor, on a port of its choice", traits{desktop: true, project: true},
			Main},
		{"my program, started from an editor, on a port of its choice", traits{desktop: true}, Main},
		{"a language server on a random port", traits{desktop: true, dynamic: true, project: true}, Other},
		{"Vite, started from an editor", traits{desktop: true, dynamic: true, tool: owner.Server}, Main},
		{"a program of mine whose name is that of a desktop program", traits{tool: owner.App, project: true}, Main},
	} {
		if got := c.p.section(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSectionOf has listeners of programs that work for other programs, and of servers.
func TestSectionOf(t *testing.T) {
	bazel := owner.Tool{Name: "Bazel", Kind: owner.Daemon}
	bun := owner.Tool{Name: "Bun", Kind: owner.Runner}
	for _, c := range []struct {
		name string
		l    Listener
		want Section
	}{
		{"a daemon", serves(40001, 1, by(bazel), background, in(shop)), Other},
		{"a daemon that names its port", serves(5037, 1, by(bazel), background, names(5037)), Other},
		{"what a build daemon runs",
			serves(8080, 1, by(owner.Tool{Name: "Gradle", Kind: owner.Runner}), inherited, in(shop)), Main},
		{"what it runs on a random port", serves(40001, 1, by(gradle), inherited, in(shop)), Main},
		{"a build tool", serves(40001, 1, by(gradle), background, in(shop)), Other},
		{"a build tool that was told its port", serves(40001, 1, by(gradle), background, in(shop), names(40001)), Main},
		{"a build tool whose metrics have a random port",
			serves(40001, 1, by(gradle), background, in(shop), namesFor("metrics", 40001)), Other},
		{"what a runtime runs", serves(40001, 1, by(bun), in(shop)), Main},
		{"a helper without its server", serves(40001, 1, by(esbuild), helper, background, in(shop)), Other},
		{"an inspector at a random port", serves(40001, 1, in(shop), debugs("JavaScript inspector", 40001)), Other},
		{"a server of a project at a random port", serves(40001, 1, in(shop)), Main},
	} {
		if got := traitsOf(c.l, dynamic).section(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

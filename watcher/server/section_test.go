package server

import (
	"testing"

	"porttray/watcher/facts"
)

func TestSection(t *testing.T) {
	for _, c := range []struct {
		name string
		p    traits
		want Section
	}{
		{"a process of mine with nothing better known: 9000 nc", traits{}, Main},
		{"a project's program on a port of its choice", traits{project: true}, Main},
		{"a known server", traits{tool: facts.Server}, Main},

		{"a container, even on a dynamic port", traits{container: true, dynamic: true}, Main},
		{"a container whose forwarder is hidden", traits{container: true, unseen: true}, Main},
		{"another user's hidden process: 631", traits{unseen: true, foreign: true}, Other},
		{"an owner that nobody can see", traits{unseen: true}, Other},

		{"another user's process", traits{foreign: true}, Other},
		{"another user's project", traits{foreign: true, project: true}, Other},
		{"another user's PostgreSQL", traits{foreign: true, system: true, tool: facts.Server}, Main},
		{"a system daemon", traits{system: true}, Other},
		{"my project, run by the system's service manager", traits{system: true, project: true}, Main},
		{"another user's project, run by the system's service manager",
			traits{foreign: true, system: true, project: true}, Other},
		{"nginx as a system daemon", traits{system: true, tool: facts.Server}, Main},

		{"a random port of a nameless process", traits{dynamic: true}, Other},
		{"a random port of a helper without a server", traits{dynamic: true, tool: facts.Helper}, Other},
		{"127.0.0.1:62893, held by python3 app.py in a project", traits{dynamic: true, project: true}, Main},
		{"a random port of a known server", traits{dynamic: true, tool: facts.Server}, Main},
		{"a random port under go run", traits{dynamic: true, tool: facts.Runner}, Main},
		{"a language server, wherever it listens", traits{daemon: true, project: true}, Other},
		{"epmd: 4369", traits{daemon: true, tool: facts.Daemon}, Other},
		{"a build tool's random port, in a project",
			traits{tools: true, dynamic: true, project: true, tool: facts.Runner}, Other},
		{"a build tool's port of its choice", traits{tools: true, tool: facts.Runner}, Main},
		{"a debugger's random port, in a project", traits{tools: true, dynamic: true, project: true}, Other},
		{"a build tool that a container runs", traits{container: true, tools: true, daemon: true, dynamic: true},
			Main},
		{"an editor's random helper port", traits{dynamic: true, tool: facts.App}, Other},
		{"an editor's random helper port, with a project open", traits{dynamic: true, project: true, tool: facts.App},
			Other},
		{"a browser's remote debugging: 9222", traits{tool: facts.App}, Other},
		{"my project's program, started from an editor, on a port of its choice", traits{desktop: true, project: true},
			Main},
		{"my program, started from an editor, on a port of its choice", traits{desktop: true}, Main},
		{"a language server on a random port", traits{desktop: true, dynamic: true, project: true}, Other},
		{"Vite, started from an editor", traits{desktop: true, dynamic: true, tool: facts.Server}, Main},
		{"a program of mine whose name is that of a desktop program", traits{tool: facts.App, project: true}, Main},
	} {
		if got := c.p.section(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

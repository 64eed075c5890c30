package facts

import (
	"slices"
	"strings"
)

// supervisors are the names of programs that restart another one, mostly after file changes.
var supervisors = map[string]bool{
	"nodemon": true, "node-dev": true, "ts-node-dev": true, "tsc-watch": true, "pm2": true, "forever": true,
	"air": true, "reflex": true, "gow": true, "wgo": true, "compiledaemon": true, "fresh": true, "realize": true,
	"modd": true, "cargo-watch": true, "watchexec": true, "bacon": true, "systemfd": true, "entr": true,
	"watchmedo": true, "watchfiles": true, "hupper": true, "guard": true, "rerun": true, "foreman": true,
	"overmind": true, "hivemind": true, "honcho": true, "goreman": true, "supervisord": true, "runit": true,
	"dotnet-watch": true,
}

// watching maps programs to their word for restarting another program. Only options may come before it.
var watching = map[string]string{"node": "--watch", "bun": "--watch", "tsx": "watch", "cargo": "watch",
	"dotnet": "watch"}

// supervises returns the supervisor's name if the process is one, or nothing.
func (m member) supervises() string {
	for _, c := range m.commands {
		if supervisors[c.name] {
			return c.name
		}
		word := watching[c.name]
		at := slices.Index(c.args, word)
		notOption := func(a string) bool { return !strings.HasPrefix(a, "-") }
		if word != "" && at >= 0 && !slices.ContainsFunc(c.args[:at], notOption) {
			return c.name + " watch"
		}
	}
	return ""
}

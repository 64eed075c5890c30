package owner

import "slices"

// supervisors are the programs that start another one again, by name: mostly when its files change.
var supervisors = map[string]bool{
	"nodemon": true, "node-dev": true, "ts-node-dev": true, "tsc-watch": true, "pm2": true, "forever": true,
	"air": true, "reflex": true, "gow": true, "wgo": true, "compiledaemon": true, "fresh": true, "realize": true, "modd": true,
	"cargo-watch": true, "watchexec": true, "bacon": true, "systemfd": true, "entr": true, "watchmedo": true, "watchfiles": true,
	"hupper": true, "guard": true, "rerun": true, "foreman": true, "overmind": true, "hivemind": true, "honcho": true, "goreman": true,
	"supervisord": true, "runit": true, "dotnet-watch": true,
}

// supervises returns the name of the supervisor that the process is, or nothing.
func (m member) supervises() string {
	for _, c := range m.commands {
		switch {
		case supervisors[c.name]:
			return c.name
		case c.name == "node" && slices.Contains(c.args, "--watch"), c.name == "tsx" && slices.Contains(c.args, "watch"),
			c.name == "bun" && slices.Contains(c.args, "--watch"), c.name == "cargo" && slices.Contains(c.args, "watch"),
			c.name == "dotnet" && len(c.args) > 0 && c.args[0] == "watch":
			return c.name + " watch"
		}
	}
	return ""
}

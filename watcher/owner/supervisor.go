package owner

import (
	"slices"
	"strings"
)

// supervisors are the programs that start another one again, by name: mostly when its files change.
var supervisors = map[string]bool{
	"nodemon": true, "node-dev": true, "ts-node-dev": true, "tsc-watch": true, "pm2": true, "forever": true,
	"air": true, "reflex": true, "gow": true, "wgo": true, "compiledaemon": true, "fresh": true, "realize": true, "modd": true,
	"cargo-watch": true, "watchexec": true, "bacon": true, "systemfd": true, "entr": true, "watchmedo": true, "watchfiles": true,
	"hupper": true, "guard": true, "rerun": true, "foreman": true, "overmind": true, "hivemind": true, "honcho": true, "goreman": true,
	"supervisord": true, "runit": true, "dotnet-watch": true,
}

// watching are the words by which programs that do other things too are told to start another one again: what must come first, apart
// from options.
var watching = map[string]string{"node": "--watch", "bun": "--watch", "tsx": "watch", "cargo": "watch", "dotnet": "watch"}

// supervises returns the name of the supervisor that the process is, or nothing.
func (m member) supervises() string {
	for _, c := range m.commands {
		if supervisors[c.name] {
			return c.name
		}
		word := watching[c.name]
		at := slices.Index(c.args, word)
		if word != "" && at >= 0 && !slices.ContainsFunc(c.args[:at], func(a string) bool { return !strings.HasPrefix(a, "-") }) {
			return c.name + " watch"
		}
	}
	return ""
}

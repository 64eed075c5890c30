package facts

import (
	"strings"
	"testing"
)

func TestWaits(t *testing.T) {
	for line, want := range map[string]DebuggerPort{
		"node server.js":                                {},
		"node --inspect server.js":                      {}, // at the usual port
		"node --inspect=9333 server.js":                 {"JavaScript inspector", 9333},
		"node --inspect-brk=0.0.0.0:9333 server.js":     {"JavaScript inspector", 9333},
		"node --inspect=[::1]:9333 server.js":           {"JavaScript inspector", 9333},
		"node --inspect=0 server.js":                    {},
		"node --inspect=localhost server.js":            {},
		"node --inspect=1:70000 server.js":              {},
		"node --inspect=-1 server.js":                   {},
		"bun --inspect-wait=localhost:4000/prefix a.ts": {"JavaScript inspector", 4000},
		"deno run --inspect=127.0.0.1:9229 a.ts":        {"JavaScript inspector", 9229},
		"java -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=*:5005 -jar a.jar": {"JDWP", 5005},
		"java -agentlib:jdwp=transport=dt_socket,server=y,address=5006 Main":                   {"JDWP", 5006},
		"java -Xdebug -Xrunjdwp:transport=dt_socket,server=y,address=localhost:8000 Main":      {"JDWP", 8000},
		"java -agentlib:jdwp=transport=dt_socket,server=y Main":                                {},
		"node --debug=5858 server.js": {"JavaScript inspector",
			5858},
		"node server.js --debug --inspect=9333": {"JavaScript inspector",
			9333},
		"dart run --enable-vm-service bin/server.dart": {"Dart VM service",
			8181},
		"dart --observe=9000/::1 bin/server.dart": {"Dart VM service",
			9000},
		"python3 -m debugpy --listen 0.0.0.0:5678 app.py": {"debugpy", 5678},
		"python3 app.py --listen 5678":                    {},
		"chrome --remote-debugging-port=9333": {"Chrome DevTools",
			9333},
		"ruby /usr/bin/rdbg --open --port 12345 app.rb":                              {"rdbg", 12345},
		"ruby /usr/bin/rdbg -O --host=localhost --port=12345 app.rb":                 {"rdbg", 12345},
		"ruby /usr/bin/rdebug-ide --host 0.0.0.0 --port 1234 -- bin/rails s -p 3000": {"rdbg", 1234},
		"ruby app.rb --port 4567":                                                    {},
		"node --inspect=0 --inspect-port=9333 server.js": {"JavaScript inspector",
			9333},
		"node --inspect=9333 /srv/server.js|": {"JavaScript inspector",
			9333},
		"": {},
	} {
		args := strings.Fields(line)
		if title, ok := strings.CutSuffix(line, "|"); ok {
			args = []string{title}
		}
		if got := FindDebugger(args); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}

package server

import (
	"strconv"
	"strings"
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

func TestRoleAt(t *testing.T) {
	tool := func(name, line string) facts.Facts {
		args := strings.Fields(line)
		return facts.Facts{Tool: facts.Tool{Name: name, Kind: facts.Server}, Debugger: facts.FindDebugger(args),
			Named: facts.PortsNamed(args)}
	}
	program := func(name string) owner.Process { return owner.Process{PID: 7, Name: name} }
	proxy := owner.Process{PID: 7, Name: "docker-proxy", Refusal: "forwards for a container or VM"}
	for _, c := range []struct {
		name string
		p    owner.Process
		f    facts.Facts
		want string // by port
	}{
		{"Caddy", program("caddy"), tool("Caddy", "caddy run"), "2019 admin, 8080"},
		{"Tomcat", program("java"), tool("Tomcat", "java Bootstrap start"), "8005 shutdown, 8009 AJP, 8080"},
		{"an old inspector", program("node"), tool("", "node --inspect=5858 server.js"), "5858 debugger, 8082"},
		{"Bun's inspector", program("bun"), tool("Bun", "bun --inspect run index.ts"), "6499 debugger, 8083"},
		{"JDWP", program("java"), tool("", "java -agentlib:jdwp=server=y,address=5005 -jar app.jar"),
			"5005 debugger, 8084"},
		{"BrowserSync", program("node"), tool("BrowserSync", "browser-sync start"), "3000, 3001 settings"},
		{"BrowserSync at the port that its settings usually have", program("node"),
			tool("BrowserSync", "browser-sync start --port 3001"), "3001, 3002"},
		{"Mailpit", program("mailpit"), tool("Mailpit", "mailpit"), "1025 SMTP, 1110 POP3, 8025"},
		{"Delve", program("dlv"),
			facts.Facts{Tool: facts.Tool{Name: "Delve", Kind: facts.Runner},
				Named: facts.PortsNamed(strings.Fields("dlv debug --listen=:2345"))}, "2345 debugger"},
		{"what Delve runs", program("__debug_bin"),
			facts.Facts{Tool: facts.Tool{Name: "Delve", Kind: facts.Runner}, Inherited: true}, "2345, 8080"},
		{"debugpy's adapter", program("python3"),
			facts.Facts{Tool: facts.Tool{Name: "debugpy", Kind: facts.Helper},
				Named: facts.PortsNamed(strings.Fields("adapter --port 5678"))}, "5678 debugger"},
		{"Vite's reloading", program("node"), tool("Vite", "vite"), "5173, 24678 HMR"},
		{"the same port of another program", program("java"), tool("", "java Main"), "24678"},
		{"Ruby's debugger", program("ruby"), tool("", "ruby /usr/bin/rdbg --open --port 12345 app.rb -p 4567"),
			"12345 debugger, 4567"},
		{"Traefik", program("traefik"), tool("Traefik", "traefik"), "80, 8080 admin"},
		{"Traefik at its dashboard's usual port", program("traefik"),
			tool("Traefik", "traefik --entrypoints.web.address=:8080"), "8080"},
		{"Temporal", program("temporal"), tool("Temporal", "temporal server start-dev"), "7233, 8233 UI"},
		{"HAProxy", program("haproxy"), tool("HAProxy", "haproxy -f haproxy.cfg"), "80, 8404 metrics"},
		{"LocalStack", program("python3"), tool("LocalStack", "python3 -m localstack.runtime.main"),
			"4566, 4510 services"},
		{"LiveReload", program("java"), tool("Spring Boot", "java -jar app.jar"), "8080, 35729 HMR"},
		{"MailDev", program("node"), tool("MailDev", "maildev"), "1025 SMTP, 1080"},
		{"Inbucket", program("inbucket"), tool("Inbucket", "inbucket"), "1100 POP3, 2500 SMTP, 9000"},
		{"Selenium", program("java"), tool("Selenium", "java -jar selenium-server.jar standalone"),
			"4442 events, 4443 events, 4444"},
		{"metrics", program("shop"), tool("", "shop --port 8080 --metrics-port 9100"), "8080, 9100 metrics, 9000"},
		{"a container", proxy, tool("RabbitMQ", ""), "5672, 15672 admin, 25672 cluster"},
		{"a worker of a tool", program("node"),
			facts.Facts{Tool: facts.Tool{Name: "BrowserSync", Kind: facts.Server}, Inherited: true}, "3001"},
		{"a hidden owner", owner.Process{}, facts.Facts{}, "1025, 2019, 8005"},
	} {
		var got []string
		for part := range strings.SplitSeq(c.want, ", ") {
			port, _, _ := strings.Cut(part, " ")
			got = append(got, strings.TrimSpace(port+" "+roleAt(c.p, c.f, parsePort(t, port))))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %s, want %s", c.name, s, c.want)
		}
	}
}

// TestPortRoles has the table of roles complete: each line names known tools and real ports.
func TestPortRoles(t *testing.T) {
	tools := facts.ToolNames()
	for _, r := range portRoles {
		for tool := range strings.SplitSeq(r.tools, ", ") {
			if _, kind := kindsByName[tool]; !tools[tool] && !kind {
				t.Errorf("%s: there is no tool %s", r.role, tool)
			}
		}
		for word := range strings.FieldsSeq(r.ports) {
			set := map[uint16]bool{}
			if addPorts(set, word); len(set) == 0 {
				t.Errorf("%s: %q is no port", r.role, word)
			}
		}
	}
}

func parsePort(t *testing.T, text string) uint16 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

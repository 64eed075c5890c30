package owner

import (
	"fmt"
	"strings"
	"testing"
)

func TestPortsNamed(t *testing.T) {
	for line, want := range map[string]string{
		"": "",
		"node node_modules/.bin/browser-sync start --server --port 3105": "3105",
		"vite --port=5174 --host":                                                "5174",
		"next dev -p 3000":                                                       "3000",
		"rails server -p3000":                                                    "3000",
		"python3 -m http.server 8000":                                            "8000",
		"python3 manage.py runserver 0.0.0.0:8000":                               "8000",
		"php -S [::1]:8080 -t public":                                            "8080",
		"gunicorn --bind localhost:8000 app:app":                                 "8000",
		"serve -l tcp://0.0.0.0:1234/x":                                          "1234",
		"./server :8080":                                                         "8080",
		"./server PORT=8080":                                                     "8080",
		"redis-server *:6379":                                                    "6379",
		"puma 6.4.0 (tcp://127.0.0.1:3000) [shop]|":                              "3000",
		"kubectl port-forward svc/db 15432:5432":                                 "15432",
		"java -Dserver.port=8081 -jar app.jar":                                   "8081",
		"java -jar jenkins.war --httpPort=8082":                                  "8082",
		"mailpit --smtp 0.0.0.0:1025 --listen 0.0.0.0:8025":                      "1025 SMTP, 8025",
		"app --server.port=8080 --management.server.port=81":                     "8080, 81 admin",
		"manager --metrics-bind-address=:8443 --health-probe-bind-address=:8081": "8443 metrics, 8081 health",
		"etcd --listen-client-urls http://[::]:2379 --listen-peer-urls http://127.0.0.1:2380": "2379, 2380 cluster",
		"minio server /data --address :9000 --console-address :9001":                          "9000, 9001 admin",
		"java -DSTOP.PORT=8079 -Djetty.http.port=8080 -jar start.jar":                         "8079 shutdown, 8080",
		"hugo server --liveReloadPort 1314 -p 1313":                                           "1314 HMR, 1313",
		"app --pprof :6060 --ws.port 8546 --grpc-addr :50051":                                 "6060 profiler, 8546 WebSocket, 50051 gRPC",
		"Web --urls http://localhost:5000":                                                    "5000",
		"puma -b tcp://127.0.0.1:9292 --control-url tcp://127.0.0.1:9293":                     "9292, 9293 admin",
		"temporal server start-dev --port 7234 --ui-port 8234":                                "7234, 8234 UI",
		"java -Dcom.sun.management.jmxremote.port=9010 -jar app.jar":                          "9010 JMX",
		"node --debug-port 9000 a.js":                                                         "9000 debugger",
		"node --max-old-space-size=4096 server.js":                                            "",
		"node --inspect=5858 server.js":                                                       "", // for the debugger, see TestWaits
		"app --proxy http://localhost:3000 --workers 8":                                       "", // others' ports
		"app --database db.example.com:5432 db.example.com:5433":                              "",
		"app --http-password 8080 --secret-port 8081 --token 8082":                            "", // secrets
		"app --port 0 --port 70000 --port -1 --listen /run/app.sock --port":                   "",
		"app 1 2 3 4 5 6 7 8 9":                                                               "1, 2, 3, 4, 5, 6",
		"app --port 1 --port 1":                                                               "1",
	} {
		args := strings.Fields(line)
		if title, ok := strings.CutSuffix(line, "|"); ok {
			args = []string{title}
		}
		var got []string
		for _, n := range portsNamed(args) {
			if n.Port != 0 {
				got = append(got, strings.TrimSpace(fmt.Sprint(n.Port, " ", n.Role)))
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: got %q, want %q", line, s, want)
		}
	}
}

func TestRoleAt(t *testing.T) {
	tool := func(name, line string) Facts {
		args := strings.Fields(line)
		return Facts{Tool: Tool{name, Server}, Debugger: findDebugger(args), Named: portsNamed(args)}
	}
	program := func(name string) Process { return Process{PID: 7, Name: name} }
	proxy := Process{PID: 7, Name: "docker-proxy", Refusal: forwarding}
	for _, c := range []struct {
		name string
		p    Process
		f    Facts
		want string // by port
	}{
		{"Caddy", program("caddy"), tool("Caddy", "caddy run"), "2019 admin, 8080"},
		{"Tomcat", program("java"), tool("Tomcat", "java Bootstrap start"), "8005 shutdown, 8009 AJP, 8080"},
		{"an old inspector", program("node"), tool("", "node --inspect=5858 server.js"), "5858 debugger, 8082"},
		{"Bun's inspector", program("bun"), tool("Bun", "bun --inspect run index.ts"), "6499 debugger, 8083"},
		{"JDWP", program("java"), tool("", "java -agentlib:jdwp=server=y,address=5005 -jar app.jar"), "5005 debugger, 8084"},
		{"BrowserSync", program("node"), tool("BrowserSync", "browser-sync start"), "3000, 3001 settings"},
		{"BrowserSync at the port that its settings usually have", program("node"), tool("BrowserSync", "browser-sync start --port 3001"), "3001, 3002"},
		{"Mailpit", program("mailpit"), tool("Mailpit", "mailpit"), "1025 SMTP, 1110 POP3, 8025"},
		{"Delve", program("dlv"), Facts{Tool: Tool{"Delve", Runner}, Named: portsNamed(strings.Fields("dlv debug --listen=:2345"))}, "2345 debugger"},
		{"what Delve runs", program("__debug_bin"), Facts{Tool: Tool{"Delve", Runner}, Inherited: true}, "2345, 8080"},
		{"debugpy's adapter", program("python3"), Facts{Tool: Tool{"debugpy", Helper}, Named: portsNamed(strings.Fields("adapter --port 5678"))}, "5678 debugger"},
		{"Vite's reloading", program("node"), tool("Vite", "vite"), "5173, 24678 HMR"},
		{"the same port of another program", program("java"), tool("", "java Main"), "24678"},
		{"Ruby's debugger", program("ruby"), tool("", "ruby /usr/bin/rdbg --open --port 12345 app.rb -p 4567"), "12345 debugger, 4567"},
		{"Traefik", program("traefik"), tool("Traefik", "traefik"), "80, 8080 admin"},
		{"Traefik at its dashboard's usual port", program("traefik"), tool("Traefik", "traefik --entrypoints.web.address=:8080"), "8080"},
		{"Temporal", program("temporal"), tool("Temporal", "temporal server start-dev"), "7233, 8233 UI"},
		{"HAProxy", program("haproxy"), tool("HAProxy", "haproxy -f haproxy.cfg"), "80, 8404 metrics"},
		{"LocalStack", program("python3"), tool("LocalStack", "python3 -m localstack.runtime.main"), "4566, 4510 services"},
		{"LiveReload", program("java"), tool("Spring Boot", "java -jar app.jar"), "8080, 35729 HMR"},
		{"MailDev", program("node"), tool("MailDev", "maildev"), "1025 SMTP, 1080"},
		{"Inbucket", program("inbucket"), tool("Inbucket", "inbucket"), "1100 POP3, 2500 SMTP, 9000"},
		{"Selenium", program("java"), tool("Selenium", "java -jar selenium-server.jar standalone"), "4442 events, 4443 events, 4444"},
		{"metrics", program("shop"), tool("", "shop --port 8080 --metrics-port 9100"), "8080, 9100 metrics, 9000"},
		{"a container", proxy, tool("RabbitMQ", ""), "5672, 15672 admin, 25672 cluster"},
		{"a worker of a tool", program("node"), Facts{Tool: Tool{"BrowserSync", Server}, Inherited: true}, "3001"},
		{"a hidden owner", Process{}, Facts{}, "1025, 2019, 8005"},
	} {
		var got []string
		for part := range strings.SplitSeq(c.want, ", ") {
			port, _, _ := strings.Cut(part, " ")
			got = append(got, strings.TrimSpace(port+" "+RoleAt(c.p, c.f, portNumber(port))))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %s, want %s", c.name, s, c.want)
		}
	}
}

// TestPortRoles has the table of roles complete: each line names known tools and real ports.
func TestPortRoles(t *testing.T) {
	tools := ToolNames()
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

func FuzzPortsNamed(f *testing.F) {
	f.Add("vite\x00--port\x003000")
	f.Add("puma 6.4.0 (tcp://127.0.0.1:3000) [shop]")
	f.Add("a\x00-Dserver.port=8080\x00-p3\x00=\x00--=:\x00://\x00")
	f.Fuzz(func(t *testing.T, line string) {
		roles := map[string]bool{"": true}
		for _, r := range optionRoles {
			roles[r.role] = true
		}
		seen := map[uint16]bool{0: true}
		for _, n := range portsNamed(strings.Split(line, "\x00")) {
			if n.Port == 0 {
				continue
			}
			if seen[n.Port] || !roles[n.Role] || !strings.Contains(line, fmt.Sprint(n.Port)) && !strings.Contains(line, "0") {
				t.Errorf("%q names %+v", line, n)
			}
			seen[n.Port] = true
		}
	})
}

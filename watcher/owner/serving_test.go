package owner

import (
	"strings"
	"testing"
)

// TestServingAt has one server of each class, and those that stand between two.
func TestServingAt(t *testing.T) {
	tool := func(name string) Facts { return Facts{Tool: Tool{name, Server}} }
	worksFor := func(name string, self Tool) Facts {
		return Facts{Tool: Tool{name, Server}, Inherited: true, Self: self}
	}
	program := func(name string) Process { return Process{PID: 7, Name: name} }
	proxy := Process{PID: 7, Name: "docker-proxy", Refusal: forwarding}
	for _, c := range []struct {
		name  string
		p     Process
		f     Facts
		ports string
		want  Serving
	}{
		{"a database", program("postgres"), tool("PostgreSQL"), "5432 5433 8080", Serving{"PostgreSQL", Database}},
		{"MySQL, both protocols", program("mysqld"), tool("MySQL"), "3306 33060", Serving{"MySQL", Database}},
		{"a cache", program("memcached"), tool("memcached"), "11211", Serving{"memcached", Cache}},
		{"a broker", program("java"), tool("Kafka"), "9092 19092", Serving{"Kafka", Broker}},
		{"a broker's own protocol", program("beam.smp"), tool("RabbitMQ"), "5672 5673 25672", Serving{"RabbitMQ", Broker}},
		{"a broker's web page", program("beam.smp"), tool("RabbitMQ"), "15672 15671 15692", Serving{"", Broker}},
		{"NATS", program("nats-server"), tool("NATS"), "4222 6222", Serving{"NATS", Broker}},
		{"NATS' monitor", program("nats-server"), tool("NATS"), "8222", Serving{"", Broker}},
		{"a database with HTTP", program("java"), tool("Elasticsearch"), "9200 9201", Serving{"", Database}},
		{"what its nodes speak", program("java"), tool("Elasticsearch"), "9300", Serving{"Elasticsearch", Database}},
		{"CouchDB, InfluxDB and etcd", program("etcd"), tool("etcd"), "2379 2380", Serving{"", Database}},
		{"ClickHouse over HTTP", program("clickhouse"), tool("ClickHouse"), "8123 18123", Serving{"", Database}},
		{"ClickHouse", program("clickhouse"), tool("ClickHouse"), "9000 9004", Serving{"ClickHouse", Database}},
		{"Neo4j's browser", program("java"), tool("Neo4j"), "7474 7473", Serving{"", Database}},
		{"Bolt", program("java"), tool("Neo4j"), "7687", Serving{"Neo4j", Database}},
		{"CockroachDB", program("cockroach"), tool("CockroachDB"), "26257 26258", Serving{"CockroachDB", Database}},
		{"CockroachDB's console", program("cockroach"), tool("CockroachDB"), "8080", Serving{"", Database}},
		{"Redis", program("redis-server"), tool("Redis"), "6379 7000 26379", Serving{"Redis", Database}},
		{"redis-stack's page", proxy, tool("Redis"), "8001", Serving{"", Database}},
		{"admin tools", program("consul"), tool("Consul"), "8500", Serving{"", AdminTool}},
		{"MinIO", program("minio"), tool("MinIO"), "9000 9001", Serving{"", Database}},
		{"mail for developers", program("mailpit"), tool("Mailpit"), "1025", Serving{"Mailpit", ""}},
		{"its page", program("mailpit"), tool("Mailpit"), "8025", Serving{}},
		{"FastCGI", program("php-fpm8.2"), tool("PHP-FPM"), "9000", Serving{"PHP-FPM", ""}},

		{"a web tool at a database's port", program("node"), tool("Vite"), "5432 6379", Serving{}},
		{"any program there", program("node"), Facts{}, "5432 22", Serving{}},
		{"a program of a project there", program("shop"), Facts{Project: Project{Name: "shop", Dir: "/shop"}}, "3306", Serving{}},
		{"a program of which only the file is known", Process{PID: 7, Exe: "/usr/bin/python3.11"}, Facts{}, "5432", Serving{}},

		{"a hidden owner", Process{Foreign: true}, Facts{}, "5432", Serving{"PostgreSQL", Database}},
		{"a hidden owner, mail", Process{}, Facts{}, "25 587", Serving{"SMTP", ""}},
		{"a hidden owner, SSH", Process{}, Facts{}, "22", Serving{"SSH", ""}},
		{"a hidden owner, DNS", Process{}, Facts{}, "53", Serving{"DNS", ""}},
		{"a hidden owner, MongoDB", Process{}, Facts{}, "27017 27018", Serving{"MongoDB", Database}},
		{"a hidden owner, AMQP", Process{}, Facts{}, "5672", Serving{"RabbitMQ", Broker}},
		{"a hidden owner, MQTT", Process{}, Facts{}, "1883", Serving{"MQTT", Broker}},
		{"a hidden owner, LDAP", Process{}, Facts{}, "389", Serving{"LDAP", ""}},
		{"a hidden owner, Cassandra", Process{}, Facts{}, "9042", Serving{"Cassandra", Database}},
		{"a hidden owner, ZooKeeper", Process{}, Facts{}, "2181", Serving{"ZooKeeper", Database}},
		{"a hidden owner, a page", Process{}, Facts{}, "80 631 3000 8080 9000", Serving{}},
		{"a hidden owner, a database with HTTP", Process{}, Facts{}, "9200 5984 8086", Serving{"", Database}},
		{"a hidden owner, an engine", Process{}, Facts{}, "2375 2376 10250", Serving{"", ContainerEngine}},
		{"an owner without a name", Process{PID: 7}, Facts{}, "3306", Serving{"MySQL", Database}},
		{"a service manager's socket", program("systemd"), Facts{}, "22", Serving{"SSH", ""}},

		{"a forwarder", proxy, Facts{}, "6379", Serving{"Redis", Database}},
		{"a forwarder of anything", proxy, Facts{}, "3000 8080", Serving{}},
		{"a container whose image is known", proxy, tool("PostgreSQL"), "15432", Serving{"PostgreSQL", Database}},
		{"a container with a web server", proxy, tool("nginx"), "5432", Serving{}},
		{"a container with what a person wrote", proxy, Facts{Tool: Tool{"Go", Runner}}, "2345", Serving{"Delve", Debugger}},
		{"a debugger in a container", proxy, Facts{}, "9229", Serving{"JavaScript inspector", Debugger}},
		{"a tunnel", program("ssh"), tool("ssh tunnel"), "5432", Serving{"PostgreSQL", Database}},
		{"a tunnel to a page", program("kubectl"), tool("kubectl port-forward"), "8080", Serving{}},
		{"another tunnel", program("socat"), Facts{}, "3306", Serving{"MySQL", Database}},
		{"the engine's own API", Process{PID: 7, Name: "dockerd", Refusal: forwarding}, Facts{}, "2375", Serving{"", ContainerEngine}},
		{"what the engine forwards", Process{PID: 7, Name: "dockerd", Refusal: forwarding}, Facts{}, "8080", Serving{}},
		{"containerd", program("containerd"), Facts{}, "40001", Serving{"", ContainerEngine}},
		{"kubelet", program("kubelet"), Facts{}, "10250", Serving{"", ContainerEngine}},

		{"sshd", program("sshd"), Facts{}, "22 2222", Serving{"SSH", ""}},
		{"DNS", program("dnsmasq"), Facts{}, "53", Serving{"DNS", ""}},
		{"a program for Windows", program("vsftpd.exe"), Facts{}, "21", Serving{"FTP", ""}},
		{"epmd", program("epmd"), Facts{Tool: Tool{"Erlang port mapper", Helper}}, "4369", Serving{"Erlang port mapper", ""}},
		{"epmd, of RabbitMQ", program("epmd"), worksFor("RabbitMQ", Tool{"Erlang port mapper", Helper}), "4369", Serving{"Erlang port mapper", ""}},

		{"Delve", program("dlv"), Facts{Tool: Tool{"Delve", Runner}}, "2345 38697", Serving{"Delve", Debugger}},
		{"what Delve runs", program("__debug_bin"), worksFor("Delve", Tool{}), "8080", Serving{}},
		{"an inspector", program("node"), tool("Vite"), "9229 9230", Serving{"JavaScript inspector", Debugger}},
		{"an inspector of a process with a title", Process{PID: 7, Name: "next-server", Exe: "/usr/bin/node"}, tool("Next.js"), "9229",
			Serving{"JavaScript inspector", Debugger}},
		{"no inspector", program("python3"), Facts{}, "9229", Serving{}},
		{"an inspector elsewhere", program("node"), Facts{Debugger: DebuggerPort{"JavaScript inspector", 4000}}, "4000", Serving{"JavaScript inspector", Debugger}},
		{"the server beside it", program("node"), Facts{Debugger: DebuggerPort{"JavaScript inspector", 4000}}, "3000", Serving{}},
		{"JDWP", program("java"), Facts{Tool: Tool{"Spring Boot", Server}, Debugger: DebuggerPort{"JDWP", 5005}}, "5005", Serving{"JDWP", Debugger}},
		{"Java without it", program("java"), tool("Spring Boot"), "5005", Serving{}},
		{"debugpy", program("python3"), worksFor("Flask", Tool{"debugpy", Helper}), "5678 5679", Serving{"debugpy", Debugger}},
		{"Python at its port", program("python3"), tool("Flask"), "5678", Serving{}},
		{"Chrome", program("chrome"), Facts{Tool: Tool{"Google Chrome", App}}, "9222", Serving{"Chrome DevTools", Debugger}},
	} {
		for port := range strings.FieldsSeq(c.ports) {
			set := map[uint16]bool{}
			addPorts(set, port)
			for port := range set {
				if got := ServingAt(c.p, c.f, port); got != c.want {
					t.Errorf("%s at %d: got %+v, want %+v", c.name, port, got, c.want)
				}
			}
		}
	}
}

// TestServerKinds has the table of kinds complete: each line is about a tool, or says how it is known otherwise.
func TestServerKinds(t *testing.T) {
	tools, byDebugger := ToolNames(), map[string]bool{}
	for _, d := range debugOptions {
		byDebugger[d.name] = true
	}
	for _, d := range debugPorts {
		byDebugger[d.name] = true
	}
	names, ports, programs := map[string]bool{}, map[uint16]string{}, map[string]bool{}
	for _, s := range serverKinds {
		if names[s.name] {
			t.Errorf("%s is there twice", s.name)
		}
		names[s.name] = true
		if !tools[s.name] && s.programs == "" && s.known == "" && !byDebugger[s.name] {
			t.Errorf("nothing tells what %s is", s.name)
		}
		if s.risk == "" && s.other == "" {
			t.Errorf("%s is like any web server", s.name)
		}
		for p := range strings.FieldsSeq(s.programs) {
			if programs[p] {
				t.Errorf("%s: the program %s is another's", s.name, p)
			}
			programs[p] = true
		}
		for word := range strings.FieldsSeq(s.known + " " + strings.ReplaceAll(s.other, "!", "")) {
			set := map[uint16]bool{}
			addPorts(set, word)
			if len(set) == 0 && word != "*" {
				t.Errorf("%s: %q is no port", s.name, word)
			}
		}
		set := map[uint16]bool{}
		for word := range strings.FieldsSeq(s.known) {
			addPorts(set, word)
		}
		for port := range set {
			if other := ports[port]; other != "" {
				t.Errorf("%d is known for %s and for %s", port, other, s.name)
			}
			ports[port] = s.name
		}
	}
	for name := range byDebugger {
		if !names[name] {
			t.Errorf("there is no kind %s", name)
		}
	}
	for name := range relays {
		if strings.Contains(name, " ") && !tools[name] {
			t.Errorf("there is no tool %s that passes connections on", name)
		}
	}
}

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
		"node --debug=5858 server.js":                                                          {"JavaScript inspector", 5858},
		"node server.js --debug --inspect=9333":                                                {"JavaScript inspector", 9333},
		"dart run --enable-vm-service bin/server.dart":                                         {"Dart VM service", 8181},
		"dart --observe=9000/::1 bin/server.dart":                                              {"Dart VM service", 9000},
		"python3 -m debugpy --listen 0.0.0.0:5678 app.py":                                      {"debugpy", 5678},
		"python3 app.py --listen 5678":                                                         {},
		"chrome --remote-debugging-port=9333":                                                  {"Chrome DevTools", 9333},
		"ruby /usr/bin/rdbg --open --port 12345 app.rb":                                        {"rdbg", 12345},
		"ruby /usr/bin/rdbg -O --host=localhost --port=12345 app.rb":                           {"rdbg", 12345},
		"ruby /usr/bin/rdebug-ide --host 0.0.0.0 --port 1234 -- bin/rails s -p 3000":           {"rdbg", 1234},
		"ruby app.rb --port 4567":                                                              {},
		"node --inspect=0 --inspect-port=9333 server.js":                                       {"JavaScript inspector", 9333},
		"node --inspect=9333 /srv/server.js|":                                                  {"JavaScript inspector", 9333},
		"":                                                                                     {},
	} {
		args := strings.Fields(line)
		if title, ok := strings.CutSuffix(line, "|"); ok {
			args = []string{title}
		}
		if got := findDebugger(args); got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
	}
}

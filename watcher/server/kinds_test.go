package server

import (
	"maps"
	"strings"
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/project"
)

// TestServingAt has one server of each class, and those that stand between two.
func TestServingAt(t *testing.T) {
	tool := func(name string) facts.Facts { return facts.Facts{Tool: facts.Tool{Name: name, Kind: facts.Server}} }
	worksFor := func(name string, self facts.Tool) facts.Facts {
		return facts.Facts{Tool: facts.Tool{Name: name, Kind: facts.Server}, Inherited: true, Self: self}
	}
	program := func(name string) owner.Process { return owner.Process{PID: 7, Name: name} }
	proxy := owner.Process{PID: 7, Name: "docker-proxy", Refusal: "forwards for a container or VM"}
	for _, c := range []struct {
		name  string
		p     owner.Process
		f     facts.Facts
		ports string
		want  serving
	}{
		{"a database", program("postgres"), tool("PostgreSQL"), "5432 5433 8080", serving{"PostgreSQL", Database}},
		{"MySQL, both protocols", program("mysqld"), tool("MySQL"), "3306 33060", serving{"MySQL", Database}},
		{"a cache", program("memcached"), tool("memcached"), "11211", serving{"memcached", Cache}},
		{"a broker", program("java"), tool("Kafka"), "9092 19092", serving{"Kafka", Broker}},
		{"a broker's own protocol", program("beam.smp"), tool("RabbitMQ"), "5672 5673 25672",
			serving{"RabbitMQ", Broker}},
		{"a broker's web page", program("beam.smp"), tool("RabbitMQ"), "15672 15671 15692", serving{"", Broker}},
		{"NATS", program("nats-server"), tool("NATS"), "4222 6222", serving{"NATS", Broker}},
		{"NATS' monitor", program("nats-server"), tool("NATS"), "8222", serving{"", Broker}},
		{"a database with HTTP", program("java"), tool("Elasticsearch"), "9200 9201", serving{"", Database}},
		{"what its nodes speak", program("java"), tool("Elasticsearch"), "9300", serving{"Elasticsearch", Database}},
		{"CouchDB, InfluxDB and etcd", program("etcd"), tool("etcd"), "2379 2380", serving{"", Database}},
		{"ClickHouse over HTTP", program("clickhouse"), tool("ClickHouse"), "8123 18123", serving{"", Database}},
		{"ClickHouse", program("clickhouse"), tool("ClickHouse"), "9000 9004", serving{"ClickHouse", Database}},
		{"Neo4j's browser", program("java"), tool("Neo4j"), "7474 7473", serving{"", Database}},
		{"Bolt", program("java"), tool("Neo4j"), "7687", serving{"Neo4j", Database}},
		{"CockroachDB", program("cockroach"), tool("CockroachDB"), "26257 26258", serving{"CockroachDB", Database}},
		{"CockroachDB's console", program("cockroach"), tool("CockroachDB"), "8080", serving{"", Database}},
		{"Redis", program("redis-server"), tool("Redis"), "6379 7000 26379", serving{"Redis", Database}},
		{"redis-stack's page", proxy, tool("Redis"), "8001", serving{"", Database}},
		{"admin tools", program("consul"), tool("Consul"), "8500", serving{"", AdminTool}},
		{"MinIO", program("minio"), tool("MinIO"), "9000 9001", serving{"", Database}},
		{"mail for developers", program("mailpit"), tool("Mailpit"), "1025", serving{"Mailpit", ""}},
		{"its page", program("mailpit"), tool("Mailpit"), "8025", serving{}},
		{"FastCGI", program("php-fpm8.2"), tool("PHP-FPM"), "9000", serving{"PHP-FPM", ""}},

		{"a web tool at a database's port", program("node"), tool("Vite"), "5432 6379", serving{}},
		{"any program there", program("node"), facts.Facts{}, "5432 22", serving{}},
		{"a program of a project there", program("shop"),
			facts.Facts{Project: project.Project{Name: "shop", Dir: "/shop"}}, "3306", serving{}},
		{"a program of which only the file is known", owner.Process{PID: 7, Exe: "/usr/bin/python3.11"}, facts.Facts{},
			"5432", serving{}},

		{"a hidden owner", owner.Process{Foreign: true}, facts.Facts{}, "5432", serving{"PostgreSQL", Database}},
		{"a hidden owner, mail", owner.Process{}, facts.Facts{}, "25 587", serving{"SMTP", ""}},
		{"a hidden owner, SSH", owner.Process{}, facts.Facts{}, "22", serving{"SSH", ""}},
		{"a hidden owner, DNS", owner.Process{}, facts.Facts{}, "53", serving{"DNS", ""}},
		{"a hidden owner, MongoDB", owner.Process{}, facts.Facts{}, "27017 27018", serving{"MongoDB", Database}},
		{"a hidden owner, AMQP", owner.Process{}, facts.Facts{}, "5672", serving{"RabbitMQ", Broker}},
		{"a hidden owner, MQTT", owner.Process{}, facts.Facts{}, "1883", serving{"MQTT", Broker}},
		{"a hidden owner, LDAP", owner.Process{}, facts.Facts{}, "389", serving{"LDAP", ""}},
		{"a hidden owner, Cassandra", owner.Process{}, facts.Facts{}, "9042", serving{"Cassandra", Database}},
		{"a hidden owner, ZooKeeper", owner.Process{}, facts.Facts{}, "2181", serving{"ZooKeeper", Database}},
		{"a hidden owner, a page", owner.Process{}, facts.Facts{}, "80 631 3000 8080 9000", serving{}},
		{"a hidden owner, a database with HTTP", owner.Process{}, facts.Facts{}, "9200 5984 8086",
			serving{"", Database}},
		{"a hidden owner, an engine", owner.Process{}, facts.Facts{}, "2375 2376 10250", serving{"", ContainerEngine}},
		{"an owner without a name", owner.Process{PID: 7}, facts.Facts{}, "3306", serving{"MySQL", Database}},
		{"a service manager's socket", program("systemd"), facts.Facts{}, "22", serving{"SSH", ""}},

		{"a forwarder", proxy, facts.Facts{}, "6379", serving{"Redis", Database}},
		{"a forwarder of anything", proxy, facts.Facts{}, "3000 8080", serving{}},
		{"a container whose image is known", proxy, tool("PostgreSQL"), "15432", serving{"PostgreSQL", Database}},
		{"a container with a web server", proxy, tool("nginx"), "5432", serving{}},
		{"a container with what a person wrote", proxy, facts.Facts{Tool: facts.Tool{Name: "Go", Kind: facts.Runner}},
			"2345", serving{"Delve", Debugger}},
		{"a debugger in a container", proxy, facts.Facts{}, "9229", serving{"JavaScript inspector", Debugger}},
		{"a tunnel", program("ssh"), tool("ssh tunnel"), "5432", serving{"PostgreSQL", Database}},
		{"a tunnel to a page", program("kubectl"), tool("kubectl port-forward"), "8080", serving{}},
		{"another tunnel", program("socat"), facts.Facts{}, "3306", serving{"MySQL", Database}},
		{"the engine's own API", owner.Process{PID: 7, Name: "dockerd", Refusal: "forwards for a container or VM"},
			facts.Facts{}, "2375", serving{"", ContainerEngine}},
		{"what the engine forwards", owner.Process{PID: 7, Name: "dockerd", Refusal: "forwards for a container or VM"},
			facts.Facts{}, "8080", serving{}},
		{"containerd", program("containerd"), facts.Facts{}, "40001", serving{"", ContainerEngine}},
		{"kubelet", program("kubelet"), facts.Facts{}, "10250", serving{"", ContainerEngine}},

		{"sshd", program("sshd"), facts.Facts{}, "22 2222", serving{"SSH", ""}},
		{"DNS", program("dnsmasq"), facts.Facts{}, "53", serving{"DNS", ""}},
		{"a program for Windows", program("vsftpd.exe"), facts.Facts{}, "21", serving{"FTP", ""}},
		{"epmd", program("epmd"), facts.Facts{Tool: facts.Tool{Name: "Erlang port mapper", Kind: facts.Helper}}, "4369",
			serving{"Erlang port mapper", ""}},
		{"epmd, of RabbitMQ", program("epmd"),
			worksFor("RabbitMQ", facts.Tool{Name: "Erlang port mapper", Kind: facts.Helper}), "4369",
			serving{"Erlang port mapper", ""}},

		{"Delve", program("dlv"), facts.Facts{Tool: facts.Tool{Name: "Delve", Kind: facts.Runner}}, "2345 38697",
			serving{"Delve", Debugger}},
		{"what Delve runs", program("__debug_bin"), worksFor("Delve", facts.Tool{}), "8080", serving{}},
		{"an inspector", program("node"), tool("Vite"), "9229 9230", serving{"JavaScript inspector", Debugger}},
		{"an inspector of a process with a title", owner.Process{PID: 7, Name: "next-server", Exe: "/usr/bin/node"},
			tool("Next.js"), "9229",
			serving{"JavaScript inspector", Debugger}},
		{"no inspector", program("python3"), facts.Facts{}, "9229", serving{}},
		{"an inspector elsewhere", program("node"),
			facts.Facts{Debugger: facts.DebuggerPort{Name: "JavaScript inspector", Port: 4000}}, "4000",
			serving{"JavaScript inspector", Debugger}},
		{"the server beside it", program("node"),
			facts.Facts{Debugger: facts.DebuggerPort{Name: "JavaScript inspector", Port: 4000}}, "3000", serving{}},
		{"JDWP", program("java"),
			facts.Facts{Tool: facts.Tool{Name: "Spring Boot", Kind: facts.Server},
				Debugger: facts.DebuggerPort{Name: "JDWP", Port: 5005}}, "5005", serving{"JDWP", Debugger}},
		{"Java without it", program("java"), tool("Spring Boot"), "5005", serving{}},
		{"debugpy", program("python3"), worksFor("Flask", facts.Tool{Name: "debugpy", Kind: facts.Helper}), "5678 5679",
			serving{"debugpy", Debugger}},
		{"Python at its port", program("python3"), tool("Flask"), "5678", serving{}},
		{"Chrome", program("chrome"), facts.Facts{Tool: facts.Tool{Name: "Google Chrome", Kind: facts.App}}, "9222",
			serving{"Chrome DevTools", Debugger}},
	} {
		for port := range strings.FieldsSeq(c.ports) {
			set := map[uint16]bool{}
			addPorts(set, port)
			for port := range set {
				if got := servingAt(c.p, c.f, port); got != c.want {
					t.Errorf("%s at %d: got %+v, want %+v", c.name, port, got, c.want)
				}
			}
		}
	}
}

// TestServerKinds has the table of kinds complete: each line is about a tool, or says how it is known otherwise.
func TestServerKinds(t *testing.T) {
	tools, byDebugger := facts.ToolNames(), facts.DebuggerNames()
	for _, d := range debugPorts {
		byDebugger[d.name] = true
	}
	unknown := maps.Clone(byDebugger)
	names, ports, programs := map[string]bool{}, map[uint16]string{}, map[string]bool{}
	for _, s := range serverKinds {
		if names[s.name] {
			t.Errorf("%s is listed twice", s.name)
		}
		names[s.name] = true
		delete(unknown, s.name)
		if !tools[s.name] && s.programs == "" && s.known == "" && !byDebugger[s.name] {
			t.Errorf("nothing identifies %s", s.name)
		}
		if s.risk == "" && s.other == "" {
			t.Errorf("%s does not differ from a web server", s.name)
		}
		for p := range strings.FieldsSeq(s.programs) {
			if programs[p] {
				t.Errorf("%s: the program %s belongs to another kind", s.name, p)
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
	for name := range unknown {
		t.Errorf("the debugger %s is no kind of server", name)
	}
}

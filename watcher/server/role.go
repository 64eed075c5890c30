package server

import (
	"strings"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

// A portRole is the role of further ports of some tools.
type portRole struct {
	role string
	// tools are the tools with such ports, separated by commas.
	tools string
	ports string // as in the table of servers
}

// portRoles are ports with a fixed role. A port that the command line names as the server's own has no role.
var portRoles = []portRole{
	{"admin", "Caddy", "2019"},
	{"admin", "Envoy", "9901"},
	{"admin", "Traefik", "8080"},
	{"admin", "WildFly", "9990 9993"},
	{"admin", "Keycloak", "9000"},
	{"admin", "ZooKeeper", "8080"},
	{"admin", "RabbitMQ", "15671 15672"},
	{"admin", "MinIO", "9001"},
	{"admin", "CockroachDB", "8080"},
	{"shutdown", "Tomcat", "8005"},
	{"AJP", "Tomcat", "8009"},
	{"settings", "BrowserSync", "3001"},
	{"UI", "Temporal", "8233"},
	{"SMTP", "Mailpit, MailHog, MailDev, MailCatcher", "1025"},
	{"SMTP", "Inbucket", "2500"},
	{"POP3", "Mailpit", "1110"},
	{"POP3", "Inbucket", "1100"},
	{"events", "Selenium", "4442 4443"},
	{"proxy", "MCP Inspector", "6277"},
	{"hub", "Firebase", "4400"},
	{"logging", "Firebase", "4500"},
	{"cluster", "RabbitMQ", "25672"},
	{"cluster", "Elasticsearch, OpenSearch", "9300-9399"},
	{"cluster", "Redis, Valkey, KeyDB", "16379"},
	{"cluster", "Cassandra", "7000 7001"},
	{"cluster", "Kafka", "9093"},
	{"services", "LocalStack", "4510-4559"},
	{"JMX", "Cassandra", "7199"},
	{"HMR", "Remix", "8002"},
	{"X protocol", "MySQL", "33060"},
	{"cluster", "etcd", "2380"},
	{"cluster", "NATS", "6222"},
	{"cluster", "Consul", "8300-8302"},
	{"cluster", "Vault", "8201"},
	{"cluster", "Nomad", "4647 4648"},
	{"cluster", "Typesense", "8107"},
	{"metrics", "RabbitMQ", "15691 15692"},
	{"metrics", "NATS", "8222"},
	{"metrics", "HAProxy", "8404"},
	{"metrics", "OpenSearch", "9600"},
	{"metrics", "OpenTelemetry Collector", "8888"},
	{"gRPC", "Consul", "8502 8503"},
	{"gRPC", "Qdrant", "6334 6335"},
	{"gRPC", "Weaviate", "50051"},
	{"gRPC", "Loki", "9095"},
	{"DNS", "Consul", "8600"},
	{"backup", "InfluxDB", "8088"},
	{"tunnel", "Portainer", "8000"},
	{"agents", "Jenkins", "50000"},
	{"OTLP", "Jaeger", "4317 4318"},
	{"collector", "Jaeger", "14250 14268"},
	{"sampling", "Jaeger", "5778"},
}

// roleAt returns the role of a process's further port: "admin", "debugger", "SMTP", "metrics", "HMR", "shutdown". It is
// empty for the port that people mean. The text comes from tables, so it is fit to show. For a container, f holds the
// facts about the container, and port is the container's own port if known.
func roleAt(p owner.Process, f facts.Facts, port uint16) string {
	if s := servingAt(p, f, port); s.Risk == Debugger && s.Speaks != "" {
		return facts.DebuggerRole
	}
	if named, ok := f.NamedAt(port); ok {
		return named.Role
	}
	if role, ok := rolesByTool[f.Own().Name][port]; ok {
		return role
	}
	if programs, ok := hmrPorts[port]; ok && runs(p, programs) {
		return "HMR"
	}
	return ""
}

// hmrPorts maps ports for reloading pages to their programs: the port of Vite, and that of LiveReload in several tools.
var hmrPorts = map[uint16]string{24678: jsRuntimes, 35729: jsRuntimes + " java ruby python python3"}

// rolesByTool holds the roles by tool and port.
var rolesByTool = readRoles()

func readRoles() map[string]map[uint16]string {
	roles := map[string]map[uint16]string{}
	for _, r := range portRoles {
		ports := map[uint16]bool{}
		for word := range strings.FieldsSeq(r.ports) {
			addPorts(ports, word)
		}
		for tool := range strings.SplitSeq(r.tools, ", ") {
			if roles[tool] == nil {
				roles[tool] = map[uint16]string{}
			}
			for port := range ports {
				roles[tool][port] = r.role
			}
		}
	}
	return roles
}

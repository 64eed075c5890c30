package server

// The risks: kinds of server that other machines should not reach.
const (
	Database        = "database"
	Cache           = "cache"
	Broker          = "message broker"
	AdminTool       = "admin tool"
	Debugger        = "debugger"
	ContainerEngine = "container engine"
)

// A serverKind is a line of the table of servers.
type serverKind struct {
	name string // as in the table of tools, or a protocol
	risk string // empty if it may be reached from the network
	// programs are its process names, separated by spaces, unless it is in the table of tools.
	programs string
	// known are its usual ports. They decide if the process is hidden or passes connections on.
	known string
	// other are the ports that are useless in a browser. An asterisk means all ports except those with "!": "* !8222".
	other string
}

// serverKinds is the table of servers. A tool that is not listed counts as a web server without a risk.
var serverKinds = []serverKind{
	// Databases
	{"PostgreSQL", Database, "", "5432", "*"},
	{"PgBouncer", Database, "pgbouncer", "6432", "*"},
	{"MySQL", Database, "", "3306 33060", "*"},
	{"MariaDB", Database, "", "", "*"},
	{"SQL Server", Database, "", "1433", "*"},
	{"Oracle Database", Database, "", "1521", "* !5500"},
	{"CockroachDB", Database, "", "26257", "26257-26299"},
	{"MongoDB", Database, "", "27017-27019", "*"},
	{"Cassandra", Database, "", "9042", "*"},
	{"Neo4j", Database, "", "7687", "7687"},
	{"ClickHouse", Database, "", "", "9000 9004 9005 9009 9010 9100 9440"},
	{"ZooKeeper", Database, "", "2181", "* !8080"},
	{"Redis", Database, "", "6379 26379", "* !8001"}, // redis-stack has a web page there
	{"Valkey", Database, "", "", "*"},
	{"KeyDB", Database, "", "", "*"},
	{"Dragonfly", Database, "", "", "*"},
	{"memcached", Cache, "", "11211", "*"},
	{"Elasticsearch", Database, "", "9200 9300", "9300-9399"},
	{"OpenSearch", Database, "", "", "9300-9399"},
	{"CouchDB", Database, "", "5984", ""},
	{"InfluxDB", Database, "", "8086", "8088"},
	{"etcd", Database, "", "2379", ""},
	{"DynamoDB Local", Database, "", "", ""},
	{"Meilisearch", Database, "", "", ""},
	{"Typesense", Database, "", "", "8107"},
	{"Qdrant", Database, "", "", "6334 6335"},
	{"Weaviate", Database, "", "", "50051"},
	{"SurrealDB", Database, "", "", ""},
	{"PocketBase", Database, "", "", ""},
	{"MinIO", Database, "", "", ""},

	// Message brokers
	{"RabbitMQ", Broker, "", "5671 5672", "* !15671 !15672 !15691 !15692"},
	{"Kafka", Broker, "", "9092", "*"},
	{"NATS", Broker, "", "4222", "* !8222"},
	{"Mosquitto", Broker, "", "", "*"},
	{"MQTT", Broker, "", "1883 8883", "*"},

	// Administration
	{"pgAdmin", AdminTool, "", "", ""},
	{"Adminer", AdminTool, "", "", ""},
	{"phpMyAdmin", AdminTool, "", "", ""},
	{"mongo-express", AdminTool, "", "", ""},
	{"Redis Insight", AdminTool, "", "", ""},
	{"Portainer", AdminTool, "", "", "8000"},
	{"Prisma Studio", AdminTool, "", "", ""},
	{"Kibana", AdminTool, "", "", ""},
	{"Consul", AdminTool, "", "", "8300-8302 8502 8503 8600"},
	{"Vault", AdminTool, "", "", "8201"},
	{"Nomad", AdminTool, "", "", "4647 4648"},
	{"Jenkins", AdminTool, "", "", "50000"},
	{"Node-RED", AdminTool, "", "", ""},
	{"Jupyter", AdminTool, "", "", ""},
	{"Flower", AdminTool, "", "", ""},
	{"Airflow", AdminTool, "", "", ""},
	{"kubectl proxy", AdminTool, "", "", ""},
	{"Keycloak", AdminTool, "", "", ""},

	// Container engines
	{"Docker Engine", ContainerEngine, "dockerd", "2375 2376", ""},
	{"containerd", ContainerEngine, "containerd", "", ""},
	{"CRI-O", ContainerEngine, "crio", "", ""},
	{"BuildKit", ContainerEngine, "buildkitd", "", "*"},
	{"kubelet", ContainerEngine, "kubelet k3s k3s-server kubelite", "10250 10255", ""},

	// Debuggers
	{"Delve", Debugger, "", "2345", "*"},
	{"JavaScript inspector", Debugger, "", "9229", "*"},
	{"debugpy", Debugger, "", "", "*"},
	{"rdbg", Debugger, "", "", "*"},
	{"JDWP", Debugger, "", "", "*"},
	{"Chrome DevTools", Debugger, "", "", "*"},
	{"Dart VM service", Debugger, "", "", "*"},
	{"gdbserver", Debugger, "gdbserver", "", "*"},
	{"LLDB", Debugger, "lldb-server debugserver lldb-dap lldb-vscode codelldb", "", "*"},
	{"netcoredbg", Debugger, "netcoredbg vsdbg", "", "*"},
	{"Android Debug Bridge", Debugger, "adb", "5037", "*"},

	// Mail, names, files, other machines' screens and shells
	{"SSH", "", "sshd dropbear", "22", "*"},
	{"FTP", "", "vsftpd proftpd pure-ftpd", "21", "*"},
	{"Telnet", "", "telnetd in.telnetd", "23", "*"},
	{"SMTP", "", "exim4 sendmail opensmtpd", "25 465 587 1025", "*"},
	{"POP3", "", "", "110 995", "*"},
	{"IMAP", "", "dovecot", "143 993", "*"},
	{"Mailpit", "", "", "", "1025 1110"},
	{"MailHog", "", "", "", "1025"},
	{"MailDev", "", "", "", "1025"},
	{"MailCatcher", "", "", "", "1025"},
	{"Inbucket", "", "", "", "2500 1100"},
	{"Selenium", "", "", "", "4442 4443"},
	{"DNS", "", "named dnsmasq unbound systemd-resolve systemd-resolved", "53", "*"},
	{"Kerberos", "", "krb5kdc", "88", "*"},
	{"LDAP", "", "slapd", "389 636", "*"},
	{"RPC port mapper", "", "rpcbind", "111", "*"},
	{"NFS", "", "", "2049", "*"},
	{"SMB", "", "smbd", "139 445", "*"},
	{"rsync", "", "rsync", "873", "*"},
	{"SOCKS", "", "", "1080", "*"},
	{"RDP", "", "xrdp", "3389", "*"},
	{"VNC", "", "Xvnc Xtigervnc x11vnc vino-server wayvnc", "5900-5909", "*"},
	{"Erlang port mapper", "", "epmd", "4369", "*"},
	{"PHP-FPM", "", "", "", "*"},
	{"Tomcat", "", "", "", "8005 8009"},
	{"Temporal", "", "", "7233", "6933-6939 7233-7239"},
	{"Jaeger", "", "", "", "4317 14250"},
	{"OpenTelemetry Collector", "", "", "4317", "4317"},
	{"Loki", "", "", "", "9095"},
}

const jsRuntimes = "node nodejs bun deno workerd"

// A debugPort is a runtime's default port for a debugger, up to last if earlier ones are taken.
type debugPort struct {
	name        string // of the server kind
	programs    string // the runtimes
	first, last uint16
}

var debugPorts = []debugPort{
	{"JavaScript inspector", jsRuntimes, 9229, 9248},
	{"JavaScript inspector", "bun", 6499, 6499},
	{"Chrome DevTools", "chrome chromium msedge brave", 9222, 9222},
}

// relays are tools and programs that pass connections on. Linux cuts off the names of programs.
var relays = map[string]bool{"ssh tunnel": true, "kubectl port-forward": true, "socat": true, "systemd-socket-": true,
	"systemd-socket-proxyd": true, "cloud-sql-proxy": true, "cloud_sql_proxy": true}

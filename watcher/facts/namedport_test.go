package facts

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
		"app --proxy http://localhost:3000 --workers 8":                                       "", // ports of other programs
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
		for _, n := range PortsNamed(args) {
			if n.Port != 0 {
				got = append(got, strings.TrimSpace(fmt.Sprint(n.Port, " ", n.Role)))
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: got %q, want %q", line, s, want)
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
		for _, n := range PortsNamed(strings.Split(line, "\x00")) {
			if n.Port == 0 {
				continue
			}
			if seen[n.Port] || !roles[n.Role] || !strings.Contains(line, fmt.Sprint(n.Port)) &&
				!strings.Contains(line, "0") {
				t.Errorf("%q names %+v", line, n)
			}
			seen[n.Port] = true
		}
	})
}

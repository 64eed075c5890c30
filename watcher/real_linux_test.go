package watcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A realServer is a server started the usual way. In its arguments, directory and files, DIR stands for the directory
// of the test. That holds the home directory of the person.
type realServer struct {
	name     string
	needs    string            // programs; .ci/run installs those before the vertical bar
	files    map[string]string // below DIR
	prepare  string            // an earlier command in the same directory, as the same user
	dir      string            // the working directory
	args     string
	workers  int  // number of children
	unrooted bool // it does not run as root
	stranger bool // another user looks
	want     string
}

// These are the contents that the servers use.
const (
	pyproject = "[project]\nname = \"shop\"\n"
	npm       = `{"name": "shop", "private": true}`
	listenPy  = `import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
time.sleep(3600)
`
	// standInPy listens at the addresses before "--" and shows the rest as its command line.
	standInPy = `import ctypes, os, socket, sys, time
dashes = sys.argv.index("--")
places, line = [a.rsplit(":", 1) for a in sys.argv[1:dashes]], sys.argv[dashes + 1:]
held = [socket.create_server((a, int(p))) for a, p in places]
stat = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
start, end = int(stat[45]), int(stat[46])
text = "\0".join(line).encode()
ctypes.memset(start, 0, end - start)
ctypes.memmove(start, text, min(len(text), end - start - 1))
ctypes.CDLL(None).prctl(15, os.path.basename(line[0]).encode()[:15], 0, 0, 0)
time.sleep(3600)
`
	// workersPy starts workers with a socket each. With an argument it then ends, and they continue.
	workersPy = `import os, socket, sys, time
for _ in range(3):
    if os.fork() == 0:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("127.0.0.1", 3010))
        s.listen()
        time.sleep(3600)
if len(sys.argv) < 2:
    time.sleep(3600)
`
	// holderPy holds the sockets of two apps and starts both.
	holderPy = `import ctypes, os, socket, sys, time
held = [socket.create_server(("127.0.0.1", p)) for p in (5601, 5602)]
for app in sys.argv[1:]:
    if os.fork() == 0:
        os.chdir(app)
        time.sleep(3600)
ctypes.CDLL(None).prctl(15, b"PM2 v7: God", 0, 0, 0)
time.sleep(3600)
`
	wsgiPy   = "def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n"
	asgiPy   = "async def app(scope, receive, send):\n    pass\n"
	serverJS = `require("http").createServer((_, r) => r.end("hello")).listen(3000, "127.0.0.1")`
	// The primary listens for its workers.
	clusterJS = `const cluster = require("cluster")
if (cluster.isPrimary) { cluster.fork(); cluster.fork() } else { ` + serverJS + ` }`
	mainGo = `package main
import "net/http"
func main() { http.ListenAndServe("127.0.0.1:8080", nil) }
`
	mainJava = `import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
public class Main {
	public static void main(String[] args) throws Exception {
		HttpServer.create(new InetSocketAddress("127.0.0.1", 8081), 0).start();
	}
}
`
	pom       = "<project><modelVersion>4.0.0</modelVersion><artifactId>orders</artifactId></project>"
	nginxConf = `daemon off;
worker_processes 2;
pid DIR/nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
	server { listen 127.0.0.1:8080; listen [::1]:8080; }
}
`
)

// TestRealServers starts servers and compares their rows: the port, the name, the further ports, the section, and the
// process that listens. The rows come from a whole Watcher.
func TestRealServers(t *testing.T) {
	tests := []realServer{
		{name: "http.server", needs: "python3", files: map[string]string{"home/shop/pyproject.toml": pyproject},
			dir: "DIR/home/shop", args: "python3 -m http.server 3000",
			want: "3000 shop · Python http.server (exposed)"},
		{name: "a script in a project", needs: "python3",
			files: map[string]string{"home/shop/pyproject.toml": pyproject, "home/shop/app.py": listenPy},
			dir:   "DIR/home/shop", args: "python3 app.py 62893", want: "62893 shop · app.py"},
		{name: "a script outside any project", needs: "python3", files: map[string]string{"app.py": listenPy},
			dir: "/", args: "python3 DIR/app.py 62893", want: "62893 app.py (other)"},
		{name: "a script outside any project on a port of its choice", needs: "python3",
			files: map[string]string{"app.py": listenPy},
			dir:   "/", args: "python3 DIR/app.py 9000", want: "9000 app.py"},
		{name: "uvicorn --reload", needs: "uvicorn",
			files: map[string]string{"home/shop/pyproject.toml": pyproject, "home/shop/app.py": asgiPy},
			dir:   "DIR/home/shop", args: "uvicorn --reload --port 8000 app:app", workers: 2,
			want: "8000 shop · Uvicorn"},
		{name: "gunicorn with workers", needs: "gunicorn",
			files: map[string]string{"home/shop/pyproject.toml": "[tool.poetry]\nname = \"shop\"\n",
				"home/shop/app.py": wsgiPy},
			dir: "DIR/home/shop", args: "gunicorn --workers 3 --bind 127.0.0.1:8000 app:app", workers: 3,
			want: "8000 shop · Gunicorn"},
		// The reloading supervisor does not listen.
		{name: "Django", needs: "django-admin", files: map[string]string{"home/blog/": ""},
			prepare: "django-admin startproject site_ .",
			dir:     "DIR/home/blog", args: "/usr/bin/python3 manage.py runserver", workers: 1,
			want: "8000 blog · Django by a child"},
		{name: "Redis", needs: "redis-server", files: map[string]string{"data/": ""},
			dir: "DIR/data", args: "redis-server --bind 127.0.0.1 ::1 --save", want: "6379 Redis"},
		{name: "PostgreSQL", needs: "initdb postgres", files: map[string]string{"data/": ""}, unrooted: true,
			prepare: "initdb --no-sync --auth=trust --pgdata=DIR/data",
			dir:     "/", args: "postgres -D DIR/data -k DIR/data -c listen_addresses=127.0.0.1",
			workers: 5, want: "5432 PostgreSQL"},
		{name: "nginx with workers", needs: "nginx", files: map[string]string{"nginx.conf": nginxConf},
			dir: "/", args: "nginx -c DIR/nginx.conf", workers: 2, want: "8080 nginx"},
		{name: "php -S", needs: "php", files: map[string]string{"home/blog/composer.json": `{"name": "acme/blog"}`},
			dir: "DIR/home/blog", args: "php -S 127.0.0.1:8000", want: "8000 acme/blog · PHP"},
		{name: "go run", needs: "go",
			files: map[string]string{"home/shop/go.mod": "module example.com/shop/v2\n", "home/shop/main.go": mainGo},
			dir:   "DIR/home/shop", args: "go run .", want: "8080 shop · Go by a child"},
		{name: "Java", needs: "|java javac",
			files: map[string]string{"home/orders/pom.xml": pom, "home/orders/Main.java": mainJava},
			dir:   "DIR/home/orders", args: "java Main.java", want: "8081 orders · Main.java"},
		{name: "Node.js", needs: "node",
			files: map[string]string{"home/shop/package.json": npm, "home/shop/server.js": serverJS},
			dir:   "DIR/home/shop", args: "node server.js", want: "3000 shop · server.js"},
		{name: "Node.js with an inspector", needs: "node",
			files: map[string]string{"home/shop/package.json": npm, "home/shop/server.js": serverJS},
			dir:   "DIR/home/shop", args: "node --inspect=127.0.0.1:9229 server.js",
			want: "3000 shop · server.js +9229"},
		{name: "Node.js with an inspector elsewhere", needs: "node",
			files: map[string]string{"home/shop/package.json": npm, "home/shop/server.js": serverJS},
			dir:   "DIR/home/shop", args: "node --inspect=127.0.0.1:2900 server.js",
			want: "3000 shop · server.js +2900"},
		{name: "Node.js with workers", needs: "node",
			files: map[string]string{"home/shop/package.json": npm, "home/shop/server.js": clusterJS},
			dir:   "DIR/home/shop", args: "node server.js", workers: 2, want: "3000 shop · server.js"},
		{name: "workers with a socket each", needs: "python3",
			files: map[string]string{"home/shop/pyproject.toml": pyproject, "home/shop/app.py": workersPy},
			dir:   "DIR/home/shop", args: "python3 app.py", workers: 3,
			want: "3010 shop · app.py (3 workers, a master) by a child"},
		{name: "workers that were left behind", needs: "python3",
			files: map[string]string{"home/shop/pyproject.toml": pyproject, "home/shop/app.py": workersPy},
			dir:   "DIR/home/shop", args: "python3 app.py alone", want: "3010 shop · app.py (3 workers) by a child"},
		{name: "a process manager that holds the sockets of two apps", needs: "python3",
			files: map[string]string{"home/shop/pyproject.toml": pyproject, "home/blog/pyproject.toml": pyproject,
				"pm2.py": holderPy},
			dir: "DIR/home/shop", args: "python3 DIR/pm2.py DIR/home/shop DIR/home/blog", workers: 2,
			want: "5601 PM2; 5602 PM2"},
		{name: "another user's", needs: "python3", files: map[string]string{"home/shop/pyproject.toml": pyproject},
			stranger: true,
			dir:      "DIR/home/shop", args: "python3 -m http.server 3000",
			want: "3000 another user's process (other, exposed)"},
	}
	for _, c := range []struct{ name, listens, line, want string }{
		{"Caddy's admin API", "127.0.0.1:2019 0.0.0.0:8080", "caddy run --config Caddyfile",
			"8080 Caddy +2019 (exposed)"},
		{"Tomcat's shutdown port", "127.0.0.1:8005 0.0.0.0:8081",
			"java -classpath bootstrap.jar org.apache.catalina.startup.Bootstrap start",
			"8081 Tomcat +8005 (exposed)"},
		{"an inspector elsewhere", "127.0.0.1:5858 127.0.0.1:8082", "node --inspect=5858 server.js",
			"8082 server.js +5858"},
		{"Bun's inspector", "127.0.0.1:6499 0.0.0.0:8083", "bun --inspect run index.ts",
			"8083 index.ts +6499 (exposed)"},
		{"Java's debugger", "127.0.0.1:5005 0.0.0.0:8084",
			"java -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=5005 -jar app.jar",
			"8084 app.jar +5005 (exposed)"},
		{"BrowserSync's settings", "0.0.0.0:3001 0.0.0.0:3105",
			"node node_modules/.bin/browser-sync start --server --port 3105",
			"3105 BrowserSync +3001 (exposed)"},
		{"Mailpit's SMTP", "0.0.0.0:1025 0.0.0.0:8025", "mailpit", "8025 Mailpit +1025 (exposed)"},
	} {
		tests = append(tests,
			realServer{name: c.name, needs: "python3", files: map[string]string{"standin.py": standInPy}, dir: "/",
				args: "python3 DIR/standin.py " + c.listens + " -- " + c.line, want: c.want})
	}
	// These programs work for other programs, in the directory of a project.
	for _, c := range []struct{ listens, line, want string }{
		{"0.0.0.0:40667", "java -cp gradle-launcher-4.4.1.jar org.gradle.launcher.daemon.bootstrap.GradleDaemon 4.4.1",
			"40667 shop · Gradle (other, exposed)"},
		{"127.0.0.1:40668", "bazel(shop) --add-opens=java.base/java.lang=ALL-UNNAMED -jar A-server.jar",
			"40668 shop · Bazel (other)"},
		{"127.0.0.1:40669", "gopls serve -listen=127.0.0.1:40669", "40669 shop · gopls (other)"},
		{"127.0.0.1:40670", "node node_modules/typescript/lib/tsserver.js --useInferredProjectPerProjectRoot",
			"40670 shop · TypeScript (other)"},
		{"127.0.0.1:40671", "node node_modules/nx/src/daemon/server/start.js", "40671 shop · Nx (other)"},
		{"127.0.0.1:40672", "dart development-service --vm-service-uri=http://127.0.0.1:40000/",
			"40672 shop · Dart (other)"},
		{"127.0.0.1:40673", "nvim --headless --listen 127.0.0.1:40673", "40673 shop · Neovim (other)"},
		{"127.0.0.1:5037", "adb -L tcp:5037 fork-server server --reply-fd 4",
			"5037 shop · Android Debug Bridge (other)"},
		{"127.0.0.1:40674", "node node_modules/nx/bin/nx.js serve --port 40674", "40674 shop · Nx"},
	} {
		tests = append(tests, realServer{name: c.line, needs: "python3", dir: "DIR/home/shop",
			files: map[string]string{"standin.py": standInPy, "home/shop/pyproject.toml": pyproject},
			args:  "python3 DIR/standin.py " + c.listens + " -- " + c.line, want: c.want})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

func (tt realServer) run(t *testing.T) {
	installed, others, _ := strings.Cut(tt.needs, "|")
	for name := range strings.FieldsSeq(installed + " " + others) {
		if find(name) == "" {
			if os.Getenv("CI") == "true" && strings.Contains(installed, name) {
				t.Fatalf("%s is not installed", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
	if tt.stranger && os.Geteuid() != 0 {
		t.Skip("only root can run processes as other users")
	}
	dir, program := stageDir(t)
	needNetwork(t, program)
	me := os.Geteuid()
	p := performance{Workers: tt.workers, Dir: tt.in(dir, tt.dir), User: me, Audience: me,
		Home: filepath.Join(dir, "home")}
	if tt.stranger {
		p.Audience = nobody
	}
	if tt.unrooted && p.User == 0 {
		p.User = nobody
	}
	tt.plant(t, dir, p.User)
	if tt.prepare != "" {
		line := tt.line(dir, tt.prepare)
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Dir, cmd.SysProcAttr = p.Dir, as(p.User)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", tt.prepare, err, out)
		}
	}
	p.Args = tt.line(dir, tt.args)
	want := tt.want
	if tt.workers > 0 {
		want = curtain + "; " + want
	}
	p.open(t, dir, program).expect(t, want)
}

// in replaces DIR with a directory.
func (tt realServer) in(dir, text string) string { return strings.ReplaceAll(text, "DIR", dir) }

// line returns the words of a command line. The first word becomes a path.
func (tt realServer) line(dir, text string) []string {
	words := strings.Fields(tt.in(dir, text))
	words[0] = find(words[0])
	return words
}

// plant writes the files. A name that ends with a slash is a directory of the user who runs the server.
func (tt realServer) plant(t *testing.T, dir string, user int) {
	t.Helper()
	for name, text := range tt.files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, user, -1); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(tt.in(dir, text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// find returns the path of a program, or "" if it is not installed. On Debian, PostgreSQL and some system services are
// not in PATH.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

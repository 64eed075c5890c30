package facts

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLookAlikes has command lines that contain the names of tools but are other programs.
func TestLookAlikes(t *testing.T) {
	tests := []toolLine{
		{"", "node /home/ann/vite/server.js", "/usr/bin/node"},
		{"", "node /srv/next/index.js", "/usr/bin/node"},
		{"", "node vite.js", "/usr/bin/node"},
		{"", "node server", "/usr/bin/node"},
		{"", "node serve", "/usr/bin/node"},
		{"", "node /home/ann/bin/serve.js", "/usr/bin/node"},
		{"", "node /home/ann/shop/node_modules/shop-kit/dist/serve.js", "/usr/bin/node"},
		{"", "node /home/ann/shop/node_modules/.bin/concurrently vite next", "/usr/bin/node"},
		{"", "node --title next server.js", "/usr/bin/node"},
		{"", "node -r vite server.js", "/usr/bin/node"},
		{"", "node -e vite", "/usr/bin/node"},
		{"", "node --inspect=9229 -r ./e.js app.js", "/usr/bin/node"},
		{"", "npm run vite|", "/usr/bin/node"},
		{"", "npm run serve|", "/usr/bin/node"},
		{"", "yarn serve", ""},
		{"", "pnpm run serve", ""},
		{"", "npx create-vite", ""},
		{"", "python3 nginx_log.py", "/usr/bin/python3.11"},
		{"", "python3 nginx.py", "/usr/bin/python3.11"},
		{"", "python3 /home/ann/bin/nginx", "/usr/bin/python3.11"},
		{"", "python3 -c uvicorn", "/usr/bin/python3.11"},
		{"", "python3 -m shop.uvicorn", "/usr/bin/python3.11"},
		{"", "python3 -W flask server.py run", "/usr/bin/python3.11"},
		{"", "python3 manage.py migrate runserver", "/usr/bin/python3.11"},
		{"", "python3 -B -c|from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)",
			"/usr/bin/python3.11"},
		{"", "/home/ann/postgres/server --port 5432", ""},
		{"", "/home/ann/go/bin/postgres-exporter", ""},
		{"", "/tmp/go-build1/b001/exe/serve", ""}, // a Go program, not the one from npm
		{"", "timeout 5 ./serve", ""},
		{"", "sh -c ./serve", ""},
		{"", "sh|-c|redis-server & node server.js", ""},
		{"", "sh|-c|$RUN redis-server", ""},
		{"", "bash /home/ann/caddy", ""},
		{"", "bash redis-server.sh", ""},
		{"", "vim vite.config.ts", ""},
		{"", "grep redis-server", ""},
		{"", "tail -f nginx.log", ""},
		{"", "psql -h localhost postgres", ""},
		{"", "redis-cli", ""},
		{"", "mysql -u root", ""},
		{"", "docker run postgres", ""},
		{"", "docker compose up redis", ""},
		{"", "sudo docker run redis-server", ""},
		{"", "httpd -f -p 8080", "/usr/bin/busybox"},
		{"", "busybox httpd -f", "/usr/bin/busybox"},
		{"", "go build run", ""},
		{"", "go test ./run", ""},
		{"", "deno lsp", ""},
		{"", "ssh host", ""},
		{"", "kubectl get pods port-forward", ""},
		{"", "java -jar tomcat.jar", ""},
		{"", "java -cp nginx.jar:/x/spring-boot-starter-web-3.2.0.jar shop.Main", ""},
		{"", "php artisan queue:work", ""},
		{"", "php -r|serve", ""},
		{"", "ruby server.rb rails server", ""},
		{"", "beam.smp -- -root /usr/lib/erlang -- -home /home/ann/rabbit", ""},
		{"", "sleep 100 vite", ""},
		{"", "|", ""},
	}
	for _, l := range tests {
		m := newMember(member{args: l.args(), exe: l.program()})
		if got := toolOf([]member{m}, ""); got != (Tool{}) {
			t.Errorf("%s, run by %s: got %+v; it holds %+v", l.line, l.program(), got, m.commands)
		}
	}
}

// lineageOf returns a lineage from command lines, the nearest process first. The first argument is the program. The
// file after a "<" is the file that it runs.
func lineageOf(lines ...string) []member {
	var members []member
	for _, line := range lines {
		line, file, _ := strings.Cut(line, " < ")
		l := toolLine{line: line}
		m := newMember(member{args: l.args(), exe: strings.Split(l.program(), " ")[0]})
		m.file = filepath.FromSlash(file)
		members = append(members, m)
	}
	return members
}

func TestToolOf(t *testing.T) {
	const (
		spawn = "python3|-c|from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)|--multiprocessing-fork"
		vite  = "node /home/ann/shop/node_modules/.bin/vite"
		code  = "/usr/share/code/code --type=utility"
	)
	tests := []struct {
		name string
		line []string
		want string
	}{
		{"nothing", nil, ""},
		{"a server in a package script", []string{vite, "sh|-c|vite", "npm run dev|"}, "Vite"},
		{"a worker of a reload supervisor", []string{spawn, "python3 -m uvicorn app:app --reload"}, "Uvicorn"},
		{"a worker of a worker", []string{spawn, "gunicorn: worker [app:app]|", "gunicorn: master [app:app]|"},
			"Gunicorn"},
		{"a child without a name", []string{"node x.js", "node /home/ann/shop/node_modules/.bin/next dev"}, "Next.js"},
		{"a helper", []string{"/home/ann/shop/node_modules/@esbuild/linux-x64/bin/esbuild --ping", vite}, "Vite"},
		{"a helper of nobody", []string{"esbuild --serve"}, "esbuild"},
		{"a runner's child", []string{"/tmp/go-build1/b001/exe/x", "go run ."}, "Go"},
		{"the nearer runner", []string{"/tmp/go-build1/b001/exe/x", "go run .", "air"}, "Go"},
		{"a runner beats a nearer helper", []string{"esbuild --serve", "node run.js", "bun run.ts"}, "Bun"},
		{"a server beats a nearer runner", []string{"php -S 127.0.0.1:8000 server.php", "php artisan serve"},
			"Laravel"},
		{"the nearer server", []string{"nginx", vite}, "nginx"},
		{"a supervisor that is none",
			[]string{"node app.js", "node /home/ann/shop/node_modules/.bin/nodemon app.js", "sh|-c|nodemon app.js"},
			""},
		{"a command through nodemon", []string{"node x.js", "node /x/node_modules/.bin/nodemon --exec|next dev"}, ""},
		{"an app itself", []string{code}, "Visual Studio Code"},
		{"a part of an app",
			[]string{"node /home/ann/.vscode/extensions/x/server.js < /home/ann/.vscode/extensions/x/server.js", code},
			"Visual Studio Code"},
		{"the person's own program under an app", []string{"node server.js < /home/ann/shop/server.js", code}, ""},
		{"its child", []string{"worker", "node server.js < /home/ann/shop/server.js", code}, ""},
		{"a package of the project under an app",
			[]string{"node tsserver.js < /home/ann/shop/node_modules/typescript/lib/tsserver.js", code},
			"Visual Studio Code"},
		{"a neighbour of the project", []string{"node x.js < /home/ann/shop2/x.js", code}, "Visual Studio Code"},
		{"a server under an app", []string{vite, code}, "Vite"},
		{"a helper under an app", []string{"esbuild --serve", code}, "esbuild"},
		{"a server above an app", []string{"x", code, vite}, "Visual Studio Code"},
	}
	for _, tt := range tests {
		if got := toolOf(lineageOf(tt.line...), filepath.FromSlash("/home/ann/shop")); got.Name != tt.want {
			t.Errorf("%s: %q is %+v, want %q", tt.name, tt.line, got, tt.want)
		}
	}
}

func TestOwnFile(t *testing.T) {
	tests := []struct {
		file, dir string
		want      bool
	}{
		{"/home/ann/shop/main.py", "/home/ann/shop", true},
		{"/home/ann/shop/a/main.py", "/home/ann/shop", true},
		{"/home/ann/node_modules/shop/main.js", "/home/ann/node_modules/shop", true},
		{"/home/ann/shop/.venv/bin/ruff", "/home/ann/shop", false},
		{"/home/ann/shop/vendor/bin/x", "/home/ann/shop", false},
		{"/home/ann/shop2/main.py", "/home/ann/shop", false},
		{"/home/ann/shop", "/home/ann/shop/web", false},
		{"", "/home/ann/shop", false},
		{"/home/ann/shop/main.py", "", false},
		{"main.py", "/home/ann/shop", false},
	}
	for _, tt := range tests {
		if got := ownFile(filepath.FromSlash(tt.file), filepath.FromSlash(tt.dir)); got != tt.want {
			t.Errorf("%s in %s: got %v", tt.file, tt.dir, got)
		}
	}
}

func TestImageTool(t *testing.T) {
	tests := map[string]string{
		"docker.io/library/postgres:16-alpine@sha256:0123456789abcdef": "PostgreSQL",
		"postgres":                                             "PostgreSQL",
		"bitnami/redis":                                        "Redis",
		"localhost:5000/redis":                                 "Redis",
		"localhost:5000/shop/mongo:7":                          "MongoDB",
		"mcr.microsoft.com/mssql/server:2022":                  "SQL Server",
		"mcr.microsoft.com/mssql/server@sha256:01":             "SQL Server",
		"jaegertracing/all-in-one:1.57":                        "Jaeger",
		"docker.elastic.co/elasticsearch/elasticsearch:8.13.0": "Elasticsearch",
		"my-postgres-exporter":                                 "",
		"postgres-exporter:latest":                             "",
		"postgres/backup":                                      "",
		"server":                                               "",
		"shop/server":                                          "",
		"shop:postgres":                                        "",
		"sha256:0123456789abcdef":                              "",
		"@":                                                    "",
		"/":                                                    "",
		"":                                                     "",
	}
	for image, want := range tests {
		if got := ImageTool(image); got.Name != want {
			t.Errorf("%q: got %+v, want %q", image, got, want)
		}
	}
}

// FuzzToolOf has arbitrary command lines. toolOf must not panic, and its result is bounded.
func FuzzToolOf(f *testing.F) {
	for _, l := range seenLines {
		f.Add(strings.Join(l.args(), "\x00"), l.program(), l.tool)
	}
	for _, l := range documentedLines {
		f.Add(strings.Join(l.args(), "\x00"), l.program(), "/home/ann")
	}
	f.Add("java\x00-cp\x00:;:", "", "")
	f.Add("sh\x00-c\x00'", "", "")
	f.Add("\x00\x00@\x00/\x00", "/", ".")
	f.Fuzz(func(t *testing.T, cmdline, exe, dir string) {
		args := strings.Split(cmdline, "\x00")
		m := newMember(member{args: args, exe: exe, file: args[len(args)-1]})
		if n := len(m.commands); n == 0 || n > maxDepth+maxDepth/2 {
			t.Errorf("%q holds %d commands", args, n)
		}
		toolOf([]member{m, m}, dir)
		m.isStarter()
		ImageTool(cmdline)
	})
}

package facts

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porttray/watcher/project"
	"porttray/watcher/project/projecttest"
)

// TestProgramOf has command lines of programs outside the tool list, in /home/ann/shop. " < " separates the processes
// of one line, the parent last.
func TestProgramOf(t *testing.T) {
	const dir = "/home/ann/shop"
	tests := []struct{ line, exe, want string }{
		{"node server.js", "/usr/bin/node", "server.js"},
		{"node ./server.js --port 3000", "/usr/bin/node", "server.js"},
		{"node cmd/api/main.js", "/usr/bin/node", "cmd/api/main.js"},
		{"node /home/ann/shop/cmd/api/main.js", "/usr/bin/node", "cmd/api/main.js"},
		{"node /home/ann/code/blog/server.js|", "/usr/bin/node", "/home/ann/code/blog/server.js"}, // a title
		{"node --inspect=9229 --require ./a.js --title secret server.js", "/usr/bin/node", "server.js"},
		{"node --api-key hunter2 server.js", "/usr/bin/node", "node"}, // an unknown option
		{"node -e code", "/usr/bin/node", "node"},
		{"node .", "/usr/bin/node", "node"},
		{"dart run bin/server.dart", "/usr/bin/dart", "bin/server.dart"},
		{"server|", "/usr/bin/node", "server"},
		{"node /x/node_modules/.bin/ts-node src/Server.ts", "/usr/bin/node", "src/Server.ts"},
		{"node /x/node_modules/.bin/concurrently a b", "/usr/bin/node", "concurrently"},
		{"node /usr/local/bin/Parse", "/usr/bin/node", "Parse"},
		{"deno run -A main.ts", "/usr/bin/deno", "main.ts"},
		{"deno run -A https://ann:hunter2@example.com/x/serve.ts?token=hunter2", "/usr/bin/deno", "serve.ts"},
		{"deno task dev", "/usr/bin/deno", ""},
		{"node --hook https://hooks.example.com/services/T0/hunter2", "/usr/bin/node", "node"},
		{"node --store postgres://u:hunter2@h/db.live", "/usr/bin/node", "node"},
		{"bun run src/index.ts", "/usr/bin/bun", "src/index.ts"},
		{"python3 -u app.py", "/usr/bin/python3.11", "app.py"},
		{"python3 -m myapp.main --key hunter2", "/usr/bin/python3.11", "myapp.main"},
		{"python3 -m MyApp", "/usr/bin/python3.11", "MyApp"},
		{"python3 -m uvicorn app:app", "/usr/bin/python3.11", ""},
		{"python3|-c|from multiprocessing.spawn import spawn_main < python3 worker.py", "/usr/bin/python3.11",
			"worker.py"},
		{"python3|-c|code < node server.js", "/usr/bin/python3.11", "python3"},
		{"ruby app.rb", "/usr/bin/ruby3.1", "app.rb"},
		{"php worker.php", "/usr/bin/php8.2", "worker.php"},
		{"perl app.pl daemon", "/usr/bin/perl", "app.pl"},
		{"java -Xmx1g -jar target/orders-1.2.0.jar", "/usr/bin/java", "orders.jar"},
		{"java -jar services/a/build/libs/Orders-1.2.0-SNAPSHOT.jar", "/usr/bin/java", "services/a/libs/Orders.jar"},
		{"java -jar /opt/orders/orders-1.2.0.jar", "/usr/bin/java", "/opt/orders/orders.jar"},
		{"java -cp app.jar:lib.jar com.example.Main x", "/usr/bin/java", "com.example.Main"},
		{"java -m com.example/com.example.Main", "/usr/bin/java", "com.example.Main"},
		{"java Main.java", "/usr/bin/java", "Main.java"},
		{"java -version", "/usr/bin/java", "java"},
		{"dotnet bin/Debug/net8.0/Shop.dll", "/usr/bin/dotnet", "Shop.dll"},
		{"/usr/lib/R/bin/exec/R --no-echo --no-restore --file=plumber.R --args x", "", "plumber.R"},
		{"Rscript --vanilla plumber.R", "/usr/bin/Rscript", "plumber.R"},
		{"/usr/lib/erlang/bin/beam.smp -- -root /usr/lib/erlang -- -s elixir start_cli -extra web.exs", "", "web.exs"},
		{"sbcl --noinform --script web.lisp", "/usr/bin/sbcl", "web.lisp"},
		{"tclsh8.6 web.tcl", "/usr/bin/tclsh8.6", "web.tcl"},
		{"lua5.4 web.lua", "/usr/bin/lua5.4", "web.lua"},
		{"bash run", "/usr/bin/bash", "bash"}, // there is no such file
		{"target/debug/shop-api", "/home/ann/shop/target/debug/shop-api", "shop-api"},
		{"target/release/shop-api", "/home/ann/shop/target/release/shop-api", "shop-api"},
		{"services/a/server", "/home/ann/shop/services/a/server", "services/a/server"},
		{"./bin/Debug/net8.0/Shop", "/home/ann/shop/bin/Debug/net8.0/Shop", "Shop"},
		{"/tmp/go-build123/b001/exe/api", "", "api"},
		{"./__debug_bin3847239", "/home/ann/shop/__debug_bin3847239", "__debug_bin"},
		{"/opt/server-2/server", "", "server"},
		{"caddy run", "/usr/bin/caddy", ""},
		{"nc -l 80", "/usr/bin/nc.openbsd", "nc"},
		{"/proc/self/exe", "/opt/x/Agent", "Agent"},
		{"httpd -f", "/usr/bin/busybox", "httpd"},
		{"myd: ready to serve|", "/usr/sbin/myd", "myd"},
		{"node " + strings.Repeat("x/", 200) + "server.js", "/usr/bin/node", strings.Repeat("x/", 200) + "server.js"},
	}
	for _, tt := range tests {
		var line []member
		for i, text := range strings.Split(tt.line, " < ") {
			l := toolLine{line: text, exe: tt.exe}
			if i > 0 {
				l.exe = ""
			}
			exe := filepath.FromSlash(l.program())
			line = append(line, newMember(member{args: l.args(), exe: exe, dir: filepath.FromSlash(dir)}))
			line[i].inspect()
		}
		got := programOf(line, filepath.FromSlash(dir))
		if len(tt.want) > 200 { // only its end is kept
			if len(got) > maxProgram || !strings.HasSuffix(got, "x/server.js") {
				t.Errorf("a long path was cut to %d bytes: %q", len(got), got)
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q; it holds %+v", tt.line, got, tt.want, line[0].commands)
		}
	}
}

// TestRenamed has names that processes gave themselves. Linux cuts off long ones.
func TestRenamed(t *testing.T) {
	for _, c := range []struct {
		name, line, exe string
		want            bool
	}{
		{"server", "./server", "/srv/server", false},
		{"a-very-long-nam", "/opt/a-very-long-name", "", false},
		{"link", "/opt/link", "/opt/server", false},
		{"server", "/opt/link", "/opt/server", false},
		{"myd: ready to s", "myd: ready to serve|", "/usr/sbin/myd", false},
		{"/opt/myd: ready", "/opt/myd: ready to serve|", "/opt/myd", false},
		{"MainThread", "/opt/server", "", false},
		{"", "/opt/server", "", false},
		{"a/b", "/opt/a-b", "/opt/server", true},
		{"a/b", "a/b", "/opt/server", true},
		{"[worker/0:1]", "[worker/0:1]", "/opt/server", true},
		{"/opt/myd", "/opt/myd", "/opt/server", false},
		{"</b>", "/opt/server", "", true},
		{"Web Content", "/opt/server", "", true},
	} {
		l := toolLine{line: c.line, exe: c.exe}
		m := newMember(member{name: c.name, args: l.args(), exe: l.program()})
		if got := m.renamed(); got != c.want {
			t.Errorf("%q, %s: %v, want %v", c.name, c.line, got, c.want)
		}
		if got := programOf([]member{m}, ""); c.want && got != "" {
			t.Errorf("%q, %s: the program is %q", c.name, c.line, got)
		}
	}
}

// TestProgramOfFiles has scripts that look like option values. Only the files show the difference.
func TestProgramOfFiles(t *testing.T) {
	dir := projecttest.TempHome(t)
	projecttest.Plant(t, dir, map[string]string{"server": "", "dist/main.js": "", "web/": "", "artisan": ""})
	for line, want := range map[string]string{
		"node server": "server", "node dist/main": "dist/main", "python3 web": "web",
		"php artisan queue:work": "artisan",
		"node hunter2":           "node", "bash hunter2": "bash",
	} {
		words := strings.Fields(line)
		m := newMember(member{args: words, exe: "/usr/bin/" + words[0], dir: dir})
		m.inspect()
		if got := programOf([]member{m}, dir); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// TestDisown has the person's own programs and modules with the names of tools.
func TestDisown(t *testing.T) {
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home, map[string]string{
		"shop/go.mod": "module example.com/shop\n", "shop/cmd/caddy/main.go": "",
		"shop/flower/__init__.py": "", "shop/gunicorn.py": "", "shop/uvicorn/": "", "shop/http/server.py": "",
		"hugo/go.mod": "module example.com/hugo\n", "redis-7/.git/HEAD": "", "nginx/x": "", "shop/cmd/x/main.go": "",
	})
	tests := []struct{ project, line, exe, tool, program string }{
		{"shop", "./air", "shop/air", "", "air"},
		{"shop", "./bin/air", "shop/bin/air", "Air", ""}, // its installer puts it there
		{"shop", "air", "/usr/local/bin/air", "Air", ""},
		{"shop", "./caddy run", "shop/caddy", "", "caddy"},
		{"shop", "bin/caddy", "shop/bin/caddy", "", "caddy"},
		{"shop", "/tmp/go-build1/b001/exe/caddy", "/tmp/go-build1/b001/exe/caddy", "", "caddy"},
		{"shop", "/tmp/go-build1/b001/exe/air", "/tmp/go-build1/b001/exe/air", "Air",
			""}, // go run github.com/air-verse/air
		{"shop", "caddy run", "/usr/bin/caddy", "Caddy", ""},
		{"shop", "./pocketbase serve", "shop/pocketbase", "PocketBase", ""}, // people keep it in a project
		{"hugo", "./hugo", "hugo/hugo", "", "hugo"},
		{"redis-7", "src/redis-server", "redis-7/src/redis-server", "Redis", ""},
		{"nginx", "./nginx", "nginx/nginx", "nginx", ""}, // no sources
		{"shop", "target/release/nginx", "shop/target/release/nginx", "", "nginx"},
		{"shop", "cmake-build-debug/nginx", "shop/cmake-build-debug/nginx", "", "nginx"},
		{"shop", "cmd/x/etcd", "shop/cmd/x/etcd", "", "cmd/x/etcd"}, // beside a main file
		{"shop", "./lua-language-server", "shop/lua-language-server", "", "lua-language-server"},
		{"shop", "python3 -m flower", "/usr/bin/python3.11", "", "flower"},
		{"shop", "python3 -m gunicorn", "/usr/bin/python3.11", "", "gunicorn"},
		{"shop", "python3 -m uvicorn", "/usr/bin/python3.11", "Uvicorn", ""}, // an empty directory
		{"shop", "python3 -m http.server", "/usr/bin/python3.11", "Python http.server", ""},
		{"hugo", "python3 -m flower", "/usr/bin/python3.11", "Flower", ""},
	}
	for _, tt := range tests {
		dir := filepath.Join(home, tt.project)
		exe := tt.exe
		if !filepath.IsAbs(exe) && !strings.HasPrefix(exe, "/") {
			exe = filepath.Join(home, filepath.FromSlash(exe))
		}
		m := newMember(member{args: strings.Fields(tt.line), exe: exe, dir: dir})
		m.inspect()
		m.markOwnProgram(project.Find(t.Context(), dir, home))
		tool := toolOf([]member{m}, dir)
		program := ""
		if tool.Kind == 0 {
			program = programOf([]member{m}, dir)
		}
		if tool.Name != tt.tool || program != tt.program {
			t.Errorf("%s in %s: got the tool %q and the program %q, want %q and %q",
				tt.line, tt.project, tool.Name, program, tt.tool, tt.program)
		}
		if tt.line == "./air" && m.supervises() != "" {
			t.Errorf("%s is a supervisor: %s", tt.line, m.supervises())
		}
	}
}

// TestBuiltByGo has this test binary in the project of its module, and in another project.
func TestBuiltByGo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil || info.Main.Path == "" {
		t.Skip("this program does not name its module: ", err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home,
		map[string]string{"a/go.mod": "module " + info.Main.Path + "\n", "b/go.mod": "module example.com/b\n"})
	for dir, want := range map[string]bool{"a": true, "b": false} {
		p := project.Find(t.Context(), filepath.Join(home, dir), home)
		exe := filepath.Join(p.Dir, "caddy")
		if err := os.WriteFile(exe, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := builtIn(p, exe); got != want {
			t.Errorf("%+v: built %v, want %v", p, got, want)
		}
	}
}

func TestTitles(t *testing.T) {
	tests := []struct {
		title, comm, exe string
		tool, project    string
	}{
		{"node /home/ann/code/shop/server.js", "node /home/ann/", "/usr/bin/node", "", ""},
		{"ng serve --port 3802 (shop)", "ng serve --port", "/usr/bin/node", "Angular", "shop"},
		{"puma 6.4.2 (tcp://localhost:3803) [shop]", "puma 6.4.2 (tcp", "/usr/bin/ruby3.1", "Puma", "shop"},
		{"puma: cluster worker 0: 4711 [shop]", "puma: cluster w", "/usr/bin/ruby3.1", "Puma", "shop"},
		{"puma 6.4.2 (tcp://localhost:3803) [\u200b]", "puma 6.4.2 (tcp", "/usr/bin/ruby3.1", "Puma", ""},
		{"puma 6.4.2 (tcp://localhost:3803) [shop]", "localhost:3803) [shop]", "/usr/bin/ruby3.1", "Puma", "shop"},
		{"puma 6.4.2 (tcp://localhost:3803)", "puma 6.4.2 (tcp", "/usr/bin/ruby3.1", "Puma", ""},
		{"next-server (v15.5.29)", "next-server (v1", "/usr/bin/node", "Next.js", ""},
		{"/usr/bin/plackup app.psgi", "/usr/bin/placku", "/usr/bin/perl", "plackup", ""},
		{"gunicorn: master [app:app]", "gunicorn: maste", "/usr/bin/python3.11", "Gunicorn", ""},
		{"  ", " ", "/usr/bin/python3.11", "", ""},
		{"/opt/My App/My App", "My App", "/opt/My App/My App", "", ""},
		{"./My App", "My App", "/opt/My App", "", ""},
		{"x y", "tmux: server", "/usr/bin/tmux", "", ""}, // the name does not match the title
	}
	for _, tt := range tests {
		m := newMember(member{args: []string{tt.title}, exe: tt.exe, name: tt.comm})
		tool, project := toolOf([]member{m}, "").Name, m.titleProject()
		if tool != tt.tool || project != tt.project {
			t.Errorf("%q: got the tool %q and the project %q, want %q and %q",
				tt.title, tool, project, tt.tool, tt.project)
		}
	}
}

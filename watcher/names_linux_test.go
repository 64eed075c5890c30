package watcher

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/project/projecttest"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// A costume is the outside appearance of a process. It stands for a server that need not be installed.
type costume struct {
	Exe     string // its program, below the directory of programs, or below home with ~/
	Dir     string // the working directory, below the home directory
	Line    string // its command line, split at spaces or, if it has any, at bars
	Comm    string // its name in the system, if not that of the program
	Project string // the name in the package.json of Dir, if any
	Want    string // the title
	Name    string // the name of the process, if it is checked
}

// A window belongs to a terminal: no process above it counts as a part of its servers.
type window struct {
	Exe, Dir, Comm string
	Args           []string
}

// roleWindow runs a process in its costume.
func roleWindow(arg string) error {
	var w window
	if err := json.Unmarshal([]byte(arg), &w); err != nil {
		return err
	}
	env := append(os.Environ(), "PORTTRAY_TEST_ROLE=costume", "PORTTRAY_TEST_COMM="+w.Comm)
	cmd := &exec.Cmd{Path: w.Exe, Args: w.Args, Dir: w.Dir, Env: env, Stdin: os.Stdin, Stdout: os.Stdout,
		Stderr: os.Stderr}
	return cmd.Run()
}

// roleCostume plays a process with another appearance.
func roleCostume() error {
	if comm := os.Getenv("PORTTRAY_TEST_COMM"); comm != "" {
		if err := os.WriteFile("/proc/self/comm", []byte(comm), 0); err != nil {
			return err
		}
	}
	stay(os.Getpid())
	return nil
}

// wear starts a process in a costume and returns a listener of it on a port.
func (c costume) wear(t *testing.T, home, programs, terminal string, port uint16) server.Listener {
	t.Helper()
	exe := filepath.Join(programs, c.Exe)
	if rest, ok := strings.CutPrefix(c.Exe, "~/"); ok {
		exe = filepath.Join(home, rest)
	}
	if err := os.MkdirAll(filepath.Dir(exe), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(terminal, exe); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	dir := filepath.Join(home, c.Dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if c.Project != "" {
		text := `{"name": "` + c.Project + `"}`
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := strings.Fields(c.Line)
	if strings.Contains(c.Line, "|") {
		args = strings.Split(strings.TrimSuffix(c.Line, "|"), "|")
	}
	text, err := json.Marshal(window{exe, dir, c.Comm, args})
	if err != nil {
		t.Fatal(err)
	}
	cmd := roleCommand("window", string(text))
	cmd.Path, cmd.Args[0] = terminal, terminal
	pid, err := strconv.ParseInt(start(t, cmd)[0], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	p, err := owner.Read(t.Context(), int32(pid))
	if err != nil {
		t.Fatal(err)
	}
	facts, ok := facts.Tell(t.Context(), p)
	if !ok {
		t.Fatalf("%s: no facts", c.Line)
	}
	l := servertest.Serves(port, p.PID)
	l.Owner, l.Facts = p, facts
	return l
}

// show compares the titles of servers in costumes. All costumes run at once.
func show(t *testing.T, home string, costumes []costume) {
	t.Helper()
	t.Setenv("HOME", home)
	dir, terminal := stageDir(t)
	var listeners []server.Listener
	for i, c := range costumes {
		l := c.wear(t, home, filepath.Join(dir, "bin"), terminal, uint16(3000+i))
		listeners = append(listeners, l)
		if c.Name != "" && l.Owner.Name != c.Name {
			t.Errorf("%s: the process is called %q, want %q", c.Line, l.Owner.Name, c.Name)
		}
	}
	titles := map[string]bool{}
	for i, s := range server.Servers(listeners, servertest.Dynamic) {
		if s.Title != costumes[i].Want {
			t.Errorf("%s: got %q, want %q; its program is %q", costumes[i].Line, s.Title, costumes[i].Want,
				s.Facts.Program)
		}
		if titles[s.Title] {
			t.Errorf("two servers have the title %q", s.Title)
		}
		titles[s.Title] = true
	}
	if len(titles) != len(costumes) {
		t.Errorf("%d command lines have %d titles", len(costumes), len(titles))
	}
}

// TestNamesOfWhatRuns has servers of one project without a tool. Their names must differ.
func TestNamesOfWhatRuns(t *testing.T) {
	const beam = "beam.smp -- -root /usr/lib/erlang -bindir /usr/lib/erlang/bin -progname erl -- -home /home/ann --" +
		" -noshell -s elixir start_cli"
	costumes := []costume{
		{Exe: "node", Line: "node server.js --port 3000", Want: "shop · server.js"},
		{Exe: "node", Line: "node services/api/index.js", Want: "shop · index.js"},
		{Exe: "java", Line: "java -Xmx1g -jar target/orders-1.2.0.jar", Want: "shop · orders.jar"},
		{Exe: "java", Line: "java -cp app.jar:lib.jar com.example.Main", Want: "shop · com.example.Main"},
		{Exe: "python3.11", Line: "python3 -m myapp.main", Want: "shop · myapp.main"},
		{Exe: "python3.11", Line: "python3 -u app.py", Want: "shop · app.py"},
		{Exe: "ruby3.1", Line: "ruby app.rb -p 4567", Want: "shop · app.rb"},
		{Exe: "php8.2", Line: "php worker.php", Want: "shop · worker.php"},
		{Exe: "perl", Line: "/usr/bin/perl daemon.pl", Want: "shop · daemon.pl"},
		{Exe: "deno", Line: "deno run --allow-net main.ts", Want: "shop · main.ts"},
		{Exe: "bun", Line: "bun run src/serve.ts", Want: "shop · serve.ts"},
		{Exe: "go-build1/b001/exe/worker", Line: "/tmp/go-build1/b001/exe/worker", Want: "shop · worker"},
		{Exe: "~/shop/target/debug/shop", Line: "target/debug/shop", Want: "shop"},
		{Exe: "dotnet", Line: "dotnet bin/Debug/net8.0/Web.dll", Want: "shop · Web.dll"},
		{Exe: "R", Line: "/usr/lib/R/bin/exec/R --no-echo --no-restore --file=plumber.R", Want: "shop · plumber.R"},
		{Exe: "beam.smp", Line: beam + " -extra web.exs", Want: "shop · web.exs"},
		{Exe: "sbcl", Line: "sbcl --script web.lisp", Want: "shop · web.lisp"},
		{Exe: "tclsh8.6", Line: "tclsh web.tcl", Want: "shop · web.tcl"},
		{Exe: "lua5.4", Line: "lua5.4 web.lua", Want: "shop · web.lua"},
	}
	for i := range costumes {
		costumes[i].Dir, costumes[i].Project = "shop", "shop"
	}
	show(t, projecttest.TempHome(t), costumes)
}

// TestNamesOfTitles has programs with and without a title written over their arguments.
func TestNamesOfTitles(t *testing.T) {
	show(t, projecttest.TempHome(t), []costume{
		{Exe: "node", Line: "node /home/ann/code/shop/server.js|", Comm: "node /home/ann/", Dir: "code/shop",
			Project: "shop",
			Want:    "shop · server.js", Name: "node"},
		{Exe: "node", Line: "ng serve --port 3802 (shop)|", Comm: "ng serve --port", Dir: "code/shop", Project: "shop",
			Want: "shop · Angular", Name: "ng"},
		{Exe: "ruby3.1", Line: "puma 6.4.2 (tcp://localhost:3803) [shop]|", Comm: "puma 6.4.2 (tcp", Dir: "code/shop",
			Project: "shop",
			Want:    "shop · Puma", Name: "puma"},
		{Exe: "ruby3.1", Line: "puma 6.4.2 (tcp://localhost:3813) [blog]|", Comm: "puma 6.4.2 (tcp",
			Want: "blog · Puma", Name: "puma"},
		{Exe: "perl", Line: "/usr/bin/plackup app.psgi|", Comm: "/usr/bin/placku", Dir: "work/api", Project: "api",
			Want: "api · plackup", Name: "plackup"},
		{Exe: "node", Line: "node api.js", Dir: "code/shop", Project: "shop", Want: "shop · api.js"},
		{Exe: "python3.11", Line: "python3 -m myapp.main", Dir: "work/app", Project: "app", Want: "app · myapp.main"},
		{Exe: "java", Line: "java -cp app.jar:lib.jar com.example.Main", Dir: "work/orders", Project: "orders",
			Want: "orders · com.example.Main"},
		{Exe: "java", Line: "java -Xmx1g -jar target/orders-1.2.0.jar", Dir: "work/api", Project: "api",
			Want: "api · orders.jar"},
	})
}

// TestNamesOfProjects has two monorepos with packages of the same name, two detached working trees in directories of
// the same name, and daemons in directories without a project name.
func TestNamesOfProjects(t *testing.T) {
	home := projecttest.TempHome(t)
	for _, dir := range []string{"shopmono", "blogmono", "acme"} {
		path := filepath.Join(home, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "package.json"), []byte(`{"name": "`+dir+`"}`), 0o644); err != nil {
			t.Fatal(err)
		}
		runGit(t, path, "init", "-q", "-b", "main", ".")
		runGit(t, path, "add", "-A")
		runGit(t, path, "commit", "-qm", "one")
	}
	runGit(t, filepath.Join(home, "acme"), "worktree", "add", "-q", "--detach", "../a1/acme")
	runGit(t, filepath.Join(home, "acme"), "worktree", "add", "-q", "--detach", "../b2/acme")
	costumes := []costume{
		{Dir: "shopmono/frontend", Project: "frontend", Want: "frontend in shopmono · Vite"},
		{Dir: "blogmono/frontend", Project: "frontend", Want: "frontend in blogmono · Vite"},
		{Dir: "a1/acme", Want: "acme in a1 · Vite"},
		{Dir: "b2/acme", Want: "acme in b2 · Vite"},
		{Dir: "acme", Want: "acme@main · Vite"},
		{Dir: ".gradle/daemon/4.4.1", Want: "Vite"},
		{Dir: "game/target/release", Want: "game · Vite"},
	}
	for i := range costumes {
		costumes[i].Exe, costumes[i].Line = "node", "node /x/node_modules/.bin/vite"
	}
	show(t, home, slices.Concat(costumes, []costume{
		{Exe: "~/acme/air", Dir: "acme", Line: "./air", Want: "acme · air"},
		{Exe: "node", Dir: "acme/dist", Line: "node server.js", Want: "acme · server.js"},
	}))
}

// runGit runs git without the settings of this machine.
func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a",
		"GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v: %s", args, err, out)
	}
}

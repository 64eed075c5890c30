package facts

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"porttray/watcher/owner"
)

// startTree starts processes with these command lines, each the parent of the next, and returns the last one. All of
// them are bash. It runs the script in BASH_ENV before its arguments, and that script starts the next process. A bash
// with the name sh would ignore BASH_ENV.
func startTree(t testing.TB, lines ...string) owner.Process {
	t.Helper()
	return startTreeIn(t, t.TempDir(), lines...)
}

// startTreeIn is like startTree, with a working directory for all processes.
func startTreeIn(t testing.TB, workDir string, lines ...string) owner.Process {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	level := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	for i := range lines {
		script := "echo $$; read -r line; exit\n"
		if i+1 < len(lines) {
			script = "(export BASH_ENV=" + level(i+1) + "; exec -a"
			args := toolLine{line: lines[i+1]}.args()
			for _, word := range slices.Concat(args[:1], []string{bash}, args[1:]) {
				script += " '" + word + "'"
			}
			script += "); exit\n"
		}
		if err := os.WriteFile(level(i), []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := &exec.Cmd{Path: bash, Args: toolLine{line: lines[0]}.args(), Dir: workDir,
		Env: append(os.Environ(), "BASH_ENV="+level(0))}
	return startTeller(t, cmd)
}

// startTeller starts a command and returns the process with the PID in its first line of output. The whole process
// group ends with the test.
func startTeller(t testing.TB, cmd *exec.Cmd) owner.Process {
	t.Helper()
	if _, err := cmd.StdinPipe(); err != nil { // closed by Wait
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails if all have ended
		cmd.Wait()                                      // fails if it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q said %q: %v", cmd.Args, line, err)
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(line), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	p, err := owner.Identify(int32(pid))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLineage has trees of real processes with the command lines of tools. A shell and another tool are their
// ancestors.
func TestLineage(t *testing.T) {
	const spawn = "python3|-c|from multiprocessing.spawn import spawn_main"
	tests := []struct {
		name  string
		lines []string
		tool  string
	}{
		{"alone", []string{"worker"}, ""},
		{"a server", []string{"node /x/node_modules/.bin/vite"}, "Vite"},
		{"in a package script", []string{"npm run dev|", "bash|-c|vite", "node /x/node_modules/.bin/vite"}, "Vite"},
		{"a worker of a reload supervisor", []string{"python3 /v/bin/uvicorn app:app", spawn}, "Uvicorn"},
		{"workers with titles", []string{"gunicorn: master [app:app]|", "gunicorn: worker [app:app]|"}, "Gunicorn"},
		{"a title over its arguments", []string{"node /x/node_modules/.bin/next dev", "next-server (v15.5.29)|"},
			"Next.js"},
		{"a child of a worker", []string{"celery worker", spawn, spawn}, "Celery"},
		{"a program that runs again what it watches",
			[]string{"node /x/node_modules/.bin/nodemon app.js", "node app.js"}, ""},
		{"below a script", []string{"npx vite", "bash run.sh", "worker"}, "Vite"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line, _ := lineage(t.Context(),
				startTree(t, append([]string{"node /x/node_modules/.bin/astro", "bash"}, tt.lines...)...), false)
			if len(line) != len(tt.lines) {
				t.Errorf("got %d members, want %d: %+v", len(line), len(tt.lines), line)
			}
			for i, m := range line {
				if want := (toolLine{line: tt.lines[len(tt.lines)-1-i]}).args(); !slices.Equal(m.args, want) {
					t.Errorf("member %d has the arguments %q, want %q", i, m.args, want)
				}
			}
			if got := toolOf(line, ""); got.Name != tt.tool {
				t.Errorf("got %+v, want %q: %+v", got, tt.tool, line)
			}
		})
	}
}

// TestLineageIsBounded has more processes than a lineage holds. The farthest one is a tool.
func TestLineageIsBounded(t *testing.T) {
	lines := []string{"node /x/node_modules/.bin/vite"}
	for i := range maxLineage {
		lines = append(lines, fmt.Sprint("worker ", i))
	}
	p := startTree(t, lines...)
	line, _ := lineage(t.Context(), p, false)
	if len(line) != maxLineage || line[0].PID != p.PID || toolOf(line, "") != (Tool{}) {
		t.Errorf("got %d members: %+v", len(line), line)
	}
}

// TestLineageOfLongArgs has a process with more arguments than lineage reads.
func TestLineageOfLongArgs(t *testing.T) {
	line, _ := lineage(t.Context(), startTree(t, "bash", "worker "+strings.Repeat("x", 100_000)+" y"), false)
	if len(line) != 1 || len(line[0].args) != 2 || len(line[0].args[1]) != maxCmdline-len("worker ") {
		t.Errorf("got %d members, the first %.200q", len(line), line[0].args)
	}
	line, _ = lineage(t.Context(), startTree(t, "bash", "worker"+strings.Repeat(" x", 2*maxArgs)), false)
	if len(line) != 1 || len(line[0].args) != maxArgs {
		t.Errorf("got %d members, the first with %d arguments", len(line), len(line[0].args))
	}
}

// TestLineageOfZombie has an ended process that its parent has not reaped.
func TestLineageOfZombie(t *testing.T) {
	cmd := exec.Command("sleep", "0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	p, err := owner.Identify(int32(cmd.Process.Pid))
	for ; err == nil && !p.Gone(); p, err = owner.Identify(p.PID) {
	}
	if line, _ := lineage(t.Context(), p, false); err != nil || len(line) != 0 {
		t.Errorf("got %+v, %v", line, err)
	}
}

// TestHead has files that block open or read, or are endless.
func TestHead(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "x.jar")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{fifo, "/dev/zero", "/proc", "/none"} {
		if data := head(file, 10); len(data) > 0 {
			t.Errorf("%s: got %q", file, data)
		}
	}
}

// BenchmarkLineage reads five processes and finds their tool.
func BenchmarkLineage(b *testing.B) {
	p := startTree(b, "bash", "npm run dev|", "bash|-c|next dev", "node /x/node_modules/.bin/next dev",
		"next-server (v15.5.29)|", "worker")
	b.ReportAllocs()
	for b.Loop() {
		line, _ := lineage(b.Context(), p, false)
		if len(line) != 5 || toolOf(line, "/x").Name != "Next.js" {
			b.Fatalf("got %+v", line)
		}
	}
}

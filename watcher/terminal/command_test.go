package terminal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"porttray/watcher/doctor"
)

// programRole is the environment variable that makes the test binary be porttray.
const programRole = "PORTTRAY_TEST_PROGRAM"

// fatalKey is the environment variable that removes the tray from its desktop.
const fatalKey = "PORTTRAY_TEST_FATAL"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(programRole) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := Run(ctx, program(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// program returns a program that prints its desktop actions to standard output.
func program() Program {
	say := func(text string) error {
		_, err := fmt.Println(text)
		return err
	}
	return Program{
		Version: "v1.2.3",
		Main:    func(context.Context, io.Writer, io.Writer) error { return say("the tray, or else watching") },
		Tray:    func(context.Context, io.Writer) error { return say("the tray") },
		Open:    func(_ context.Context, url string) error { return say("a browser at " + url) },
		Examine: func(context.Context) []doctor.Finding {
			if os.Getenv(fatalKey) != "" {
				return []doctor.Finding{{Topic: "scripted", State: doctor.Broken, Says: "no tray", Fix: "a tray",
					Fatal: true}}
			}
			return []doctor.Finding{{Topic: "scripted", Says: "all is well"}}
		},
	}
}

// porttray returns the command that runs porttray.
func porttray(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), programRole+"=1", "HOME="+t.TempDir(), "XDG_STATE_HOME=")
	return cmd
}

// TestRun runs commands that need no server. It compares the command, its exit status and its output with
// testdata/run_NAME.txt. Errors have a leading exclamation mark.
func TestRun(t *testing.T) {
	for name, lines := range map[string][]string{
		"usage": {
			"frobnicate", "lst", "explain", "explain 1 2", "explain 99999", "explain 0", "explain -- -1",
			"explain 127.0.0.1", "explain ::1",
			"explain ::1:3000", "explain example.org:80", "explain http://", "explain localhost:http",
			"explain 1 --frob", "list 99999", "list 5-3",
			"list 3000-", "list --json=maybe", "list --args", "stop", "stop http", "stop 1 --wait soon",
			"stop 1 --wait -1s", "stop 1 --wait 1h", "stop 1 --pid 0",
			"stop 1 --pid x", "stop 1 2", "wait", "wait 1 --timeout -1s", "free 1", "free --from 0",
			"free --from 65536", "free --count 0", "open",
			"open ftp", "version 1", "doctor 1", "config 1", "config check 1", "tray 1", "watch 1", "completion",
			"completion tcsh",
		},
		"plain": {"", "tray", "version", "--version"},
		"help": {
			"help", "--help", "help list", "help watch", "help explain", "help wait", "help free", "help open",
			"help stop", "help doctor", "help config", "help config check", "help tray", "help version",
			"help completion",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, line := range lines {
				var out, errs bytes.Buffer
				cmd := porttray(t, strings.Fields(line)...)
				cmd.Stdout, cmd.Stderr = &out, &errs
				var exit *exec.ExitError
				if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "$ porttray %s   # %d\n%s", line, cmd.ProcessState.ExitCode(), out.String())
				for text := range strings.Lines(errs.String()) {
					got.WriteString("! " + text)
				}
				got.WriteString("\n")
			}
			golden(t, "run_"+name+".txt", got.Bytes())
			for line := range strings.Lines(got.String()) {
				if name == "help" && cellWidth(strings.TrimSuffix(line, "\n")) > 80 {
					t.Errorf("wider than 80 columns: %s", line)
				}
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, err := porttray(t, "completion", shell).Output()
		if err != nil || !bytes.Contains(out, []byte("porttray")) {
			t.Errorf("%s: %v, %d bytes", shell, err, len(out))
		}
	}
	port := listen(t)
	for _, command := range []string{"explain", "open", "stop"} {
		out, err := porttray(t, "__complete", command, "").Output()
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s\t.`, port)).Match(out) {
			t.Errorf("%s: no %s in %s (%v)", command, port, out, err)
		}
	}
}

// listen listens on a port of its own and returns it.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// needLoopback skips a test where the loopback interface is down, except under CI: nothing can be connected there.
func needLoopback(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	switch {
	case err == nil:
		conn.Close()
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip("loopback is down: ", err)
	}
}

// TestCommands runs the commands with an existing server and with a missing one.
func TestCommands(t *testing.T) {
	needLoopback(t)
	port := listen(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, none, _ := net.SplitHostPort(closed.Addr().String())
	closed.Close()
	process, reason := `"process": "`, `: porttray runs in it`
	if runtime.GOOS == "windows" { // Wine lists listeners without their owners
		process, reason = "", ".*"
	}
	for _, tt := range []struct {
		line string
		code int
		want string // a pattern for the output and the errors
	}{
		{"list " + port, 0, `^PORT .*\n` + port + ` .* 127\.0\.0\.1 +local `},
		{"list " + none, 1, `^No server matches\.\n$`},
		{"list --json " + port, 0, `(?s)^\[.*"port": ` + port + `,.*` + process},
		{"list --json " + none, 1, `^\[\]\n`},
		{"explain " + port, 0, `(?s)^port ` + port + `: .*accepted.*Nothing is wrong`},
		{"explain 127.0.0.1:" + port + " --json", 0, `(?s)"listens": true.*"trouble": "none"`},
		{"explain " + none, 1, `(?s)^port ` + none + `: nothing listens there \(not running\)`},
		{"explain [::1]:" + port, 1, `(?s)nothing listens there.*http://127\.0\.0\.1:` + port},
		{"wait " + port, 0, `^Port ` + port + `: .*127\.0\.0\.1\n$`},
		{"wait " + none + " --timeout 300ms", 1, `^porttray: wait: nothing listens on port ` + none +
			` after 300ms\n$`},
		{"wait --gone " + none, 0, `^Nothing listens on port ` + none + `\.\n$`},
		{"wait --gone --timeout 300ms " + port, 1, `^porttray: wait: port ` + port +
			` is still listened on after 300ms, by `},
		{"open " + port, 0, `^a browser at http://localhost:` + port + `\nOpened http://localhost:` + port + `: `},
		{"open " + none, 1, `^porttray: open: nothing listens on port ` + none + `; porttray explain ` + none},
		{"stop " + none, 0, `^Port ` + none + ` is free already: nothing listens there\.\n$`},
		// The test itself listens, and is the parent of porttray.
		{"stop " + port, 1, `^porttray: stop: .* was not stopped` + reason + `\n$`},
		{"free --from 1025 --count 2", 0, `^\d+\n\d+\n$`},
	} {
		t.Run(tt.line, func(t *testing.T) {
			cmd := porttray(t, strings.Fields(tt.line)...)
			out, _ := cmd.CombinedOutput()
			if !regexp.MustCompile(tt.want).Match(out) || cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("exit status %d, want %d; wrote\n%s\nwhich does not match %s", cmd.ProcessState.ExitCode(),
					tt.code, out, tt.want)
			}
		})
	}
}

// TestWatchLosesItsReader closes the reader after the first line, as head -1 does. Then the watcher has nothing to
// write.
func TestWatchLosesItsReader(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not report a lost reader")
	}
	cmd := porttray(t, "watch", "--json")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	line, err := bufio.NewReader(read).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	matches(t, "event.schema.json", line)
	read.Close()
	ended(t, cmd)
}

// TestWatchIsInterrupted ends the watcher as Ctrl-C does.
func TestWatchIsInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there a signal cannot be sent to a process")
	}
	cmd := porttray(t, "watch")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended(t, cmd)
}

// ended waits until a command has ended without an error.
func ended(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		t.Error("it ended with", err)
	}
}

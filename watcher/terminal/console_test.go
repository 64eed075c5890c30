package terminal

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// roleKey is the environment variable that makes the test binary play a role.
const roleKey = "PORTTRAY_TEST_ROLE"

// play plays a role.
func play(role string) error {
	if role == "listen" { // prints the port, and ends with its standard input
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	if role != "crash" {
		return systemRole(role)
	}
	if _, err := openLog(os.Args[1]); err != nil {
		return err
	}
	panic("crashed for the test")
}

// as returns the command that runs this test binary in a role.
func as(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), roleKey+"="+role)
	return cmd
}

// TestLogFile logs more than a log file holds. At any time the file holds the newest lines, all complete.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "porttray", "porttray.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	defer debug.SetCrashOutput(nil, debug.CrashOptions{})
	log := slog.New(slog.NewTextHandler(l, nil))
	var largest int64
	const n = 2000
	rest := strings.Repeat(".", 300)
	for i := range n {
		log.Info("something happened", "number", i, "rest", rest)
		info, err := l.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if largest > maxLog || largest < maxLog-500 {
		t.Errorf("the file grew to %d bytes, want almost %d", largest, maxLog)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf(`level=INFO msg="something happened" number=%d rest=%s`, n-len(lines)+i,
			rest); !strings.HasPrefix(line, "time=") || !strings.HasSuffix(line, want) {
			t.Fatalf("line %d of %d is %q, want one that ends in %q", i, len(lines), line, want)
		}
	}
}

// TestLogFileOfCrash crashes a program without a reader for its standard error.
func TestLogFileOfCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "porttray.log")
	var out bytes.Buffer
	cmd := as(t, "crash", path)
	cmd.Stdout = &out
	if err := cmd.Run(); err == nil || out.Len() > 0 {
		t.Fatalf("it ended with %v and said %q", err, out.String())
	}
	text, err := os.ReadFile(path)
	if want := "panic: crashed for the test"; err != nil || !strings.Contains(string(text), want) ||
		!strings.Contains(string(text), "goroutine") {
		t.Errorf("the log has %q, %v, want %q and where it was", text, err, want)
	}
}

func TestLogFileWhereItCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "porttray.log"), dir} {
		if l, err := openLog(path); err == nil {
			l.file.Close()
			t.Errorf("a log was opened as %s", path)
		} else if !strings.HasPrefix(err.Error(), "open the log: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestAttach checks that redirected output stays redirected.
func TestAttach(t *testing.T) {
	out, err := as(t, "attach").CombinedOutput()
	if want := "said · out\nsaid · err\n"; err != nil || string(out) != want {
		t.Errorf("it wrote %q, %v, want %q", out, err, want)
	}
}

// roleAttach writes to all streams after Attach.
func roleAttach() error {
	log := Attach()
	fmt.Println("said · out") // fails if standard output is not usable
	_, err := fmt.Fprintln(log, "said · err")
	return err
}

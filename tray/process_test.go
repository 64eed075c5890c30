//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process is something the test started.
type process struct {
	cmd  *exec.Cmd
	log  string        // the file that holds its output
	done chan struct{} // closed when it has ended and was waited for
}

// startProcess starts cmd. The process is killed at the end of the test, or by the system should the test process die.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: filepath.Join(t.TempDir(), "output"), done: make(chan struct{})}
	// The output goes to a file rather than through a pipe: nothing has to be drained, and a grandchild that keeps it open
	// holds nobody up.
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		cmd.Wait() // ProcessState says how it ended
	}()
	t.Cleanup(func() {
		p.signal(os.Kill)
		if _, err := p.wait(patience); err != nil {
			t.Errorf("kill %s: %v", cmd.Path, err)
		}
		noRace(t, cmd.Path, p.output())
	})
	return p
}

// noRace fails the test of a program whose output has what the race detector writes.
func noRace(t testing.TB, path, output string) {
	t.Helper()
	if strings.Contains(output, "WARNING: DATA RACE") {
		t.Errorf("%s has a race:\n%s", path, output)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// maxOutput is more than any process has reason to write, in bytes.
const maxOutput = 64 << 20

// output returns what the process has written so far, standard output and standard error together. One that has written too much is
// killed.
func (p *process) output() string {
	if info, err := os.Stat(p.log); err == nil && info.Size() > maxOutput {
		p.signal(os.Kill)
		return fmt.Sprintf("it has written %d bytes", info.Size())
	}
	out, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// signal sends sig. A process that has ended already is not an error.
func (p *process) signal(sig os.Signal) {
	p.cmd.Process.Signal(sig)
}

// halt stops the process until it gets a SIGCONT. It has stopped when halt returns.
func (p *process) halt(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGSTOP)
	if err := unix.Waitid(unix.P_PID, p.pid(), nil, unix.WSTOPPED, nil); err != nil {
		t.Fatal(err)
	}
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the end of the process and returns its exit code, -1 if a signal ended it. The error says that it is
// still running.
func (p *process) wait(timeout time.Duration) (exitCode int, err error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(timeout):
		return 0, fmt.Errorf("process %d still runs after %v", p.pid(), timeout)
	}
}

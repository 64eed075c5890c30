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

// A process is a child process of the test.
type process struct {
	cmd  *exec.Cmd
	log  string        // the file with its output
	done chan struct{} // closed after Wait
}

// startProcess starts cmd. The process is killed at the end of the test. If the test process dies, the kernel kills it.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: filepath.Join(t.TempDir(), "output"), done: make(chan struct{})}
	// The output goes to a file, not to a pipe: nobody has to drain it, and Wait does not wait for grandchildren.
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

// noRace fails the test if the program's output has a report of the race detector.
func noRace(t testing.TB, path, output string) {
	t.Helper()
	if strings.Contains(output, "WARNING: DATA RACE") {
		t.Errorf("%s has a race:\n%s", path, output)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// maxOutput is a limit for the output of a process, in bytes. No test comes near it.
const maxOutput = 64 << 20

// output returns the standard output and standard error so far, in one text. It kills a process with too much output.
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

// wait waits for the end of the process and returns its exit code, -1 if a signal ended it. It returns an error if the
// process still runs.
func (p *process) wait(timeout time.Duration) (exitCode int, err error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(timeout):
		return 0, fmt.Errorf("process %d still runs after %v", p.pid(), timeout)
	}
}

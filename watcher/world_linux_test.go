package watcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A world isolates a test: it sees no other processes, and its network has no other listeners. All processes in it end
// with the test.
type world struct {
	User    int           // the user of the test
	Proc    string        // mount options of /proc; see also hostProc
	Shift   time.Duration // offset of the clocks that count from the boot
	Servers int           // number of listeners of root
	Apart   bool          // the listeners belong to a process in the outer PID namespace
}

// hostProc keeps the /proc of the outer system. Its PIDs are not those of the world.
const hostProc = "host"

// inWorld is the environment variable that marks a test in its world.
const inWorld = "PORTTRAY_TEST_WORLD"

// enter runs the test again in a world and returns true there, so that the test goes on. Otherwise the test is over.
func (w world) enter(t *testing.T) (inside bool) {
	t.Helper()
	if os.Getenv(inWorld) == t.Name() {
		return true
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "world") // t.TempDir is private to this user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "watcher")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile("/proc/self/exe", program)); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	cmd := roleCommand("world", string(text), "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v",
		"-test.timeout=3m")
	cmd.Path, cmd.Dir, cmd.Stderr = program, "/", nil
	cmd.Env = append(cmd.Env, inWorld+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC}
	runtime.LockOSThread() // the world would end with this thread
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	for _, refused := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSPC} {
		if errors.Is(err, refused) && os.Getenv("CI") != "true" {
			t.Skipf("this user may not create a world: %v", err)
		}
	}
	for line := range strings.Lines(string(out)) {
		if _, text, ok := strings.Cut(line, "_test.go:"); ok && err == nil {
			_, text, _ = strings.Cut(text, ": ")
			t.Log(strings.TrimSpace(text))
		}
	}
	if passed := strings.Contains(string(out), "--- PASS: "+t.Name()+" "); err != nil || !passed {
		t.Errorf("in its world: %v\n%s", err, out)
	}
	return false
}

// mayNot skips a test that lacks a permission. Only root is sure to have it, so under CI root must have it.
func mayNot(t *testing.T, why any) {
	t.Helper()
	if os.Geteuid() == 0 {
		lack(t, why)
	}
	t.Skip(why)
}

// strangers returns an error if this user cannot run processes as another user and read their open files. In most
// containers even root cannot (ptrace(2)).
func strangers() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can run processes as other users")
	}
	header, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_SYS_PTRACE) == 0 {
		return errors.New("this root may not see the files of other users' processes")
	}
	return nil
}

// needStrangers skips a test if processes of another user cannot be run or read.
func needStrangers(t *testing.T) {
	t.Helper()
	if err := strangers(); err != nil {
		mayNot(t, err)
	}
}

// roleWorld sets up a world and runs tests in it.
func roleWorld(args []string) error {
	var w world
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		return err
	}
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), raiseLoopback()); err != nil {
		return err
	}
	if w.Proc != hostProc {
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, w.Proc); err != nil {
			return fmt.Errorf("mount /proc: %w", err)
		}
	}
	for range w.Servers {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
	}
	if w.Apart {
		w.Apart, w.Servers = false, 0
		text, err := json.Marshal(w)
		if err != nil {
			return err
		}
		cmd := exec.Command("/proc/self/exe", append([]string{string(text)}, args[1:]...)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
		return cmd.Run()
	}
	runtime.LockOSThread() // its children get its time namespace
	if err := shiftClocks(w.Shift); err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0], args[1:]...)
	cmd.Path = "/proc/self/exe"
	if w.Proc == hostProc {
		cmd.Path = os.Args[0]
	}
	os.Unsetenv("PORTTRAY_TEST_ROLE")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, as(w.User)
	return cmd.Run()
}

// shiftClocks advances the clocks that count from the boot, for the children of this thread (time_namespaces(7)).
func shiftClocks(by time.Duration) error {
	if by == 0 {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		return fmt.Errorf("make a time namespace: %w", err)
	}
	offsets := fmt.Sprintf("monotonic %[1]d 0\nboottime %[1]d 0\n", int(by.Seconds()))
	return os.WriteFile(fmt.Sprintf("/proc/%d/timens_offsets", unix.Gettid()), []byte(offsets), 0)
}

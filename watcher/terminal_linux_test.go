package watcher

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/port"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// A terminal is a place where a person starts a server. The process has the name of a terminal, so no process above it
// counts as a part of the server. Its network namespace has no other listeners. Its cgroup namespace hides a service
// that perhaps runs the tests. A Watcher beside the server prints its rows.
type terminal struct {
	cmd  *exec.Cmd
	in   *os.File
	rows chan string // a line per update; closed with the terminal
	log  string      // the file with the output of the server
}

// A performance describes a server and its Watcher in a terminal.
type performance struct {
	Args     []string // the server's command line
	Workers  int      // number of children to wait for
	Dir      string   // its working directory
	User     int      // the user of the server
	Audience int      // the user of the Watcher
	Home     string   // HOME of the Watcher
}

// curtain is the row that appears when the server has all its workers.
const curtain = "all there"

// nobody is the user with the fewest rights on Debian.
const nobody = 65534

// stageDir returns a new directory that everybody may read, and the terminal program in it.
func stageDir(t *testing.T) (dir, program string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "porttray") // t.TempDir is private to this user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program = filepath.Join(dir, "xterm")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile("/proc/self/exe", program)); err != nil {
		t.Fatal(err)
	}
	return dir, program
}

// terminalCommand returns the command that runs the program as a terminal.
func terminalCommand(program string, args ...string) *exec.Cmd {
	cmd := roleCommand("terminal", args...)
	cmd.Path, cmd.Args[0] = program, program
	// The go command passes flags that do not suit a program in a test.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0", "GOFLAGS=", "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWCGROUP}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	}
	return cmd
}

// needNetwork skips the test if this user may not create a network namespace. Root may, except in some containers.
func needNetwork(t *testing.T, program string) {
	t.Helper()
	cmd := terminalCommand(program, "")
	cmd.Stderr = nil
	out, err := cmd.CombinedOutput()
	for _, refused := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSPC} {
		if errors.Is(err, refused) {
			mayNot(t, fmt.Errorf("this user may not create a network namespace: %w", err))
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// open opens a terminal. It and all its processes end with the test.
func (p performance) open(t *testing.T, dir, program string) *terminal {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	in, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	m := &terminal{cmd: terminalCommand(program, string(text)), in: end, rows: make(chan string, 1000), log: log.Name()}
	m.cmd.Stdin, m.cmd.Stderr, m.cmd.Dir = in, log, "/"
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.rows)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			m.rows <- lines.Text()
		}
	}()
	t.Cleanup(m.end)
	return m
}

// end closes the terminal and waits for its end.
func (m *terminal) end() {
	m.in.Close()
	for range m.rows {
	}
	m.cmd.Wait() // the exit status of the server does not matter
}

// expect waits until the rows are exactly these.
func (m *terminal) expect(t *testing.T, want string) {
	t.Helper()
	var seen []string
	for late := time.After(6 * patience); ; {
		select {
		case line, ok := <-m.rows:
			if line == want {
				return
			}
			if seen = append(seen, line); ok {
				continue
			}
		case <-late:
		}
		log, _ := os.ReadFile(m.log)
		t.Fatalf("saw\n\t%s\nwant\n\t%s\nThe server said:\n%s", strings.Join(seen, "\n\t"), want, log)
	}
}

// roleTerminal runs a performance until standard input ends. Without an argument it only sets itself up.
func roleTerminal(arg string) error {
	if err := raiseLoopback(); err != nil || arg == "" {
		return err
	}
	var p performance
	if err := json.Unmarshal([]byte(arg), &p); err != nil {
		return err
	}
	os.Unsetenv("PORTTRAY_TEST_ROLE")
	server := exec.Command(p.Args[0], p.Args[1:]...)
	server.Dir, server.Stdout, server.Stderr = p.Dir, os.Stderr, os.Stderr
	server.SysProcAttr = as(p.User)
	server.SysProcAttr.Setpgid = true
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fmt.Fprintln(os.Stderr, "ended:", server.Wait())
	}()
	audience := roleCommand("rows", strconv.Itoa(server.Process.Pid))
	audience.Env = append(audience.Env, "HOME="+p.Home)
	audience.Stdout, audience.SysProcAttr = os.Stdout, as(p.Audience)
	if err := audience.Start(); err != nil {
		return err
	}
	if p.Workers > 0 {
		go drawCurtain(server.Process.Pid, p.Workers)
	}
	io.Copy(io.Discard, os.Stdin) // an error also means the end
	kill(audience)
	server.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-ended:
	case <-time.After(patience):
	}
	syscall.Kill(-server.Process.Pid, syscall.SIGKILL) // fails if no process remains
	<-ended
	return nil
}

// drawCurtain waits until the server has enough children, and then listens. That causes an update.
func drawCurtain(pid, workers int) {
	for childrenOf(pid) < workers {
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := net.Listen("tcp", "127.0.0.1:1024"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func childrenOf(pid int) (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, _ := os.ReadFile(file) // empty if the process has ended
		rest := stat[bytes.LastIndexByte(stat, ')')+1:]
		if fields := strings.Fields(string(rest)); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			n++
		}
	}
	return n
}

// as returns attributes to start a process as this user.
func as(user int) *syscall.SysProcAttr {
	if user == os.Geteuid() {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
}

// raiseLoopback brings up loopback in a new network namespace.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return os.NewSyscallError("bring up loopback", err)
	}
	return nil
}

// roleRows watches and prints the rows after each update in one line.
func roleRows(started string) error {
	updates := make(chan Update)
	go (&Watcher{}).Run(context.Background(), updates)
	handedOut := port.Read().HandedOut
	for u := range updates {
		var rows []string
		for _, s := range server.Servers(u.Snapshot.Listeners, handedOut) {
			row := servertest.Describe(s)
			switch {
			case s.Redirected: // by a container engine, for the whole machine
				continue
			case int(s.Owner.PID) == os.Getppid():
				row = curtain
			case s.Owner.Known() && strconv.Itoa(int(s.Owner.PID)) != started:
				row += " by a child"
			}
			rows = append(rows, row)
		}
		if u.Err != nil {
			rows = append(rows, u.Err.Error())
		}
		fmt.Println(strings.Join(rows, "; "))
	}
	return nil
}

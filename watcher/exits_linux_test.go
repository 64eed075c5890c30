package watcher

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
)

// oldKernel is an environment variable. If it is set, the kernel does not report how processes ended.
const oldKernel = "PORTTRAY_TEST_OLD_KERNEL"

// tellsExits reports whether the kernel reports how the children of other processes ended.
func tellsExits(t testing.TB) bool {
	t.Helper()
	cmd := exec.Command("true")
	var pidfd int
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	told := unix.IoctlPidfdInfo(pidfd, &info) == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0
	if told && os.Getenv(oldKernel) != "" {
		t.Error("the kernel is not old")
	}
	return told
}

// A mortal is a server that a shell started. It ends on command.
type mortal struct {
	port uint16
	pid  int
	in   *os.File
}

// newMortal starts a mortal that is itself a shell. It ends by the given command.
func newMortal(t *testing.T, command string, user *syscall.Credential) mortal {
	t.Helper()
	l := listenTCP(t, "127.0.0.1:0")
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	in, orders, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	// The outer shell closes the socket before it prints the PID.
	cmd := exec.Command("sh", "-c", `sh -c "$0" & exec 3<&-; echo $!; wait; read order <&4`, "read order <&4; "+command)
	cmd.ExtraFiles = []*os.File{socket, in}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		orders.Close()
		cmd.Wait() // fails because no order comes
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return mortal{portOf(l), number(t, strings.TrimSpace(line)), orders}
}

func (m mortal) end(t *testing.T) {
	t.Helper()
	if _, err := m.in.WriteString("end\n"); err != nil {
		t.Error(err)
	}
}

// TestRunExits ends servers that a shell started, and checks the update that reports them closed.
func TestRunExits(t *testing.T) {
	ends := []struct {
		command string
		want    owner.Exit
	}{
		{"exit 0", owner.Exit{How: owner.Exited}},
		{"exit 3", owner.Exit{How: owner.Exited, Status: 3}},
		{"kill -KILL $$", owner.Exit{How: owner.Killed, Signal: "SIGKILL"}},
		{"kill -SEGV $$", owner.Exit{How: owner.Killed, Signal: "SIGSEGV"}},
		{"kill -TERM $$", owner.Exit{How: owner.Killed, Signal: "SIGTERM"}},
	}
	users := map[string]*syscall.Credential{"mine": nil}
	if strangers() == nil {
		users["another user's"] = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	told := tellsExits(t)
	type server struct {
		mortal
		what string
		want owner.Exit
	}
	var servers []server
	for _, tt := range ends {
		for whose, user := range users {
			servers = append(servers, server{newMortal(t, tt.command, user), tt.command + ", " + whose, tt.want})
		}
	}
	until := follow(t)
	until(func(u Update) bool {
		return !slices.ContainsFunc(servers,
			func(s server) bool { return !slices.Contains(pids(u.Snapshot.Holders(s.port)), s.pid) })
	})
	var took []time.Duration
	for _, s := range servers {
		time.Sleep(2 * atLeast) // so that the pause after the last scan does not count
		start := time.Now()
		s.end(t)
		var was owner.Process
		closed := until(func(u Update) bool {
			at := slices.IndexFunc(u.Events,
				func(e Event) bool { return e.Kind == Closed && e.Listener.Port == s.port })
			if at >= 0 {
				was = u.Events[at].Listener.Owner
			}
			return at >= 0
		})
		took = append(took, time.Since(start))
		if got, known := closed.Snapshot.Exits[was.ID()]; told && got != s.want || known != told ||
			int(was.PID) != s.pid {
			t.Errorf("%s: process %d, %+v, %v, want process %d, %+v", s.what, was.PID, got, known, s.pid, s.want)
		}
	}
	slices.Sort(took)
	t.Logf("%d ends: half were reported within %v, all within %v", len(took), took[len(took)/2], took[len(took)-1])
}

// follow runs a watcher for the length of the test. The returned function waits for an update that satisfies ok.
func follow(t *testing.T) (until func(ok func(Update) bool) Update) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	updates, ended := make(chan Update), make(chan struct{})
	go func() {
		defer close(ended)
		(&Watcher{}).Run(ctx, updates)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func(ok func(Update) bool) Update {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case u := <-updates:
				if u.Err != nil {
					t.Error(u.Err)
				}
				if ok(u) {
					return u
				}
			case <-late:
				t.Fatal("no such update came")
			}
		}
	}
}

func pids(list []owner.Process) []int {
	var all []int
	for _, p := range list {
		all = append(all, int(p.PID))
	}
	return all
}

// TestRunExitsUnreaped has a parent (this process) that does not reap its child. The event comes anyway.
func TestRunExitsUnreaped(t *testing.T) {
	l := listenTCP(t, "127.0.0.1:0")
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	port, cmd := portOf(l), holder(t, socket)
	socket.Close()
	l.Close()
	until := follow(t)
	until(func(u Update) bool { return slices.Contains(pids(u.Snapshot.Holders(port)), cmd.Process.Pid) })
	start := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	u := until(func(u Update) bool { return u.Snapshot.Holders(port) == nil })
	t.Logf("reported after %v", time.Since(start))
	for id, exit := range u.Snapshot.Exits {
		if int(id.PID) == cmd.Process.Pid {
			t.Errorf("got the exit %v for an unreaped process, want none", exit)
		}
	}
}

// TestFastExits has a server that closes its port some time before it ends, and checks the result of each scan.
func TestFastExits(t *testing.T) {
	told := tellsExits(t)
	s := newFast(t)
	m := newMortal(t, "exec 3<&-; read order <&4; exit 4", nil)
	expectFast(t, s, m.port, fmt.Sprintf("%d@127.0.0.1", m.pid))
	p := sockOn(t, s, m.port).owner.ID()
	m.end(t)
	for late := time.Now().Add(patience); foundOurs(settled(t, s), m.port) != "" && time.Now().Before(late); {
		runtime.Gosched()
	}
	if _, known := settled(t, s).Exits[p]; known || s.found.Searching ||
		(owner.Process{PID: p.PID, Start: p.Start}).Gone() {
		t.Errorf("while it runs: %v, searching: %v", s.found.Exits, s.found.Searching)
	}
	m.end(t)
	for late := time.Now().Add(patience); time.Now().Before(late); runtime.Gosched() {
		snapshot := settled(t, s)
		if got, known := snapshot.Exits[p]; known {
			if want := (owner.Exit{How: owner.Exited, Status: 4}); got != want || snapshot.Searching {
				t.Errorf("got %+v, searching: %v, want %+v", got, snapshot.Searching, want)
			}
			break
		}
		if s.pins == nil || !told && (owner.Process{PID: p.PID, Start: p.Start}).Gone() {
			break
		}
	}
	if _, known := settled(t, s).Exits[p]; known != told {
		t.Errorf("in the end: %v", s.found.Exits)
	}
}

// TestExitsAsUser runs two tests again as an ordinary user.
func TestExitsAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run processes as other users")
	}
	cmd := roleCommand("", "-test.run=^(TestRunExits|TestFastExits)$", "-test.v")
	cmd.Path, cmd.Dir = copyBinary(t, 0o755), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	passed(t, cmd, 2)
}

// TestOldKernel runs two tests again as on a kernel that does not report how processes ended.
func TestOldKernel(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOTTY, unix.EPERM} {
		cmd := roleCommand("old kernel", "-test.run=^(TestRunExits|TestFastExits)$", "-test.v")
		cmd.Env = append(cmd.Env, oldKernel+"="+strconv.Itoa(int(errno)))
		passed(t, cmd, 2)
	}
}

// passed runs a command and fails the test unless this number of tests pass in it.
func passed(t *testing.T, cmd *exec.Cmd, tests int) {
	t.Helper()
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = nil
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "--- PASS") != tests {
		t.Errorf("%v\n%s", err, out)
	}
}

// roleOldKernel runs tests in a process that may not ask how other processes ended.
func roleOldKernel(m *testing.M) error {
	errno, err := strconv.ParseUint(os.Getenv(oldKernel), 10, 16)
	if err != nil {
		return err
	}
	if err := refuse(unix.SYS_IOCTL, 1, unix.PIDFD_GET_INFO, uint32(errno)); err != nil {
		return err
	}
	os.Unsetenv("PORTTRAY_TEST_ROLE")
	m.Run()
	return nil
}

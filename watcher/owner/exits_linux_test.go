package owner_test

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
)

// ends lists commands that end a shell, and the Exit of each.
var ends = []struct {
	command string
	want    owner.Exit
}{
	{"exit 0", owner.Exit{How: owner.Exited}},
	{"exit 3", owner.Exit{How: owner.Exited, Status: 3}},
	{"kill -KILL $$", owner.Exit{How: owner.Killed, Signal: "SIGKILL"}},
	{"kill -SEGV $$", owner.Exit{How: owner.Killed, Signal: "SIGSEGV"}},
	{"kill -TERM $$", owner.Exit{How: owner.Killed, Signal: "SIGTERM"}},
}

// A mortal is a process that ends on request.
type mortal struct {
	owner.Process
	in  *os.File
	cmd *exec.Cmd // its own, or its parent shell's
}

// newMortal starts one, as the child of a shell or of this process. It runs as user, or as this user if that is nil.
func newMortal(t *testing.T, command string, ofShell bool, user *syscall.Credential) mortal {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command("sh", "-c", "echo $$; read order <&3; "+command)
	if ofShell {
		cmd = exec.Command("sh", "-c", `sh -c "$0" & wait; read order <&3`, cmd.Args[2])
	}
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		write.Close()
		cmd.Wait() // fails if the command fails
	})
	m := mortal{in: write, cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(line), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if m.Process, err = owner.Identify(int32(pid)); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m mortal) end(t *testing.T) {
	t.Helper()
	if _, err := m.in.WriteString("end\n"); err != nil {
		t.Error(err)
	}
}

// needExits skips a test if the kernel does not report how other processes' children ended.
func needExits(t *testing.T) {
	t.Helper()
	cmd := exec.Command("true")
	var pidfd int
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		t.Skip("before Linux 6.15 the kernel does not tell how a process ended:", err)
	}
}

func pin(t *testing.T, p owner.Process) *owner.Pins {
	t.Helper()
	pins, err := owner.NewPins()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pins.Close)
	if !pins.Hold(p) {
		t.Fatal("the process cannot be pinned")
	}
	return pins
}

// ended waits until the pins know the Exit of a process.
func ended(t *testing.T, pins *owner.Pins, p owner.Process) owner.Exit {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); runtime.Gosched() {
		exits, _ := pins.Exits(time.Now())
		if exit, ok := exits[p.ID()]; ok {
			return exit
		}
	}
	t.Fatal("no exit was reported")
	return owner.Exit{}
}

func TestPinsExits(t *testing.T) {
	needExits(t)
	users := map[string]*syscall.Credential{"mine": nil}
	if os.Geteuid() == 0 {
		users["another user's"] = nobody
	}
	for _, tt := range ends {
		for whose, user := range users {
			m := newMortal(t, tt.command, true, user)
			pins := pin(t, m.Process)
			m.end(t)
			pins.Keep(nil, time.Now())
			if got := ended(t, pins, m.Process); got != tt.want {
				t.Errorf("%s, %s: got %+v, want %+v", tt.command, whose, got, tt.want)
			}
			if exits, waiting := pins.Exits(time.Now()); len(exits) > 0 || waiting {
				t.Errorf("%s, %s: reported again: %v, waiting: %v", tt.command, whose, exits, waiting)
			}
		}
	}
}

// TestPinsExitsAsUser runs the other tests as an ordinary user.
func TestPinsExitsAsUser(t *testing.T) {
	needRoot(t)
	needExits(t)
	cmd := command(t, "", "exits", "-test.run=^TestPinsExits(|Late|Never)$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	cmd.Stderr = nil
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPinsExitsLate reaps a child of this process only after a while.
func TestPinsExitsLate(t *testing.T) {
	needExits(t)
	for _, tt := range ends {
		m := newMortal(t, tt.command, false, nil)
		pins := pin(t, m.Process)
		now := time.Now()
		pins.Keep(nil, now)
		if exits, waiting := pins.Exits(now); len(exits) > 0 || waiting {
			t.Errorf("%s: while it runs: %v, waiting: %v", tt.command, exits, waiting)
		}
		m.end(t)
		for !m.Gone() {
			runtime.Gosched()
		}
		select {
		case <-pins.Wake:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no wake-up came", tt.command)
		}
		for after, want := range map[time.Duration]bool{0: true, 299 * time.Millisecond: true,
			300 * time.Millisecond: false, time.Second: false} {
			pins.Exits(now) // notices the end
			if exits, waiting := pins.Exits(now.Add(after)); len(exits) > 0 || waiting != want {
				t.Errorf("%s: %v after it ended, unreaped: %v, waiting: %v", tt.command, after, exits, waiting)
			}
		}
		m.cmd.Wait() // fails if the command fails
		if exits, waiting := pins.Exits(now.Add(time.Second)); exits[m.ID()] != tt.want || waiting {
			t.Errorf("%s: reaped: %v, waiting: %v, want %+v", tt.command, exits, waiting, tt.want)
		}
	}
}

// TestPinsExitsNever reaps a child so late that the pins have given up waiting.
func TestPinsExitsNever(t *testing.T) {
	needExits(t)
	m := newMortal(t, "exit 3", false, nil)
	pins := pin(t, m.Process)
	now := time.Now()
	pins.Keep(nil, now)
	m.end(t)
	for !m.Gone() {
		runtime.Gosched()
	}
	pins.Exits(now.Add(time.Second)) // notices the end
	pins.Exits(now.Add(10 * time.Second))
	m.cmd.Wait() // fails because of the status
	if exits, waiting := pins.Exits(now.Add(10 * time.Second)); len(exits) > 0 || waiting {
		t.Errorf("got %v, waiting: %v, long after it was let go", exits, waiting)
	}
}

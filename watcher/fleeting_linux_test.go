package watcher

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fork starts a process that listens on a port of the system's choice for a while and ends. It is a copy of this one that makes
// system calls and nothing else: a program would take longer to start than it is to live.
//
//go:norace
//go:noinline
func fork(place *unix.RawSockaddrInet4, life *unix.Timespec) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	fd, _, _ := syscall.RawSyscall(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM, 0)
	syscall.RawSyscall(syscall.SYS_BIND, fd, uintptr(unsafe.Pointer(place)), unix.SizeofSockaddrInet4)
	syscall.RawSyscall(syscall.SYS_LISTEN, fd, 1, 0)
	syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(life)), 0, 0)
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// roleBomb starts so many processes a second, each of which listens for so many milliseconds, until standard input ends. It says
// at the end how many there were.
func roleBomb(args []string) error {
	rate, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	ms, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	place := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, 0, 0, 1}}
	life := unix.NsecToTimespec(int64(ms) * 1e6)
	done := untilStdinEnds()
	fmt.Println(os.Getpid())
	n := 0
	for tick := time.NewTicker(time.Second / time.Duration(rate)); ; n++ {
		select {
		case <-done:
			fmt.Println(n)
			return nil
		case <-tick.C:
		}
		if _, errno := fork(&place, &life); errno != 0 {
			return errno
		}
		for { // those that have ended
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

// roleRebind closes its port and listens on it again a thousand times a second, and is done when standard input ends; then
// it goes on to listen.
func roleRebind() error {
	port, fd := 0, -1
	open := func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		return unix.Listen(fd, 1)
	}
	if err := open(); err != nil {
		return err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	port = bound.(*unix.SockaddrInet4).Port
	done := untilStdinEnds()
	fmt.Println(port)
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-done:
			fmt.Println("done")
			select {}
		case <-tick.C:
		}
		unix.Close(fd)
		if err := open(); err != nil {
			return err
		}
	}
}

func untilStdinEnds() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, os.Stdin)
	}()
	return done
}

// A running role says something when it is ready, does what it is for until its standard input ends, and then says something more.
type running struct {
	cmd  *exec.Cmd
	said []string
	in   io.Closer
	out  *bufio.Reader
}

// run starts a role, which ends with the test.
func run(t testing.TB, cmd *exec.Cmd) *running {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	r := &running{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v said %q: %v", cmd.Args, line, err)
	}
	r.said = strings.Fields(line)
	return r
}

// finish has a role come to its end, and returns what it says then.
func (r *running) finish(t testing.TB) string {
	t.Helper()
	r.in.Close()
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v said %q at its end: %v", r.cmd.Args, line, err)
	}
	return strings.TrimSpace(line)
}

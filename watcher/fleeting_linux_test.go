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

// fork starts a process that listens for a while on a port that the system chooses, and then ends. It is a copy of this
// process and only makes system calls: starting a program would take longer than it should live.
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

// roleBomb starts processes at a given rate per second until standard input ends. Each listens for a given number of
// milliseconds. At the end it prints their number.
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
		for { // reap ended processes
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

// roleRebind closes its port and listens on it again a thousand times a second. When standard input ends, it prints
// "done" and keeps listening.
func roleRebind() error {
	fd, port, err := listenOn(0)
	if err != nil {
		return err
	}
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
		if fd, _, err = listenOn(port); err != nil {
			return err
		}
	}
}

// roleMany opens listeners, other files, and connections to its first listener, in the numbers of its arguments. Then
// it prints its first port.
func roleMany(args []string) error {
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(args[i]); err != nil {
			return err
		}
	}
	first := 0
	for i := range n[1] {
		if _, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("file %d: %w", i, err)
		}
	}
	for i := range n[0] {
		fd, port, err := listenOn(0)
		if err != nil {
			return fmt.Errorf("listener %d: %w", i, err)
		}
		if i == 0 {
			first = port
			if err := connectTo(fd, port, n[2]); err != nil {
				return err
			}
		}
	}
	fmt.Println(first)
	<-untilStdinEnds()
	return nil
}

// connectTo makes n connections to a listener from several loopback addresses, and keeps both ends open.
func connectTo(listener, port, n int) error {
	for i := range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(i % 8)}}
		err = unix.Bind(fd, from)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err == nil {
			_, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

// listenOn listens on a port of 127.0.0.1. For port 0 the system chooses one.
func listenOn(port int) (fd, bound int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return 0, 0, err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, err
	}
	return fd, at.(*unix.SockaddrInet4).Port, nil
}

// roleRename listens and changes its name and arguments every millisecond.
func roleRename() error {
	_, port, err := listenOn(0)
	if err != nil {
		return err
	}
	args, err := argsOf()
	if err != nil {
		return err
	}
	done := untilStdinEnds()
	fmt.Println(port)
	tick, n := time.NewTicker(time.Millisecond), 0
	for ; ; n++ {
		select {
		case <-done:
			fmt.Println(n)
			return nil
		case <-tick.C:
		}
		name := []byte(fmt.Sprintf("nginx %d\x00", n))
		if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
			return err
		}
		if _, err := unix.Pwrite(args.file, []byte(fmt.Sprintf("vite %08d", n)), args.at); err != nil {
			return err
		}
	}
}

// A place is an address in the memory of this process.
type place struct {
	file int
	at   int64
}

// argsOf returns the place of this process's arguments (proc_pid_stat(5), field 48).
func argsOf() (place, error) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return place{}, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	at, err := strconv.ParseInt(fields[45], 10, 64)
	if err != nil {
		return place{}, err
	}
	file, err := unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
	return place{file, at}, err
}

func untilStdinEnds() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, os.Stdin)
	}()
	return done
}

// A running role prints a line when it is ready and another line after its standard input has ended.
type running struct {
	cmd  *exec.Cmd
	said []string
	in   io.Closer
	out  *bufio.Reader
}

// run starts a role that ends with the test.
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

// finish ends a role and returns its last line.
func (r *running) finish(t testing.TB) string {
	t.Helper()
	r.in.Close()
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v said %q at its end: %v", r.cmd.Args, line, err)
	}
	return strings.TrimSpace(line)
}

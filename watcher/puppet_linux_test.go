package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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

// A stage controls puppets: processes that obey one order at a time. Each connects to the stage by itself, whoever
// started it. A puppet ends with its connection, at the latest with the test.
type stage struct {
	t       testing.TB
	door    *net.UnixListener
	program string // the test binary under a short name
	cast    []*puppet
}

// A puppet is one process on a stage.
type puppet struct {
	owner.Process // only its identity
	stage         *stage
	conn          *net.UnixConn
	pidfd         int
}

func newStage(t testing.TB) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "stage") // t.TempDir is too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Orphaned puppets become children of this process, so that it can reap them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	door, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, "door"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, door: door, program: filepath.Join(dir, "puppet")}
	t.Cleanup(s.end)
	if err := copyFile("/proc/self/exe", s.program); err != nil {
		t.Fatal(err)
	}
	return s
}

// end ends all puppets and returns after all have been reaped.
func (s *stage) end() {
	for _, p := range s.cast {
		p.kill()
	}
	for _, p := range s.cast { // parents came first, so this process has the children now
		for unix.Waitid(unix.P_PIDFD, p.pidfd, nil, unix.WEXITED, nil) == unix.EINTR {
		}
		unix.Close(p.pidfd)
	}
	s.door.Close()
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	// A process started meanwhile would inherit the file. A file that is open for writing cannot be executed
	// (golang.org/issue/22315).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// disguised returns the path of a puppet program with this name.
func (s *stage) disguised(name string) string {
	path := filepath.Join(filepath.Dir(s.program), name)
	if err := os.Link(s.program, path); err != nil && !errors.Is(err, os.ErrExist) {
		s.t.Fatal(err)
	}
	return path
}

// enter starts a puppet as a child of this process.
func (s *stage) enter() *puppet {
	s.t.Helper()
	if err := puppetCommand(s.program, s.door.Addr().String()).Start(); err != nil {
		s.t.Fatal(err)
	}
	return s.meet()
}

// puppetCommand returns the command of a puppet that starts with these sockets, written as NAME=FILE.
func puppetCommand(program, door string, sockets ...string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{door}, sockets...)...)
	// With the race detector a process waits for a second before it exits.
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_ROLE=puppet", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

// meet returns the next puppet that connects.
func (s *stage) meet() *puppet {
	s.t.Helper()
	s.door.SetDeadline(time.Now().Add(patience))
	conn, err := s.door.AcceptUnix()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &puppet{stage: s, conn: conn}
	said, _ := p.hear()
	if p.Process, err = owner.Identify(int32(number(s.t, said))); err != nil {
		s.t.Fatal(err)
	}
	if p.pidfd, err = unix.PidfdOpen(int(p.PID), 0); err != nil {
		s.t.Fatal(err)
	}
	s.cast = append(s.cast, p)
	return p
}

// tell sends an order to a puppet, optionally with a file, and returns the answer.
func (p *puppet) tell(order string, file ...*os.File) (answer string, given *os.File) {
	p.stage.t.Helper()
	if err := sendMessage(p.conn, order, file...); err != nil {
		p.stage.t.Fatalf("%s: %v", order, err)
	}
	answer, given = p.hear()
	if why, bad := strings.CutPrefix(answer, "error: "); bad {
		p.stage.t.Fatalf("%s: %s", order, why)
	}
	return answer, given
}

func (p *puppet) hear() (said string, given *os.File) {
	p.stage.t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	said, given, err := receiveMessage(p.conn)
	if err != nil {
		p.stage.t.Fatal(err)
	}
	return said, given
}

// listen makes the puppet listen and returns the port.
func (p *puppet) listen(name, addr string) uint16 {
	p.stage.t.Helper()
	answer, _ := p.tell("listen " + name + " " + addr)
	return uint16(number(p.stage.t, answer))
}

// bear makes the puppet start another one, which inherits the named sockets.
func (p *puppet) bear(names ...string) *puppet {
	p.stage.t.Helper()
	p.tell(strings.Join(append([]string{"bear"}, names...), " "))
	return p.stage.meet()
}

// become makes the puppet exec the program of that name. It keeps its sockets.
func (p *puppet) become(name string) {
	p.stage.t.Helper()
	if err := sendMessage(p.conn, "become "+p.stage.disguised(name)); err != nil {
		p.stage.t.Fatal(err)
	}
	p.conn.Close()
	p.conn = p.stage.meet().conn
}

// pass makes the puppet send a socket to another. It keeps its own copy.
func (p *puppet) pass(name string, to *puppet) {
	p.stage.t.Helper()
	_, file := p.tell("give " + name)
	to.tell("take "+name, file)
	file.Close()
}

// kill kills the puppet and waits for its end. It stays a zombie until its parent reaps it.
func (p *puppet) kill() {
	p.stage.t.Helper()
	p.conn.Close()
	if err := unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		p.stage.t.Fatal(err)
	}
	ended := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(ended, int(patience/time.Millisecond))
	for err == unix.EINTR {
		n, err = unix.Poll(ended, int(patience/time.Millisecond))
	}
	if n != 1 {
		p.stage.t.Fatalf("process %d does not end: %v", p.PID, err)
	}
}

// rolePuppet obeys orders. Its arguments are the address of the stage and the initial sockets.
func rolePuppet(args []string) error {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: args[0], Net: "unixpacket"})
	if err != nil {
		return err
	}
	b := &body{door: args[0], sockets: map[string]*os.File{}}
	for _, arg := range args[1:] {
		name, number, _ := strings.Cut(arg, "=")
		fd, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		syscall.CloseOnExec(fd)
		b.sockets[name] = os.NewFile(uintptr(fd), name)
	}
	for answer, file := strconv.Itoa(os.Getpid()), (*os.File)(nil); ; {
		if file == nil {
			err = sendMessage(conn, answer)
		} else {
			err = sendMessage(conn, answer, file)
		}
		if err != nil {
			return nil // the test has closed the connection
		}
		order, given, err := receiveMessage(conn)
		if err != nil {
			return nil
		}
		answer, file, err = b.obey(strings.Fields(order), given)
		if err != nil {
			answer = "error: " + err.Error()
		}
	}
}

// A body is the inside of a puppet.
type body struct {
	door    string
	sockets map[string]*os.File
	spare   []*os.File
}

func (b *body) obey(order []string, given *os.File) (answer string, give *os.File, err error) {
	switch verb, args := order[0], order[1:]; verb {
	case "listen", "share": // NAME ADDR
		port, err := b.listen(args[0], args[1], verb == "share")
		return strconv.Itoa(int(port)), nil, err
	case "close":
		err := b.sockets[args[0]].Close()
		delete(b.sockets, args[0])
		return "closed", nil, err
	case "give":
		return "here", b.sockets[args[0]], nil
	case "take":
		b.sockets[args[0]] = given
		return "taken", nil, nil
	case "copy": // NAME; opens another descriptor that stays open
		fd, err := unix.FcntlInt(b.sockets[args[0]].Fd(), unix.F_DUPFD_CLOEXEC, 3)
		b.spare = append(b.spare, os.NewFile(uintptr(fd), args[0]))
		return "copied", nil, err
	case "files": // N; holds that many files open
		return "done", nil, b.hold(args[0])
	case "bear":
		program, err := os.Executable()
		if err != nil {
			return "", nil, err
		}
		cmd := puppetCommand(program, b.door)
		for i, name := range args {
			cmd.Args = append(cmd.Args, fmt.Sprintf("%s=%d", name, 3+i))
			cmd.ExtraFiles = append(cmd.ExtraFiles, b.sockets[name])
		}
		return "born", nil, cmd.Start()
	case "bury": // reaps ended children
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				return "buried", nil, nil
			}
		}
	case "become":
		return "", nil, b.become(args[0])
	case "end-main-thread":
		return "ended", nil, endMainThread()
	}
	return "", nil, fmt.Errorf("no order %q", order[0])
}

func (b *body) listen(name, addr string, share bool) (port uint16, err error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if share {
			err = errors.Join(c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}), err)
		}
		return err
	}}
	network := "tcp"
	if place, err := netip.ParseAddrPort(addr); err == nil && place.Addr().Is4() {
		network = "tcp4" // otherwise the wildcard is dual-stack
	}
	l, err := config.Listen(context.Background(), network, addr)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	b.sockets[name], err = l.(*net.TCPListener).File()
	return portOf(l), err
}

func (b *body) hold(n string) error {
	want, err := strconv.Atoi(n)
	for err == nil && len(b.spare) < want {
		var f *os.File
		f, err = os.Open(os.DevNull)
		b.spare = append(b.spare, f)
	}
	for err == nil && len(b.spare) > want {
		err = b.spare[want].Close()
		b.spare = slices.Delete(b.spare, want, want+1)
	}
	return err
}

// become execs another program with the same sockets.
func (b *body) become(program string) error {
	args := []string{program, b.door}
	for name, file := range b.sockets {
		if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFD, 0); err != nil { // so that exec keeps it open
			return err
		}
		args = append(args, fmt.Sprintf("%s=%d", name, file.Fd()))
	}
	return syscall.Exec(program, args, os.Environ())
}

// endMainThread ends the main thread, whose ID is the PID. All other threads continue.
func endMainThread() error {
	release := make(chan struct{})
	defer close(release)
	for range 1000 {
		found := make(chan bool)
		go func() {
			runtime.LockOSThread() // until release, so that the next goroutine gets another thread
			defer runtime.UnlockOSThread()
			if unix.Gettid() != unix.Getpid() {
				found <- false
				<-release
				return
			}
			found <- true
			syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
		}()
		if !<-found {
			continue
		}
		for { // until the system shows the end
			stat, err := os.ReadFile("/proc/self/stat")
			if err != nil || strings.Contains(string(stat), ") Z ") {
				return err
			}
			runtime.Gosched()
		}
	}
	return errors.New("nothing runs on the main thread")
}

// sendMessage sends text, and optionally a file, as one message.
func sendMessage(conn *net.UnixConn, text string, file ...*os.File) error {
	var rights []byte
	for _, f := range file {
		rights = append(rights, unix.UnixRights(int(f.Fd()))...)
	}
	_, _, err := conn.WriteMsgUnix([]byte(text), rights, nil)
	return err
}

func receiveMessage(conn *net.UnixConn) (text string, file *os.File, err error) {
	var in, rights [4096]byte
	n, m, _, _, err := conn.ReadMsgUnix(in[:], rights[:])
	if err != nil {
		return "", nil, err
	}
	if n == 0 {
		return "", nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil || len(messages) == 0 {
		return string(in[:n]), nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return "", nil, err
	}
	unix.CloseOnExec(fds[0])
	return string(in[:n]), os.NewFile(uintptr(fds[0]), "given"), nil
}

//go:build linux && soak

package tray_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// This file has the programs of the soak test: porttray with access to its figures, and servers that obey the test.

// builtForSoak builds both without the race detector, like the program of the other tests, and returns their paths.
func (s *soak) builtForSoak() (program, server string) {
	s.t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		s.t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(root, "soak_figures.go"): filepath.Join(root, "tray/testdata/soak/figures.go"),
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(buildDir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		s.t.Fatal(err)
	}
	program, server = filepath.Join(buildDir, "porttray-soak"), filepath.Join(buildDir, "soakserver")
	for _, args := range [][]string{
		{"-overlay", file, "-o", program, "porttray"},
		{"-o", server, "porttray/tray/testdata/soak/server"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		args = append([]string{"build", "-buildvcs=false", "-race=false"}, args...)
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		cancel()
		if err != nil {
			s.t.Fatalf("go %s: %v\n%s", args, err, out)
		}
	}
	return program, server
}

// A troupe holds all servers. Each connects to its door.
type troupe struct {
	door    net.Listener
	program string

	mu      sync.Mutex
	waiting map[string]chan *line // by the token of a server that will connect
	conns   map[net.Conn]bool
}

func (s *soak) newTroupe(program string) *troupe {
	s.t.Helper()
	door, err := net.Listen("unix", s.path("door"))
	if err != nil {
		s.t.Fatal(err)
	}
	tr := &troupe{door: door, program: program, waiting: map[string]chan *line{}, conns: map[net.Conn]bool{}}
	go tr.welcome()
	s.t.Cleanup(tr.end)
	return tr
}

// welcome accepts connections until the door is closed.
func (tr *troupe) welcome() {
	for {
		conn, err := tr.door.Accept()
		if err != nil {
			return
		}
		l := &line{conn, bufio.NewReader(conn)}
		token, err := l.ReadString(' ')
		tr.mu.Lock()
		arrived := tr.waiting[strings.TrimSpace(token)]
		delete(tr.waiting, strings.TrimSpace(token))
		tr.conns[conn] = true
		tr.mu.Unlock()
		if err != nil || arrived == nil {
			tr.leave(conn)
			continue
		}
		arrived <- l
	}
}

// leave closes a connection.
func (tr *troupe) leave(conn net.Conn) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	delete(tr.conns, conn)
	conn.Close()
}

// end closes the door and all connections. A server ends with its connection.
func (tr *troupe) end() {
	tr.door.Close()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for conn := range tr.conns {
		conn.Close()
	}
}

// expect returns the channel that gets the connection of the server with a token.
func (tr *troupe) expect(token string) <-chan *line {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	arrived := make(chan *line, 1)
	tr.waiting[token] = arrived
	return arrived
}

// heedSIGINT makes sure that SIGINT ends the programs that start later. A shell may run this test in the background
// with SIGINT ignored, and children inherit that. A caught signal gets its default action in children.
func (s *soak) heedSIGINT() {
	if signal.Ignored(syscall.SIGINT) {
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, syscall.SIGINT)
		s.t.Cleanup(func() { signal.Stop(caught) })
	}
}

// A line is a connection for lines of text in both directions.
type line struct {
	net.Conn
	*bufio.Reader
}

// Read reads from the buffered reader, because it may have read ahead.
func (l *line) Read(p []byte) (int, error) { return l.Reader.Read(p) }

// An actor is one process of the troupe.
type actor struct {
	s    *soak
	conn *line
	pid  int
	name string        // process name
	in   *workplace    // its working directory
	done chan struct{} // closed when it has ended; nil if it is not a child of the test
}

// begin starts a process.
func (s *soak) begin(name string, in *workplace) *actor {
	s.t.Helper()
	s.tokens++
	token := fmt.Sprintf("actor%d", s.tokens)
	arrived := s.troupe.expect(token)
	cmd := s.command(s.troupe.program, s.path("door"), name, token)
	cmd.Dir = in.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	a := &actor{s: s, name: name, in: in, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		cmd.Wait() // the test knows the exit
	}()
	a.enter(arrived)
	return a
}

// enter waits until the process has connected, and reads its PID.
func (a *actor) enter(arrived <-chan *line) {
	a.s.t.Helper()
	select {
	case a.conn = <-arrived:
	case <-time.After(patience):
		a.s.t.Fatalf("%s does not connect", a.name)
	}
	text, err := a.conn.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(text, &a.pid)
	}
	if err != nil {
		a.s.t.Fatalf("%s: %q, %v", a.name, text, err)
	}
}

// order sends the process an order and returns its answer.
func (a *actor) order(format string, args ...any) string {
	a.s.t.Helper()
	order := fmt.Sprintf(format, args...)
	a.tell(order)
	answer, err := a.conn.ReadString('\n')
	if err != nil || strings.HasPrefix(answer, "error") {
		a.s.t.Fatalf("%s (PID %d) was told to %s: %q, %v", a.name, a.pid, order, answer, err)
	}
	return strings.TrimSpace(answer)
}

// tell sends the process an order. Its answer has to arrive before the same deadline.
func (a *actor) tell(order string) {
	a.s.t.Helper()
	err := a.conn.SetDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = fmt.Fprintln(a.conn, order)
	}
	if err != nil {
		a.s.t.Fatalf("cannot tell %s (PID %d) to %s: %v", a.name, a.pid, order, err)
	}
}

// fork makes the process start a child that shares its listeners, and returns the child.
func (a *actor) fork() *actor {
	a.s.t.Helper()
	a.s.tokens++
	token := fmt.Sprintf("actor%d", a.s.tokens)
	arrived := a.s.troupe.expect(token)
	a.order("fork %s", token)
	child := &actor{s: a.s, name: a.name, in: a.in}
	child.enter(arrived)
	return child
}

// An exit is a way to end a process, with its text in notices if the system tells it.
type exit struct {
	signal syscall.Signal // 0: the process ends by itself
	status int
	told   string
}

var exits = []exit{
	{syscall.SIGTERM, 0, "killed by SIGTERM"},
	{syscall.SIGKILL, 0, "killed by SIGKILL"},
	{syscall.SIGINT, 0, "killed by SIGINT"},
	{0, 0, "exited with status 0"},
	{0, 3, "exited with status 3"},
}

func (e exit) interrupts() bool { return e.signal == syscall.SIGINT }

// crashes reports whether the end counts as a crash.
func (e exit) crashes() bool { return e.signal == syscall.SIGKILL || e.signal == 0 && e.status != 0 }

// end ends the process and waits until it has ended.
func (a *actor) end(how exit) {
	a.s.t.Helper()
	if how.signal == 0 {
		a.tell(fmt.Sprintf("exit %d", how.status))
	} else {
		syscall.Kill(a.pid, how.signal)
	}
	a.gone()
}

// gone waits until the process has ended.
func (a *actor) gone() {
	a.s.t.Helper()
	ended := func() bool {
		if a.done == nil { // not our child, and it may stay a zombie
			return gone(a.pid)
		}
		select {
		case <-a.done:
			return true
		default:
			return false
		}
	}
	if !poll(patience, ended) {
		a.s.t.Fatalf("%s (PID %d) does not end", a.name, a.pid)
	}
	a.s.troupe.leave(a.conn.Conn)
	for _, c := range a.s.ledger.changes {
		if c.by == a.pid {
			c.reason = "" // the notice may give the later end of the process as the reason
		}
	}
}

// gone reports whether a process and all its threads have ended, so that it holds no ports.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	threads, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err != nil || err2 != nil || strings.HasPrefix(state, "Z") && len(threads) == 1
}

// A workplace is a working directory of servers.
type workplace struct{ name, dir string }

func (s *soak) makeProjects(names ...string) {
	s.t.Helper()
	for _, name := range names {
		p := &workplace{name, filepath.Join(s.path("home"), name)}
		if err := os.Mkdir(p.dir, 0o700); err != nil {
			s.t.Fatal(err)
		}
		s.projects = append(s.projects, p)
	}
}

// A bind is one listener of a server.
type bind struct {
	network, host string
	port          uint16
}

func (b bind) String() string { return fmt.Sprintf("%s %s:%d", b.network, b.host, b.port) }

func (b bind) exposed() bool { return b.host == "0.0.0.0" || b.host == "[::]" }

// A testServer is the test's record of a listening process.
type testServer struct {
	*actor
	binds    []bind    // the head first
	rest     time.Time // when the previous head closed
	reuse    bool      // it listens with SO_REUSEPORT
	known    time.Time // when the menu first showed its present state; zero if it does not yet
	exposed  bool      // there was a notice that it is open to the network, or there may have been
	restarts int
	unsure   bool       // restarts may be wrong: the count depends on the times of the scans
	stubborn bool       // it ignores SIGTERM
	stopped  time.Time  // when it ignored a Stop
	box      *container // the container, if it is a forwarder
	up       *change    // its start in the ledger
}

// head returns the port that stands for the server.
func (v *testServer) head() uint16 { return v.binds[0].port }

// listen makes the server listen at one more address.
func (v *testServer) listen(b bind) {
	v.s.t.Helper()
	order := "listen " + b.String()
	if v.reuse {
		order += " reuse"
	}
	v.order("%s", order)
	v.binds = append(v.binds, b)
	head, n := v.binds[0], len(v.binds)-1
	if b.exposed() && !head.exposed() || b.exposed() == head.exposed() && v.remains() {
		v.binds[0], v.binds[n] = b, head
		v.rest = time.Time{}
	}
}

// remains reports whether the server's previous head closed lately. The end of its other ports then brings no notice.
func (v *testServer) remains() bool { return !v.rest.IsZero() && time.Since(v.rest) < 5*time.Minute }

// close makes the server close one of its listeners.
func (v *testServer) close(b bind) {
	v.s.t.Helper()
	v.order("close %v", b)
	wasHead := b == v.binds[0]
	v.binds = slices.DeleteFunc(v.binds, func(other bind) bool { return other == b })
	if !wasHead {
		return
	}
	v.rest = time.Now()
	slices.SortFunc(v.binds, func(a, b bind) int { return a.compare(b) })
}

// compare orders binds like the program: exposed ones first, then by port.
func (b bind) compare(other bind) int {
	if b.exposed() != other.exposed() {
		if b.exposed() {
			return -1
		}
		return 1
	}
	return int(b.port) - int(other.port)
}

// settled reports whether the program has known the server long enough for a notice about its end.
func (v *testServer) settled() bool {
	return !v.known.IsZero() && time.Since(v.known) > 2500*time.Millisecond
}

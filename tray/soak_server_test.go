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

// These are the programs of the soak test: porttray with a way to ask it for figures, and servers that do as they are told.

// builtForSoak returns the paths of both, built without the race detector like the program of the other tests.
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
		out, err := exec.CommandContext(ctx, "go", append([]string{"build", "-buildvcs=false", "-race=false"}, args...)...).CombinedOutput()
		cancel()
		if err != nil {
			s.t.Fatalf("go build %s: %v\n%s", args, err, out)
		}
	}
	return program, server
}

// A troupe are all servers. Each connects to its door.
type troupe struct {
	door    net.Listener
	program string

	mu      sync.Mutex
	waiting map[string]chan *line // by the name under which a server will connect
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

// welcome takes in those that connect, until the door is closed.
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

// leave ends a connection.
func (tr *troupe) leave(conn net.Conn) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	delete(tr.conns, conn)
	conn.Close()
}

// end ends all servers: they end with their connections.
func (tr *troupe) end() {
	tr.door.Close()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for conn := range tr.conns {
		conn.Close()
	}
}

// expect announces that somebody will connect under a name.
func (tr *troupe) expect(token string) <-chan *line {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	arrived := make(chan *line, 1)
	tr.waiting[token] = arrived
	return arrived
}

// heedSIGINT has the programs that are started from now on heed SIGINT, also where this test runs in the background of a shell that has it
// ignored, which is inherited: what is caught here is as usual there.
func (s *soak) heedSIGINT() {
	if signal.Ignored(syscall.SIGINT) {
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, syscall.SIGINT)
		s.t.Cleanup(func() { signal.Stop(caught) })
	}
}

// A line is a connection on which lines are sent both ways.
type line struct {
	net.Conn
	*bufio.Reader
}

// Read is the reader's, which may have read ahead.
func (l *line) Read(p []byte) (int, error) { return l.Reader.Read(p) }

// An actor is one process of the troupe.
type actor struct {
	s    *soak
	conn *line
	pid  int
	name string        // of the process
	in   *project      // where it works
	done chan struct{} // closed when it has ended; nil for one that is not a child of the test
}

// begin starts a process.
func (s *soak) begin(name string, in *project) *actor {
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
		cmd.Wait() // how it ended, the test has decided
	}()
	a.enter(arrived)
	return a
}

// enter waits until the process has connected.
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

// order has the process do something, and returns what it answers.
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

// tell sends the process an order. For what is answered there is as much time.
func (a *actor) tell(order string) {
	a.s.t.Helper()
	err := a.conn.SetDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = fmt.Fprintln(a.conn, order)
	}
	if err != nil {
		a.s.t.Fatalf("%s (PID %d) cannot be told to %s: %v", a.name, a.pid, order, err)
	}
}

// fork has the process start a child that shares its listeners, and returns that.
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

// An exit is a way to end a process, and what is said of it where the system tells.
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

// end ends the process, and returns when it has ended.
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
		if a.done == nil { // somebody else's child, of which a zombie may stay
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
			c.reason = "" // that it went on without the port may be told as its end
		}
	}
}

// gone reports whether a process has ended, and all its threads, so that it holds nothing any more.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	threads, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err != nil || err2 != nil || strings.HasPrefix(state, "Z") && len(threads) == 1
}

// A project is a directory in which servers work.
type project struct{ name, dir string }

func (s *soak) makeProjects(names ...string) {
	s.t.Helper()
	for _, name := range names {
		p := &project{name, filepath.Join(s.path("home"), name)}
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

// A server is a process that listens, as the test knows it.
type server struct {
	*actor
	binds    []bind    // the head first
	rest     time.Time // when the head before this one closed
	reuse    bool
	known    time.Time // when the menu showed it as it is; zero if it does not yet
	exposed  bool      // it was told, or may have been, that it is open to the network
	restarts int
	unsure   bool // it may have restarted more often: whether it did depends on when the program looked
	stubborn bool
	stopped  time.Time  // when a Stop was clicked that it did not heed
	box      *container // whose forwarder it is
	up       *change    // that it came up
}

// head is the port that the server is known by.
func (v *server) head() uint16 { return v.binds[0].port }

// listen has the server listen there as well.
func (v *server) listen(b bind) {
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

// remains reports whether the server's head closed a short while ago. The end of what remains is not told.
func (v *server) remains() bool { return !v.rest.IsZero() && time.Since(v.rest) < 5*time.Minute }

// close has the server listen at one of its binds no longer.
func (v *server) close(b bind) {
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

// compare orders binds by how likely people mean them when they name the server.
func (b bind) compare(other bind) int {
	if b.exposed() != other.exposed() {
		if b.exposed() {
			return -1
		}
		return 1
	}
	return int(b.port) - int(other.port)
}

// settled reports whether the program has known the server for so long that its end is told.
func (v *server) settled() bool {
	return !v.known.IsZero() && time.Since(v.known) > 2500*time.Millisecond
}

package owner_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

// TestMain lets the test binary run itself in a role: as a victim, or as another user's process that ends the victim.
func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv("PORTTRAY_TEST_ROLE"); role {
	case "":
		m.Run()
	case "end":
		err = roleEnd(os.Args[1])
	default:
		err = roleVictim(role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// roleVictim listens, prints the port, and answers every line. It ends with its input, at the latest with the test.
func roleVictim(role string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	switch role {
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "letting go":
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		go func() {
			<-asked
			l.Close()
		}()
	case "disguised":
		if err := disguise(); err != nil {
			return err
		}
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println("here")
	}
	return nil
}

// roleEnd asks a process to end, as if that held the port, and prints the result.
func roleEnd(pid string) error {
	n, err := strconv.ParseInt(pid, 10, 32)
	if err != nil {
		return err
	}
	p, err := owner.Identify(int32(n))
	if err != nil {
		return err
	}
	r := owner.End(context.Background(), alone(p), false, owner.Wait,
		func(context.Context) ([]owner.Process, error) { return []owner.Process{p}, nil })
	fmt.Printf("%d %q %v\n", r.Outcome, r.Reason, r.Err)
	return nil
}

// A victim is a second process of this test binary, in a role.
type victim struct {
	cmd  *exec.Cmd
	in   io.Writer
	out  *bufio.Reader
	port uint16
	owner.Process
}

// command returns the command for a role. Its program is a copy with the given name that every user may run. Without a
// name it is the test binary itself.
func command(t *testing.T, role, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		path = copyTo(t, path, name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = os.TempDir()
	// Without this the race detector delays the exit by a second.
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func copyTo(t *testing.T, path, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "porttray")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path = filepath.Join(dir, name)
	// Otherwise a process of another test could inherit the open file. The system runs no file that is open for writing
	// (golang.org/issue/22315).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts a victim and kills it after the test. A victim that ended before stays a zombie until then.
func start(t *testing.T, cmd *exec.Cmd) *victim {
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
	t.Cleanup(func() {
		cmd.Process.Kill() // fails if it has ended
		cmd.Wait()         // fails if it was killed
	})
	v := &victim{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := v.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v said %q: %v", cmd.Args, line, err)
	}
	port, err := strconv.ParseUint(strings.TrimSpace(line), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	v.port = uint16(port)
	if v.Process, err = owner.Identify(int32(cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	return v
}

// alive reports whether the victim still answers.
func (v *victim) alive() bool {
	if _, err := fmt.Fprintln(v.in); err != nil {
		return false
	}
	_, err := v.out.ReadString('\n')
	return err == nil
}

// holders scans for the owners of the victim's port. Wine lists no owners, so there it returns the victim.
func (v *victim) holders(ctx context.Context) ([]owner.Process, error) {
	s, err := watcher.Scan(ctx)
	found := s.Holders(v.port)
	if runtime.GOOS == "windows" && slices.Equal(found, []owner.Process{{}}) {
		found = []owner.Process{v.Process}
	}
	return found, err
}

// alone is the group of a single process.
func alone(p owner.Process) owner.Group { return owner.Group{Workers: []owner.Process{p}} }

// needStop skips a test on systems that can only kill, not ask.
func needStop(t *testing.T) {
	t.Helper()
	if !owner.CanStop() {
		t.Skip("this system can only kill")
	}
}

func TestEnd(t *testing.T) {
	tests := []struct {
		name   string
		role   string
		force  bool
		want   owner.Result
		alive  bool
		status string // how it ended, on systems with signals
	}{
		{"obeys", "obedient", false, owner.Result{Outcome: owner.Freed, Ended: true}, false, "signal: terminated"},
		{"lets go of the port", "letting go", false, owner.Result{Outcome: owner.Freed}, true, ""},
		{"ignores it", "stubborn", false, owner.Result{Outcome: owner.StillRunning}, true, ""},
		{"killed", "obedient", true, owner.Result{Outcome: owner.Freed, Ended: true}, false, "signal: killed"},
		{"killed while it ignores SIGTERM", "stubborn", true, owner.Result{Outcome: owner.Freed, Ended: true}, false,
			"signal: killed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // one of them lasts for owner.Wait
			if !tt.force {
				needStop(t)
			}
			v := start(t, command(t, tt.role, ""))
			if tt.want.Outcome == owner.StillRunning {
				tt.want.Left = []owner.Process{v.Process}
			}
			if got := owner.End(t.Context(), alone(v.Process), tt.force, owner.Wait, v.holders); !reflect.DeepEqual(got,
				tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got := v.alive(); got != tt.alive {
				t.Errorf("alive afterwards: %v", got)
			}
			if tt.alive {
				return
			}
			if !v.Gone() { // a zombie counts as gone
				t.Error("not gone afterwards")
			}
			again := owner.End(t.Context(), alone(v.Process), true, owner.Wait, v.holders)
			if want := (owner.Result{Outcome: owner.AlreadyGone}); !reflect.DeepEqual(again, want) {
				t.Errorf("the second time got %+v, want %+v", again, want)
			}
			if err := v.cmd.Wait(); runtime.GOOS != "windows" && err.Error() != tt.status {
				t.Errorf("ended by %q, want %q", err, tt.status)
			}
			if again := owner.End(t.Context(), alone(v.Process), true, owner.Wait,
				v.holders); again.Outcome != owner.AlreadyGone || again.Err != nil {
				t.Errorf("the third time got %+v", again)
			}
		})
	}
}

// TestEndWatched ends a process while its parent waits for it, as is usual.
func TestEndWatched(t *testing.T) {
	t.Parallel()
	needStop(t)
	v := start(t, command(t, "obedient", ""))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		v.cmd.Wait()
	}()
	got := owner.End(t.Context(), alone(v.Process), false, owner.Wait, v.holders)
	if want := (owner.Result{Outcome: owner.Freed, Ended: true}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	<-ended
}

// TestEndLate ends a process that exits on its own during the scan.
func TestEndLate(t *testing.T) {
	t.Parallel()
	v := start(t, command(t, "obedient", ""))
	got := owner.End(t.Context(), alone(v.Process), true, owner.Wait, func(context.Context) ([]owner.Process, error) {
		v.cmd.Process.Kill()
		v.cmd.Wait()
		return []owner.Process{v.Process}, nil // an outdated result
	})
	if want := (owner.Result{Outcome: owner.AlreadyGone}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestEndMissesNobody has targets that do not hold the port (any more). End signals nobody.
func TestEndMissesNobody(t *testing.T) {
	t.Parallel()
	v := start(t, command(t, "obedient", ""))
	other := start(t, command(t, "obedient", ""))
	errScan := errors.New("no table")
	fails := func(context.Context) ([]owner.Process, error) { return nil, errScan }
	// asked must not run: End rejects the target before it scans.
	asked := func(context.Context) ([]owner.Process, error) {
		t.Error("End scanned the port")
		return nil, errScan
	}
	earlier, later := v.Process, v.Process
	earlier.Start--
	later.Start++
	tests := []struct {
		name    string
		p       owner.Process
		holders func(context.Context) ([]owner.Process, error)
		want    owner.Outcome
	}{
		{"an earlier process of that PID", earlier, asked, owner.AlreadyGone},
		{"a later process of that PID", later, asked, owner.AlreadyGone},
		{"no process", owner.Process{PID: 1<<31 - 1, Start: 1}, asked, owner.AlreadyGone},
		{"another one's port", v.Process, other.holders, owner.AlreadyGone},
		{"nobody's port", v.Process, func(context.Context) ([]owner.Process, error) { return nil, nil },
			owner.AlreadyGone},
		{"held by an earlier process of that PID", v.Process, func(context.Context) ([]owner.Process, error) {
			return []owner.Process{earlier}, nil
		}, owner.AlreadyGone},
		{"held by an unknown process", v.Process,
			func(context.Context) ([]owner.Process, error) { return []owner.Process{{}}, nil }, owner.AlreadyGone},
		{"the scan fails", v.Process, fails, owner.Failed},
		{"unknown owner", owner.Process{}, asked, owner.Refused},
		{"unknown owner with a name", owner.Process{Start: v.Start, Name: "node"}, asked, owner.Refused},
		{"all processes", owner.Process{PID: -1, Start: v.Start}, asked, owner.Refused},
		{"a process group", owner.Process{PID: -v.PID, Start: v.Start}, asked, owner.Refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, force := range []bool{false, true} {
				if !force && !owner.CanStop() {
					continue
				}
				got := owner.End(t.Context(), alone(tt.p), force, owner.Wait, tt.holders)
				if got.Outcome != tt.want || errors.Is(got.Err, errScan) != (tt.want == owner.Failed) ||
					(got.Reason != "") != (tt.want == owner.Refused) {
					t.Errorf("with force %v got %+v, want outcome %d", force, got, tt.want)
				}
			}
		})
	}
	if !v.alive() || !other.alive() {
		t.Error("a bystander has ended")
	}
}

// TestEndOfGroups has groups of two workers. Some have a master that is not theirs. A process without a signal
// survives.
func TestEndOfGroups(t *testing.T) {
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	both := func(a, b owner.Process) []owner.Process { return []owner.Process{a, b} }
	for _, tt := range []struct {
		name   string
		group  func(a, b, other owner.Process) owner.Group
		holds  func(a, b owner.Process) []owner.Process // the owners of the port, while they live
		err    error                                    // the error of a scan
		want   owner.Outcome
		reason string
		alive  [2]bool
	}{
		{name: "two workers", want: owner.Freed},
		{name: "one has let go", holds: func(a, _ owner.Process) []owner.Process { return []owner.Process{a} },
			want: owner.Freed, alive: [2]bool{false, true}},
		{name: "both have let go", holds: func(_, _ owner.Process) []owner.Process { return nil },
			want: owner.AlreadyGone, alive: [2]bool{true, true}},
		{name: "one has ended", group: func(a, b, _ owner.Process) owner.Group {
			a.Start--
			return owner.Group{Workers: both(a, b)}
		}, want: owner.Shared, alive: [2]bool{true, false}},
		{name: "one is never signalled",
			group: func(a, _, _ owner.Process) owner.Group { return owner.Group{Workers: both(a, self)} },
			want:  owner.Refused, reason: "porttray itself", alive: [2]bool{true, true}},
		{name: "one is unknown",
			group: func(a, _, _ owner.Process) owner.Group { return owner.Group{Workers: both(a, owner.Process{})} },
			want:  owner.Refused, reason: "its process is unknown", alive: [2]bool{true, true}},
		{name: "another server would end", err: fmt.Errorf("scan: %w", owner.Refusal("also serves blog :5602")),
			want: owner.Refused, reason: "also serves blog :5602", alive: [2]bool{true, true}},
		{name: "a scan fails", err: errors.New("no table"), want: owner.Failed, alive: [2]bool{true, true}},
		{name: "the master is this program", group: func(a, b, _ owner.Process) owner.Group {
			return owner.Group{Master: self, Workers: both(a, b), IsWorker: facts.IsWorker}
		},
			want: owner.Refused, reason: "porttray itself", alive: [2]bool{true, true}},
		{name: "the master is no parent of theirs", group: func(a, b, other owner.Process) owner.Group {
			return owner.Group{Master: other, Workers: both(a, b), IsWorker: facts.IsWorker}
		},
			want: owner.AlreadyGone, alive: [2]bool{true, true}},
		{name: "nobody knows the workers of the master", group: func(a, b, other owner.Process) owner.Group {
			return owner.Group{Master: other, Workers: both(a, b)}
		}, want: owner.AlreadyGone, alive: [2]bool{true, true}},
		{name: "the master has ended, and its PID is another's", group: func(a, b, other owner.Process) owner.Group {
			other.Start--
			return owner.Group{Master: other, Workers: both(a, b), IsWorker: facts.IsWorker}
		}, want: owner.Freed},
		{name: "the master runs another program", group: func(a, b, other owner.Process) owner.Group {
			other.Exe = filepath.Join(os.TempDir(), "other")
			return owner.Group{Master: other, Workers: both(a, b), IsWorker: facts.IsWorker}
		}, want: owner.Freed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, b, other := start(t, command(t, "obedient", "")), start(t, command(t, "obedient", "")),
				start(t, command(t, "obedient", ""))
			group := owner.Group{Workers: both(a.Process, b.Process)}
			if tt.group != nil {
				group = tt.group(a.Process, b.Process, other.Process)
			}
			holds := both(a.Process, b.Process)
			if tt.holds != nil {
				holds = tt.holds(a.Process, b.Process)
			}
			got := owner.End(t.Context(), group, true, owner.Wait, func(context.Context) ([]owner.Process, error) {
				return slices.DeleteFunc(slices.Clone(holds), owner.Process.Gone), tt.err
			})
			if got.Outcome != tt.want || got.Reason != tt.reason {
				t.Errorf("got %+v, want outcome %d, reason %q", got, tt.want, tt.reason)
			}
			if alive := [2]bool{a.alive(), b.alive()}; alive != tt.alive || !other.alive() {
				t.Errorf("alive afterwards: %v, want %v; another one: %v", alive, tt.alive, other.alive())
			}
		})
	}
}

// TestEndTaken has a newcomer take the port as soon as the victim has ended.
func TestEndTaken(t *testing.T) {
	t.Parallel()
	v := start(t, command(t, "obedient", ""))
	neighbour, newcomer := owner.Process{PID: v.PID, Start: v.Start + 1},
		owner.Process{PID: v.PID, Start: v.Start + 2, Name: "newcomer"}
	scans := 0
	got := owner.End(t.Context(), alone(v.Process), true, owner.Wait, func(context.Context) ([]owner.Process, error) {
		if scans++; scans == 1 {
			return []owner.Process{neighbour, v.Process}, nil
		}
		return []owner.Process{neighbour, newcomer}, nil
	})
	if want := (owner.Result{Outcome: owner.Taken, Ended: true,
		Left: []owner.Process{newcomer}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRefusal(t *testing.T) {
	tests := []struct {
		name string // the name of the program
		args []string
		want string
	}{
		{"server", nil, ""},
		{"docker-proxy", []string{"-host-port", "8080"}, "forwards for a container or VM"},
		{"rootlessport-with-a-long-name", nil, "forwards for a container or VM"},
		{"ssh", []string{"-N", "-L", "8080:localhost:80", "host"}, ""},
		{"ssh", []string{"-F", "/home/ann/.lima/default/ssh.config", "lima-default"}, "forwards for a container or VM"},
		{"sshd", []string{"/home/ann/.lima"}, ""},
	}
	for _, tt := range tests {
		t.Run(strings.Join(append([]string{tt.name}, tt.args...), " "), func(t *testing.T) {
			t.Parallel()
			v := start(t, command(t, "obedient", tt.name, tt.args...))
			p, err := owner.Read(t.Context(), v.PID)
			if err != nil || p.Refusal != tt.want || p.Name != tt.name {
				t.Errorf("read %+v, %v, want the refusal %q", p, err, tt.want)
			}
			got := owner.End(t.Context(), alone(v.Process), true, owner.Wait, v.holders)
			want := owner.Result{Outcome: owner.Refused, Reason: tt.want}
			if tt.want == "" {
				want = owner.Result{Outcome: owner.Freed, Ended: true}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("End: got %+v, want %+v", got, want)
			}
			if v.alive() != (tt.want != "") {
				t.Errorf("alive afterwards: %v", tt.want == "")
			}
		})
	}
}

// TestRefusalOfFamily has the processes that porttray depends on: itself, its ancestors, and the init process.
func TestRefusalOfFamily(t *testing.T) {
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[owner.Process]string{self: "porttray itself"}
	for p, ok := owner.Parent(self); ok; p, ok = owner.Parent(p) {
		tests[p] = "porttray runs in it"
	}
	if len(tests) < 2 && os.Getppid() != 1 { // in a container, the go command can be the first process
		t.Error("this process has no parent")
	}
	if first, err := owner.Identify(1); err == nil {
		tests[first] = "part of the system"
	}
	for p, want := range tests {
		if read, err := owner.Read(t.Context(), p.PID); err != nil || read.Refusal != want {
			t.Errorf("process %d: read %+v, %v, want the refusal %q", p.PID, read, err, want)
			continue // End must not get this process
		}
		for _, force := range []bool{false, true} {
			if !force && !owner.CanStop() {
				continue
			}
			got := owner.End(t.Context(), alone(p), force, owner.Wait, func(context.Context) ([]owner.Process, error) {
				return nil, errors.New("not refused") // so that End signals nothing
			})
			if want := (owner.Result{Outcome: owner.Refused, Reason: want}); !reflect.DeepEqual(got, want) {
				t.Errorf("process %d, force %v: got %+v, want %+v", p.PID, force, got, want)
			}
		}
	}
}

func TestIdentify(t *testing.T) {
	v := start(t, command(t, "obedient", ""))
	if v.Gone() {
		t.Error("gone while it runs")
	}
	parent, ok := owner.Parent(v.Process)
	if !ok || int(parent.PID) != os.Getpid() {
		t.Errorf("the parent is %+v, %v, want %d", parent, ok, os.Getpid())
	}
	impostor := v.Process
	impostor.Start++
	if _, ok := owner.Parent(impostor); ok || !impostor.Gone() {
		t.Errorf("another process of that PID has a parent: %v, is gone: %v", ok, impostor.Gone())
	}
	v.cmd.Process.Kill()
	v.cmd.Wait()
	if _, ok := owner.Parent(v.Process); ok || !v.Gone() {
		t.Errorf("after its end it has a parent: %v, is gone: %v", ok, v.Gone())
	}
	if _, err := owner.Read(t.Context(), v.PID); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after its end Read: %v, want %v", err, os.ErrProcessDone)
	}
	if (owner.Process{}).Gone() {
		t.Error("an unknown process is gone")
	}
}

// TestRead compares the facts about this process with its own knowledge.
func TestRead(t *testing.T) {
	got, err := owner.Read(t.Context(), int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	if name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"); got.Name != name {
		t.Errorf("name %q, want %q", got.Name, name)
	}
	if filepath.Clean(got.Dir) != dir { // Windows adds a backslash
		t.Errorf("directory %q, want %q", got.Dir, dir)
	}
	all := []owner.Process{{}, {PID: got.PID}, {PID: got.PID + 1, Start: got.Start}, {PID: got.PID, Start: got.Start}}
	if i := slices.IndexFunc(all, got.Is); i != 3 {
		t.Errorf("%+v is the process %d of %+v, want the last", got, i, all)
	}
}

package watcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// groupPy is a master with three workers on port 3010. Arguments change that. SIGUSR1 makes it start another server.
const groupPy = `import os, signal, socket, sys, time
how = sys.argv[1:]
def listen(port, share=True):
    s = socket.socket()
    if share:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", port))
    s.listen()
    return s
kids, shared = [], listen(3010, False) if "one-socket" in how else None
def bear(port=3010):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        s = shared or listen(port)
        while True:
            time.sleep(60)
    kids.append(pid)
def end(*_):
    if "leaves" not in how:
        for k in kids:
            os.kill(k, signal.SIGTERM)
    os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in how else end)
signal.signal(signal.SIGUSR1, lambda *_: bear(3999))
for _ in range(3):
    bear()
while True:
    if "respawns" in how:
        kids.remove(os.wait()[0])
        bear()
    else:
        time.sleep(60)
`

// A group is a server with several processes.
type group struct {
	t      *testing.T
	master *exec.Cmd
	server.Server
}

// startGroup starts groupPy and waits until its workers listen.
func startGroup(t *testing.T, how ...string) *group {
	t.Helper()
	file := filepath.Join(t.TempDir(), "workers.py")
	if err := os.WriteFile(file, []byte(groupPy), 0o644); err != nil {
		t.Fatal(err)
	}
	g := &group{t: t, master: exec.Command("python3", append([]string{file}, how...)...)}
	g.master.Dir = filepath.Dir(file)
	if err := g.master.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.master.Process.Kill() // fails if it has ended
		g.master.Wait()         // fails if it was killed
		for _, s := range g.servers() {
			for _, l := range s.Parts {
				unix.Kill(int(l.Owner.PID), unix.SIGKILL) // a worker of this test; fails if it has ended
			}
		}
	})
	return g
}

// servers returns the servers on the ports of this test.
func (g *group) servers() []server.Server {
	g.t.Helper()
	s, err := Look(g.t.Context(), true)
	if err != nil && g.t.Context().Err() == nil {
		g.t.Fatal(err)
	}
	return slices.DeleteFunc(server.Servers(s.Listeners, func(uint16) bool { return false }),
		func(s server.Server) bool { return s.Port != 3010 && s.Port != 3999 })
}

// look waits for a server with this number of workers on port 3010.
func (g *group) look(workers int, led bool) {
	g.t.Helper()
	var servers []server.Server
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		servers = g.servers()
		if i := slices.IndexFunc(servers, func(s server.Server) bool { return s.Port == 3010 }); i >= 0 {
			if g.Server = servers[i]; len(g.Workers()) == workers && (g.Master != owner.ID{}) == led {
				return
			}
		}
	}
	g.t.Fatalf("found %+v, want a server with %d workers, a master: %v", servers, workers, led)
}

// kill9 kills a process and waits for its end.
func kill9(t *testing.T, pid int32) {
	t.Helper()
	p, err := owner.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(int(pid), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !p.Gone(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

func needPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// TestEndGroup stops and kills servers of several processes.
func TestEndGroup(t *testing.T) {
	needPython(t)
	if !(world{}).enter(t) {
		return
	}
	for _, tt := range []struct {
		name    string
		how     []string
		orphans bool // kill the master before the scan
		workers int
		attack  func(*group) // between the scan and Stop
		force   bool
		want    owner.Outcome
		left    int  // processes of the group
		mercy   bool // no process is signalled
	}{
		{name: "a master ends its workers", workers: 3, want: owner.Freed},
		{name: "a master and its workers are killed", workers: 3, force: true, want: owner.Freed},
		{name: "a stubborn master", how: []string{"stubborn"}, workers: 3, want: owner.StillRunning, left: 4,
			mercy: true},
		{name: "a stubborn master is killed", how: []string{"stubborn"}, workers: 3, force: true, want: owner.Freed},
		{name: "a master leaves its workers", how: []string{"leaves"}, workers: 3, want: owner.StillRunning, left: 3},
		{name: "and they are asked as well", how: []string{"leaves"}, workers: 3, want: owner.Freed},
		{name: "workers with a socket each whose master has ended", workers: 3, orphans: true, want: owner.Freed},
		{name: "workers with one socket whose master has ended", how: []string{"one-socket"}, workers: 3, orphans: true,
			want: owner.Freed},
		{name: "and are killed", how: []string{"one-socket"}, workers: 3, orphans: true, force: true,
			want: owner.Freed},
		{name: "the master ends meanwhile", workers: 3, attack: func(g *group) { kill9(g.t, g.Master.PID) },
			want: owner.Freed},
		{name: "a worker is replaced meanwhile", how: []string{"respawns"}, workers: 3, attack: (*group).replaceWorker,
			force: true, want: owner.Freed},
		{name: "the master of a replaced worker is asked", how: []string{"respawns"}, workers: 3,
			attack: (*group).replaceWorker, want: owner.Freed},
		{name: "the master starts another server meanwhile", workers: 3, attack: (*group).branchOut,
			want: owner.Refused, mercy: true},
		{name: "and is killed", workers: 3, attack: (*group).branchOut, force: true, want: owner.Refused, mercy: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bystander := roleCommand("listen", "127.0.0.1:0")
			start(t, bystander)
			neighbour, err := owner.Identify(int32(bystander.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			g := startGroup(t, tt.how...)
			if tt.orphans {
				if slices.Contains(tt.how, "one-socket") {
					g.look(1, false) // the master holds the socket
				} else {
					g.look(tt.workers, true)
				}
				kill9(t, int32(g.master.Process.Pid))
			}
			g.look(tt.workers, !tt.orphans)
			shown := g.Group().Workers
			if m := g.Group().Master; m.Known() {
				shown = append(shown, m)
				if int(m.PID) != g.master.Process.Pid {
					t.Errorf("the master is %d, want %d", m.PID, g.master.Process.Pid)
				}
			}
			if tt.attack != nil {
				tt.attack(g)
			}
			wait := owner.Wait
			if tt.want == owner.StillRunning {
				wait = 500 * time.Millisecond
			}
			got := End(t.Context(), g.Server, tt.force, wait)
			if got.Outcome != tt.want || len(got.Left) != tt.left {
				t.Errorf("got %+v, want outcome %d with %d left", got, tt.want, tt.left)
			}
			want := tt.left
			if tt.mercy {
				want = len(shown)
			}
			if alive := slices.DeleteFunc(shown, owner.Process.Gone); len(alive) != want {
				t.Errorf("%d processes of the group are alive, want %d, with %+v", len(alive), want, got)
			}
			if tt.want == owner.Freed &&
				slices.ContainsFunc(g.servers(), func(s server.Server) bool { return s.Port == 3010 }) {
				t.Errorf("the port is not free: %+v", g.servers())
			}
			if neighbour.Gone() {
				t.Error("the neighbour has ended")
			}
		})
	}
}

// replaceWorker kills a worker and waits until the master has replaced it.
func (g *group) replaceWorker() {
	shown := g.Server
	kill9(g.t, shown.Workers()[0].PID)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		now := g.servers()
		if len(now) == 1 && len(now[0].Workers()) == len(shown.Workers()) {
			return
		}
	}
	g.t.Fatal("the worker was not replaced")
}

// branchOut makes the master start another server.
func (g *group) branchOut() {
	if err := g.master.Process.Signal(syscall.SIGUSR1); err != nil {
		g.t.Fatal(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if slices.ContainsFunc(g.servers(), func(s server.Server) bool { return s.Port == 3999 }) {
			return
		}
	}
	g.t.Fatal("the other server did not start")
}

// TestEndHolder stops one app of a process that holds the sockets of two apps. The refusal must name the other app.
func TestEndHolder(t *testing.T) {
	needPython(t)
	if !(world{}).enter(t) {
		return
	}
	cmd := exec.Command("python3", "-c", holderPy, t.TempDir(), t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // ends the children, too
	var found []server.Server
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s, err := Look(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		if found = server.Servers(s.Listeners, func(uint16) bool { return false }); len(found) == 2 && found[0].Facts.Holder &&
			found[0].Owner.Refusal != "" {
			break
		}
	}
	if len(found) != 2 {
		t.Fatalf("found %+v", found)
	}
	for _, force := range []bool{false, true} {
		got := End(t.Context(), found[0], force, time.Second)
		if want := "also serves PM2 :5602; " + found[0].Owner.Refusal; got.Outcome != owner.Refused ||
			got.Reason != want {
			t.Errorf("got %+v, want it refused: %s", got, want)
		}
	}
	if others := found[0].AlsoEnds(found); len(others) != 1 || others[0].Port != 5602 {
		t.Errorf("the others are %+v", others)
	}
	if p, err := owner.Identify(int32(cmd.Process.Pid)); err != nil || p.Gone() {
		t.Errorf("the holder has ended: %v", err)
	}
}

// TestPartners ends the processes that share a socket one by one. The scanner must follow.
func TestPartners(t *testing.T) {
	needPython(t)
	if !(world{}).enter(t) {
		return
	}
	g := startGroup(t, "one-socket")
	g.look(1, false)
	s := newFast(t)
	for _, want := range []int{1, 3, 2, 1, 0} {
		var owners []owner.Process
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			now, err := s.scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if owners = now.Holders(3010); len(owners) == want {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the owners are %+v, want %d", owners, want)
			}
		}
		for _, p := range owners {
			if p.Gone() || p.Name != "python3" {
				t.Errorf("%+v is the wrong owner, one of %d", p, len(owners))
			}
		}
		if want > 0 {
			kill9(t, owners[len(owners)-1].PID) // the first one is the master
		}
	}
}

package watcher

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// TestFaultHidden has listeners whose processes are not in /proc.
func TestFaultHidden(t *testing.T) {
	const servers = 3
	tests := []struct {
		name string
		world
		foreign bool
	}{
		{"hidepid", world{User: nobody, Proc: "hidepid=2", Servers: servers}, true},
		{"in another PID namespace", world{Servers: servers, Apart: true}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.enter(t) {
				return
			}
			port := listen(t, "tcp4", "127.0.0.1:0")
			s := newFast(t)
			check := func(snapshot Snapshot) {
				t.Helper()
				unknown := 0
				for _, l := range snapshot.Listeners {
					switch {
					case l.Port == port && int(l.Owner.PID) == os.Getpid():
					case l.Owner == owner.Process{Foreign: tt.foreign, User: "0"}:
						unknown++
					default:
						t.Errorf("found %+v", l)
					}
				}
				if len(snapshot.Listeners) != servers+1 || unknown != servers {
					t.Errorf("found %d listeners, %d of them of unknown owners", len(snapshot.Listeners), unknown)
				}
			}
			check(settled(t, s))
			walked := map[*sock]time.Time{}
			for _, so := range s.order {
				walked[so] = so.walked
			}
			for range 50 {
				check(rechecked(t, s))
			}
			for _, so := range s.order { // must not be searched for repeatedly
				if so.owner == nil && (so.walked.IsZero() || so.walked != walked[so] || !so.retry.After(time.Now())) {
					t.Errorf("the owner of port %d was searched for again", so.port)
				}
			}
			for _, l := range s.found.Listeners {
				if got := End(t.Context(), server.Server{Listener: l}, true, 0); !l.Owner.Known() &&
					got.Outcome != owner.Refused {
					t.Errorf("port %d: %+v, want it refused", l.Port, got)
				}
			}
			keepLog(t, &Watcher{}, s.ports()...).settles()
		})
	}
}

// ports returns the ports of the last scan.
func (s *fastScanner) ports() (ports []uint16) {
	for _, so := range s.order {
		ports = append(ports, so.port)
	}
	return ports
}

// cover hides /proc until the returned function is called.
func cover(t *testing.T) (uncover func()) {
	t.Helper()
	if err := unix.Mount("none", "/proc", "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaultMidRun disables the sources of a Watcher one by one, and restores them if possible. No listener closes.
func TestFaultMidRun(t *testing.T) {
	for _, refused := range []unix.Errno{unix.EPERM, unix.EACCES, unix.ENOENT, unix.EPROTONOSUPPORT} {
		t.Run(unix.ErrnoName(refused), func(t *testing.T) {
			if !(world{}).enter(t) {
				return
			}
			p := newStage(t).enter()
			one, two := p.listen("a", "127.0.0.1:0"), p.listen("b", "0.0.0.0:0")
			l := keepLog(t, &Watcher{Interval: 20 * time.Millisecond}, one, two)
			owners := func() (pids []int32) {
				for _, listener := range l.last.Snapshot.Listeners {
					pids = append(pids, listener.Owner.PID)
				}
				return pids
			}
			all := []int32{p.PID, p.PID}
			here := func(source string) func() bool {
				return func() bool {
					return l.last.Err == nil && l.last.Snapshot.Source == source && slices.Equal(owners(), all)
				}
			}
			l.until("all is well", true, here("sock_diag"))

			uncover := cover(t)
			l.until("the owners are out of sight", true,
				func() bool { return slices.Equal(owners(), []int32{0}) || slices.Equal(owners(), []int32{0, 0}) })
			if l.last.Err != nil {
				t.Errorf("the list is stale: %v", l.last.Err)
			}
			uncover()
			l.until("the owners are seen again", true, here("sock_diag"))

			// The system refuses both the open socket and new ones.
			if err := refuse(unix.SYS_RECVFROM, 3, unix.MSG_TRUNC, uint32(refused)); err != nil {
				t.Fatal(err)
			}
			if err := refuseNetlink(uint32(refused)); err != nil {
				t.Fatal(err)
			}
			all = append(all, p.PID)
			p.listen("c", "127.0.0.1:0") // a new source alone would cause no update
			l.until("the list comes from elsewhere", true, here("/proc/net/tcp"))
			if got, err := Try(t.Context()); err != nil || got.Detour == nil {
				t.Errorf("Try returned the detour %v, %v", got.Detour, err)
			}
			uncover = cover(t)
			l.until("the list is stale", true, func() bool { return l.last.Err != nil })
			if !slices.Equal(owners(), all) {
				t.Errorf("the old list has the owners %v", owners())
			}
			uncover()
			l.until("the list is read again", true, here("/proc/net/tcp"))
			l.settles()
			if len(l.events) > 0 {
				t.Errorf("got the events %v, want none for a further port", l.events)
			}
		})
	}
}

// TestFaultAnswers has a kernel that stops answering during a run, with temporary errors. The Watcher waits.
func TestFaultAnswers(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EINTR, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			if !(world{}).enter(t) {
				return
			}
			port := listen(t, "tcp4", "127.0.0.1:0")
			l := keepLog(t, &Watcher{Interval: 20 * time.Millisecond}, port)
			if err := refuse(unix.SYS_RECVFROM, 3, unix.MSG_TRUNC, uint32(errno)); err != nil {
				t.Fatal(err)
			}
			l.until("the list is stale", true, func() bool { return l.last.Err != nil })
			for end := time.Now().Add(time.Second); l.read(end); {
			}
			if got, want := found(l.last.Snapshot, port), fmt.Sprintf("%d@127.0.0.1", os.Getpid()); got != want ||
				len(l.events) > 0 {
				t.Errorf("found %q, want %q; got the events %v", got, want, l.events)
			}
		})
	}
}

// TestFaultNoFiles has a Watcher that cannot open files for a while. Meanwhile a listener opens and others close.
func TestFaultNoFiles(t *testing.T) {
	for _, source := range []string{"sock_diag", "procnettcp"} {
		t.Run(source, func(t *testing.T) {
			if !(world{}).enter(t) {
				return
			}
			stage := newStage(t)
			stays, goes := stage.enter(), stage.enter()
			port := stays.listen("a", "127.0.0.1:0")
			stays.listen("b", "127.0.0.1:0")
			goes.listen("c", "127.0.0.1:0")
			s := newFast(t)
			if source != "sock_diag" {
				s.useProc()
			}
			w := &Watcher{Interval: 20 * time.Millisecond, Scan: s.scan}
			w.naming = systemNaming()
			l := keepLog(t, w, port)
			var opens uint16
			withoutFiles(t, func() {
				opens = stays.listen("d", "127.0.0.1:0")
				stays.tell("close b")
				goes.kill()
				if source != "sock_diag" {
					l.until("the list is stale", true, func() bool { return owner.OutOfFiles(l.last.Err) })
					return
				}
				l.until("the events have come", true, func() bool {
					return l.events[Opened] == 1 && l.events[Closed] >= 1 && l.last.Err == nil
				})
			})
			l.until("the owner is known", true, func() bool {
				i := slices.IndexFunc(l.last.Snapshot.Listeners, func(o server.Listener) bool { return o.Port == opens })
				return i >= 0 && l.last.Snapshot.Listeners[i].Owner.Name == "puppet" &&
					l.last.Snapshot.Listeners[i].Facts.Command != ""
			})
			l.settles()
			// One server has ended. The other one has closed one of its two ports, perhaps its head. Without an owner
			// the new port looks like a server.
			if l.events[Opened] > 1 || l.events[Closed] < 1 || l.events[Closed] > 2 {
				t.Errorf("got the events %v", l.events)
			}
		})
	}
}

// TestFaultForeignPIDs has a listener in a PID namespace with the /proc of the outer one. Another process here has the
// listener's inner PID, and must not be signalled.
func TestFaultForeignPIDs(t *testing.T) {
	if !(world{Proc: hostProc}).enter(t) {
		return
	}
	port := uint16(number(t, start(t, roleCommand("listen", "127.0.0.1:0"))[0]))
	s := newFast(t)
	snapshot := settled(t, s)
	listeners := server.OnPort(snapshot.Listeners, port)
	if len(listeners) != 1 || !listeners[0].Owner.Known() {
		t.Fatalf("found %+v", snapshot.Listeners)
	}
	target := listeners[0]
	if s.pins != nil {
		t.Error("processes are pinned by PIDs of another namespace")
	}
	var innocent *exec.Cmd
	for range 100 { // until a process here has that PID
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(int(target.Owner.PID)-1)),
			0); err != nil {
			t.Fatal(err)
		}
		if innocent = sleeper(t, "", nil); innocent.Process.Pid == int(target.Owner.PID) {
			break
		}
	}
	if innocent.Process.Pid != int(target.Owner.PID) {
		t.Fatalf("no process has the PID %d here", target.Owner.PID)
	}
	for _, force := range []bool{false, true} {
		if got := End(t.Context(), server.Server{Listener: target}, force, time.Second); got.Outcome != owner.Refused {
			t.Errorf("%+v, want it refused", got)
		}
	}
	if err := unix.Kill(innocent.Process.Pid, 0); err != nil {
		t.Errorf("the innocent process: %v", err)
	}
	var status unix.WaitStatus
	if pid, err := unix.Wait4(innocent.Process.Pid, &status, unix.WNOHANG, nil); pid != 0 || err != nil {
		t.Errorf("the innocent process has ended: %v, %v", status, err)
	}
	l := keepLog(t, &Watcher{}, port)
	if l.last.Err != nil {
		t.Error(l.last.Err)
	}
}

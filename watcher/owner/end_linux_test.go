package owner_test

import (
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"

	"porttray/watcher/owner"
)

// nobody is a user without any processes of its own. This user is a different one.
var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

// disguise gives a root process the effective user nobody. That user still may not signal it: the kernel checks the
// real and the saved user (kill(2)).
func disguise() error { return syscall.Setresuid(-1, int(nobody.Uid), 0) }

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run processes as other users")
	}
}

func TestRefusalOfOtherUsers(t *testing.T) {
	needRoot(t)
	cmd := command(t, "obedient", "server")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	v := start(t, cmd)
	for _, force := range []bool{false, true} {
		got := owner.End(t.Context(), alone(v.Process), force, owner.Wait, v.holders)
		if want := (owner.Result{Outcome: owner.Refused, Reason: "another user's process"}); !reflect.DeepEqual(got,
			want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if !v.alive() {
		t.Error("another user's process has ended")
	}
}

func TestEndNotPermitted(t *testing.T) {
	needRoot(t)
	v := start(t, command(t, "disguised", ""))
	cmd := command(t, "end", "ender", strconv.Itoa(int(v.PID)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	out, err := cmd.Output()
	if want := strconv.Itoa(int(owner.NotPermitted)) + " \"\" operation not permitted\n"; err != nil ||
		string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	if !v.alive() {
		t.Error("the process has ended")
	}
}

// TestEndClosesFiles checks that no target stays pinned after any outcome.
func TestEndClosesFiles(t *testing.T) {
	v := start(t, command(t, "obedient", ""))
	impostor := v.Process
	impostor.Start++
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector would close them
	files := func() int {
		t.Helper()
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := files()
	for range 3 {
		owner.End(t.Context(), alone(impostor), true, owner.Wait, v.holders)
		owner.End(t.Context(), alone(self), true, owner.Wait, v.holders)
		owner.End(t.Context(), alone(v.Process), true, owner.Wait, v.holders)
	}
	if after := files(); after > before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

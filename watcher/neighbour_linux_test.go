package watcher

import (
	"fmt"
	"syscall"
	"testing"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// TestNeighbourOfAnotherUser has a listener of this user at 127.0.0.1 and one of another user at ::1 on the same port.
// They are two listeners with two owners. Stop and Kill hit only this user's process.
func TestNeighbourOfAnotherUser(t *testing.T) {
	needStrangers(t)
	needIPv6(t)
	mine := roleCommand("listen", "127.0.0.1:0")
	port := uint16(number(t, start(t, mine)[0]))
	theirs := roleCommand("listen", fmt.Sprintf("[::1]:%d", port))
	theirs.Path, theirs.Dir = copyBinary(t, 0o755), "/"
	theirs.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	start(t, theirs)
	s, err := Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]server.Listener{}
	for _, l := range server.OnPort(s.Listeners, port) {
		found[int(l.Owner.PID)] = l
	}
	my, their := found[mine.Process.Pid], found[theirs.Process.Pid]
	if len(found) != 2 || my.Owner.Foreign || my.Owner.Refusal != "" || fmt.Sprint(my.Addrs) != "[127.0.0.1]" ||
		!their.Owner.Foreign || their.Owner.User != "65534" || fmt.Sprint(their.Addrs) != "[::1]" {
		t.Fatalf("found %+v", found)
	}
	for _, force := range []bool{false, true} {
		if got := End(t.Context(), server.Server{Listener: their}, force, owner.Wait); got.Outcome != owner.Refused ||
			got.Reason != "another user's process" {
			t.Errorf("another user's process, force %v: %+v", force, got)
		}
	}
	posing := their // another user's process, disguised as this user's
	posing.Owner.Foreign, posing.Owner.User, posing.Owner.Refusal = false, "0", ""
	if got := End(t.Context(), server.Server{Listener: posing}, true, owner.Wait); got.Outcome != owner.Refused {
		t.Errorf("another user's process, disguised: %+v", got)
	}
	if got := End(t.Context(), server.Server{Listener: my}, false, owner.Wait); got.Outcome != owner.Shared || !got.Ended ||
		!got.Left[0].Is(their.Owner) {
		t.Errorf("this user's process: %+v", got)
	}
	if !my.Owner.Gone() || their.Owner.Gone() {
		t.Errorf("this user's process is gone: %v, another user's: %v", my.Owner.Gone(), their.Owner.Gone())
	}
}

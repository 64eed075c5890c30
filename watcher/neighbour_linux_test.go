package watcher

import (
	"fmt"
	"syscall"
	"testing"

	"porttray/watcher/owner"
)

// TestNeighbourOfAnotherUser has another user listen at ::1 on the port that this user has at 127.0.0.1, as if it were the same server.
// They are two listeners, each with its owner, and Stop and Kill hit one's own only.
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
	found := map[int]Listener{}
	for _, l := range onPort(s.Listeners, port) {
		found[int(l.Owner.PID)] = l
	}
	my, their := found[mine.Process.Pid], found[theirs.Process.Pid]
	if len(found) != 2 || my.Owner.Foreign || my.Owner.Refusal != "" || fmt.Sprint(my.Addrs) != "[127.0.0.1]" ||
		!their.Owner.Foreign || their.Owner.User != "65534" || fmt.Sprint(their.Addrs) != "[::1]" {
		t.Fatalf("found %+v", found)
	}
	for _, force := range []bool{false, true} {
		if got := End(t.Context(), Server{Listener: their}, force, owner.Wait); got.Outcome != owner.Refused || got.Reason != "another user's process" {
			t.Errorf("with force %v another user's: %+v", force, got)
		}
	}
	posing := their // what another user's process would have to look like
	posing.Owner.Foreign, posing.Owner.User, posing.Owner.Refusal = false, "0", ""
	if got := End(t.Context(), Server{Listener: posing}, true, owner.Wait); got.Outcome != owner.Refused {
		t.Errorf("another user's, shown as one's own: %+v", got)
	}
	if got := End(t.Context(), Server{Listener: my}, false, owner.Wait); got.Outcome != owner.Shared || !got.Ended || !got.Left[0].Is(their.Owner) {
		t.Errorf("one's own: %+v", got)
	}
	if !my.Owner.Gone() || their.Owner.Gone() {
		t.Errorf("gone is one's own: %v, and another user's: %v", my.Owner.Gone(), their.Owner.Gone())
	}
}

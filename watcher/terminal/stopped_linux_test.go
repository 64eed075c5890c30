package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWatchStopped stops a watching porttray (SIGSTOP) and continues it. Then porttray prints only the events of that
// time.
func TestWatchStopped(t *testing.T) {
	bind := func() (close func(), port uint16) {
		child := as(t, "listen")
		in, failed := child.StdinPipe()
		out, err := child.StdoutPipe()
		if err = errors.Join(failed, err, child.Start()); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscan(out, &port); err != nil {
			t.Fatal(err)
		}
		ended := sync.OnceFunc(func() { in.Close(); child.Wait() })
		t.Cleanup(ended)
		return ended, port
	}
	_, stays := bind()
	goes, gone := bind()
	cmd := porttray(t, "watch", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	received := make(chan object, 1000)
	go func() {
		defer close(received)
		for objects := json.NewDecoder(out); ; { // a bufio.Scanner fails on a line with hundreds of listeners
			var o object
			if err := objects.Decode(&o); err != nil {
				return
			}
			received <- o
		}
	}()
	defer func() {
		cmd.Process.Kill() // fails if it has ended
		for range received {
		}
		cmd.Wait() // fails because it was killed
	}()
	late := time.After(time.Minute)
	next := func() object {
		select {
		case o, ok := <-received:
			if ok {
				return o
			}
		case <-late:
		}
		t.Fatal("nothing more is printed")
		panic("unreachable")
	}
	if first := next(); first.Event != "baseline" {
		t.Fatalf("first %+v is printed", first)
	}
	cameUp := uint16(0)
	for range 5 {
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WSTOPPED, nil); err != nil {
			t.Fatal(err)
		}
		goes()
		goes, cameUp = bind()
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		closed, opened := false, false
		for !closed || !opened {
			switch o := next(); {
			case o.Event == "stale":
				t.Errorf("%+v is printed", o)
			case o.Listener == nil:
			case o.Listener.Port == stays:
				t.Errorf("%s is printed for an unchanged server", o.Event)
			case o.Listener.Port == gone:
				closed = o.Event == "closed"
			case o.Listener.Port == cameUp:
				opened = o.Event == "opened"
			}
		}
		gone = cameUp
	}
}

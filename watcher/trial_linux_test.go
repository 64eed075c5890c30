package watcher

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFastTry tries the scan of the system. TestSandbox repeats this test without sock_diag.
func TestFastTry(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	got, err := Try(t.Context())
	if owner := foundOurs(got.Snapshot, port); err != nil || owner != fmt.Sprintf("%d@127.0.0.1", os.Getpid()) ||
		got.Snapshot.Source != wantSource() {
		t.Errorf("found %q from %s, %v", owner, got.Snapshot.Source, err)
	}
	if got.First <= 0 || got.Again <= 0 {
		t.Errorf("the scans took %v and %v", got.First, got.Again)
	}
	var want error
	if n, err := strconv.Atoi(os.Getenv(refusal)); err == nil {
		want = unix.Errno(n)
	}
	if !errors.Is(got.Detour, want) || want == nil && got.Detour != nil {
		t.Errorf("got the detour %v, want %v", got.Detour, want)
	}
}

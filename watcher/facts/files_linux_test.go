package facts

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
)

// alone runs a test again in a new process, and reports whether this is the new process.
func alone(t *testing.T) bool {
	t.Helper()
	const running = "PORTTRAY_TEST_ALONE"
	if os.Getenv(running) == t.Name() {
		return true
	}
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), running+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// allowFiles sets the limit of open files for this process.
func allowFiles(t *testing.T, n uint64) {
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: 1024}, nil); err != nil {
		t.Error(err)
	}
}

// TestOutOfFiles reads about a process while this one sometimes may not open more files. The facts must be complete, or
// reported as incomplete.
func TestOutOfFiles(t *testing.T) {
	if !alone(t) {
		return
	}
	ctx, self := t.Context(), int32(os.Getpid())
	whole, err := owner.Read(ctx, self)
	if err != nil || whole.Name == "" || whole.Exe == "" || whole.Dir == "" || whole.User == "" ||
		whole.Since.IsZero() {
		t.Fatalf("got %+v, %v", whole, err)
	}
	parent, err := owner.Read(ctx, int32(os.Getppid()))
	if err != nil || parent.Refusal != "porttray runs in it" {
		t.Fatalf("the parent is %+v, %v", parent, err)
	}
	known, sure := Tell(ctx, whole)
	if known.Command == "" || !sure {
		t.Fatalf("got %+v, %v", known, sure)
	}

	allowFiles(t, 3)
	if p, err := owner.Read(ctx, self); !owner.OutOfFiles(err) {
		t.Errorf("got %+v, %v", p, err)
	}
	if f, sure := Tell(ctx, whole); sure {
		t.Errorf("sure of %+v", f)
	}
	if whole.Gone() {
		t.Error("a running process counts as ended")
	}
	allowFiles(t, 1024)
	if f, sure := Tell(ctx, whole); f != known || !sure {
		t.Errorf("got %+v, %v", f, sure)
	}

	// Switch the limit, as if other programs opened and closed files.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
				allowFiles(t, 3+n%2*1000)
			}
			for end := time.Now().Add(rand.N(50 * time.Microsecond)); time.Now().Before(end); {
			}
		}
	})
	read, refused := 0, 0
	for read+refused < 40_000 || (read == 0 || refused == 0) && read+refused < 1_000_000 {
		want := []owner.Process{whole, parent}[(read+refused)%2]
		p, err := owner.Read(ctx, want.PID)
		p.Since = want.Since // Since is exact only to the second
		switch {
		case err == nil && p == want:
			read++
		case owner.OutOfFiles(err):
			refused++
		default:
			t.Fatalf("after %d readings, got %+v, %v, want %+v", read+refused, p, err, want)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("read %d times, refused %d times", read, refused)
}

package watcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkNewcomer measures CPU time over three seconds, in which a new process opens one listener beside 300 others.
// It compares a whole watcher and reader with a minimal loop. The loop asks sock_diag once a second and searches /proc
// for new owners, youngest processes first.
//
//	go test -run '^$' -bench Newcomer -benchtime 1x ./watcher
func BenchmarkNewcomer(b *testing.B) {
	const rounds = 7
	load{processes: 300, listeners: 300, projects: true}.start(b)
	opener := newOpener(b)
	home := b.TempDir()
	median := func(run func(context.Context, chan<- uint16)) float64 {
		ctx, cancel := context.WithCancel(b.Context())
		found, done := make(chan uint16, 1000), make(chan struct{})
		go func() {
			defer close(done)
			run(ctx, found)
		}()
		defer func() { cancel(); <-done }()
		time.Sleep(5 * time.Second) // the first scan reads everything
		var spent []float64
		for i := range rounds {
			before := selfTime()
			port := opener.start(b, newProject(b, home, i))
			time.Sleep(3 * time.Second)
			spent = append(spent, float64(selfTime()-before)/1e6)
			if !received(found, port) {
				b.Fatalf("the listener on port %d was not found", port)
			}
			opener.tell(b, "close")
			time.Sleep(2 * time.Second)
		}
		slices.Sort(spent)
		b.Logf("CPU time in ms: %.1f", spent)
		return spent[rounds/2]
	}
	for b.Loop() {
		whole, bare := median(wholeWatcher), median(bareWatcher)
		b.ReportMetric(0, "ns/op") // only the length of the measurement
		b.ReportMetric(whole, "porttray-cpu-ms")
		b.ReportMetric(bare, "bare-cpu-ms")
		b.ReportMetric(whole/bare, "times-bare")
	}
}

// wholeWatcher runs a Watcher with a reader. It sends each port that opened.
func wholeWatcher(ctx context.Context, found chan<- uint16) {
	updates := make(chan Update)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&Watcher{}).Run(ctx, updates)
	}()
	for {
		select {
		case u := <-updates:
			for _, s := range u.Snapshot.Servers {
				_ = s.Key() // the tray finds the person's choices by key
			}
			for _, e := range u.Events {
				if e.Kind == Opened && e.Listener.Owner.Known() {
					found <- e.Listener.Port
				}
			}
		case <-done:
			return
		}
	}
}

// bareWatcher lists the listening sockets once a second, finds the processes of new ones, and sends their ports.
func bareWatcher(ctx context.Context, found chan<- uint16) {
	d, err := openDiag()
	if err != nil {
		return
	}
	defer d.close()
	fs, known := newProcfs(), map[uint32]bool{} // by inode
	var rows []row
	var pids []int32
	for t := time.NewTicker(time.Second); ; {
		if rows, _, err = d.list(rows[:0]); err != nil {
			return
		}
		unknown := map[uint32]uint16{} // the ports of new sockets
		for _, r := range rows {
			if !known[r.inode] {
				known[r.inode], unknown[r.inode] = true, r.port
			}
		}
		if len(unknown) > 0 {
			pids, _ = fs.pids(pids)
		}
		for _, pid := range slices.Backward(pids) {
			if len(unknown) == 0 {
				break
			}
			_ = fs.sockets(pid, func(_ int, inode uint32) bool { // some processes are not readable
				if port, wanted := unknown[inode]; wanted {
					found <- port
					delete(unknown, inode)
				}
				return true
			})
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// selfTime returns the CPU time of this process.
func selfTime() time.Duration {
	var self unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err != nil {
		panic(err)
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano())
}

// received reports whether found delivers a port.
func received(found <-chan uint16, port uint16) bool {
	for {
		select {
		case p := <-found:
			if p == port {
				return true
			}
		default:
			return false
		}
	}
}

// newProject creates a small project and returns its directory.
func newProject(b *testing.B, in string, n int) string {
	b.Helper()
	dir := filepath.Join(in, fmt.Sprint("project", n))
	for name, text := range map[string]string{"package.json": fmt.Sprintf(`{"name": "project%d"}`, n),
		".git/HEAD": "ref: refs/heads/main\n"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

package facts

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
	"porttray/watcher/project/projecttest"
)

// BenchmarkTell finds out the facts about a process with four ancestors. Its project's marker is six directories above
// its working directory. The benchmark also reports the CPU time of the median call.
//
//	go test -run '^$' -bench Tell ./watcher/facts
func BenchmarkTell(b *testing.B) {
	home := projecttest.TempHome(b)
	projecttest.Plant(b, home, map[string]string{
		"shop/package.json": `{"name": "shop"}`, "shop/.git/HEAD": "ref: refs/heads/main\n", "shop/1/2/3/4/5/6/": "",
	})
	b.Setenv("HOME", home)
	dir := filepath.Join(home, "shop/1/2/3/4/5/6")
	line := []string{"npm run dev|", "bash|-c|next dev", "node /x/node_modules/.bin/next dev",
		"next-server (v15.5.29)|", "worker"}
	child := startTreeIn(b, dir, append([]string{"bash"}, line...)...)
	p, err := owner.Read(b.Context(), child.PID)
	if err != nil {
		b.Fatal(err)
	}
	var spent []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		before := cpuTime(b)
		f, _ := Tell(b.Context(), p)
		spent = append(spent, cpuTime(b)-before)
		if f.Tool.Name != "Next.js" || f.Project.Dir != filepath.Join(home, "shop") ||
			f.Ancestors[len(line)-2] == (owner.ID{}) {
			b.Fatalf("got %+v", f)
		}
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/2].Microseconds()), "median-cpu-µs")
}

// cpuTime returns the CPU time of this process, user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

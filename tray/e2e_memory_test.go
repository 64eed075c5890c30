//go:build linux

package tray_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A memoryGroup is a cgroup (version 1 or 2) that limits the memory of its processes, kernel memory included.
type memoryGroup struct{ dir, limit, kills string }

// newMemoryGroup makes a control group below the test's own. It skips the test if that is impossible.
func newMemoryGroup(t *testing.T, bytes int) memoryGroup {
	t.Helper()
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	for line := range strings.Lines(string(self)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		root, g := "/sys/fs/cgroup/memory", memoryGroup{limit: "memory.limit_in_bytes", kills: "memory.oom_control"}
		switch {
		case slices.Contains(strings.Split(part[1], ","), "memory"):
		case part[0] == "0":
			root, g = "/sys/fs/cgroup", memoryGroup{limit: "memory.max", kills: "memory.events"}
		default:
			continue
		}
		if g.dir, err = os.MkdirTemp(filepath.Join(root, part[2]), "porttray-test-"); err == nil {
			t.Cleanup(func() { poll(patience, func() bool { return syscall.Rmdir(g.dir) == nil }) })
			if err = os.WriteFile(filepath.Join(g.dir, g.limit), []byte(strconv.Itoa(bytes)), 0); err == nil {
				return g
			}
		}
		failed = errors.Join(failed, err)
	}
	t.Skipf("no control group for memory, which root may have: %v", failed)
	return memoryGroup{}
}

// killed returns the kernel's count of processes killed in the group for lack of memory.
func (g memoryGroup) killed() string {
	text, err := os.ReadFile(filepath.Join(g.dir, g.kills))
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "oom_kill ") {
			return strings.TrimSpace(line)
		}
	}
	return fmt.Sprint(err)
}

// With 64 MB in all, the program neither dies nor stalls while many servers come and go.
func TestScarceMemory(t *testing.T) {
	for _, n := range []int{50, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			parallel(t)
			group := newMemoryGroup(t, 64<<20)
			d := newDesktop(t)
			d.needNetwork()
			program := buildProgram(t)
			s := &session{testDesktop: d, host: d.startHost(), notes: d.startNotifier(notifierShows)}
			s.tray = d.start("sh", "-c", `echo $$ >"$1"/cgroup.procs && exec "$0" tray`, program, group.dir)
			s.item = s.host.item(patience)
			var peak load
			look := func() {
				if l := s.tray.load(t); l.memory > peak.memory {
					peak = l
				}
			}
			s.flood(n)
			look()
			many := d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, n)...)
			s.redrawn(fmt.Sprintf("%d servers", n))
			for range 10 {
				v := d.startVictim(victimOptions{}, "127.0.0.1:0")
				s.row(v, v.ports[0])
				look()
				v.signal(os.Kill)
				s.noRow(v.ports[0])
			}
			many.signal(os.Kill)
			s.redrawn("No servers")
			look()
			t.Logf("at most %v; %s", peak, group.killed())
			if s.tray.exited() || group.killed() != "oom_kill 0" {
				t.Fatalf("exited: %v, %s", s.tray.exited(), group.killed())
			}
			s.item.click(s.item.menu().find("Quit"))
			s.mustEnd()
		})
	}
}

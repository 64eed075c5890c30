package facts

import (
	"context"
	"io"
	"os"
	"strconv"

	"porttray/watcher/owner"
)

// manager returns the service manager's unit that would restart p after its end, or none.
//
// On Linux it is the systemd service of p's cgroup. On macOS it is the launchd job with p's PID, from this user's jobs
// or, for root, the system's jobs. On Windows it is the service in p, if p runs just one. A manager that only started p
// does not count. Nobody knows whether the service is set to restart. A person should stop p through its manager
// anyway.
func manager(_ context.Context, p owner.Process) Manager {
	if !p.Known() {
		return Manager{}
	}
	f, err := os.Open("/proc/" + strconv.Itoa(int(p.PID)) + "/cgroup")
	if err != nil {
		return Manager{}
	}
	defer f.Close()
	cgroups, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return Manager{}
	}
	m := unitOf(cgroups)
	if m != (Manager{}) && p.Gone() { // the PID may have been another process's
		return Manager{}
	}
	return m
}

package owner

import (
	"context"
	"io"
	"os"
	"strconv"
)

// manager returns what would start p again if it were stopped, or none.
//
// On Linux it is the systemd service that p's cgroup belongs to. On macOS it is the launchd job whose process p is: one of this
// user's jobs, or one of the system's when root asks. On Windows it is the service that runs in p, if p runs just one. None is
// named that only started p. Whether the service is set to start again is not known: a person who stops one ought to ask its
// manager in any case.
func manager(_ context.Context, p Process) Manager {
	if !p.Known() {
		return Manager{}
	}
	f, err := os.Open("/proc/" + strconv.Itoa(int(p.PID)) + "/cgroup")
	if err != nil {
		return Manager{}
	}
	defer f.Close()
	cgroups, err := io.ReadAll(io.LimitReader(f, small))
	if err != nil {
		return Manager{}
	}
	m := unitOf(cgroups)
	if m != (Manager{}) && p.Gone() { // then the PID may have been another's
		return Manager{}
	}
	return m
}

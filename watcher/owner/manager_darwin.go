package owner

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"time"
)

// manager is described in manager_linux.go. It starts launchctl, for processes of launchd alone.
func manager(ctx context.Context, p Process) Manager {
	if v, err := readVitals(p.PID); !p.Known() || err != nil || v.start != p.Start || v.parent != 1 {
		return Manager{}
	}
	m := Manager{Name: jobLabel(launchdJobs(ctx), p.PID), System: os.Geteuid() == 0}
	if m.Name == "" || p.Gone() { // then the PID may have been another's
		return Manager{}
	}
	return m
}

// launchdJobs returns what "launchctl list" prints within two seconds, up to a megabyte.
func launchdJobs(ctx context.Context) []byte {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/launchctl", "list")
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	jobs, _ := io.ReadAll(io.LimitReader(out, large)) // whatever ends it: each whole line stands for itself
	cancel()
	_ = cmd.Wait() // killed or not, what it had to say is read
	return jobs[:bytes.LastIndexByte(jobs, '\n')+1]
}

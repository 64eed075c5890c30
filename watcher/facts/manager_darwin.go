package facts

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"time"

	"porttray/watcher/owner"
)

// manager is described in manager_linux.go. It runs launchctl only for direct children of launchd.
func manager(ctx context.Context, p owner.Process) Manager {
	if v, err := owner.ReadVitals(p.PID); !p.Known() || err != nil || v.Start != p.Start || v.Parent != 1 {
		return Manager{}
	}
	m := Manager{Name: jobLabel(launchdJobs(ctx), p.PID), System: os.Geteuid() == 0}
	if m.Name == "" || p.Gone() { // the PID may have been another process's
		return Manager{}
	}
	return m
}

// launchdJobs returns the output of "launchctl list": two seconds and a megabyte at most.
func launchdJobs(ctx context.Context) []byte {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/launchctl", "list")
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	jobs, _ := io.ReadAll(io.LimitReader(out, 1<<20)) // after an error too, each whole line is good
	cancel()
	_ = cmd.Wait() // its output is read, so its status does not matter
	return jobs[:bytes.LastIndexByte(jobs, '\n')+1]
}

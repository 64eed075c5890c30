//go:build !linux

package facts

import (
	"context"
	"fmt"
	"os"

	"github.com/shirou/gopsutil/v3/process"

	"porttray/watcher/owner"
)

// children is described in lineage_linux.go. On other systems it would have to read all processes.
func children(int32) []int32 { return nil }

// readMember is described in lineage_linux.go.
func readMember(ctx context.Context, pid int32) (member, error) {
	v, err := owner.ReadVitals(pid)
	if err != nil {
		return member{}, err
	}
	// A literal rather than NewProcess: see Read.
	ps := &process.Process{Pid: pid}
	m := member{ID: owner.ID{PID: pid, Start: v.Start}, parent: v.Parent}
	m.name, _ = ps.NameWithContext(ctx)
	if uids, err := ps.UidsWithContext(ctx); err == nil && len(uids) > 0 {
		m.user = int64(uids[min(1, len(uids)-1)]) // the effective one, or the only one
	}
	m.dir, _ = ps.CwdWithContext(ctx)
	m.exe, m.args = readArgs(ctx, ps)
	if again, err := owner.ReadVitals(pid); err != nil || again.Start != v.Start {
		return member{}, fmt.Errorf("process %d: it was replaced meanwhile: %w", pid, os.ErrProcessDone)
	}
	return newMember(m), nil
}

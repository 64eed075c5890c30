//go:build !linux

package owner

import (
	"context"
	"fmt"
	"os"

	"github.com/shirou/gopsutil/v3/process"
)

// children is described in lineage_linux.go. On other systems it would have to read all processes.
func children(int32) []int32 { return nil }

// readMember is described in lineage_linux.go.
func readMember(ctx context.Context, pid int32) (member, error) {
	v, err := readVitals(pid)
	if err != nil {
		return member{}, err
	}
	// A literal rather than NewProcess: see Read.
	ps := &process.Process{Pid: pid}
	m := member{ID: ID{PID: pid, Start: v.start}, parent: v.parent}
	m.name, _ = ps.NameWithContext(ctx)
	if uids, err := ps.UidsWithContext(ctx); err == nil && len(uids) > 0 {
		m.user = int64(uids[min(1, len(uids)-1)]) // the effective one, or the only one
	}
	m.dir, _ = ps.CwdWithContext(ctx)
	m.exe, m.args = readArgs(ctx, ps)
	if again, err := readVitals(pid); err != nil || again.start != v.start {
		return member{}, fmt.Errorf("process %d: it was replaced meanwhile: %w", pid, os.ErrProcessDone)
	}
	return newMember(m), nil
}

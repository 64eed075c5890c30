//go:build !linux && !windows && !darwin

package owner

import (
	"context"

	"github.com/shirou/gopsutil/v3/process"
)

// readArgs is described in args_windows.go.
func readArgs(ctx context.Context, ps *process.Process) (exe string, args []string) {
	exe, _ = ps.ExeWithContext(ctx)
	args, _ = ps.CmdlineSliceWithContext(ctx)
	return exe, args[:min(len(args), maxArgs)]
}

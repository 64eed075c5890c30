package facts

import (
	"context"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/windows"
)

// readArgs returns the path of a process's program, and its arguments. Windows hands a program its command line as one
// string. readArgs splits it as the C runtime does.
func readArgs(ctx context.Context, ps *process.Process) (exe string, args []string) {
	exe, _ = ps.ExeWithContext(ctx) // fails for some system processes
	line, err := ps.CmdlineWithContext(ctx)
	if err != nil {
		return exe, nil
	}
	args, err = windows.DecomposeCommandLine(line[:min(len(line), maxCmdline)])
	if err != nil {
		return exe, nil
	}
	return exe, args[:min(len(args), maxArgs)]
}

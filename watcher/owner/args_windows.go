package owner

import (
	"context"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/windows"
)

// readArgs returns the path of the program of a process, and its arguments. A program gets its command line as a whole on
// Windows; it is split here as the C runtime does.
func readArgs(ctx context.Context, ps *process.Process) (exe string, args []string) {
	exe, _ = ps.ExeWithContext(ctx) // not readable for some of the system's processes
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

package facts

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// readArgs is described in args_windows.go. The kernel gives both at once (sysctl kern.procargs2), without a
// subprocess.
func readArgs(_ context.Context, ps *process.Process) (exe string, args []string) {
	data, err := unix.SysctlRaw("kern.procargs2", int(ps.Pid))
	if err != nil || len(data) < 4 {
		return "", nil // another user's
	}
	count := int(binary.LittleEndian.Uint32(data))
	exe, rest, _ := strings.Cut(string(data[4:min(len(data), maxCmdline)]), "\x00")
	rest = strings.TrimLeft(rest, "\x00") // up to a multiple of the word size
	if count <= 0 || rest == "" {
		return exe, nil
	}
	count = min(count, maxArgs) // the environment follows
	args = strings.SplitN(rest, "\x00", count+1)
	return exe, args[:min(count, len(args))]
}

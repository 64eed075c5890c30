package history

import (
	"bytes"
	"os"
)

// boot returns what tells this start of the computer from all others, or nothing if that cannot be read. On Linux, where the start
// of a process is counted from the computer's (proc_pid_stat(5)), it is the kernel's own name for it (random(4)). Elsewhere processes
// start at a time, by which they differ from those of earlier days; so all starts of the computer have one name there.
func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // nothing if it cannot be read
	return string(bytes.TrimSpace(id))
}

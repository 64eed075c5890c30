package history

import (
	"bytes"
	"os"
)

// boot identifies this start of the computer, or is empty if it is unknown. Linux counts the start times of processes
// from the start of the computer (proc_pid_stat(5)), so boot returns the kernel's boot ID (random(4)). Other systems
// have absolute start times, so boot returns the same text for every start of the computer.
func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // empty on an error
	return string(bytes.TrimSpace(id))
}

package doctor

import (
	"os"
	"runtime"
	"strings"
)

// hidepid returns the mount option of /proc that hides other users' processes, such as "hidepid=2", or nothing if there
// is none. See proc(5).
func hidepid() string {
	if _, err := os.Lstat("/proc/self"); err != nil && runtime.GOOS == "linux" {
		return "it is not mounted"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "" // this system has no /proc, or it cannot be read
	}
	return parseHidepid(string(mounts))
}

// parseHidepid parses the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)). If several mounts share a place, the
// last one counts.
func parseHidepid(mounts string) string {
	hides := ""
	for line := range strings.Lines(mounts) {
		mount, kind, ok := strings.Cut(strings.TrimSpace(line), " - ")
		if fields := strings.Fields(mount); !ok || len(fields) < 6 || fields[4] != "/proc" {
			continue
		}
		hides = ""
		fields := strings.Fields(kind) // type, source, options of the file system
		if len(fields) != 3 || fields[0] != "proc" {
			continue
		}
		for option := range strings.SplitSeq(fields[2], ",") {
			if strings.HasPrefix(option, "hidepid=") && option != "hidepid=0" && option != "hidepid=off" {
				hides = option
			}
		}
	}
	return hides
}

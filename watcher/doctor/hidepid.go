package doctor

import (
	"os"
	"runtime"
	"strings"
)

// hidepid returns how /proc keeps other users' processes from this one, as it was mounted: "hidepid=2", or nothing if it does
// not. See proc(5).
func hidepid() string {
	if _, err := os.Lstat("/proc/self"); err != nil && runtime.GOOS == "linux" {
		return "it is not mounted"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "" // there is no /proc on this system, or none that could be asked
	}
	return parseHidepid(string(mounts))
}

// parseHidepid reads the mounts as they are in /proc/PID/mountinfo (proc_pid_mountinfo(5)). Of several mounts in one place the
// last is the one that is seen.
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

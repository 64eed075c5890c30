package owner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ReadVitals returns the vitals of the process with this PID. The error wraps os.ErrProcessDone if there is none.
//
// On Linux start is field 22 of /proc/PID/stat, in clock ticks since boot. It is exact, and changes of the clock do not
// affect it. On other systems it is the creation time in the kernel: units of 100 ns on Windows, milliseconds on macOS.
func ReadVitals(pid int32) (Vitals, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if errors.Is(err, fs.ErrNotExist) && mayBeHidden(pid) {
		return Vitals{}, fmt.Errorf("look at process %d: it is hidden: %w", pid, fs.ErrPermission)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return Vitals{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return Vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	v, err := ParseStat(stat)
	if err != nil {
		return Vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return v, nil
}

// mayBeHidden reports whether a process missing from /proc may still exist. /proc may be unmounted, or mounted with
// hidepid=2 (proc(5)) since the last look. Or the process may now belong to another user.
func mayBeHidden(pid int32) bool {
	if _, err := os.Lstat("/proc/self"); err != nil {
		return true // /proc is not mounted
	}
	if !ownView() {
		return false // only /proc knows this PID
	}
	err := syscall.Kill(int(pid), 0) // signal 0 only asks whether the process exists
	return err == nil || errors.Is(err, syscall.EPERM)
}

// ticks is the number of clock ticks per second in user space (USER_HZ): the same on all systems of Go.
const ticks = 100

// waitForNextTick reports whether a process that begins now could have the same start. If so, it first waits until that
// is impossible. On Linux it waits for the rest of a clock tick. On other systems start is exact enough, because no PID
// is used twice within one unit.
func waitForNextTick(start uint64) bool {
	const tick = uint64(time.Second / ticks)
	var now unix.Timespec
	// start comes from this clock too. Both are in this process's time namespace (time_namespaces(7)).
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil || uint64(now.Nano())/tick != start {
		return false
	}
	rest := unix.NsecToTimespec(int64(tick - uint64(now.Nano())%tick))
	for unix.Nanosleep(&rest, &rest) == unix.EINTR {
	}
	return true
}

// ParseStat reads /proc/PID/stat (proc_pid_stat(5)). The second field, the name, may itself hold spaces and
// parentheses. So it counts fields from the last parenthesis.
func ParseStat(stat []byte) (Vitals, error) {
	const state, parent, threads, start = 0, 1, 17, 19 // fields 3, 4, 20 and 22
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= start {
		return Vitals{}, fmt.Errorf("stat has only %d fields", len(fields))
	}
	ppid, err := strconv.ParseInt(string(fields[parent]), 10, 32)
	if err != nil {
		return Vitals{}, fmt.Errorf("parent in stat: %w", err)
	}
	begun, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return Vitals{}, fmt.Errorf("start in stat: %w", err)
	}
	n, err := strconv.Atoi(string(fields[threads]))
	if err != nil {
		return Vitals{}, fmt.Errorf("threads in stat: %w", err)
	}
	// An ended main thread shows as a zombie while other threads run. The process still lives and keeps its sockets.
	name := stat[bytes.IndexByte(stat, '(')+1 : max(bytes.LastIndexByte(stat, ')'), bytes.IndexByte(stat, '(')+1)]
	zombie := fields[state][0] == 'Z' && n <= 1
	dead := fields[state][0] == 'X'
	return Vitals{Name: string(name), Start: begun, Parent: int32(ppid), Ended: zombie || dead}, nil
}

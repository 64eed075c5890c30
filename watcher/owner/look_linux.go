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

// look returns the vitals of the process with this PID. The error wraps os.ErrProcessDone when there is none.
//
// On Linux start is field 22 of /proc/PID/stat, in clock ticks since boot: exact, and untouched by changes of the clock.
// Elsewhere it is the creation time that the kernel keeps for the process, on Windows in units of 100 ns and on macOS in milliseconds.
func readVitals(pid int32) (vitals, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if errors.Is(err, fs.ErrNotExist) && mayBeHidden(pid) {
		return vitals{}, fmt.Errorf("look at process %d: it is hidden: %w", pid, fs.ErrPermission)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return vitals{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	v, err := parseStat(stat)
	if err != nil {
		return vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return v, nil
}

// withheld reports whether a process that is not in /proc may be there all the same: /proc may not be mounted any more, or with
// hidepid=2 (proc(5)) since somebody looked last, or the process may be another user's by now.
func mayBeHidden(pid int32) bool {
	if _, err := os.Lstat("/proc/self"); err != nil {
		return true // it says nothing about anybody
	}
	if !ownView() {
		return false // the PID is for /proc alone to know
	}
	err := syscall.Kill(int(pid), 0) // which hits nobody: it only asks
	return err == nil || errors.Is(err, syscall.EPERM)
}

// ticks is how many of them a second has for people (USER_HZ): the same on all systems that Go knows.
const ticks = 100

// outlast reports whether a process that begins now could have the same start. If so, it returns when that is over. On Linux that
// is the rest of a clock tick; elsewhere start is so exact that no PID is used twice within it.
func waitForNextTick(start uint64) bool {
	const tick = uint64(time.Second / ticks)
	var now unix.Timespec
	// The clock that start was read from, in the time namespace of this process like start itself (time_namespaces(7)).
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil || uint64(now.Nano())/tick != start {
		return false
	}
	rest := unix.NsecToTimespec(int64(tick - uint64(now.Nano())%tick))
	for unix.Nanosleep(&rest, &rest) == unix.EINTR {
	}
	return true
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The second field, the name, may itself hold spaces and parentheses,
// so fields are counted from the last parenthesis on.
func parseStat(stat []byte) (vitals, error) {
	const state, parent, threads, start = 0, 1, 17, 19 // fields 3, 4, 20 and 22
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= start {
		return vitals{}, fmt.Errorf("stat has only %d fields", len(fields))
	}
	ppid, err := strconv.ParseInt(string(fields[parent]), 10, 32)
	if err != nil {
		return vitals{}, fmt.Errorf("parent in stat: %w", err)
	}
	begun, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return vitals{}, fmt.Errorf("start in stat: %w", err)
	}
	n, err := strconv.Atoi(string(fields[threads]))
	if err != nil {
		return vitals{}, fmt.Errorf("threads in stat: %w", err)
	}
	// A main thread that ended while others run also shows as a zombie, but the process lives and keeps its sockets.
	name := stat[bytes.IndexByte(stat, '(')+1 : max(bytes.LastIndexByte(stat, ')'), bytes.IndexByte(stat, '(')+1)]
	zombie := fields[state][0] == 'Z' && n <= 1
	dead := fields[state][0] == 'X'
	return vitals{name: string(name), start: begun, parent: int32(ppid), ended: zombie || dead}, nil
}

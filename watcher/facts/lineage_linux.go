package facts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
)

// readMember returns the process that now has this PID. Facts that the system withholds stay empty. The error wraps
// os.ErrProcessDone if there is no such process.
//
// On Linux it reads all facts below one open directory in /proc, which belongs to the process and not to its PID.
func readMember(_ context.Context, pid int32) (member, error) {
	dir, err := unix.Open("/proc/"+strconv.Itoa(int(pid)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if owner.OutOfFiles(err) {
		return member{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if err != nil {
		return member{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	defer unix.Close(dir)
	var buf [4096]byte
	stat, err := owner.ReadBelow(dir, "stat", buf[:], len(buf))
	if owner.OutOfFiles(err) {
		return member{}, fmt.Errorf("process %d: %w", pid, err)
	}
	v, err := owner.ParseStat(stat)
	if err != nil || v.Ended {
		return member{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	m := member{ID: owner.ID{PID: pid, Start: v.Start}, parent: v.Parent, name: v.Name}
	var info unix.Stat_t
	if err := unix.Fstat(dir, &info); err == nil {
		m.user = int64(info.Uid)
	}
	cmdline, err := owner.ReadBelow(dir, "cmdline", buf[:], maxCmdline)
	if owner.OutOfFiles(err) {
		return member{}, fmt.Errorf("process %d: %w", pid, err)
	}
	m.args = splitArgs(cmdline)
	m.exe = readLink(dir, "exe", buf[:])
	m.dir = readLink(dir, "cwd", buf[:])
	return newMember(m), nil
}

// children returns the living processes that the main thread of a process has started.
func children(pid int32) (pids []int32) {
	path := fmt.Sprintf("/proc/%d/task/%d/children", pid, pid) // missing without CONFIG_PROC_CHILDREN
	text, _ := os.ReadFile(path)
	for word := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.ParseInt(word, 10, 32); err == nil {
			pids = append(pids, int32(child))
		}
	}
	return pids
}

// readLink returns the target of a link in a directory, or nothing.
func readLink(dir int, name string, buf []byte) string {
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil || n == len(buf) {
		return ""
	}
	return string(buf[:n])
}

// splitArgs returns the arguments in /proc/PID/cmdline. A program that writes a title there leaves zeros after it.
func splitArgs(cmdline []byte) []string {
	cmdline = bytes.TrimRight(cmdline, "\x00")
	if len(cmdline) == 0 {
		return nil
	}
	args := strings.SplitN(string(cmdline), "\x00", maxArgs+1)
	return args[:min(len(args), maxArgs)]
}

package owner

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// containerOf returns the ID of the container that the process with this PID runs in, or nothing if its files are those that this
// program sees.
func containerOf(pid int32) (string, error) {
	proc := "/proc/" + strconv.Itoa(int(pid))
	cgroups, err := readProc(proc + "/cgroup")
	id := containerIn(cgroups)
	if id == "" {
		if !OutOfFiles(err) {
			err = nil // an ended process has no cgroup
		}
		return "", err
	}
	own, err := readProc("/proc/self/cgroup")
	if OutOfFiles(err) {
		return "", err
	}
	if id == containerIn(own) || sameFiles(proc) {
		return "", nil
	}
	return id, nil
}

// sameFiles reports whether a process is known to see the same files as this program under the same names.
func sameFiles(proc string) bool {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	its, _ := os.Readlink(proc + "/ns/mnt") // of other users' processes mostly not to be read
	root, _ := os.Readlink(proc + "/root")
	return own != "" && own == its && root == "/"
}

// ownRoot reports whether the root directory of a process is known to be another one than this program's: it is in a container, whose
// cgroup need not tell, or in a sandbox. What it calls /app is not what this program calls so.
func ownRoot(pid int32) bool {
	its, err := os.Stat("/proc/" + strconv.Itoa(int(pid)) + "/root")
	if err != nil {
		return false
	}
	here, err := os.Stat("/")
	return err == nil && !os.SameFile(its, here)
}

// readProc returns what a file in /proc holds, up to a limit.
func readProc(name string) ([]byte, error) {
	var buf [4096]byte
	return readBelow(unix.AT_FDCWD, name, buf[:], small)
}

// sharedDir returns the working directory of a process in a container if that is a directory of this system under the same name, as
// in those that people work in. Else it is empty.
func sharedDir(pid int32) string {
	cwd := "/proc/" + strconv.Itoa(int(pid)) + "/cwd"
	dir, err := os.Readlink(cwd)
	if err != nil {
		return ""
	}
	its, err := os.Stat(cwd)
	if err != nil {
		return ""
	}
	if here, err := os.Stat(dir); err != nil || !os.SameFile(its, here) {
		return ""
	}
	return dir
}

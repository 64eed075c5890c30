package owner

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// containerOf returns the ID of this process's container. It returns nothing for a process that sees the same files.
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
	its, _ := os.Readlink(proc + "/ns/mnt") // mostly unreadable for other users' processes
	root, _ := os.Readlink(proc + "/root")
	return own != "" && own == its && root == "/"
}

// ownRoot reports whether a process is known to have another root directory than this program. Then it is in a
// container, perhaps one without a cgroup of its own, or in a sandbox. Its /app is not this program's /app.
func ownRoot(pid int32) bool {
	its, err := os.Stat("/proc/" + strconv.Itoa(int(pid)) + "/root")
	if err != nil {
		return false
	}
	here, err := os.Stat("/")
	return err == nil && !os.SameFile(its, here)
}

// readProc returns the content of a file in /proc, up to a limit.
func readProc(name string) ([]byte, error) {
	var buf [4096]byte
	return ReadBelow(unix.AT_FDCWD, name, buf[:], 64<<10)
}

// SharedDir returns the working directory of a process in a container. It is empty unless this system has the same
// directory under the same name. Containers for interactive work have such directories.
func SharedDir(pid int32) string {
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

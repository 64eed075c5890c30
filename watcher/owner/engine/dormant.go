package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// dormant reports whether connecting to Docker's socket could start the engine. While the unit docker.socket is active,
// systemd holds the socket even if no engine runs. Without connecting, the two cases look the same. So if systemd has
// such a unit, the engine counts as running only if its PID file names a dockerd. By default dockerd puts that file
// beside the socket, rootless or not.
//
// In all other cases the socket's creator serves it, and connecting starts nothing: in WSL, from a snap, in a virtual
// machine, in a person's own directory. A unit of another name is not recognized.
func dormant(socket string) bool {
	pidFile := filepath.Join(filepath.Dir(socket), "docker.pid")
	return runtime.GOOS == "linux" && ofUnit(socket) && activated("/") && !running(pidFile)
}

// ofUnit reports whether a socket has the path of the unit docker.socket, the system's or this user's.
func ofUnit(socket string) bool {
	rootless := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock")
	return socket == "/run/docker.sock" || socket == "/var/run/docker.sock" || socket == rootless
}

// activated reports whether systemd runs (sd_booted(3)) and has docker.socket (systemd.unit(5)) in the files below
// root.
func activated(root string) bool {
	hasUnit := func(dir string) bool { return exists(root, dir, "systemd/system/docker.socket") }
	dirs := []string{"etc", "run", "usr/local/lib", "usr/lib", "lib"}
	return exists(root, "run/systemd/system") && slices.ContainsFunc(dirs, hasUnit)
}

func exists(elements ...string) bool {
	_, err := os.Stat(filepath.Join(elements...))
	return err == nil
}

// running reports whether the PID file names a dockerd. The file may be old and its PID reused.
func running(pidFile string) bool {
	data, err := readFile(pidFile)
	if err != nil {
		return false
	}
	pid, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 31)
	if err != nil {
		return false
	}
	if name, err := os.ReadFile("/proc/" + strconv.FormatUint(pid, 10) + "/comm"); err == nil {
		return string(name) == "dockerd\n"
	}
	// With hidepid, /proc hides another user's process. Such a process exists if signalling it is forbidden.
	p, err := os.FindProcess(int(pid))
	if err != nil {
		return false
	}
	defer p.Release()
	return errors.Is(p.Signal(syscall.Signal(0)), fs.ErrPermission)
}
